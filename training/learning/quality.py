"""What a churn model is worth, counted in customers, beside the rule that a company would use without it.

All is of held-out rows; a row is a customer as of a moment. Rows are ranked within their fold, because each fold's
network is another, and the folds' lists are put together.

A list of a share of the active customers is as long as that share of each fold. Three kinds of list are compared:

    model    the likeliest to leave by the model
    rule     "no purchase for N days": who has not bought for N days first, and then the others. Within either the rule
             knows no order. N is the number of days that finds most on the rows that the published model learnt from
    chance   anyone

Of those who tie at the end of a list, as many as there is room for are on it, drawn evenly: so its count of those who
left may be a fraction. Ranges are 95 % intervals by a bootstrap over customers; shares have Wilson's.

A list's word follows from these counts:

    no better than the rule   unless the lower bound of (model - rule) and that of (model - chance) are both above 0
    strong                    if the lower bound of (model - rule) is at least a quarter of (rule - chance)
    useful                    otherwise
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Thresholds
from loyalty_ml.models.quality import ChurnQuality, GroupQuality, ListQuality, Ranged
from loyalty_ml.scoring.scores import RISKS, risk_band
from training.learning import bootstrap, metrics
from training.learning.bootstrap import Fold, Numbers, Sampled, Weights
from training.learning.contenders import NETWORK
from training.learning.held_out import HeldOut

SHARES = (0.01, 0.05, 0.1, 0.2)
BANDS: tuple[Literal["high"], Literal["medium"], Literal["low"]] = ("high", "medium", "low")
TENTHS = 10
STRONG = 0.25
"""Of what the rule finds over chance: how much more, at least, a strong list finds."""

Word = Literal["no better than the rule", "useful", "strong"]


def churn_quality(
    outcomes: HeldOut,
    days: NDArray[np.float64],
    learnt: tuple[NDArray[np.float64], NDArray[np.bool_]],
    thresholds: Thresholds,
    *,
    seed: int,
) -> ChurnQuality:
    """Of m held-out rows.

    days:       float64 (m,), since each row's last purchase.
    learnt:     days since the last purchase, and whether that customer left, (n,) each, of the rows learnt from.
    thresholds: of the published model; each fold's own probabilities are put into its bands.
    """
    active = outcomes.where(outcomes.active)
    ours, days_of_active = active.answers[NETWORK], days[outcomes.active]
    return ChurnQuality(
        customers=len(active),
        left=int(ours.happened.sum()),
        lists=tuple(one for share in SHARES if (one := _list(share, active, days_of_active, learnt, seed)) is not None),
        bands=_bands(outcomes, thresholds),
        tenths=_tenths(active),
    )


def best_days(days: NDArray[np.float64], left: NDArray[np.bool_], share: float) -> float:
    """N of the rule that finds most on these rows, (n,) each, by a list of `share` of them; the least if several do."""
    values, place = np.unique(days, return_inverse=True)
    # Of each N: how many have not bought for as long, and how many of these left.
    rows = np.cumsum(np.bincount(place)[::-1])[::-1]
    gone = np.cumsum(np.bincount(place, left)[::-1])[::-1]
    size, everyone, all_gone = share * len(days), len(days), float(left.sum())
    room = np.minimum(size, rows)
    others = np.where(everyone > rows, (all_gone - gone) / np.maximum(everyone - rows, 1), 0)
    found = gone * room / rows + (size - room) * others
    return float(values[int(np.argmax(np.round(found, 9)))])


def found_on_list(left: NDArray[np.bool_], rank: NDArray[np.floating], share: float) -> bootstrap.Figure:
    """How many of those who left are on a list of `share` of n weighted rows, those of the highest rank, (n,), first.

    For the n rows themselves, each of weight 1, the list has round(share * n) rows; for other weights the count is that
    of a list of as many rows.
    """
    order = np.argsort(-rank, kind="stable")
    ends = np.flatnonzero(np.concatenate([np.diff(rank[order]) != 0, [True]]))
    gone, size = left[order], round(share * len(left))

    def figure(weights: Weights) -> Numbers:
        in_order = weights[:, order]
        rows = np.pad(np.cumsum(in_order, axis=1)[:, ends], ((0, 0), (1, 0)))
        found = np.pad(np.cumsum(in_order * gone, axis=1)[:, ends], ((0, 0), (1, 0)))
        room = rows[:, -1] * size / len(left)
        # Between the ends of two groups of tied rows the count grows evenly.
        within = np.array([np.interp(most, one, of_one) for most, one, of_one in zip(room, rows, found, strict=True)])
        counted: Numbers = within * len(left) / rows[:, -1]
        return counted

    return figure


def word(model: Sampled, rule: Sampled, chance: Sampled) -> Word:
    """What a list is worth; the rule is at the top of this module."""
    over_rule = model - rule
    if not (over_rule.low > 0 and (model - chance).low > 0):
        return "no better than the rule"
    return "strong" if over_rule.low >= STRONG * (rule - chance).value else "useful"


def wilson(happened: int, customers: int) -> Ranged | None:
    """A share and its 95 % interval; None of nobody."""
    if not customers:
        return None
    low, high = metrics.wilson(happened / customers, customers)
    return Ranged(value=happened / customers, low=low, high=high)


def _list(
    share: float,
    active: HeldOut,
    days: NDArray[np.float64],
    learnt: tuple[NDArray[np.float64], NDArray[np.bool_]],
    seed: int,
) -> ListQuality | None:
    """None where the list would have nobody on it."""
    size = sum(round(share * len(fold.rows)) for fold in bootstrap.folds_of(active.folds))
    if not size:
        return None
    ours, days_of_rule = active.answers[NETWORK], best_days(*learnt, share)
    ranks: dict[str, NDArray[np.floating]] = {
        "model": ours.probability.astype(np.float64),
        "rule": (days >= days_of_rule).astype(np.float64),
        "chance": np.zeros(len(days)),
    }

    def of(rank: NDArray[np.floating]) -> Callable[[Fold], bootstrap.Figure]:
        return lambda fold: found_on_list(ours.happened[fold.rows], rank[fold.rows], share)

    found = bootstrap.bootstrap(
        active.customers, active.folds, {name: of(rank) for name, rank in ranks.items()}, seed=seed, total=True
    )
    ranged = {name: Ranged(value=one.value, low=one.low, high=one.high) for name, one in found.items()}
    worth = word(found["model"], found["rule"], found["chance"])
    return ListQuality(
        share=share,
        customers=size,
        found=ranged["model"],
        rule=ranged["rule"],
        rule_days=days_of_rule,
        chance=ranged["chance"],
        word=worth,
        sentence=f"Of the {size:,} active customers that are the likeliest to leave, {_counted(ranged['model'])} left; "
        f"by the rule 'no purchase for {days_of_rule:g} days' {_counted(ranged['rule'])}, by chance "
        f"{_counted(ranged['chance'])}: {worth}.",
    )


def _counted(one: Ranged) -> str:
    return f"{one.value:,.0f} ({one.low:,.0f} to {one.high:,.0f})"


def _bands(outcomes: HeldOut, thresholds: Thresholds) -> tuple[GroupQuality, ...]:
    ours = outcomes.answers[NETWORK]
    place = risk_band(ours.probability.astype(np.float32), thresholds)
    bands = [(name, outcomes.active & (place == RISKS.index(name))) for name in BANDS]
    return tuple(
        _group(name, ours.happened[rows], ours.probability[rows])
        for name, rows in [*bands, ("lapsed", ~outcomes.active)]
    )


def _tenths(active: HeldOut) -> tuple[GroupQuality, ...]:
    """By rank within the fold. Rows of one probability are in one tenth, that of their middle."""
    ours, tenth = active.answers[NETWORK], np.zeros(len(active), np.int64)
    for fold in bootstrap.folds_of(active.folds):
        _, place, counts = np.unique(-ours.probability[fold.rows], return_inverse=True, return_counts=True)
        middle = np.cumsum(counts) - counts / 2
        tenth[fold.rows] = np.minimum(middle * TENTHS / len(fold.rows), TENTHS - 1).astype(np.int64)[place]
    return tuple(
        _group(str(number + 1), ours.happened[tenth == number], ours.probability[tenth == number])
        for number in range(TENTHS)
    )


def _group(name: str, happened: NDArray[np.bool_], probability: NDArray[np.floating]) -> GroupQuality:
    return GroupQuality(
        name=name,
        customers=len(happened),
        happened=int(happened.sum()),
        predicted=float(probability.mean(dtype=np.float64)) if len(happened) else None,
        share=wilson(int(happened.sum()), len(happened)),
    )
