"""What only the report of an offer model has: what its recommendations are worth, in words, rows and a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from loyalty_ml.models.card import Offer
from loyalty_ml.models.quality import GroupQuality, Ranged
from training.learning.contenders import LABELS, NETWORK
from training.learning.recommendation import Recommendation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Row(NamedTuple):
    """A rule that sends offers, and the conversions of 1,000 exposures if it does."""

    rule: str
    value: Ranged
    ours: bool


class Worth(NamedTuple):
    """sentence: what the rows say; confidence: tenths of the exposures that were shown what is recommended.

    learnt: of each offer of the catalogue, whether it may be recommended.
    """

    sentence: str
    rows: tuple[Row, ...]
    confidence: tuple[GroupQuality, ...]
    learnt: tuple[bool, ...]


def worth(recommendation: Recommendation | None, catalogue: Sequence[Offer]) -> Worth | None:
    """None of a churn model, and where nothing was measured."""
    if recommendation is None or recommendation.measured is None or recommendation.quality is None:
        return None
    values = recommendation.measured.values
    ours = values[NETWORK]
    everyone = [
        (f"{offer.offer_name} for everyone", value)
        for offer, value in zip(catalogue, ours.everyone, strict=True)
        if value is not None
    ]
    rows = [
        ("What this model recommends", ours.recommended),
        *sorted(everyone, key=lambda row: -row[1].value),
        *((f"What {LABELS[name]} recommends", own.recommended) for name, own in values.items() if name != NETWORK),
        ("What was shown", ours.shown),
    ]
    return Worth(
        recommendation.quality.sentence,
        tuple(Row(rule, _of_1000(value), place == 0) for place, (rule, value) in enumerate(rows)),
        recommendation.quality.confidence,
        tuple(bool(learnt) for learnt in recommendation.evidence.learnt),
    )


def draw(axes: "Axes", found: Worth, ours: str, others: str) -> None:
    """Each rule's value and its interval, the first rule on top, in these colours."""
    for place, row in enumerate(found.rows):
        colour = ours if row.ours else others
        axes.plot([row.value.low, row.value.high], [place, place], color=colour, linewidth=2)
        axes.plot(row.value.value, place, color=colour, marker="o", markersize=5)
    axes.set_yticks(range(len(found.rows)), [row.rule for row in found.rows])
    axes.set(ylim=(len(found.rows) - 0.5, -0.5), xlim=(0, None), xlabel="conversions of 1,000 exposures")
    axes.grid(visible=False, axis="y")


def _of_1000(value: Ranged) -> Ranged:
    return Ranged(value=1000 * value.value, low=1000 * max(value.low, 0), high=1000 * min(value.high, 1))
