"""A sample of customers in both stores: what the table lacks or has otherwise is counted, and nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.customers.skew import SAMPLE, compare
from loyalty_ml.customers.table import FeatureTable

pytestmark = pytest.mark.unit

FEATURES = ("revenue", "transaction_count", "days_since_last")


def table(ids: Sequence[str], values: Any, found: Any = None) -> FeatureTable:
    return FeatureTable(ids, FEATURES, values, np.isnan(values), found, None, None)


class Snapshot:
    """Customers c-0, c-1, ..., whose features are random, and some of them missing."""

    def __init__(self, customers: int, seed: int = 1) -> None:
        draw = np.random.default_rng(seed)
        self.customers = customers
        self.values = np.where(draw.random((customers, 3)) < 0.2, np.nan, draw.normal(size=(customers, 3)))

    def read(self, rows: Sequence[int]) -> FeatureTable:
        return table([f"c-{row}" for row in rows], self.values[rows])


class Table:
    """The same customers, those left out of it or changed that a test says; `asked` is how many were looked up."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.values = snapshot.values.copy()
        self.missing: set[int] = set()
        self.asked = 0

    def read(self, customer_ids: list[str], names: tuple[str, ...]) -> FeatureTable:
        assert names == FEATURES
        self.asked = len(customer_ids)
        rows = [int(customer_id[2:]) for customer_id in customer_ids]
        found = np.array([row not in self.missing for row in rows])
        values = np.where(found[:, np.newaxis], self.values[rows], np.nan)
        return table(customer_ids, values, found)


def test_two_stores_that_agree_have_no_skew_and_no_more_than_a_batch_is_read() -> None:
    snapshot: Any = Snapshot(1000)
    stored = Table(snapshot)
    found = compare(snapshot, stored)
    assert (found.compared, found.skewed, found.features, stored.asked) == (SAMPLE, 0, {}, SAMPLE)


def test_each_time_another_sample_is_drawn() -> None:
    snapshot: Any = Snapshot(10_000)
    stored = Table(snapshot)
    stored.values[:5000, 0] += 1
    assert len({compare(snapshot, stored).otherwise for _ in range(20)}) > 1


@given(
    missing=st.sets(st.integers(0, 49)),
    changed=st.sets(st.tuples(st.integers(0, 49), st.integers(0, 2))),
    value=st.sampled_from([0.0, 1e300, np.nan]),
)
def test_what_differs_is_counted_by_customer_and_by_feature(
    missing: set[int], changed: set[tuple[int, int]], value: float
) -> None:
    snapshot: Any = Snapshot(50)
    stored = Table(snapshot)
    stored.missing = missing
    for row, column in changed:
        stored.values[row, column] = value
    found = compare(snapshot, stored)
    other = {
        (row, column)
        for row, column in changed
        if row not in missing and not (np.isnan(value) and np.isnan(snapshot.values[row, column]))
    }
    assert (found.compared, found.unknown) == (50, len(missing))
    assert found.otherwise == len({row for row, _ in other})
    assert found.skewed == found.unknown + found.otherwise
    assert found.features == {
        name: count for column, name in enumerate(FEATURES) if (count := sum(place == column for _, place in other))
    }
