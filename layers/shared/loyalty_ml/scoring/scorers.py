"""How each prediction type is answered: by a model, by mock data, or by calculation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import model_matrix
from loyalty_ml.errors import ModelUnavailable, NoBaseline
from loyalty_ml.models.card import Card, ModelInfo, Offer
from loyalty_ml.models.domain import Domain
from loyalty_ml.models.store import MODEL_OUTPUTS, LoadedModel, ModelSet
from loyalty_ml.scoring import explainers, mock, rfm
from loyalty_ml.scoring.answers import Answers, ChurnAnswers, OfferAnswers, RfmAnswers
from loyalty_ml.scoring.explainers import Explain
from loyalty_ml.scoring.scores import ActiveColumn, Network, explores, score_churn, score_offers
from loyalty_ml.vocabulary import MockMode, PredictionType

MOCK_VERSION = "mock"
"""What stands for a model's version in mock answers."""

Scores = tuple[NDArray[Any], ...]
"""Columns of n customers. Where the first has a number that is not finite, there is no answer."""


@dataclass(slots=True)
class Scorer:
    """How one type is answered.

    features:  what `matrix` reads of a customer, in this order.
    matrix:    the table's float64 (n, features) as the scorer takes it; in a matrix of its own or in the one given.
    score:     ids and such a matrix, all finite, to columns of n.
    answers:   how these are shown.
    needs_ids: whether `score` reads the ids; it may be given none otherwise.
    domains:   by feature, the values that are scored; a customer with another has no answer.
    categories: by a text's name, the category that each of its features stands for: a customer has one, or none.
    explainer: makes what says why a customer has a score. Raises NoBaseline.
    """

    features: Sequence[str]
    matrix: Callable[..., NDArray[Any]]
    score: Callable[[Sequence[str], NDArray[Any]], Scores]
    answers: Answers[Any]
    info: ModelInfo
    explainer: Callable[[], Explain]
    is_mock: bool = False
    needs_ids: bool = False
    offers: Sequence[Offer] = ()
    domains: Mapping[str, Domain] = field(default_factory=dict)
    categories: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _ModelKind:
    """What is known of the models whose cards name this output.

    answers:  of a catalogue, which only offers have.
    explain:  of the card and the network; raises NoBaseline.
    score:    float32 (n, columns), all finite, to columns of n: those that the card reads, in order; then the network,
              the card, and the ids if a card explores.
    mock:     ids to plausible columns of n.
    """

    answers: Callable[[Sequence[Offer]], Answers[Any]]
    score: Callable[[NDArray[np.float32], Network, Card, Sequence[str]], Scores]
    explain: Callable[[Card, Network], Explain]
    mock: Callable[[Sequence[str]], Scores]
    mock_offers: Sequence[Offer] = ()


_KINDS: Mapping[str, _ModelKind] = {
    "churn_probability": _ModelKind(
        answers=lambda _: ChurnAnswers(),
        score=lambda matrix, network, card, _: score_churn(matrix, network, card.thresholds, _active_column(card)),
        explain=explainers.churn,
        mock=mock.mock_churn,
    ),
    "offer_probabilities": _ModelKind(
        answers=OfferAnswers,
        score=lambda matrix, network, card, customer_ids: score_offers(matrix, network, card.offers, customer_ids),
        explain=explainers.offers,
        mock=mock.mock_offers,
        mock_offers=mock.OFFERS,
    ),
}
"""By a card's `output`."""


def scorer_for(prediction_type: PredictionType, models: ModelSet, mock_mode: MockMode) -> Scorer:
    """Raises ModelUnavailable where the type has no model that may answer."""
    if prediction_type == "rfm":
        return _rfm_scorer(models)
    if mock_mode == "true":
        return _mock_scorer(prediction_type)
    if model := models.loaded.get(prediction_type):
        return model_scorer(model)
    if problem := models.problems.get(prediction_type) or models.trouble:
        raise ModelUnavailable(f"No {prediction_type} model can answer: {problem}", retry=problem.retry)
    if mock_mode == "auto":
        return _mock_scorer(prediction_type)
    raise ModelUnavailable(
        f"No {prediction_type} model is published, and mock mode is off: publish one, or set ML_MOCK_MODE to auto.",
        retry=False,
    )


def loaded_model(name: str, models: ModelSet, mock_mode: MockMode) -> LoadedModel:
    """The model itself, for whoever brings features instead of a customer: mock data are made of ids.

    Raises ModelUnavailable.
    """
    if mock_mode == "true":
        raise ModelUnavailable(
            "Every answer is mock data, which is made of a customer's id and not of features: set ML_MOCK_MODE to "
            "auto or false.",
            retry=False,
        )
    if model := models.loaded.get(name):
        return model
    if problem := models.problems.get(name) or models.trouble:
        raise ModelUnavailable(f"No {name} model can answer: {problem}", retry=problem.retry)
    raise ModelUnavailable(f"No {name} model is published: publish one.", retry=False)


def model_scorer(model: LoadedModel) -> Scorer:
    """Of a model that is loaded, whichever set is active."""
    card, kind = model.card, _KINDS[model.card.output]
    return Scorer(
        features=card.reads,
        matrix=model_matrix,
        score=lambda customer_ids, matrix: kind.score(matrix, model.network, card, customer_ids),
        answers=kind.answers(card.offers),
        info={"name": card.name, "version": card.version, "placeholder": card.placeholder},
        explainer=lambda: kind.explain(card, model.network),
        needs_ids=explores(card.offers),
        offers=card.offers,
        domains=card.domains or {},
        categories=(card.baseline and card.baseline.categories) or {},
    )


def _active_column(card: Card) -> ActiveColumn | None:
    rule = card.active
    return ActiveColumn(card.reads.index(rule.feature), rule.days, len(card.features)) if rule else None


def _rfm_scorer(models: ModelSet) -> Scorer:
    if models.manifest is None and models.trouble:
        # Which cut points apply is not known, and the fixed ones would be a guess.
        raise ModelUnavailable(f"RFM cut points cannot be read: {models.trouble}", retry=models.trouble.retry)
    cut_points = models.rfm_cut_points
    return Scorer(
        features=cut_points.features,
        matrix=_as_read,
        score=lambda customer_ids, matrix: rfm.score_rfm(matrix, cut_points),
        answers=RfmAnswers(),
        info={"name": "rfm", "version": cut_points.version, "placeholder": False},
        explainer=lambda: explainers.rfm_scores(cut_points),
        domains=cut_points.domains or {},
    )


def _mock_scorer(name: PredictionType) -> Scorer:
    kind = _KINDS[MODEL_OUTPUTS[name]]

    def no_explainer() -> Explain:
        raise NoBaseline.of_mock(name)

    return Scorer(
        features=(),  # customers must exist, but nothing of them is used
        matrix=_as_read,
        score=lambda customer_ids, matrix: kind.mock(customer_ids),
        answers=kind.answers(kind.mock_offers),
        info={"name": name, "version": MOCK_VERSION, "placeholder": True},
        explainer=no_explainer,
        is_mock=True,
        needs_ids=True,
        offers=kind.mock_offers,
    )


def _as_read(values: NDArray[np.float64], _: NDArray[Any] | None = None) -> NDArray[np.float64]:
    return values
