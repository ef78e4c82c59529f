"""How each prediction type is answered: by a model, by mock data, or by calculation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.customers.table import model_matrix
from loyalty_ml.errors import ModelUnavailable
from loyalty_ml.models.card import Offer
from loyalty_ml.models.store import LoadedModel, ModelSet
from loyalty_ml.scoring import mock, rfm
from loyalty_ml.scoring.scores import ChurnScores, OfferScores, score_churn, score_offers
from loyalty_ml.vocabulary import MockMode, PredictionType


class ModelInfo(TypedDict):
    name: str
    version: Annotated[
        str, Field(description="`mock` if the answer is mock data; for RFM, the version of the cut points")
    ]
    placeholder: Annotated[bool, Field(description="True for a model trained on generated data")]


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


def scorer_for(prediction_type: PredictionType, models: ModelSet, mock_mode: MockMode) -> Scorer:
    """Raises ModelUnavailable where the type has no model that may answer."""
    if prediction_type == "rfm":
        return _rfm_scorer(models)
    if mock_mode == "true":
        return _mock_scorer(prediction_type)
    if model := models.loaded.get(prediction_type):
        return _model_scorer(model)
    if problem := models.problems.get(prediction_type) or models.trouble:
        raise ModelUnavailable(f"No {prediction_type} model can answer: {problem}", retry=problem.retry)
    if mock_mode == "auto":
        return _mock_scorer(prediction_type)
    raise ModelUnavailable(
        f"No {prediction_type} model is published, and mock mode is off: publish one, or set ML_MOCK_MODE to auto.",
        retry=False,
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
        raise ModelUnavailable(f"RFM cut points cannot be read: {models.trouble}", retry=models.trouble.retry)
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
