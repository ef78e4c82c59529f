"""What a recommendation is worth: the gates, the card and the sentences."""

import numpy as np
import pytest
from numpy.typing import NDArray

from loyalty_ml.models.card import DEFAULT_OFFERS
from tests.training.learning.exposure_simulator import OFFERS, World, world
from training.config import Gates
from training.learning import offer_quality
from training.learning.contenders import NETWORK
from training.learning.offer_quality import (
    BETTER_THAN_SHOWN,
    CONFIDENT_OF_WHAT_WORKS,
    NOT_BELOW_BEST_SINGLE,
    RecommendationValue,
)
from training.learning.policy_value import Exposures

pytestmark = pytest.mark.unit

EXPOSURES = 8000
ALL = np.ones(OFFERS, np.bool_)


@pytest.fixture(scope="module")
def company() -> World:
    return world(1, "biased")


@pytest.fixture(scope="module")
def truth(company: World) -> NDArray[np.float64]:
    return company.conversion(company.exposures(EXPOSURES).features)


def measured(
    company: World, probabilities: NDArray[np.float64], others: dict[str, NDArray[np.float64]] | None = None
) -> RecommendationValue:
    examples = company.exposures(EXPOSURES)
    assert examples.offers is not None
    known = company.propensities(examples.features)
    exposures = Exposures(examples.customer_ids, examples.offers, examples.happened, known)
    return offer_quality.measure({NETWORK: probabilities, **(others or {})}, exposures, ALL)


def failed(found: RecommendationValue) -> dict[str, str]:
    gates = offer_quality.of_value(found, DEFAULT_OFFERS, Gates())
    assert len(gates) == 3
    return {gate.name: gate.sentence for gate in gates if not gate.passed}


def test_a_model_that_knows_what_works_passes(company: World, truth: NDArray[np.float64]) -> None:
    found = measured(company, truth)
    assert failed(found) == {}
    card = offer_quality.quality(found, DEFAULT_OFFERS)
    assert card.over_best_single.low > 0
    assert card.over_shown.value == pytest.approx(card.recommended.value - card.shown.value)
    assert card.over_best_single.value == pytest.approx(card.recommended.value - card.best_single.value)
    assert "It is better than the same offer for everyone." in card.sentence
    assert (
        f"Of 1,000 exposures, what the model recommends converts {1000 * card.recommended.value:.0f} (" in card.sentence
    )
    assert len(card.confidence) == 10
    assert f"{card.clipped:,} of 8,000 exposures had a chance under 1%" in card.sentence


def test_a_model_below_the_best_single_offer_says_what_to_send(company: World, truth: NDArray[np.float64]) -> None:
    # Right of whom each offer suits, in the direction against it.
    found = measured(company, truth.max(axis=1, keepdims=True) - truth)
    refused = failed(found)
    best = DEFAULT_OFFERS[found.ours.best_offer].offer_name
    assert {BETTER_THAN_SHOWN, NOT_BELOW_BEST_SINGLE} <= set(refused)
    for name in (BETTER_THAN_SHOWN, NOT_BELOW_BEST_SINGLE):
        assert f"Send everyone {best}: of 1,000 exposures that converts" in refused[name]
    assert offer_quality.advice(found, DEFAULT_OFFERS) in refused[NOT_BELOW_BEST_SINGLE]
    assert "It is worse than the same offer for everyone." in offer_quality.quality(found, DEFAULT_OFFERS).sentence


def test_one_offer_for_everyone_is_not_below_itself(company: World, truth: NDArray[np.float64]) -> None:
    found = measured(company, np.tile(truth.mean(axis=0), (EXPOSURES, 1)))
    assert NOT_BELOW_BEST_SINGLE not in failed(found)
    assert "It is the same as one offer for everyone." in offer_quality.quality(found, DEFAULT_OFFERS).sentence


def test_what_is_claimed_of_recommended_offers_must_be_so(company: World, truth: NDArray[np.float64]) -> None:
    found = measured(company, np.minimum(truth * 1.15, 1))
    refused = failed(found)
    assert list(refused) == [CONFIDENT_OF_WHAT_WORKS]
    assert f"On the {found.matched:,} exposures that were shown what it recommends" in refused[CONFIDENT_OF_WHAT_WORKS]
    assert "[gates] calibration_over_floor" in refused[CONFIDENT_OF_WHAT_WORKS]


def test_a_recommendation_that_was_never_shown_is_refused() -> None:
    exposures = Exposures(np.arange(90), np.zeros(90, np.int64), np.arange(90) < 9, np.tile([1.0, 0], (90, 1)))
    found = offer_quality.measure({NETWORK: np.tile([0.1, 0.9], (90, 1))}, exposures, np.ones(2, np.bool_))
    gates = offer_quality.of_value(found, DEFAULT_OFFERS[:2], Gates())
    refused = next(gate for gate in gates if gate.name == CONFIDENT_OF_WHAT_WORKS)
    assert not refused.passed
    assert refused.sentence.startswith("No held-out exposure was shown what it recommends")


def test_other_contenders_are_valued_on_the_same_scores(company: World, truth: NDArray[np.float64]) -> None:
    random = np.random.default_rng(1).random(truth.shape)
    found = measured(company, truth, {"lightgbm": random})
    assert found.values["lightgbm"].shown == found.ours.shown
    assert found.values["lightgbm"].recommended.high < found.ours.recommended.low
    written = found.as_json()
    assert written["values"]["lightgbm"]["recommended"] == found.values["lightgbm"].recommended.model_dump()
    assert len(written["values"][NETWORK]["everyone"]) == OFFERS
