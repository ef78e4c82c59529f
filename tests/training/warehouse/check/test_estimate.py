"""Estimates: the straight line through two samples, and what grows with the examples."""

import pytest

from training.warehouse.check import estimate
from training.warehouse.sample import seconds_for_all

pytestmark = pytest.mark.unit


def test_the_time_for_all_is_on_the_line_through_both_samples() -> None:
    # 2 s to begin with and 10 s for all rows.
    assert seconds_for_all(100, 2.1, 10, 3.0) == pytest.approx(12.0)


def test_a_larger_sample_that_was_no_slower_says_no_less_than_it_took() -> None:
    assert seconds_for_all(100, 3.0, 10, 2.0) == 2.0


def test_training_takes_longer_and_more_memory_with_more_examples() -> None:
    few = estimate.of_training(1.0, {"churn": 1_000}, features=10, splits=3)
    many = estimate.of_training(1.0, {"churn": 1_000_000, "nbo": 2_000}, features=10, splits=3)
    assert many.seconds > 100 * 1.0
    assert many.seconds > few.seconds
    assert many.bytes > few.bytes > 0


def test_an_estimate_reads_as_a_person_says_it() -> None:
    assert str(estimate.Estimate(0.2, 3e8)) == "about 1 s and 0.3 GB of memory"
    assert str(estimate.Estimate(240, 1.26e9)) == "about 4 minutes and 1.3 GB of memory"
    assert str(estimate.Estimate(9_000, 1e9)) == "about 2.5 hours and 1.0 GB of memory"
