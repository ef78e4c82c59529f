"""How good probabilities are on customers that the model has not seen."""

import numpy as np
from numpy.typing import NDArray


def auc(happened: NDArray[np.bool_], probability: NDArray[np.floating]) -> float:
    """The chance that someone it happened to is ranked above someone it did not (ties count half): both (n,).

    The area under the ROC curve as the Mann-Whitney statistic; NaN where all happened, or none.
    """
    _, rank, ties = np.unique(probability, return_inverse=True, return_counts=True)
    mean_rank = (np.cumsum(ties) - (ties - 1) / 2)[rank]
    positives, negatives = int(happened.sum()), int((~happened).sum())
    if not positives or not negatives:
        return float("nan")
    above = mean_rank[happened].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def log_loss(outcome: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """The mean of -ln(probability given to what happened): outcome (n,), 0..k-1; probabilities (n, k)."""
    given = probabilities[np.arange(len(outcome)), outcome].astype(np.float64)
    return float(-np.log(np.maximum(given, 1e-7)).mean())
