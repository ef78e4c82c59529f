"""Drift: how far customers have moved from the base that a model was trained for, as the population stability index.

    PSI = sum over the bins of (actual - expected) * ln(actual / expected)

of the shares of customers in each bin (Lewis, An Introduction to Credit Scoring, 1994; elsewhere the Jeffreys
divergence). Below 0.1 it is read as stable, below 0.25 as moderate, from there on as significant (Siddiqi, Credit Risk
Scorecards, 2006). Those bands know nothing of luck: of n customers from the very distribution that m training rows came
from, PSI over B bins is about (1/n + 1/m) times a chi-square of B - 1 degrees of freedom (Yurdakul, Statistical
Properties of Population Stability Index, 2018). So a few customers seem to have moved where none has: see MIN_COUNT.

Nor do the bands know what a feature does to the score, and no single one of them tells that a tenth of the customers
has lapsed: that is a PSI of 0.06. So what rings has a rule of its own. An alarm is on

    weight * PSI >= ALARM_PSI    and    the p of a chi-square test < ALARM_P

where the weight of the score is 1 and that of a feature what it does to the score: 0 for one that time alone moves,
such as customer_age_days, which is shown and never rings. Cards of before there were weights have none, and only their
score can ring.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.models.card import Histogram
from loyalty_ml.segments import chi_square

DriftBand = Literal["stable", "moderate", "significant", "too_few"]


class Drift(TypedDict):
    psi: Annotated[float | None, Field(description="Population stability index against the customers at training")]
    band: DriftBand
    count: Annotated[int, Field(description="The number of members with a value")]
    p_value: Annotated[
        float | None,
        Field(description="How likely luck alone moves this many customers so far: of a chi-square test of the bins"),
    ]
    weight: Annotated[
        float | None,
        Field(description="0 to 1: what the feature does to the score; of the score 1; null if the card does not say"),
    ]
    alarm: Annotated[
        bool | None,
        Field(
            description="Whether it has moved enough to look at: weight x psi is 0.03 or more and p_value is below "
            "0.001. Null in drift that was stored before there were alarms"
        ),
    ]


class ModelDrift(TypedDict):
    features: dict[str, Drift]
    score: Drift


MODERATE, SIGNIFICANT = 0.1, 0.25
"""The least PSI of each band."""

ALARM_PSI, ALARM_P = 0.03, 0.001
"""From which weight * PSI on, and below which p, an alarm rings.

Measured on generated customers, 10,000 against 2,469 to 100,000 at training: if a tenth of them lapses, the score's PSI
is 0.044 to 0.087; if nothing happens, no feature's is over 0.014. So 0.03 is far from both.
"""

SMALLEST_SHARE = 0.001
"""What a smaller share counts as, on both sides, as an empty bin has no logarithm.

To put a small share in its place is the usual practice. 0.0001 is often seen, but then a bin of one customer in a
hundred that a few hundred customers happen to miss adds 0.046, half of what is called moderate; with this it is 0.021.
"""

MIN_COUNT = 300
"""Below it there is no PSI: it would call luck a change.

The chi-square's 95th percentile is 16.9 for ten bins. So with 1,000 training rows, and nothing changed, PSI is below
0.1 in 95 of 100 cases where 16.9 * (1/n + 1/1000) < 0.1, which is from n = 204 on. Bins much rarer than a tenth vary
more than the chi-square says, so half as many again.
"""


def at_least(column: NDArray[np.floating], edges: Sequence[float]) -> NDArray[np.int64]:
    """int64 (k,): how many values of column, (n,), are >= each of the k edges.

    Sums of it over the parts of a table are those of the table. NaN is at least no edge, so that leaving it out of the
    count given to `bins` leaves it out of all. NumPy rounds an edge to the column's dtype: those of a histogram of such
    values are numbers of it already.
    """
    return np.array([np.count_nonzero(column >= edge) for edge in edges], np.int64)


def bins(counts_at_least: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """int64 (k + 1,): how many of `count` values lie in each bin, from what `at_least` gives for ascending edges."""
    return -np.diff(counts_at_least, prepend=count, append=0)


def psi(actual_counts: NDArray[np.int64], expected_shares: Sequence[float]) -> float:
    """From 0, for the same shares, upwards. Both are of the same bins, (k,), and there is at least one value."""
    actual = np.maximum(actual_counts / actual_counts.sum(), SMALLEST_SHARE)
    expected = np.maximum(expected_shares, SMALLEST_SHARE)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def band(psi: float | None) -> DriftBand:
    """What a PSI means; None is of too few values."""
    if psi is None:
        return "too_few"
    if psi < MODERATE:
        return "stable"
    return "moderate" if psi < SIGNIFICANT else "significant"


def drift(
    counts_at_least: NDArray[np.int64], count: int, histogram: Histogram, rows: int, weight: float | None
) -> Drift:
    """Of `count` values of a feature or a score, of which counts_at_least, (k,), are >= each edge of the histogram.

    rows: how many the histogram is of; weight: 0..1, None if it is not known.
    """
    return drift_of_counts(bins(counts_at_least, count), histogram.shares, rows, weight)


def drift_of_counts(
    actual_counts: NDArray[np.int64], expected_shares: Sequence[float], rows: int, weight: float | None
) -> Drift:
    """The same where the bins are counted already, such as customers by the offer recommended: (k,) each."""
    count = int(actual_counts.sum())
    if count < MIN_COUNT:
        return Drift(psi=None, band=band(None), count=count, p_value=None, weight=weight, alarm=False)
    found, p_value = psi(actual_counts, expected_shares), chi_square.p_value(actual_counts, expected_shares, rows)
    return Drift(
        psi=found,
        band=band(found),
        count=count,
        p_value=p_value,
        weight=weight,
        alarm=weight is not None and weight * found >= ALARM_PSI and p_value < ALARM_P,
    )


def alarming_psi(model: ModelDrift) -> float | None:
    """The largest weight * PSI that luck does not explain; 0 if there is none, None if nothing can be said.

    It is ALARM_PSI or more if and only if an alarm of the model is on.
    """
    found = None
    for each in (*model["features"].values(), model["score"]):
        psi, weight, p_value = each["psi"], each["weight"], each["p_value"]
        if psi is None or weight is None or p_value is None:
            continue
        found = max(found or 0.0, weight * psi if p_value < ALARM_P else 0.0)
    return found
