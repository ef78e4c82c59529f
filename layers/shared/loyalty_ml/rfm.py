"""RFM: how recent, how frequent, how valuable. Calculated, not learnt.

A score says in which fifth of the customer base someone is: 1 + floor(5 * (customers strictly worse) / n), so that
customers with the same history get the same score. Cut points carry that rule from the whole base to one customer.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.manifest import RfmCutPoints

FEATURES = ("days_since_last", "transaction_count", "revenue")
"""Where recency, frequency and monetary come from."""

# Rows: recency score 1 to 5; columns: frequency score 1 to 5.
_SEGMENT_NAMES = (
    ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
    ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
    ("About to Sleep", "About to Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    ("Promising", "Potential Loyalists", "Potential Loyalists", "Loyal Customers", "Loyal Customers"),
    ("New Customers", "Potential Loyalists", "Potential Loyalists", "Champions", "Champions"),
)


class RfmScores(NamedTuple):
    """n customers: the three values as float64 (n,), the three scores as int64 (n,) from 1 to 5."""

    recency: NDArray[np.float64]
    frequency: NDArray[np.float64]
    monetary: NDArray[np.float64]
    r_score: NDArray[np.int64]
    f_score: NDArray[np.int64]
    m_score: NDArray[np.int64]


def score_rfm(values: NDArray[np.float64], cut_points: RfmCutPoints) -> RfmScores:
    """Scores float64 (n, 3), the columns as in FEATURES, all finite."""
    recency, frequency, monetary = values.T
    return RfmScores(
        recency=recency,
        frequency=frequency,
        monetary=monetary,
        # Of recency less is better: one point more for each cut point that is not exceeded.
        r_score=5 - np.searchsorted(np.array(cut_points.recency), recency, side="left"),
        f_score=1 + np.searchsorted(np.array(cut_points.frequency[::-1]), frequency, side="right"),
        m_score=1 + np.searchsorted(np.array(cut_points.monetary[::-1]), monetary, side="right"),
    )


def segment_name(r_score: int, f_score: int) -> str:
    """The name of all customers with these scores, whatever their monetary score."""
    return _SEGMENT_NAMES[r_score - 1][f_score - 1]
