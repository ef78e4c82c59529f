"""Who the service explains a score against: the median customer of the active base."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.baseline import Baseline, words_of
from training.config import Reasons


def median_customer(
    names: Sequence[str],
    features: NDArray[np.float64],
    days_since_last: NDArray[np.float64] | None,
    active_days: float,
    reasons: Reasons | None = None,
) -> Baseline | None:
    """The median of each feature over the active customers who have them all; None if there is none of these.

    features:         float64 (n, f), NaN where a customer has none.
    days_since_last:  float64 (n,), who is active by `active_days`; None where nobody knows: then all are.
    Of an even number the lower of the two in the middle, so that the value is one that a customer has, in its domain.
    """
    rows = np.isfinite(features).all(axis=1)
    if days_since_last is not None:
        rows &= days_since_last <= active_days
    if not rows.any():
        return None
    medians = np.quantile(features[rows], 0.5, axis=0, method="inverted_cdf").tolist()
    reasons = reasons or Reasons()
    return Baseline(
        values=dict(zip(names, medians, strict=True)),
        customers=int(rows.sum()),
        groups=_of_these(reasons.groups, names),
        words={name: reasons.words.get(name) or words_of(name) for name in names},
    )


def _of_these(groups: Mapping[str, tuple[str, ...]], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Churn and offers may read different features: of a group those that this model reads."""
    read = {group: tuple(name for name in members if name in names) for group, members in groups.items()}
    return {group: members for group, members in read.items() if members}
