"""The chi-square test of whether two samples are of one distribution; scipy, which has it too, is in no layer."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PRECISION = 1e-15
TERMS = 10_000
"""More than the series or the fraction takes for any number of bins that a card can have."""


def p_value(counts: NDArray[np.int64], shares: Sequence[float], rows: int) -> float:
    """How likely two samples from one distribution differ by at least as much (Pearson's test of homogeneity).

    counts: int64 (k,), by bin, of one sample; shares: (k,), of the other, which has so many rows. Both have a row.

        chi2 = sum over the bins of (a - e)^2 / pooled / (1/n + 1/m)

    with k - 1 degrees of freedom, k being the bins that are not empty in both; with only one such bin it is 1.
    """
    count = int(counts.sum())
    actual, expected = counts / count, np.asarray(shares)
    pooled = (counts + rows * expected) / (count + rows)
    known = pooled > 0
    distance = np.sum((actual - expected)[known] ** 2 / pooled[known])
    return survival(float(distance / (1 / count + 1 / rows)), int(np.count_nonzero(known)) - 1)


def survival(statistic: float, degrees: int) -> float:
    """P(X >= statistic) of a chi-square with so many degrees of freedom; 1 for none.

    That is Q(degrees / 2, statistic / 2), the regularized upper incomplete gamma function. As in Press et al.,
    Numerical Recipes, 3rd edition, 6.2: below a + 1 by the series of P = 1 - Q (DLMF 8.7.1 with 8.5.1), from there on
    by the continued fraction of Q (DLMF 8.9.2), evaluated by Lentz's method.
    """
    a, x = degrees / 2, statistic / 2
    if degrees < 1 or x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1 - scale * _series(a, x) if x < a + 1 else scale * _fraction(a, x)


def _series(a: float, x: float) -> float:
    """The sum over n >= 0 of x^n / (a (a + 1) ... (a + n))."""
    term = total = 1 / a
    for n in range(1, TERMS):
        term *= x / (a + n)
        total += term
        if term < total * PRECISION:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """1/(x + 1 - a - 1(1 - a)/(x + 3 - a - 2(2 - a)/(x + 5 - a - ...)))."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    fraction = d
    for n in range(1, TERMS):
        numerator = -n * (n - a)
        b += 2
        d = 1 / (numerator * d + b or tiny)
        c = b + numerator / c or tiny
        fraction *= d * c
        if abs(d * c - 1) < PRECISION:
            break
    return fraction
