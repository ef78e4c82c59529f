"""Who is in a segment, and columns of answers for them: block by block, by the scorers of every other mode."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.population import Block, Members, Population
from loyalty_ml.customers.table import FeatureTable, problem_codes, purchases_in, taking
from loyalty_ml.errors import InvalidRequest
from loyalty_ml.models import catalogue
from loyalty_ml.models.store import ModelSet
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.scoring.scored import scoring
from loyalty_ml.scoring.scorers import Scorer, Scores, scorer_for
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.rules import parse_rule
from loyalty_ml.vocabulary import MockMode, PredictionType


class Answered(NamedTuple):
    """Some customers with columns of answers, and the numbers of those who have none, int64, both ascending.

    reasons: how many of these have none for which reason, by error code.
    """

    customers: Block
    scores: Scores
    failed: NDArray[np.int64]
    reasons: Counter[str]


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

    def in_group(scorer: Scorer, group: int) -> Selection:
        answer = answering(scorer, population)

        def keep(block: Block) -> Block:
            answered = answer(block)
            return _those(answered.customers, scorer.answers.group_of(answered.scores) == group)

        return Selection(population.everyone(), keep, ())

    def named(prediction_type: PredictionType, group: str) -> Selection:
        scorer = scorer_for(prediction_type, models, mock_mode)
        return in_group(scorer, scorer.answers.groups.index(group))

    if definition is None:
        return Selection(population.everyone(), _all, ())
    if definition.rule is not None:
        return Selection(population.where(parse_rule(definition.rule, population.features), progress), _all, ())
    if definition.customer_ids is not None:
        members, unknown = population.listed(definition.customer_ids)
        return Selection(members, _all, unknown)
    if definition.rfm_segment is not None:
        return named("rfm", definition.rfm_segment)
    if definition.churn_risk is not None:
        return named("churn", definition.churn_risk)
    assert definition.recommended_offer is not None
    scorer = scorer_for("nbo", models, mock_mode)
    return in_group(scorer, stored_offer(definition.recommended_offer, scorer))


def stored_offer(code: int | str, scorer: Scorer) -> int:
    """The place of the offer that a stored definition is of: always by its code, as a place means another offer today.

    Raises InvalidRequest if the model does not know the code.
    """
    place = catalogue.place_of_code(scorer.offers, str(code))
    if place is None:
        raise InvalidRequest.of(
            "recommended_offer",
            f"the segment is of offer {code}, but the model has only offers {catalogue.listed(scorer.offers)}: change "
            "the segment's definition",
        )
    return place


def answering(scorer: Scorer, population: Population) -> Callable[[Block], Answered]:
    """How a block is scored: each customer by the same scorer, from the same features, as in a single prediction."""
    score = scoring([scorer], population.features, most_rows=population.block_rows)
    wanted = taking(scorer.features, population.features)

    def answer(block: Block) -> Answered:
        table = FeatureTable((), population.features, block.values, absent=None, found=None, as_of=None)
        scored = score(table, lambda rows: population.ids(block.numbers[rows].tolist()))
        if scored.answered is None:
            return Answered(block, scored.scores[0], np.empty(0, np.int64), Counter())
        failed = _those(block, ~scored.answered)
        reasons = problem_codes(wanted(failed.values), purchases_in(population.features, failed.values))
        return Answered(_those(block, scored.answered), scored.scores[0], failed.numbers, reasons)

    return answer


def _all(block: Block) -> Block:
    return block


def _those(block: Block, which: NDArray[np.bool_]) -> Block:
    return Block(block.numbers[which], block.values[which])
