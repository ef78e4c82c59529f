"""What each feature does to the score, and whom a card's distribution is of. Histograms are in test_drift.py."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.errors import Problem
from training.learning import distribution
from training.learning.distribution import weights
from training.warehouse.examples import Base

pytestmark = pytest.mark.unit

NAMES = ("revenue", "transaction_count", "customer_age_days", "engagement_score")


def logistic(*effects: float) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    def network(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        log_odds = matrix @ np.array(effects, np.float32)
        probability: NDArray[np.float32] = (1 / (1 + np.exp(-log_odds))).astype(np.float32)[:, np.newaxis]
        return probability

    return network


def test_a_feature_weighs_what_it_does_to_the_log_odds() -> None:
    features = np.random.default_rng(1).normal(0, 1, (5000, 4))
    found = weights(logistic(1, -0.5, 3, 0), NAMES, features, seed=1)
    assert found["revenue"] == 1
    assert found["transaction_count"] == pytest.approx(0.5, abs=0.03)
    assert found["customer_age_days"] == 0  # it does most, and time alone moves it
    assert found["engagement_score"] == 0
    assert found == weights(logistic(1, -0.5, 3, 0), NAMES, features, seed=1)


def test_of_offers_it_is_the_mean_over_them() -> None:
    features = np.random.default_rng(1).normal(0, 1, (5000, 4))

    def network(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.hstack([logistic(1, 0, 0, 0)(matrix), logistic(0, 0.5, 0, 0)(matrix)])

    found = weights(network, NAMES, features, seed=1)
    assert found["revenue"] == 1
    assert found["transaction_count"] == pytest.approx(0.5, abs=0.03)


def test_nothing_weighs_in_a_model_of_one_answer() -> None:
    features = np.random.default_rng(1).normal(0, 1, (100, 4))
    assert set(weights(logistic(0, 0, 0, 0), NAMES, features, seed=1).values()) == {0.0}


def test_a_base_without_a_complete_customer_is_refused() -> None:
    not_asked: Any = None
    base = Base(np.array(["a"], np.object_), NAMES, np.array([[1, 2, np.nan, 3]]), None)
    with pytest.raises(Problem, match="No customer has all features of churn"):
        distribution.of_base("churn", not_asked, base, 7)
