"""`all`: the three types side by side, each as it is answered alone."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from loyalty_ml.errors import LoyaltyError
from loyalty_ml.scoring.contracts import (
    AllAnswer,
    AllBatchAnswer,
    AllError,
    AllResult,
    ErrorsByType,
    ModelsByType,
    ResultsByType,
    TypeFailure,
)
from loyalty_ml.scoring.predictions import Predictions, feature_values
from loyalty_ml.vocabulary import PredictionType

ByType = Mapping[PredictionType, Predictions]
"""Predictions of every type, made of one table of customers."""


def all_answer(customer_id: str, predictions: ByType, *, with_features: bool = False) -> AllAnswer:
    """The answer for one customer. Raises the first type's failure if no type has an answer."""
    results, failures = outcomes_of(customer_id, predictions)
    if not results:
        raise next(iter(failures.values()))
    first = next(iter(predictions.values()))
    answer: AllAnswer = {
        "type": "all",
        "mode": "single",
        "customer_id": customer_id,
        "results": results,
        "errors": errors_by_type(failures),
        "mock": any(each.mock for each in predictions.values()),
        "models": _models(predictions),
        "features_as_of": first.table.as_of,
    }
    if with_features:
        answer["features"] = {}
        for name in results:
            answer["features"] |= feature_values(customer_id, predictions[cast("PredictionType", name)])
    return answer


def all_batch_answer(customer_ids: Sequence[str], predictions: ByType) -> AllBatchAnswer:
    """The answer for a batch, in the order asked, a repeated id at each of its places."""
    answered: list[AllResult] = []
    errors: list[AllError] = []
    for customer_id in customer_ids:
        results, failures = outcomes_of(customer_id, predictions)
        if results:
            answered.append({"customer_id": customer_id, "results": results, "errors": errors_by_type(failures)})
        else:
            errors.append(all_error(customer_id, failures))
    first = next(iter(predictions.values()))
    return {
        "type": "all",
        "mode": "batch",
        "total": len(customer_ids),
        "successful": len(answered),
        "failed": len(errors),
        "results": answered,
        "errors": errors,
        "mock": any(each.mock for each in predictions.values()),
        "models": _models(predictions),
        "features_as_of": first.table.as_of,
    }


def outcomes_of(customer_id: str, predictions: ByType) -> tuple[ResultsByType, Mapping[PredictionType, LoyaltyError]]:
    """A customer's results, and why there is none, by type: each type is in one of the two."""
    results: Any = {}
    failures: dict[PredictionType, LoyaltyError] = {}
    for name, each in predictions.items():
        outcome = each.outcomes[customer_id]
        if isinstance(outcome, LoyaltyError):
            failures[name] = outcome
        else:
            results[name] = outcome
    return results, failures


def errors_by_type(failures: Mapping[PredictionType, LoyaltyError]) -> ErrorsByType:
    told: Any = {name: TypeFailure(error=failure.message, code=failure.code) for name, failure in failures.items()}
    errors: ErrorsByType = told
    return errors


def all_error(customer_id: str, failures: Mapping[PredictionType, LoyaltyError]) -> AllError:
    """A customer without any answer."""
    first = next(iter(failures.values()))
    return {
        "customer_id": customer_id,
        "error": first.message,
        "code": first.code,
        "errors": errors_by_type(failures),
    }


def _models(predictions: ByType) -> ModelsByType:
    return {
        "churn": predictions["churn"].model,
        "nbo": predictions["nbo"].model,
        "rfm": predictions["rfm"].model,
    }
