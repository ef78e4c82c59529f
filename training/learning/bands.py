"""Where a churn model's risk bands begin: at fixed probabilities, or where shares of the active customers reach."""

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Thresholds
from training.config import Bands
from training.errors import Problem


def thresholds(bands: Bands, scores: NDArray[np.float32]) -> Thresholds:
    """The probabilities where `high` and `medium` begin.

    scores: (n,), what the served model says of the customers of now who are active.
    Raises Problem if the bands are shares and there is nobody.
    """
    if bands.fixed is not None:
        return bands.fixed
    if bands.shares is None:
        raise ValueError("bands are fixed or shares")
    if not len(scores):
        raise Problem(
            "The risk bands are shares of the active customers, and nobody who is in the warehouse now is active: "
            "raise [windows] active_days, or give fixed probabilities as [thresholds] high and medium."
        )
    high_share, medium_share = bands.shares
    high = _reached_by(scores, high_share)
    return Thresholds(high=high, medium=min(_reached_by(scores, high_share + medium_share), high))


def _reached_by(scores: NDArray[np.float32], share: float) -> float:
    """The score that `share` of the customers reach; of scores that are tied there, whichever share is nearer to it.

    Above 0, which no threshold may be. Exact as a float64, so that the band agrees with the score that is shown.
    """
    values, counts = np.unique(-scores, return_counts=True)
    reached = np.cumsum(counts)
    nearest = int(np.argmin(np.abs(reached - share * len(scores))))
    return max(float(-values[nearest]), float(np.finfo(np.float32).smallest_normal))
