"""Predictions for customers by id: read their features once, score the table, say what cannot be said.

Single and batch are this one function; a single prediction is a table of one row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.errors import InvalidFeatures, LoyaltyError
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.answers import results
from loyalty_ml.scoring.contracts import BatchAnswer, CustomerError, CustomerResult, Result, SingleAnswer
from loyalty_ml.scoring.scorers import ModelInfo, scorer_for
from loyalty_ml.vocabulary import MockMode, PredictionType

ReadFeatures = Callable[[Sequence[str], Sequence[str]], FeatureTable]
"""Customer ids (each once) and feature names in, their table out, a row an id in that order."""


@dataclass(slots=True)
class Predictions:
    """One outcome for each customer that was asked for: a result, or why there is none."""

    type: PredictionType
    outcomes: Mapping[str, Result | LoyaltyError]
    mock: bool
    model: ModelInfo
    features_as_of: str | None


def predict(
    prediction_type: PredictionType,
    customer_ids: Sequence[str],
    models: ModelSet,
    read_features: ReadFeatures,
    mock_mode: MockMode,
) -> Predictions:
    """Predictions for at most 100 ids; one that comes twice is read and scored once.

    Raises ModelUnavailable, and whatever `read_features` raises; what is wrong with one customer is an outcome.
    """
    scorer = scorer_for(prediction_type, models, mock_mode)
    table = read_features(list(dict.fromkeys(customer_ids)), scorer.features)
    matrix = scorer.matrix(table.values)
    finite = np.isfinite(matrix)
    outcomes: dict[str, Result | LoyaltyError] = {}
    if table.found is None and finite.all():
        ids = table.customer_ids
    else:
        usable = finite.all(axis=1) & (True if table.found is None else table.found)
        ids = [table.customer_ids[row] for row in np.flatnonzero(usable).tolist()]
        matrix = matrix[usable]
        for row in np.flatnonzero(~usable).tolist():
            outcomes[table.customer_ids[row]] = table.problem(row, matrix.dtype)
    if ids:
        scores = scorer.score(ids, matrix)
        outcomes.update(zip(ids, results(ids, scores, scorer.offers), strict=True))
        if scorer.is_mock:
            for customer_id in ids:
                cast("dict[str, Any]", outcomes[customer_id])["mock"] = True
        answered = np.isfinite(scores[0])
        if not answered.all():
            for row in np.flatnonzero(~answered.reshape(len(ids), -1).all(axis=1)).tolist():
                outcomes[ids[row]] = InvalidFeatures(scorer.features, "The model gives no finite answer for")
    return Predictions(prediction_type, outcomes, scorer.is_mock, scorer.info, table.as_of)


def single_answer(customer_id: str, predictions: Predictions) -> SingleAnswer:
    """The answer for one customer. Raises that customer's failure."""
    outcome = predictions.outcomes[customer_id]
    if isinstance(outcome, LoyaltyError):
        raise outcome
    return {
        "type": predictions.type,
        "mode": "single",
        "customer_id": customer_id,
        "result": outcome,
        "mock": predictions.mock,
        "model": predictions.model,
        "features_as_of": predictions.features_as_of,
    }


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
        "features_as_of": predictions.features_as_of,
    }
