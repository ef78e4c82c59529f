"""`all` for a segment: every member scored by every type, in one pass over the customers."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.population import Block, Population
from loyalty_ml.errors import CustomerNotFound, LoyaltyError
from loyalty_ml.models.store import ModelSet
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.scoring.contracts import AllError, AllResult
from loyalty_ml.scoring.predictions import predict_all
from loyalty_ml.scoring.side_by_side import all_error, errors_by_type, outcomes_of
from loyalty_ml.segments.aggregates import Tally, aggregate, not_found, tally
from loyalty_ml.segments.answered import answering
from loyalty_ml.segments.contracts import SegmentAllAnswer
from loyalty_ml.segments.definition import Segment
from loyalty_ml.segments.membership import select
from loyalty_ml.segments.predictions import SHOWN_ERRORS, SHOWN_RESULTS, reading
from loyalty_ml.segments.statistics import scorers_of
from loyalty_ml.vocabulary import PREDICTION_TYPES, MockMode, PredictionType, rfc3339


def predict_segment_all(
    segment: Segment,
    population: Population,
    models: ModelSet,
    mock_mode: MockMode,
    *,
    explain: bool = False,
    progress: Progress = no_progress,
) -> SegmentAllAnswer:
    """The answer for all members; exact, whatever their number. A member with an answer of one type is successful.

    explain: whether those who are shown have their reasons.
    Raises ModelUnavailable, NoBaseline, InvalidRequest, FeatureStoreUnavailable, and what `progress` raises.
    """
    scorers = scorers_of(models, mock_mode)
    members, keep, unknown = select(segment.definition, population, models, mock_mode)
    answer = {name: answering(scorer, population) for name, scorer in scorers.items()}

    def measure(block: Block) -> tuple[dict[PredictionType, Tally], NDArray[np.int64], NDArray[np.int64], int]:
        kept = keep(block)
        tallies: dict[PredictionType, Tally] = {}
        failures: list[NDArray[np.int64]] = []
        for name, scorer in scorers.items():
            answered = answer[name](kept)
            tallies[name] = tally(scorer.answers, answered.scores, answered.reasons)
            failures.append(answered.failed)
        failed = reduce(np.intersect1d, failures)
        numbers = kept.customers.numbers
        shown = np.setdiff1d(numbers[: SHOWN_RESULTS + len(failed)], failed)[:SHOWN_RESULTS]
        return tallies, shown, failed, len(numbers)

    tallies = {
        name: tally(scorer.answers, scorer.answers.nobody(), not_found(unknown)) for name, scorer in scorers.items()
    }
    shown = failed = np.empty(0, np.int64)
    found = failures = 0
    for counted, candidates, without, customers in members.measure(measure, progress):
        for name in scorers:
            tallies[name] += counted[name]
        shown = np.concatenate([shown, candidates[: SHOWN_RESULTS - len(shown)]])
        failed = np.concatenate([failed, without[: SHOWN_ERRORS - len(failed)]])
        found, failures = found + customers, failures + len(without)
    table = population.read([*shown.tolist(), *failed.tolist()])
    ids, read = table.customer_ids, reading(table)
    predictions = predict_all(ids, models, read, mock_mode, explain=explain) if ids else {}
    results, errors = _shown(table.customer_ids, predictions, unknown)
    return {
        "segment_id": segment.segment_id,
        "segment_name": segment.definition.segment_name,
        "type": "all",
        "mode": "segment",
        "total_customers": found + len(unknown),
        "processed": found + len(unknown),
        "successful": found - failures,
        "failed": failures + len(unknown),
        "failed_by_type": {
            "churn": tallies["churn"].failed,
            "nbo": tallies["nbo"].failed,
            "rfm": tallies["rfm"].failed,
        },
        "aggregated_stats": {
            "churn": aggregate(scorers["churn"].answers, tallies["churn"]),
            "nbo": aggregate(scorers["nbo"].answers, tallies["nbo"]),
            "rfm": aggregate(scorers["rfm"].answers, tallies["rfm"]),
        },
        "results": results,
        "errors": errors,
        "has_more_results": found - failures > len(results),
        "mock": any(scorer.is_mock for scorer in scorers.values()),
        "models": {"churn": scorers["churn"].info, "nbo": scorers["nbo"].info, "rfm": scorers["rfm"].info},
        "features_as_of": rfc3339(population.as_of),
    }


def _shown(
    customer_ids: Sequence[str], predictions: Mapping[PredictionType, Any], unknown: Sequence[str]
) -> tuple[list[AllResult], list[AllError]]:
    """Results as they come, and the first errors by id."""
    results: list[AllResult] = []
    nobody: dict[PredictionType, LoyaltyError] = dict.fromkeys(PREDICTION_TYPES, CustomerNotFound())
    errors = {customer_id: all_error(customer_id, nobody) for customer_id in unknown[:SHOWN_ERRORS]}
    for customer_id in customer_ids:
        answered, failures = outcomes_of(customer_id, predictions)
        if answered:
            results.append({"customer_id": customer_id, "results": answered, "errors": errors_by_type(failures)})
        else:
            errors[customer_id] = all_error(customer_id, failures)
    return results, [error for _, error in sorted(errors.items())[:SHOWN_ERRORS]]
