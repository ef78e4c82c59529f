"""The segment answer: every member predicted and counted, the first of them shown, or the best.

Of a block is kept its tally and the numbers of the few customers that may be shown; those are then predicted again like
any batch, so that what is shown of a customer is what a batch would say.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.population import Block, Population
from loyalty_ml.customers.table import FeatureTable, taking
from loyalty_ml.errors import CustomerNotFound, InvalidRequest, LoyaltyError
from loyalty_ml.models import catalogue
from loyalty_ml.models.store import ModelSet
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.scoring.contracts import CustomerError, CustomerResult, Result
from loyalty_ml.scoring.predictions import ReadFeatures, predict
from loyalty_ml.scoring.scorers import Scorer, scorer_for
from loyalty_ml.segments.aggregates import Tally, aggregate, by_code, not_found, tally
from loyalty_ml.segments.answered import Answered, answering
from loyalty_ml.segments.contracts import SegmentAnswer
from loyalty_ml.segments.definition import Segment, SegmentDefinition
from loyalty_ml.segments.membership import select, stored_offer
from loyalty_ml.vocabulary import Include, MockMode, PredictionType, rfc3339

SHOWN_RESULTS = 100
SHOWN_ERRORS = 10
MAX_TOP = 1000
"""Results of nbo, the longest, are then 1.2 MB of JSON; Lambda sends 6 at most."""


class Ranking(NamedTuple):
    """Who is to be shown, as a request says it.

    top:      show the `top` members with the highest probability, the best first; None for the first by their ids.
    offer:    of nbo, the code of the offer that they may take; a number that is no code is the offer's place.
    include:  `lapsed` ranks those too who have lapsed; without it `top` leaves them out, and all are counted anyway.
    """

    top: int | None = None
    offer: str | None = None
    include: Include | None = None


BY_ID = Ranking()


class Order(NamedTuple):
    """Who is shown.

    top:            how many of the best; None for the first by their numbers.
    choice:         the place of the offer that they are the best for; None if there is no choice.
    with_inactive:  whether those in the inactive group are ranked too.
    """

    top: int | None
    choice: int | None = None
    with_inactive: bool = True


class _Shown(NamedTuple):
    """Numbers of customers that may be shown, in the order to show them, int64 (n,).

    key:  what they are ordered by, ascending, before their numbers: float32 (n,).
    """

    numbers: NDArray[np.int64]
    key: NDArray[np.float32]


_NOBODY = _Shown(np.empty(0, np.int64), np.empty(0, np.float32))


def predict_segment(
    segment: Segment,
    prediction_type: PredictionType,
    population: Population,
    models: ModelSet,
    mock_mode: MockMode,
    *,
    ranking: Ranking = BY_ID,
    explain: bool = False,
    progress: Progress = no_progress,
) -> SegmentAnswer:
    """The answer for all members; exact, whatever their number.

    explain: whether those who are shown have their reasons.
    Raises ModelUnavailable, NoBaseline, InvalidRequest, FeatureStoreUnavailable, and what `progress` raises.
    """
    scorer = scorer_for(prediction_type, models, mock_mode)
    order = shown_order(segment.definition, prediction_type, scorer, ranking)
    members, keep, unknown = select(segment.definition, population, models, mock_mode)
    answer = answering(scorer, population)
    limit = order.top or SHOWN_RESULTS

    def measure(block: Block) -> tuple[Tally, _Shown, NDArray[np.int64]]:
        answered = answer(keep(block))
        counted = tally(scorer.answers, answered.scores, answered.reasons)
        shown = _first(scorer, answered, limit, order)
        return counted, shown, answered.failed[:SHOWN_ERRORS].copy()

    total = tally(scorer.answers, scorer.answers.nobody(), not_found(unknown))
    shown = _NOBODY
    failed = np.empty(0, np.int64)
    for counted, candidates, failures in members.measure(measure, progress):
        total += counted
        if order.top is not None or len(shown.numbers) < limit:
            shown = _best(shown, candidates, limit)
        failed = np.concatenate([failed, failures])[:SHOWN_ERRORS]
    numbers = [*shown.numbers.tolist(), *failed.tolist()]
    table = population.read(numbers)
    outcomes = _predict_again(prediction_type, table, models, mock_mode, explain=explain) if numbers else {}
    results, errors = _results(outcomes, unknown)
    return {
        "segment_id": segment.segment_id,
        "segment_name": segment.definition.segment_name,
        "type": prediction_type,
        "mode": "segment",
        "total_customers": total.answered + total.failed,
        "processed": total.answered + total.failed,
        "successful": total.answered,
        "failed": total.failed,
        "failed_by_code": by_code(total.reasons),
        "aggregated_stats": aggregate(scorer.answers, total),
        "results": results,
        "errors": errors,
        "has_more_results": total.answered > len(results),
        "mock": scorer.is_mock,
        "model": scorer.info,
        "features_as_of": rfc3339(population.as_of),
    }


def ranked_members(
    definition: SegmentDefinition,
    population: Population,
    models: ModelSet,
    mock_mode: MockMode,
    *,
    ranking: Ranking,
    progress: Progress = no_progress,
) -> NDArray[np.int64]:
    """The numbers of the `top` members, int64, the best first: those whom predict_segment shows, however many.

    They are the likeliest to take `offer`, or to leave if there is none. Raises what predict_segment raises.
    """
    prediction_type: PredictionType = "churn" if ranking.offer is None else "nbo"
    scorer = scorer_for(prediction_type, models, mock_mode)
    order = shown_order(definition, prediction_type, scorer, ranking)
    assert order.top is not None
    members, keep, _ = select(definition, population, models, mock_mode)
    answer, limit = answering(scorer, population), order.top
    shown = _NOBODY
    for candidates in members.measure(lambda block: _first(scorer, answer(keep(block)), limit, order), progress):
        shown = _best(shown, candidates, limit)
    return shown.numbers


def _best(shown: _Shown, candidates: _Shown, limit: int) -> _Shown:
    return _sorted(_Shown(*map(np.concatenate, zip(shown, candidates, strict=True))), limit)


def _first(scorer: Scorer, answered: Answered, limit: int, order: Order) -> _Shown:
    """The first `limit` of a block's customers: by what they are answered, or by their numbers."""
    numbers = answered.customers.numbers
    if order.top is None:
        numbers = numbers[:limit].copy()  # as of the failed: or all of the block's would stay in memory with these
        return _Shown(numbers, np.zeros(len(numbers), np.float32))
    key = scorer.answers.rank(answered.scores, order.choice)
    if not order.with_inactive:
        active = scorer.answers.group_of(answered.scores) != scorer.answers.inactive
        numbers, key = numbers[active], key[active]
    if len(key) > limit:
        # With the last of them all who equal it: their numbers say which are shown.
        enough = key <= np.partition(key, limit - 1)[limit - 1]
        numbers, key = numbers[enough], key[enough]
    return _sorted(_Shown(numbers, key), limit)


def _sorted(shown: _Shown, limit: int) -> _Shown:
    order = np.lexsort((shown.numbers, shown.key))[:limit]
    return _Shown(shown.numbers[order], shown.key[order])


def shown_order(
    definition: SegmentDefinition, prediction_type: PredictionType, scorer: Scorer, ranking: Ranking
) -> Order:
    """Who is shown of a segment. Raises InvalidRequest where the ranking is not one of this type."""
    top, offer, include = ranking
    if not scorer.answers.is_ranked and top is not None:
        name = prediction_type.upper()
        raise InvalidRequest.of("top", f"{name} has no probability to order by: ask for churn or nbo")
    if not scorer.answers.choices and offer is not None:
        raise InvalidRequest.of("offer", f"{prediction_type} has no offers: ask for nbo")
    if include is not None and scorer.answers.inactive is None:
        raise InvalidRequest.of("include", f"{prediction_type} says of nobody that they have lapsed: ask for churn")
    if include is not None and top is None:
        raise InvalidRequest.of("include", "this works only with top: add top, the number of members to show")
    # A segment that is a prediction shows its best first in that prediction.
    if prediction_type == "nbo" and definition.recommended_offer is not None and offer is None:
        return Order(top or SHOWN_RESULTS, stored_offer(definition.recommended_offer, scorer))
    if prediction_type == "churn" and definition.churn_risk is not None:
        return Order(top or SHOWN_RESULTS)
    if offer is not None and top is None:
        raise InvalidRequest.of("offer", "this works only with top: add top, the number of members to show")
    if scorer.answers.choices and top is not None and offer is None:
        raise InvalidRequest.of("top", "this needs offer for nbo: add offer, the code of the offer to order by")
    if offer is None:
        return Order(top, with_inactive=scorer.answers.inactive is None or include is not None)
    return Order(top, catalogue.asked_place(scorer.offers, offer))


def _predict_again(
    prediction_type: PredictionType, table: FeatureTable, models: ModelSet, mock_mode: MockMode, *, explain: bool
) -> Mapping[str, Result | LoyaltyError]:
    """What a batch of these customers would have."""
    return predict(prediction_type, table.customer_ids, models, reading(table), mock_mode, explain=explain).outcomes


def reading(table: FeatureTable) -> ReadFeatures:
    """Reads some features of just these customers."""

    def read(_: Sequence[str], names: Sequence[str]) -> FeatureTable:
        values = taking(names, table.names)(table.values)
        return FeatureTable(
            table.customer_ids, tuple(names), values, np.isnan(values), None, table.as_of, table.purchases
        )

    return read


def _results(
    outcomes: Mapping[str, Result | LoyaltyError], unknown: Sequence[str]
) -> tuple[list[CustomerResult], list[CustomerError]]:
    """Results as they come, and the first errors by id."""
    failures: dict[str, LoyaltyError] = {customer_id: CustomerNotFound() for customer_id in unknown[:SHOWN_ERRORS]}
    results: list[CustomerResult] = []
    for customer_id, outcome in outcomes.items():
        if isinstance(outcome, LoyaltyError):
            failures[customer_id] = outcome
        else:
            results.append({"customer_id": customer_id, "result": outcome})
    errors: list[CustomerError] = [
        {"customer_id": customer_id, "error": error.message, "code": error.code}
        for customer_id, error in sorted(failures.items())[:SHOWN_ERRORS]
    ]
    return results, errors
