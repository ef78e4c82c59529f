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
    *,
    reasons: Reasons | None = None,
    categories: Mapping[str, Mapping[str, str]] | None = None,
) -> Baseline | None:
    """The median of each feature over the active customers who have them all; None if there is none of these.

    features:         float64 (n, f), NaN where a customer has none.
    days_since_last:  float64 (n,), who is active by `active_days`; None where nobody knows: then all are.
    categories:       as Config.categories has them.
    Of an even number the lower of the two in the middle, so that the value is one that a customer has, in its domain.
    Of a text's categories it is what most customers have: the medians of three tiers would often be of none.
    """
    rows = np.isfinite(features).all(axis=1)
    if days_since_last is not None:
        rows &= days_since_last <= active_days
    if not rows.any():
        return None
    medians = np.quantile(features[rows], 0.5, axis=0, method="inverted_cdf").tolist()
    values = dict(zip(names, medians, strict=True))
    texts = {name: dict(own) for name, own in (categories or {}).items() if set(own) <= set(names)}
    for own in texts.values():
        values |= zip(own, _commonest(features[rows][:, [names.index(name) for name in own]]), strict=True)
    reasons = reasons or Reasons()
    in_texts = {name for own in texts.values() for name in own}
    return Baseline(
        values=values,
        customers=int(rows.sum()),
        groups=_of_these(reasons.groups, names, texts),
        categories=texts or None,
        words={name: reasons.words.get(name) or words_of(name) for name in (*names, *texts) if name not in in_texts},
    )


def _commonest(values: NDArray[np.float64]) -> list[float]:
    """The row that comes most often; of several the one with the greatest values from the left."""
    found, counts = np.unique(-values, axis=0, return_counts=True)
    row: list[float] = (0 - found[int(np.argmax(counts))]).tolist()
    return row


def _of_these(
    groups: Mapping[str, tuple[str, ...]], names: Sequence[str], texts: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[str, ...]]:
    """Churn and offers may read different features: of a group those that this model reads, of a text all."""
    made = {
        group: [name for member in members for name in texts.get(member, (member,))]
        for group, members in groups.items()
    }
    read = {group: tuple(name for name in members if name in names) for group, members in made.items()}
    return {group: members for group, members in read.items() if members}
