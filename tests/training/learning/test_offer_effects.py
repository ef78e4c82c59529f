"""What all offers have in common, and how far each departs from it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from training.learning import offer_effects
from training.learning.offer_effects import COMMON_SPREAD

pytestmark = pytest.mark.unit


def exposures(count: int, departure: float) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Three offers, the last of which is rarely shown; the first feature works on all, the second on the second one."""
    draw = np.random.default_rng(3)
    features = draw.normal(size=(count, 2))
    shown = draw.choice(3, count, p=[0.6, 0.38, 0.02])
    log_odds = -1 + features[:, 0] + departure * features[:, 1] * (shown == 1)
    return features, shown, draw.random(count) < 1 / (1 + np.exp(-log_odds))


def test_with_no_departures_it_is_logistic_regression_with_an_intercept_for_each_offer() -> None:
    features, shown, converted = exposures(5000, 0)
    found = offer_effects.fit(features, shown, converted, 3, 1e-4)
    with_offer = np.hstack([features, np.eye(3)[shown]])
    plain = LogisticRegression(C=COMMON_SPREAD**2, tol=1e-8).fit(with_offer, converted)
    np.testing.assert_allclose(found.kernel, np.repeat(plain.coef_[:, :2].T, 3, axis=1), atol=1e-3)
    np.testing.assert_allclose(np.ptp(found.kernel, axis=1), 0, atol=1e-4)


def test_departures_are_found_where_there_are_some_and_a_rare_offer_stays_near_the_others() -> None:
    features, shown, converted = exposures(20_000, 1)
    kernel = offer_effects.fit(features, shown, converted, 3, 0.5).kernel
    assert kernel[1, 1] == pytest.approx(1, abs=0.1)
    assert kernel[1, 0] == pytest.approx(0, abs=0.1)
    np.testing.assert_allclose(kernel[0, :2], 1, atol=0.1)
    # Its own 400 exposures, of another mind by luck, move it less than if they stood alone.
    rare = shown == 2
    alone = offer_effects.fit(features[rare], np.zeros(rare.sum(), np.int64), converted[rare], 1, 10.0).kernel[:, 0]
    kept_small = offer_effects.fit(features, shown, converted, 3, 0.05).kernel
    common = kept_small[:, 0]
    assert np.abs(kept_small[:, 2] - common).max() < np.abs(alone - common).max()


def test_an_offer_that_was_never_shown_has_what_all_have_in_common() -> None:
    features, shown, converted = exposures(5000, 1)
    found = offer_effects.fit(features, shown, converted, 4, 0.2)
    lowest, highest = found.kernel[:, :3].min(axis=1), found.kernel[:, :3].max(axis=1)
    assert ((lowest <= found.kernel[:, 3]) & (found.kernel[:, 3] <= highest)).all()
    assert np.isfinite(found.bias).all()


def test_at_the_optimum_the_predicted_conversions_of_an_offer_are_those_that_were() -> None:
    features, shown, converted = exposures(20_000, 1)
    found = offer_effects.fit(features, shown, converted, 3, 1.0)
    for offer in (0, 1):
        rows = shown == offer
        assert found.probabilities(features[rows])[:, offer].mean() == pytest.approx(converted[rows].mean(), abs=1e-3)


def test_one_outcome_alone_gives_finite_probabilities() -> None:
    features, shown, _ = exposures(500, 0)
    for outcome in (False, True):
        found = offer_effects.fit(features, shown, np.full(500, outcome), 3, 0.1)
        assert np.isfinite(found.probabilities(features)).all()
