"""What only the report of a churn model has: what it finds in customers, by list, band and tenth."""

from typing import TYPE_CHECKING

import numpy as np

from loyalty_ml.models.quality import ChurnQuality, GroupQuality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = {
    "high": "active, and the likeliest to leave",
    "medium": "active, and the next",
    "low": "active, the others",
    "lapsed": "have left already, by the days since their last purchase",
}


def sentences(worth: ChurnQuality, people: int, days: float | None) -> list[str]:
    """What a marketer reads first; people: how many customers the rows are of; days: how far ahead it was looked."""
    within = "" if days is None else f" within {days:g} days"
    left = f"{worth.left:,} of the {worth.customers:,} active customers that were held out left{within}."
    if people < worth.customers:
        left += f" They are {people:,} people: who was active at several moments counts once for each."
    return [left, *(one.sentence for one in worth.lists)]


def bands(worth: ChurnQuality) -> list[tuple[GroupQuality, str, str]]:
    """Each band with what it means, and a sentence on how many of it left."""
    return [(group, BANDS[group.name], _of(group)) for group in worth.bands]


def _of(group: GroupQuality) -> str:
    if group.share is None:
        return "nobody"
    return f"of {group.customers:,}, {group.happened:,} left"


def draw_tenths(axes: "Axes", worth: ChurnQuality, ours: str, other: str) -> None:
    """Each tenth's share who left, with its range, beside what was predicted of it."""
    tenths = [(int(one.name), one.predicted, one.share) for one in worth.tenths]
    there = [(place, predicted, share) for place, predicted, share in tenths if predicted is not None and share]
    places = [place for place, _, _ in there]
    shares = np.array([share.value for _, _, share in there])
    below = shares - [share.low for _, _, share in there]
    above = np.array([share.high for _, _, share in there]) - shares
    axes.bar(places, shares, color=ours, width=0.72, alpha=0.85, label="left")
    axes.errorbar(places, shares, yerr=np.array([below, above]), fmt="none", ecolor="#24313a", elinewidth=1, capsize=3)
    predicted = [each for _, each, _ in there]
    axes.plot(places, predicted, color=other, marker="o", markersize=5, linewidth=0, label="predicted")
    axes.set(xlabel="tenth, 1 = the likeliest to leave", ylabel="share", ylim=(0, 1))
    axes.set_xticks(places)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper right")
