"""The customer base as it is now, and who of the examples is active: the same days since the last purchase."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tests.training.warehouse.conftest import Fill, Open
from training.config import Config
from training.errors import Problem
from training.warehouse import queries

pytestmark = pytest.mark.moto

NOW = datetime(2025, 7, 1, tzinfo=UTC)
SALES = (
    "CREATE TABLE sales (nr VARCHAR, sold TIMESTAMP, amount DECIMAL(12, 2))",
    """INSERT INTO sales VALUES ('b', '2025-01-10 12:00', 100), ('b', '2025-05-31 12:00', 20), ('a', '2025-03-01', 30),
       ('Z', '2025-05-20', -10), ('é', '2025-05-30', 7)""",
)
LABELS = (
    "CREATE TABLE gone (customer_id VARCHAR, churned BOOLEAN, snapshot_date DATE{})",
    "INSERT INTO gone VALUES ('b', false, '2025-05-01'{0}), ('a', true, '2025-05-01'{0}), ('é', true, '2025-05-01'{0})",
)


def settings(**sections: Any) -> Config:
    tables = sections.pop("tables", {"transactions": "sales"})
    columns = {"transactions": {"customer_id": "nr", "date": "sold", "amount": "amount"}}
    return Config.model_validate({"tables": tables, "columns": columns, **sections})


def labels(*features: str) -> tuple[str, ...]:
    columns = "".join(f", {name} DOUBLE PRECISION" for name in features)
    values = "".join(f", {10 + place}" for place in range(len(features)))
    return LABELS[0].format(columns), LABELS[1].format(values)


def test_the_base_is_who_materialize_would_write_in_the_order_of_ids(fill: Fill, connect: Open) -> None:
    chosen = settings(features={"revenue": "revenue", "lifetime_value": "lifetime_value"})
    base = queries.base(connect(fill(*SALES), chosen, now=NOW), ("lifetime_value", "revenue"))
    assert base.customer_ids.tolist() == ["Z", "a", "b", "é"]
    assert base.names == ("lifetime_value", "revenue")
    assert base.features.tolist() == [[-10, -10], [30, 30], [120, 120], [7, 7]]
    assert base.days_since_last is not None
    np.testing.assert_array_equal(base.days_since_last, [np.nan, 92, 0, 2])


def test_the_base_of_a_view_has_the_views_own_days(fill: Fill, connect: Open) -> None:
    view = (
        "CREATE TABLE v (customer_id VARCHAR, updated_at TIMESTAMP, tickets INTEGER, days_since_last INTEGER)",
        "INSERT INTO v VALUES ('b', '2025-06-01', 3, 8), ('a', '2025-06-01', NULL, NULL)",
    )
    chosen = settings(tables={"features": "v"}, features={"tickets": "tickets"})
    base = queries.base(connect(fill(*view), chosen, now=NOW), ("tickets",))
    assert base.customer_ids.tolist() == ["a", "b"]
    np.testing.assert_array_equal(base.features, [[np.nan], [3]])
    assert base.days_since_last is not None
    np.testing.assert_array_equal(base.days_since_last, [np.nan, 8])


def test_a_base_that_says_nothing_of_the_last_purchase_has_no_days(fill: Fill, connect: Open) -> None:
    view = (
        "CREATE TABLE v (customer_id VARCHAR, updated_at TIMESTAMP, tickets INTEGER)",
        "INSERT INTO v VALUES ('b', '2025-06-01', 3)",
    )
    chosen = settings(tables={"features": "v"}, features={"tickets": "tickets"})
    warehouse = connect(fill(*view), chosen, now=NOW)
    assert queries.base(warehouse, ("tickets",)).days_since_last is None
    with pytest.raises(Problem, match=r"would read opened, which v does not give .*: give it there too"):
        queries.base(warehouse, ("opened", "tickets"))


FROM = {
    "labels from transactions": ((), {"transactions": "sales"}, ("revenue",), 62),
    "a churn table without features": (labels(), {"transactions": "sales", "churn": "gone"}, ("revenue",), 61),
    "its own features without it": (labels("revenue"), {"transactions": "sales", "churn": "gone"}, ("revenue",), 61),
    "its own feature": (
        labels("revenue", "days_since_last"),
        {"transactions": "sales", "churn": "gone"},
        ("revenue", "days_since_last"),
        11,
    ),
    "its own feature, no transactions": (
        labels("days_since_last"),
        {"features": "v", "churn": "gone"},
        ("days_since_last",),
        10,
    ),
}


@pytest.mark.parametrize("case", FROM)
def test_examples_say_who_is_active_whatever_the_models_read(fill: Fill, connect: Open, case: str) -> None:
    rows, tables, names, expected = FROM[case]
    windows = {"churn_days": 30, "churn_snapshots": 1}
    chosen = settings(tables=tables, features={name: name for name in names}, windows=windows)
    examples = queries.churn_examples(connect(fill(*SALES, *rows), chosen, now=NOW))
    assert examples.names == names
    assert examples.days_since_last is not None
    days = dict(zip(examples.customer_ids.tolist(), examples.days_since_last.tolist(), strict=True))
    assert days["a"] == expected
    gone = examples.where(examples.happened)
    assert gone.days_since_last is not None
    np.testing.assert_array_equal(gone.days_since_last, [days[customer] for customer in gone.customer_ids])


def test_a_churn_table_without_transactions_needs_the_feature(fill: Fill, connect: Open) -> None:
    chosen = settings(tables={"features": "v", "churn": "gone"}, features={"tickets": "tickets"})
    refused = (
        r"^\[windows\] active_days needs days_since_last, which gone does not give: map its column under "
        r"\[features\], or name the transactions under \[tables\]\.$"
    )
    with pytest.raises(Problem, match=refused):
        queries.churn_examples(connect(fill(*labels("tickets")), chosen, now=NOW))
