"""The splits: by the customer's id alone, and in time with no label reaching into what is measured."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.learning import splits
from training.warehouse.examples import Examples

pytestmark = pytest.mark.unit

IDS = np.array([f"customer-{number}" for number in range(4000)], dtype=object)


def examples(days: list[int], horizon_days: float | None, *, offers: bool = False) -> Examples:
    """One example at each of these days after 2025-01-01."""
    moments = np.datetime64("2025-01-01", "us") + np.array(days, dtype="timedelta64[D]")
    return Examples(
        customer_ids=IDS[: len(days)],
        moments=moments,
        names=("revenue",),
        features=np.zeros((len(days), 1)),
        happened=np.zeros(len(days), dtype=bool),
        offers=np.zeros(len(days), dtype=np.int64) if offers else None,
        purchases=None,
        horizon_days=horizon_days,
        left_out={},
    )


@given(st.lists(st.text(max_size=300), min_size=1), st.integers(0, 5))
def test_a_customer_is_held_out_whoever_else_is_there(ids: list[str], split: int) -> None:
    together = splits.held_out(ids, split, 0.2)
    alone = [bool(splits.held_out([customer_id], split, 0.2)[0]) for customer_id in ids]
    assert together.tolist() == alone
    assert splits.held_out(ids[::-1], split, 0.2).tolist() == alone[::-1]


def test_the_choice_is_the_same_in_every_release() -> None:
    # Were it to change, a model would be compared with its predecessor on customers from whom that one has learnt.
    assert np.flatnonzero(splits.held_out(IDS[:40], 0, 0.2)).tolist() == [1, 2, 6, 9, 11, 12, 25, 28, 30, 34, 35]


def test_parts_are_of_their_size_and_independent() -> None:
    first, second, stopping = (splits.held_out(IDS, 0, 0.2), splits.held_out(IDS, 1, 0.2), splits.for_stopping(IDS))
    assert second.mean() == pytest.approx(0.2, abs=0.02)
    assert first.mean() == pytest.approx(0.2, abs=0.02)
    assert stopping.mean() == pytest.approx(splits.VALIDATION_SHARE, abs=0.02)
    assert not (first & second).any()
    assert np.sum([splits.held_out(IDS, split, 0.2) for split in range(5)], axis=0).tolist() == [1] * len(IDS)
    assert (first & stopping).mean() == pytest.approx(0.2 * splits.VALIDATION_SHARE, abs=0.01)
    # A larger share holds out the same and more: settings may change without letting go of anyone.
    assert (splits.held_out(IDS, 0, 0.3) >= first).all()


@pytest.mark.parametrize(
    ("days", "horizon_days", "earlier"),
    [
        ([0, 30, 60, 90], 30, [0, 1, 2]),
        ([0, 30, 60, 90], 31, [0, 1]),
        ([0, 30, 60, 90], 90, [0]),
        ([0, 30, 60, 90], None, [0, 1, 2]),
        ([90, 0, 90, 30], 45.5, [1, 3]),
    ],
)
def test_labels_of_the_earlier_part_were_known_by_then(
    days: list[int], horizon_days: float | None, earlier: list[int]
) -> None:
    split = splits.in_time(examples(days, horizon_days))
    assert split is not None
    assert np.flatnonzero(split.earlier).tolist() == earlier
    assert np.flatnonzero(split.later).tolist() == [row for row, day in enumerate(days) if day == max(days)]


@pytest.mark.parametrize(("days", "horizon_days"), [([5], 30), ([5, 5, 5], None), ([0, 30], 31)])
def test_no_split_in_time_where_nothing_was_over(days: list[int], horizon_days: float | None) -> None:
    assert splits.in_time(examples(days, horizon_days)) is None


def test_offers_are_measured_on_the_last_fifth_of_the_time() -> None:
    split = splits.in_time(examples([0, 10, 79, 80, 81, 100], None, offers=True))
    assert split is not None
    assert split.later.tolist() == [False, False, False, True, True, True]
    assert split.earlier.tolist() == [True, True, True, False, False, False]

    known = replace(examples([0, 10, 79, 80, 81, 100], None, offers=True), horizon_days=timedelta(days=14).days)
    split = splits.in_time(known)
    assert split is not None
    assert split.earlier.tolist() == [True, True, False, False, False, False]
