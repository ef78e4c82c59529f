"""Predictions for customers by id: read their features once, score the table, say what cannot be said.

Single and batch are this one function; a single prediction is a table of one row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from loyalty_ml import mock, rfm
from loyalty_ml.answers import results
from loyalty_ml.contracts import (
    BatchAnswer,
    CustomerError,
    CustomerResult,
    MockMode,
    ModelInfo,
    PredictionType,
    Result,
    SingleAnswer,
)
from loyalty_ml.errors import InvalidFeatures, LoyaltyError, ModelUnavailable
from loyalty_ml.features import FeatureTable, model_matrix
from loyalty_ml.manifest import Offer
from loyalty_ml.model_store import LoadedModel, ModelSet
from loyalty_ml.scoring import ChurnScores, OfferScores, score_churn, score_offers

ReadFeatures = Callable[[Sequence[str], Sequence[str]], FeatureTable]
"""Customer ids (each once) and feature names in, their table out, a row an id in that order."""

Scores = ChurnScores | OfferScores | rfm.RfmScores


@dataclass(slots=True)
class Scorer:
    """How one type is answered.

    features:  what `matrix` reads of a customer, in this order.
    matrix:    the table's float64 (n, features) as the scorer takes it; in a matrix of its own or in the one given.
    score:     ids and such a matrix, all finite, to columns of n.
    """

    features: Sequence[str]
    matrix: Callable[..., NDArray[Any]]
    score: Callable[[Sequence[str], NDArray[Any]], Scores]
    info: ModelInfo
    is_mock: bool = False
    offers: Sequence[Offer] = ()


@dataclass(slots=True)
class Predictions:
    """One outcome for each customer that was asked for: a result, or why there is none."""

    type: PredictionType
    outcomes: Mapping[str, Result | LoyaltyError]
    mock: bool
    model: ModelInfo
    features_as_of: str | None


def scorer_for(prediction_type: PredictionType, models: ModelSet, mock_mode: MockMode) -> Scorer:
    """Raises ModelUnavailable where the type has no model that may answer."""
    if prediction_type == "rfm":
        return _rfm_scorer(models)
    if mock_mode == "true":
        return _mock_scorer(prediction_type)
    if model := models.loaded.get(prediction_type):
        return _model_scorer(model)
    if problem := models.problems.get(prediction_type) or models.trouble:
        raise ModelUnavailable(f"No {prediction_type} model can answer: {problem}")
    if mock_mode == "auto":
        return _mock_scorer(prediction_type)
    raise ModelUnavailable(
        f"No {prediction_type} model is published, and mock mode is off: publish one, or set ML_MOCK_MODE to auto."
    )


def no_scores(scorer: Scorer) -> Scores:
    """The scorer's columns of nobody."""
    match scorer.info["name"]:
        case "churn":
            return ChurnScores(np.empty(0, np.float32), np.empty(0, np.int8))
        case "nbo":
            return OfferScores(np.empty((0, len(scorer.offers)), np.float32), np.empty(0, np.int8))
        case _:
            value, score = np.empty(0), np.empty(0, np.int8)
            return rfm.RfmScores(value, value, value, score, score, score)


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


def _model_scorer(model: LoadedModel) -> Scorer:
    card = model.card

    def score(customer_ids: Sequence[str], matrix: NDArray[Any]) -> Scores:
        if card.output == "churn_probability":
            return score_churn(matrix, model.network, card.thresholds)
        return score_offers(matrix, model.network)

    return Scorer(
        features=card.features,
        matrix=model_matrix,
        score=score,
        info={"name": card.name, "version": card.version, "placeholder": card.placeholder},
        offers=card.offers,
    )


def _rfm_scorer(models: ModelSet) -> Scorer:
    if models.manifest is None and models.trouble:
        # Which cut points apply is not known, and the fixed ones would be a guess.
        raise ModelUnavailable(f"RFM cut points cannot be read: {models.trouble}")
    cut_points = models.rfm_cut_points
    return Scorer(
        features=rfm.FEATURES,
        matrix=_as_read,
        score=lambda customer_ids, matrix: rfm.score_rfm(matrix, cut_points),
        info={"name": "rfm", "version": cut_points.version, "placeholder": False},
    )


def _mock_scorer(name: PredictionType) -> Scorer:
    mocked: Callable[[Sequence[str]], Scores] = mock.mock_churn if name == "churn" else mock.mock_offers
    return Scorer(
        features=(),  # customers must exist, but nothing of them is used
        matrix=_as_read,
        score=lambda customer_ids, matrix: mocked(customer_ids),
        info={"name": name, "version": "mock", "placeholder": True},
        is_mock=True,
        offers=mock.OFFERS,
    )


def _as_read(values: NDArray[np.float64], _: NDArray[Any] | None = None) -> NDArray[np.float64]:
    return values
