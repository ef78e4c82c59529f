"""95 % intervals of figures on held-out rows, by a bootstrap over customers.

A draw takes as many customers of each fold as the fold has, with replacement, and all rows of each (the cluster
bootstrap, stratified; Davison & Hinkley, Bootstrap Methods and their Application, 1997, 3.8). The rows of a customer go
together, because they are alike: counted one by one they would promise more than is known. The interval is from the
2.5th to the 97.5th percentile of the draws. All figures of one call see the same draws, so that a difference of two is
paired.

Rows are not copied: a draw is a weight of each customer, and a figure is computed from rows that are sorted once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.quality import Ranged

DRAWS, FEWEST_DRAWS = 1000, 200
MOST_CELLS = 50_000_000
"""Rows times draws in all: of more than 50,000 rows there are fewer draws, as their intervals are narrow anyway."""
CELLS_AT_ONCE = 2_000_000
"""Rows times draws that are in memory at once: 16 MB of float64."""
LOWEST, HIGHEST = 2.5, 97.5

Numbers = NDArray[np.float64]
Weights = NDArray[np.float64]
Figure = Callable[[Weights], Numbers]
"""From weights, float64 (d, n), of the n rows of a fold, 0 or more each, to the figure of each of d draws, (d,)."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A figure, the mean of the folds' own, and the same of each draw, float64 (draws,)."""

    value: float
    draws: Numbers

    def __sub__(self, other: Self) -> "Sampled":
        """The difference, paired: both must be of the same call."""
        return Sampled(self.value - other.value, self.draws - other.draws)

    @property
    def low(self) -> float:
        return self._percentile(LOWEST)

    @property
    def high(self) -> float:
        return self._percentile(HIGHEST)

    def ranged(self) -> Ranged | None:
        """For a card; None where the figure or its draws are not defined."""
        if not np.isfinite([self.value, self.low, self.high]).all():
            return None
        return Ranged(value=self.value, low=self.low, high=self.high)

    def _percentile(self, percentage: float) -> float:
        known = self.draws[np.isfinite(self.draws)]
        return float(np.percentile(known, percentage)) if len(known) else float("nan")


class Fold(NamedTuple):
    """The rows of one fold, int64 (n,): places in the sample."""

    number: int
    rows: NDArray[np.int64]


def folds_of(folds: NDArray[np.int64]) -> list[Fold]:
    """The folds that have rows; folds: (n,), the fold of each row."""
    return [Fold(int(number), np.flatnonzero(folds == number)) for number in np.unique(folds)]


def bootstrap(
    customers: NDArray[np.int64],
    folds: NDArray[np.int64],
    figures: Mapping[str, Callable[[Fold], Figure]],
    *,
    seed: int,
    draws: int | None = None,
    total: bool = False,
) -> dict[str, Sampled]:
    """Each figure by its name: of a fold's rows a figure is made once, and then asked for every draw.

    customers: int64 (n,), a number for each customer; folds: int64 (n,), of which a customer is in one only.
    total: the folds' figures are added up, as counts are, and not averaged.
    draws:  how many; as many as DRAWS if it is left out, and fewer of many rows.
    The same seed draws the same.
    """
    if draws is None:
        draws = max(min(DRAWS, MOST_CELLS // max(len(folds), 1)), FEWEST_DRAWS)
    random = np.random.default_rng(seed)
    values = dict.fromkeys(figures, 0.0)
    drawn = {name: np.zeros(draws) for name in figures}
    parts = folds_of(folds)
    for fold in parts:
        prepared = {name: make(fold) for name, make in figures.items()}
        everyone = np.ones((1, len(fold.rows)))
        for name, figure in prepared.items():
            values[name] += float(figure(everyone)[0])
        for place, weights in _weights(customers[fold.rows], draws, random):
            for name, figure in prepared.items():
                drawn[name][place] += figure(weights)
    by = 1 if total else max(len(parts), 1)
    return {name: Sampled(values[name] / by, drawn[name] / by) for name in figures}


def auc(happened: NDArray[np.bool_], probability: NDArray[np.floating]) -> Figure:
    """The AUC of weighted rows, ties counting half; happened and probability (n,). NaN where one outcome is missing."""
    negatives, positives = (
        rows[np.argsort(probability[rows], kind="stable")] for rows in map(np.flatnonzero, (~happened, happened))
    )
    # For each positive, how many negatives are below it, and how many are not above it.
    below, not_above = (
        np.searchsorted(probability[negatives], probability[positives], side) for side in ("left", "right")
    )
    tied = bool((below != not_above).any())

    def figure(weights: Weights) -> Numbers:
        so_far = np.zeros((len(weights), len(negatives) + 1))
        np.cumsum(weights[:, negatives], axis=1, out=so_far[:, 1:])
        beaten = (so_far[:, below] + so_far[:, not_above]) / 2 if tied else so_far[:, below]
        of_positives = weights[:, positives]
        pairs = so_far[:, -1] * of_positives.sum(axis=1)
        found: Numbers = np.einsum("dp,dp->d", of_positives, beaten) / np.where(pairs > 0, pairs, np.nan)
        return found

    return figure


def mean(values: NDArray[np.floating]) -> Figure:
    """The mean of (n,) values of weighted rows, such as each row's log-loss."""
    exact = values.astype(np.float64)

    def figure(weights: Weights) -> Numbers:
        found: Numbers = weights @ exact / weights.sum(axis=1)
        return found

    return figure


def _weights(
    customers: NDArray[np.int64], draws: int, random: np.random.Generator
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Blocks of draws: which they are, and how often each draws each row, float64 (d, n)."""
    numbers, of_row = np.unique(customers, return_inverse=True)
    count = len(numbers)
    at_once = max(CELLS_AT_ONCE // len(customers), 1)
    for start in range(0, draws, at_once):
        stop = min(start + at_once, draws)
        drawn = [np.bincount(random.integers(0, count, count), minlength=count) for _ in range(start, stop)]
        yield slice(start, stop), np.array(drawn, np.float64)[:, of_row]
