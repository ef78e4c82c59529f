"""The one way to score: a matrix of customers in, columns of answers out. Every mode of the service comes through here.

Pure: the network is an argument, and nothing depends on how many rows come at once or in which order.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.manifest import Thresholds

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Float32 (n, features) in, float32 (n, outputs) out."""

RISKS = ("low", "medium", "high")


class ChurnScores(NamedTuple):
    """n customers: `probability` float32 (n,) from 0 to 1; `risk` int8 (n,), a place in RISKS."""

    probability: NDArray[np.float32]
    risk: NDArray[np.int8]


class OfferScores(NamedTuple):
    """n customers, k offers: `probabilities` float32 (n, k); `order` int64 (n, k), offer ids, the best first."""

    probabilities: NDArray[np.float32]
    order: NDArray[np.int64]


def score_churn(matrix: NDArray[np.float32], network: Network, thresholds: Thresholds) -> ChurnScores:
    """Churn probability and risk band for float32 (n, features), all finite."""
    probability = network(matrix)[:, 0]
    return ChurnScores(probability, risk_band(probability, thresholds))


def risk_band(probability: NDArray[np.float32], thresholds: Thresholds) -> NDArray[np.int8]:
    """Int8 (n,), places in RISKS, for float32 (n,)."""
    medium = (probability >= _least_float32(thresholds.medium)).view(np.int8)
    high = (probability >= _least_float32(thresholds.high)).view(np.int8)
    return medium + high


def _least_float32(threshold: float) -> np.float32:
    """The least float32 that is not below the threshold, so that the band agrees with the number that is shown."""
    nearest = np.float32(threshold)
    return nearest if float(nearest) >= threshold else np.nextafter(nearest, np.float32(np.inf))


def score_offers(matrix: NDArray[np.float32], network: Network) -> OfferScores:
    """A probability for each offer for float32 (n, features), all finite; of equal offers the lower id comes first."""
    probabilities = network(matrix)
    return OfferScores(probabilities, np.argsort(-probabilities, axis=1, kind="stable"))
