"""Whatever is stored for customers, the table says exactly that: the same doubles, what is missing, who is unknown."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.customers.table import AS_OF, LIFETIME_TRANSACTION_COUNT, NO_NUMBER, FeatureTable, problem_codes
from loyalty_ml.errors import CustomerNotFound, InvalidFeatures, LoyaltyError, MissingFeatures, NoPurchases
from tests import sample_set

pytestmark = pytest.mark.unit

NAMES = ("revenue", "transaction_count", "days_since_last")

# DynamoDB's numbers: 38 digits, from 1e-130 to 1e126.
numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e125, max_value=1e125).filter(
    lambda number: number == 0 or abs(number) > 1e-129
) | st.integers(-(10**37), 10**37)
stored = (
    numbers.map(lambda number: {"N": repr(number)})
    | st.just({"NULL": True})
    | st.text().map(lambda text: {"S": text})
    | st.just({"BOOL": True})
)
features = st.dictionaries(st.sampled_from((*NAMES, LIFETIME_TRANSACTION_COUNT)), stored | st.just({"N": "0"}))
customers = st.dictionaries(st.text(min_size=1, max_size=5), st.none() | features, min_size=1, max_size=20)


class Table:
    """A DynamoDB client over a dictionary; None is a customer who is not there."""

    def __init__(self, customers: dict[str, Any]) -> None:
        self._customers = customers

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        ((table, wanted),) = RequestItems.items()
        found = [
            {"customer_id": key["customer_id"], AS_OF: {"S": sample_set.AS_OF}, **item}
            for key in wanted["Keys"]
            if (item := self._customers[key["customer_id"]["S"]]) is not None
        ]
        return {"Responses": {table: found[::-1]}, "UnprocessedKeys": {}}


@given(customers)
def test_the_table_says_what_is_stored(customers: dict[str, Any]) -> None:
    store = FeatureStore(Table(customers), "customers")  # type: ignore[arg-type]
    table = store.read(list(customers), NAMES)
    assert table.as_of == (sample_set.AS_OF if any(item is not None for item in customers.values()) else None)
    for row, item in enumerate(customers.values()):
        values = [float(item[name]["N"]) if item and "N" in item.get(name, {}) else np.nan for name in NAMES]
        assert table.values[row].tobytes() == np.array(values).tobytes()
        problem = None if np.isfinite(table.values[row]).all() else table.problem(row)
        assert described(problem) == described(expected_problem(item))


def expected_problem(item: dict[str, Any] | None) -> LoyaltyError | None:
    if item is None:
        return CustomerNotFound()
    missing = [name for name in NAMES if "NULL" in item.get(name, {"NULL": True})]
    unusable = [name for name in NAMES if "N" not in item.get(name, {"NULL": True})]
    if missing and item.get(LIFETIME_TRANSACTION_COUNT) in ({"N": "0"}, {"N": "0.0"}, {"N": "-0.0"}):
        return NoPurchases()
    if missing:
        return MissingFeatures(missing)
    return InvalidFeatures(unusable, NO_NUMBER) if unusable else None


def described(problem: LoyaltyError | None) -> tuple[str, str] | None:
    return (problem.code, problem.message) if problem else None


cells = st.sampled_from([1.0, 0.0, np.nan, np.inf, -np.inf, 1e300])


@given(
    rows=st.lists(st.tuples(st.tuples(cells, cells, cells), st.sampled_from([0.0, 2.0, np.nan]))), known=st.booleans()
)
def test_reasons_are_counted_as_each_customer_is_told(
    rows: list[tuple[tuple[float, ...], float]], *, known: bool
) -> None:
    """Of those who cannot be scored, as a segment counts them."""
    values = np.array([row for row, _ in rows]).reshape(-1, len(NAMES))
    bought = np.array([purchases for _, purchases in rows])
    table = FeatureTable((), NAMES, values, np.isnan(values), None, None, bought if known else None)
    with np.errstate(over="ignore"):
        failed = np.flatnonzero(~np.isfinite(values.astype(np.float32)).all(axis=1))
    told = Counter(table.problem(row, np.float32).code for row in failed.tolist())
    assert problem_codes(values[failed], bought[failed] if known else None) == told
