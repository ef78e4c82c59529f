"""Predictions for customers by id: read their features once, score the table, say what cannot be said.

Single and batch are this one function; a single prediction is a table of one row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import FeatureTable, taking
from loyalty_ml.errors import InvalidCustomerId, LoyaltyError
from loyalty_ml.models.card import ModelInfo
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.contracts import BatchAnswer, CustomerError, CustomerResult, Result, SingleAnswer
from loyalty_ml.scoring.scored import scoring
from loyalty_ml.scoring.scorers import Scorer, scorer_for
from loyalty_ml.vocabulary import PREDICTION_TYPES, MockMode, PredictionType

ReadFeatures = Callable[[Sequence[str], Sequence[str]], FeatureTable]
"""Customer ids (each once) and feature names in, their table out, a row an id in that order."""


@dataclass(slots=True)
class Predictions:
    """One outcome for each customer that was asked for: a result, or why there is none.

    features:  the names that the answers were made from, and `table` where they were read.
    """

    type: PredictionType
    outcomes: Mapping[str, Result | LoyaltyError]
    mock: bool
    model: ModelInfo
    features: Sequence[str]
    table: FeatureTable


def predict(
    prediction_type: PredictionType,
    customer_ids: Sequence[str],
    models: ModelSet,
    read_features: ReadFeatures,
    mock_mode: MockMode,
    *,
    explain: bool = False,
) -> Predictions:
    """Predictions for at most 100 ids; one that comes twice is read and scored once.

    explain: whether each result has its reasons.
    Raises ModelUnavailable, NoBaseline, and whatever `read_features` raises; what is wrong with one customer is an
    outcome.
    """
    scorer = scorer_for(prediction_type, models, mock_mode)
    table = read_features(_asked(customer_ids), scorer.features)
    return predictions_of(prediction_type, scorer, customer_ids, table, explain=explain)


def predict_all(
    customer_ids: Sequence[str],
    models: ModelSet,
    read_features: ReadFeatures,
    mock_mode: MockMode,
    *,
    explain: bool = False,
) -> Mapping[PredictionType, Predictions]:
    """The same for every type, of one read of the customers.

    Raises ModelUnavailable if one type has no model, NoBaseline if one cannot be explained.
    """
    scorers = {name: scorer_for(name, models, mock_mode) for name in PREDICTION_TYPES}
    names = list(dict.fromkeys(name for scorer in scorers.values() for name in scorer.features))
    table = read_features(_asked(customer_ids), names)
    return {
        name: predictions_of(name, scorer, customer_ids, table, explain=explain) for name, scorer in scorers.items()
    }


def _asked(customer_ids: Sequence[str]) -> list[str]:
    """Each id once; an empty one is nobody's, and DynamoDB refuses it as a key."""
    return [customer_id for customer_id in dict.fromkeys(customer_ids) if customer_id]


def predictions_of(
    prediction_type: PredictionType,
    scorer: Scorer,
    customer_ids: Sequence[str],
    table: FeatureTable,
    *,
    explain: bool = False,
) -> Predictions:
    """The outcomes of customers whose features were read. Raises NoBaseline."""

    def ids_of(rows: NDArray[np.intp]) -> list[str]:
        return [table.customer_ids[row] for row in rows.tolist()]

    scored = scoring([scorer], table.names, most_reasons=None if explain else 0)(table, ids_of)
    outcomes: dict[str, Result | LoyaltyError] = {"": InvalidCustomerId()} if "" in customer_ids else {}
    ids = table.customer_ids
    if scored.answered is not None:
        ids = ids_of(np.flatnonzero(scored.answered))
        for row in np.flatnonzero(~scored.answered).tolist():
            outcomes[table.customer_ids[row]] = scored.problem(row)
    results: Sequence[Any] = scorer.answers.results(ids, scored.scores[0])
    if scorer.is_mock:
        for result in results:
            result["mock"] = True
    for explanations in scored.explanations:
        for result, explanation in zip(results, explanations, strict=True):
            result["explained"], result["reasons"] = explanation
    outcomes.update(zip(ids, results, strict=True))
    return Predictions(prediction_type, outcomes, scorer.is_mock, scorer.info, scorer.features, table)


def single_answer(customer_id: str, predictions: Predictions, *, with_features: bool = False) -> SingleAnswer:
    """The answer for one customer. Raises that customer's failure."""
    outcome = predictions.outcomes[customer_id]
    if isinstance(outcome, LoyaltyError):
        raise outcome
    answer: SingleAnswer = {
        "type": predictions.type,
        "mode": "single",
        "customer_id": customer_id,
        "result": outcome,
        "mock": predictions.mock,
        "model": predictions.model,
        "features_as_of": predictions.table.as_of,
    }
    if with_features:
        answer["features"] = feature_values(customer_id, predictions)
    return answer


def feature_values(customer_id: str, predictions: Predictions) -> dict[str, float]:
    """What the answer for a customer was made from, in the model's order, as it was read."""
    table = predictions.table
    values = taking(predictions.features, table.names)(table.values)
    read = values[table.customer_ids.index(customer_id)].tolist()
    return dict(zip(predictions.features, read, strict=True))


def batch_answer(customer_ids: Sequence[str], predictions: Predictions) -> BatchAnswer:
    """The answer for a batch, in the order asked, a repeated id at each of its places."""
    answered: list[CustomerResult] = []
    errors: list[CustomerError] = []
    for customer_id in customer_ids:
        outcome = predictions.outcomes[customer_id]
        if isinstance(outcome, LoyaltyError):
            errors.append({"customer_id": customer_id, "error": outcome.message, "code": outcome.code})
        else:
            answered.append({"customer_id": customer_id, "result": outcome})
    return {
        "type": predictions.type,
        "mode": "batch",
        "total": len(customer_ids),
        "successful": len(answered),
        "failed": len(errors),
        "results": answered,
        "errors": errors,
        "mock": predictions.mock,
        "model": predictions.model,
        "features_as_of": predictions.table.as_of,
    }
