"""RFM cut points of a customer base: the contract's rule over the whole of it, as four values a feature."""

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.baseline import Baseline
from loyalty_ml.models.manifest import RfmCutPoints

RfmFeatures = tuple[str, str, str]
Cuts = tuple[float, float, float, float]


def rfm_cut_points(
    values: NDArray[np.float64], features: RfmFeatures, version: str, baseline: Baseline | None = None
) -> RfmCutPoints:
    """values: (n, 3), n > 0, recency, frequency and monetary of every customer, all finite; features: their names;
    baseline: who scores are explained against.

    With them score_rfm gives 1 + floor(5 * (customers strictly worse) / n), to whoever is asked about, in the base or
    not: a score of s needs k = ceil(n * (s - 1) / 5) customers who are worse, and so a value beyond the k-th worst.
    The cut point is the next float64 after that one, so that ties stay together.
    """
    recency, frequency, monetary = values.T
    return RfmCutPoints(
        version=version,
        features=features,
        # Of recency less is better; adding 0.0 turns a negative zero back into zero.
        recency=tuple(-cut + 0.0 for cut in _cuts(-recency)),
        frequency=_cuts(frequency),
        monetary=_cuts(monetary),
        baseline=baseline,
    )


def _cuts(values: NDArray[np.float64]) -> Cuts:
    """For the scores 5, 4, 3 and 2, where more is better."""
    worst_first = np.sort(values)
    worse = [-(-len(values) * (score - 1) // 5) for score in (5, 4, 3, 2)]
    five, four, three, two = (float(np.nextafter(worst_first[count - 1], np.inf)) for count in worse)
    return five, four, three, two
