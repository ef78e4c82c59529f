"""From what the contenders said of held-out rows to their figures, with 95 % intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.learning import bootstrap, metrics
from training.learning.bootstrap import Fold, Sampled
from training.learning.contenders import NETWORK
from training.learning.held_out import HeldOut, Said

Figures = dict[str, float]

RANGED = ("auc", "log_loss")


@dataclass(frozen=True, slots=True)
class Contest:
    """The figures of each contender, by its name, on `rows` rows of `customers` customers that none has learnt from.

    Of churn and conversion: auc, pr_auc, log_loss, brier, ece, ece_floor, ece_floor_95. Of choice: accuracy and
    log_loss over the offers, and the rest for the event that the offer recommended is the one taken.
    """

    rows: int
    customers: int
    positive_share: float
    figures: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class Measured:
    """The contenders on some of the held-out rows, such as those of active customers.

    folds:      each fold's contest; mean: each contender's figures as their mean.
    sampled:    AUC and log-loss of each contender, as the mean of the folds and of each draw of a bootstrap over
                customers; the same draws for all.
    chance_975: the calibration error, as the mean of the folds, that a model with true probabilities shows or falls
                short of in 97.5 of 100 cases; the model's own is mean["network"]["ece"].
    not_fitted: the contenders that are not there, and why.
    """

    rows: int
    customers: int
    positive_share: float
    folds: tuple[Contest, ...]
    mean: dict[str, Figures]
    sampled: dict[str, dict[str, Sampled]]
    chance_975: float
    not_fitted: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """With NaN for what is not defined."""
        return {
            "rows": self.rows,
            "customers": self.customers,
            "positive_share": self.positive_share,
            "mean": self.mean,
            "ranges": {
                name: {figure: [one.low, one.high] for figure, one in own.items()} for name, own in self.sampled.items()
            },
            "ece_by_chance_975": self.chance_975,
            "not_fitted": self.not_fitted,
        }


def measure(held_out: HeldOut, seed: int, *, choice: bool = False) -> Measured:
    """Of rows that there are; the same seed gives the same. `choice` adds the accuracy of what is recommended."""
    parts = bootstrap.folds_of(held_out.folds)
    contests = tuple(_contest(held_out, fold, seed, choice=choice) for fold in parts)
    ours = held_out.answers[NETWORK]
    by_chance = [metrics.errors_by_chance(ours.probability[fold.rows], seed) for fold in parts]
    return Measured(
        rows=len(held_out),
        customers=len(np.unique(held_out.customers)),
        positive_share=float(ours.happened.mean()),
        folds=contests,
        mean={
            name: {figure: float(np.mean([one.figures[name][figure] for one in contests])) for figure in own}
            for name, own in contests[0].figures.items()
        },
        sampled=_sampled(held_out, seed),
        chance_975=float(np.percentile(np.mean(by_chance, axis=0), 97.5)),
        not_fitted=dict(held_out.not_fitted),
    )


def _sampled(held_out: HeldOut, seed: int) -> dict[str, dict[str, Sampled]]:
    figures: dict[str, Callable[[Fold], bootstrap.Figure]] = {}
    for name, one in held_out.answers.items():
        figures[f"auc {name}"] = _auc(one)
        figures[f"log_loss {name}"] = _log_loss(one.surprise)
    drawn = bootstrap.bootstrap(held_out.customers, held_out.folds, figures, seed=seed)
    return {name: {figure: drawn[f"{figure} {name}"] for figure in RANGED} for name in held_out.answers}


def _auc(one: Said) -> Callable[[Fold], bootstrap.Figure]:
    return lambda fold: bootstrap.auc(one.happened[fold.rows], one.probability[fold.rows])


def _log_loss(surprise: NDArray[np.float64]) -> Callable[[Fold], bootstrap.Figure]:
    return lambda fold: bootstrap.mean(surprise[fold.rows])


def _contest(held_out: HeldOut, fold: Fold, seed: int, *, choice: bool) -> Contest:
    return Contest(
        rows=len(fold.rows),
        customers=len(np.unique(held_out.customers[fold.rows])),
        positive_share=float(held_out.answers[NETWORK].happened[fold.rows].mean()),
        figures={name: _figures(one, fold.rows, seed, choice=choice) for name, one in held_out.answers.items()},
    )


def _figures(one: Said, rows: NDArray[np.int64], seed: int, *, choice: bool) -> Figures:
    happened, probability = one.happened[rows], one.probability[rows]
    floor = metrics.ece_floor(probability, seed)
    figures = {
        "auc": metrics.auc(happened, probability),
        "pr_auc": metrics.pr_auc(happened, probability),
        "log_loss": float(one.surprise[rows].mean()),
        "brier": metrics.brier(happened, probability),
        "ece": metrics.ece(happened, probability),
        "ece_floor": floor.mean,
        "ece_floor_95": floor.percentile_95,
    }
    return {**figures, "accuracy": float(happened.mean())} if choice else figures
