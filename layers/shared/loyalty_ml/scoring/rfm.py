"""RFM: how recent, how frequent, how valuable. Calculated, not learnt.

A score says in which fifth of the customer base someone is: 1 + floor(5 * (customers strictly worse) / n), so that
customers with the same history get the same score. Cut points carry that rule from the whole base to one customer.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.manifest import RfmCutPoints

# Rows: recency score 1 to 5; columns: frequency score 1 to 5.
_NAMES = (
    ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
    ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
    ("About to Sleep", "About to Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    ("Promising", "Potential Loyalists", "Potential Loyalists", "Loyal Customers", "Loyal Customers"),
    ("New Customers", "Potential Loyalists", "Potential Loyalists", "Champions", "Champions"),
)

SEGMENT_NAMES = tuple(dict.fromkeys(name for row in _NAMES for name in row))
"""Every name once, from the least active to the most."""

_PLACES = np.array([[SEGMENT_NAMES.index(name) for name in row] for row in _NAMES], np.int8).ravel()


class RfmScores(NamedTuple):
    """n customers: the three values as float64 (n,), the three scores as int8 (n,) from 1 to 5."""

    recency: NDArray[np.float64]
    frequency: NDArray[np.float64]
    monetary: NDArray[np.float64]
    r_score: NDArray[np.int8]
    f_score: NDArray[np.int8]
    m_score: NDArray[np.int8]


def score_rfm(values: NDArray[np.float64], cut_points: RfmCutPoints) -> RfmScores:
    """Scores float64 (n, 3), the columns as in cut_points.features, all finite."""
    recency, frequency, monetary = values.T
    return RfmScores(
        recency=recency,
        frequency=frequency,
        monetary=monetary,
        # Of recency less is better: one point more for each cut point that is not exceeded.
        r_score=_one_and_each(recency <= point for point in cut_points.recency),
        f_score=_one_and_each(frequency >= point for point in cut_points.frequency),
        m_score=_one_and_each(monetary >= point for point in cut_points.monetary),
    )


def segment_name(r_score: int, f_score: int) -> str:
    """The name of all customers with these scores, whatever their monetary score."""
    return _NAMES[r_score - 1][f_score - 1]


def segment_codes(scores: RfmScores) -> NDArray[np.int8]:
    """The places in SEGMENT_NAMES of n customers, int8 (n,)."""
    places: NDArray[np.int8] = _PLACES[5 * (scores.r_score - 1) + (scores.f_score - 1)]
    return places


def _one_and_each(earned: Iterable[NDArray[np.bool_]]) -> NDArray[np.int8]:
    # Four comparisons of a column take a tenth of what a search for each value takes.
    one = np.ones(1, np.int8)
    return functools.reduce(np.add, earned, one)
