"""Who is in a segment, and columns of answers for them: block by block, by the scorers of every other mode."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.population import Block, Members, Population
from loyalty_ml.customers.table import taking
from loyalty_ml.errors import InvalidRequest
from loyalty_ml.models.store import ModelSet
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.scoring.rfm import SEGMENT_NAMES, RfmScores, segment_codes
from loyalty_ml.scoring.scorers import Scorer, Scores, no_scores, scorer_for
from loyalty_ml.scoring.scores import RISKS, ChurnScores, OfferScores
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.rules import parse_rule
from loyalty_ml.vocabulary import MockMode, PredictionType


class Answered(NamedTuple):
    """Some customers with columns of answers, and the numbers of those who have none, int64, both ascending."""

    customers: Block
    scores: Scores
    failed: NDArray[np.int64]


class Selection(NamedTuple):
    """A segment's members: those of `members` whom `keep` keeps; `unknown` are ids of a list that are no customers."""

    members: Members
    keep: Callable[[Block], Block]
    unknown: Sequence[str]


def select(
    definition: SegmentDefinition | None,
    population: Population,
    models: ModelSet,
    mock_mode: MockMode,
    progress: Progress = no_progress,
) -> Selection:
    """A segment's members; all customers for None.

    Raises InvalidRequest for a rule that the snapshot's columns do not fit and for an offer that the model has not,
    ModelUnavailable where membership is a prediction that cannot be made, and what `progress` raises.
    """

    def predicted(prediction_type: PredictionType, group: int) -> Selection:
        score = scoring(scorer_for(prediction_type, models, mock_mode), population)
        return Selection(population.everyone(), lambda block: _in_group(score(block), group), ())

    if definition is None:
        return Selection(population.everyone(), _all, ())
    if definition.rule is not None:
        return Selection(population.where(parse_rule(definition.rule, population.features), progress), _all, ())
    if definition.customer_ids is not None:
        members, unknown = population.listed(definition.customer_ids)
        return Selection(members, _all, unknown)
    if definition.rfm_segment is not None:
        return predicted("rfm", SEGMENT_NAMES.index(definition.rfm_segment))
    if definition.churn_risk is not None:
        return predicted("churn", RISKS.index(definition.churn_risk))
    assert definition.recommended_offer is not None
    offers = scorer_for("nbo", models, mock_mode).offers
    if definition.recommended_offer >= len(offers):
        problem = (
            f"the segment is of offer {definition.recommended_offer}, and the model has offers 0 to {len(offers) - 1}"
        )
        raise InvalidRequest(
            f"The segment cannot be answered: {problem}: define it again.",
            {"fields": [{"field": "recommended_offer", "problem": problem}]},
        )
    return predicted("nbo", definition.recommended_offer)


def scoring(scorer: Scorer, population: Population) -> Callable[[Block], Answered]:
    """How a block is scored: each customer by the same scorer, from the same features, as in a single prediction."""
    columns = taking(scorer.features, population.features)
    of_thread = threading.local()  # memory that is new to a process costs as much as what is done with it here

    def score(block: Block) -> Answered:
        if not hasattr(of_thread, "matrix"):
            of_thread.matrix = np.empty((population.block_rows, len(scorer.features)), np.float32)
        matrix = scorer.matrix(columns(block.values), of_thread.matrix[: len(block.numbers)])
        failed = np.empty(0, np.int64)
        finite = np.isfinite(matrix)
        if not finite.all():  # which is known in a tenth of the time that it takes to know it row by row
            usable = finite.all(axis=1)
            failed = block.numbers[~usable]
            block, matrix = _those(block, usable), matrix[usable]
        if not len(matrix):
            return Answered(block, no_scores(scorer), failed)
        ids = population.ids(block.numbers.tolist()) if scorer.is_mock else ()
        scores = scorer.score(ids, matrix)
        finite = np.isfinite(scores[0])
        if not finite.all():
            answered = finite.reshape(len(matrix), -1).all(axis=1)
            failed = np.sort(np.concatenate([failed, block.numbers[~answered]]))
            columns_of: Any = type(scores)
            block, scores = _those(block, answered), columns_of(*(column[answered] for column in scores))
        return Answered(block, scores, failed)

    return score


def _all(block: Block) -> Block:
    return block


def _in_group(answered: Answered, group: int) -> Block:
    match answered.scores:
        case ChurnScores(_, groups) | OfferScores(_, groups):
            pass
        case RfmScores():
            groups = segment_codes(answered.scores)
    return _those(answered.customers, groups == group)


def _those(block: Block, which: NDArray[np.bool_]) -> Block:
    return Block(block.numbers[which], block.values[which])
