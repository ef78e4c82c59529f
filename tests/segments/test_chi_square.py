"""The chi-square test is scipy's, to the digits that matter: far tails and many bins too."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import chi2, chi2_contingency

from loyalty_ml.segments.chi_square import p_value, survival

pytestmark = pytest.mark.unit


@given(st.floats(0, 1e4), st.integers(1, 250))
def test_the_survival_function_is_scipys(statistic: float, degrees: int) -> None:
    # 1e-13 of what is near 1 is all that a float holds of its complement.
    assert survival(statistic, degrees) == pytest.approx(float(chi2.sf(statistic, degrees)), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(("degrees", "statistic"), [(1, 10.8276), (9, 27.8772), (9, 700.0), (199, 266.4), (1, 1400.0)])
def test_tails_keep_their_digits(degrees: int, statistic: float) -> None:
    assert survival(statistic, degrees) == pytest.approx(float(chi2.sf(statistic, degrees)), rel=1e-10, abs=0)


def test_where_the_series_meets_the_fraction_nothing_jumps() -> None:
    for degrees in range(1, 200):
        meets = 2 * (degrees / 2 + 1)
        before, after = survival(math.nextafter(meets, 0), degrees), survival(meets, degrees)
        assert before == pytest.approx(after, rel=1e-12)


def test_nothing_is_as_likely_as_can_be_and_the_endless_is_not() -> None:
    assert survival(0, 9) == survival(5, 0) == 1
    assert survival(1e6, 9) == 0


counts = st.integers(2, 12).flatmap(lambda bins: arrays(np.int64, (2, bins), elements=st.integers(0, 3000)))


@given(counts)
def test_the_test_of_two_samples_is_scipys(table: NDArray[np.int64]) -> None:
    assume(table.sum(axis=1).all())
    there = table[:, table.any(axis=0)]  # scipy refuses a bin that is empty in both
    expected = chi2_contingency(there, correction=False).pvalue if there.shape[1] > 1 else 1.0
    ours, theirs = table
    shares = (theirs / theirs.sum()).tolist()
    assert p_value(ours, shares, int(theirs.sum())) == pytest.approx(float(expected), rel=1e-6, abs=1e-12)


def test_of_one_distribution_one_in_a_thousand_is_below_a_thousandth() -> None:
    """The reference has rows too: taken for certain, 2,469 of them would ring six times as often as they should."""
    random = np.random.default_rng(20261128)
    shares = np.full(10, 0.1)
    learnt_from, today = random.multinomial(2469, shares, 20_000), random.multinomial(10_000, shares, 20_000)
    found = np.array(
        [p_value(ours, (theirs / 2469).tolist(), 2469) for ours, theirs in zip(today, learnt_from, strict=True)]
    )
    assert np.mean(found < 0.001) == pytest.approx(0.001, abs=0.0007)
    assert np.mean(found < 0.5) == pytest.approx(0.5, abs=0.02)
