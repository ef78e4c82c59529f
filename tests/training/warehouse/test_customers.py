"""The customers table: who is known without a purchase, and attributes that become features."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT as COUNT
from tests.service import Service
from tests.training.warehouse.conftest import Fill, Open
from training.config import Config
from training.errors import Problem
from training.snapshot import customers_table
from training.snapshot.materialize import materialize
from training.warehouse import queries

pytestmark = pytest.mark.moto

AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
PEOPLE = """INSERT INTO people VALUES
    (1, '2024-01-01', 'gold', 0.5, true, 2),
    (2, '2024-02-01', 'bronze', 0.25, false, 0),
    (3, '2025-01-01', 'platinum', NULL, NULL, 1),
    (4, '2025-05-31', 'silver', 0.75, true, 7),
    (5, '2025-06-01', NULL, 0.1, false, 0),
    (6, NULL, NULL, NULL, NULL, NULL)"""
SHOP = (
    """CREATE TABLE people
       (nr INTEGER, since DATE, tier CHAR(8), opens DOUBLE PRECISION, mails BOOLEAN, tickets INTEGER)""",
    PEOPLE,
    "CREATE TABLE sales (nr INTEGER, sold TIMESTAMP, amount DECIMAL(12, 2))",
    """INSERT INTO sales VALUES (1, '2025-01-10', 100), (1, '2025-03-01', 20), (2, '2025-05-01', 30),
       (5, '2025-05-20', 10), (9, '2025-05-20', 10), (3, '2025-02-01', -5)""",
)
FIELDS: dict[str, Any] = {
    "tables": {"transactions": "sales", "customers": "people"},
    "columns": {
        "transactions": {"customer_id": "nr", "date": "sold", "amount": "amount"},
        "customers": {"customer_id": "nr", "registered_at": "since"},
    },
    "features": {
        "revenue": "revenue",
        "tier": {"column": "tier", "categories": ["gold", "silver", "bronze"]},
        "days_since_last": "days_since_last",
        "opens": "opens",
        "wants_mail": {"table": "customers", "column": "mails"},
        "tickets": {"table": "customers", "column": "tickets"},
    },
}
NAMES = ("revenue", "tier_gold", "tier_silver", "tier_bronze", "days_since_last", "opens", "wants_mail", "tickets")
# Who has returned more than bought has money and no purchase; of 9 no attribute is known, of 6 nothing at all.
EXPECTED = {
    "1": (120, 1, 0, 0, 92, 0.5, 1, 2, 2),
    "2": (30, 0, 0, 1, 31, 0.25, 0, 0, 1),
    "3": (-5, 0, 0, 0, None, None, None, 1, 0),
    "4": (None, 0, 1, 0, None, 0.75, 1, 7, 0),
    "5": (10, None, None, None, 12, 0.1, 0, 0, 1),
    "6": (None, None, None, None, None, None, None, None, 0),
    "9": (10, None, None, None, 12, None, None, None, 1),
}


def settings(**changes: Any) -> Config:
    return Config.model_validate({**FIELDS, **changes})


def by_customer(current: queries.CurrentFeatures, warehouse: Any) -> dict[str, tuple[float | None, ...]]:
    rows = warehouse.rows(current.table).to_pylist()
    return {row["customer_id"]: tuple(row[name] for name in (*NAMES, COUNT)) for row in rows}


def test_members_without_a_purchase_are_known_and_attributes_are_features(
    fill: Fill,
    connect: Open,
    capsys: pytest.CaptureFixture[str],
) -> None:
    warehouse = connect(fill(*SHOP), settings())
    current = queries.current_features(warehouse, AS_OF)
    assert current.names[: len(NAMES)] == NAMES
    assert by_customer(current, warehouse) == EXPECTED
    assert capsys.readouterr().out == (
        "  people: 1 rows have a category that is not under [features] tier, such as 'platinum': they count as none of "
        "its categories.\n"
    )


def test_who_registered_after_the_moment_is_not_known_then(fill: Fill, connect: Open) -> None:
    warehouse = connect(fill(*SHOP), settings())
    earlier = by_customer(queries.current_features(warehouse, datetime(2025, 5, 1, 1, tzinfo=UTC)), warehouse)
    assert set(earlier) == {"1", "2", "3", "6"}
    later = by_customer(queries.current_features(warehouse, datetime(2025, 5, 31, 1, tzinfo=UTC)), warehouse)
    assert set(later) == {"1", "2", "3", "4", "5", "6", "9"}, "who has bought is known before the registration"


def test_materialize_stores_the_count_and_the_api_says_that_nothing_was_bought(
    fill: Fill,
    connect: Open,
    service: Service,
    tmp_path: Path,
) -> None:
    warehouse = connect(fill(*SHOP), settings())
    current = queries.current_features(warehouse, AS_OF)
    done = materialize(
        current.table,
        current.as_of,
        service.s3,
        customers_table.client(),
        bucket=service.ids["DataBucket"],
        table=service.ids["CustomersTable"],
        work=tmp_path / "work",
        max_removed_share=1.0,
    )
    assert (done.customers, done.reasons) == (len(EXPECTED), {})
    store = FeatureStore(service.dynamodb, service.ids["CustomersTable"])
    stored = store.read(list(EXPECTED), [*NAMES, COUNT])
    for row, expected in zip(stored.values.tolist(), EXPECTED.values(), strict=True):
        assert [None if math.isnan(value) else value for value in row] == list(expected)
    answers = {customer_id: service.predict(customer_id, "rfm") for customer_id in (*EXPECTED, "7")}
    assert {customer_id: answer.body.get("code") for customer_id, answer in answers.items()} == {
        "1": None, "2": None, "3": "NO_PURCHASES", "4": "NO_PURCHASES", "5": None, "6": "NO_PURCHASES", "9": None,
        "7": "CUSTOMER_NOT_FOUND",
    }  # fmt: skip


def test_training_reads_the_same_columns_as_materialize(fill: Fill, connect: Open) -> None:
    """Of each example, the attributes of today beside the features of then."""
    came_back = "INSERT INTO sales VALUES (4, '2025-01-05', 50), (4, '2025-05-01', 5), (9, '2025-01-05', 50)"
    warehouse = connect(fill(*SHOP, came_back), settings(windows={"churn_days": 28, "churn_snapshots": 1}))
    examples = queries.churn_examples(warehouse)
    assert examples.names == NAMES
    assert examples.customer_ids.tolist() == ["1", "4"], "of 9, who is not in the customers table, nothing is known"
    assert examples.happened.tolist() == [True, False]
    current = queries.current_features(warehouse, datetime(2025, 4, 23, tzinfo=UTC))
    materialized = by_customer(current, warehouse)
    assert examples.features.tolist() == [list(materialized[each][: len(NAMES)]) for each in ("1", "4")]


def test_an_attribute_that_is_no_number_makes_no_example(fill: Fill, connect: Open) -> None:
    url = fill(
        *SHOP,
        "INSERT INTO sales VALUES (4, '2025-01-05', 50), (4, '2025-05-01', 5)",
        "INSERT INTO sales SELECT 10 + n, '2025-01-05', 50 FROM generate_series(0, 2) AS g(n)",
        """INSERT INTO people VALUES (10, '2025-01-01', 'gold', 'nan', true, 1),
           (11, '2025-01-01', 'gold', 'inf', true, 1),
           (12, '2025-01-01', 'gold', '-inf', true, 1)""",
    )
    examples = queries.churn_examples(connect(url, settings(windows={"churn_days": 28, "churn_snapshots": 1})))
    assert examples.customer_ids.tolist() == ["1", "4"]
    assert examples.left_out[queries.NOT_FINITE] == 3


def test_ids_that_are_written_in_another_way_are_shown(fill: Fill, connect: Open) -> None:
    padded = """CREATE TABLE padded AS SELECT '00' || CAST(nr AS VARCHAR) AS nr, since, tier, opens, mails, tickets
        FROM people"""
    shown = """CREATE TABLE shown AS
        SELECT nr, sold + INTERVAL '1 day' AS created_at, 'A' AS offer_id, true AS converted
        FROM (SELECT '00' || CAST(nr AS VARCHAR) AS nr, sold FROM sales) AS padded_sales"""
    url = fill(*SHOP, "INSERT INTO people (nr) VALUES (99)", padded, shown)
    tables = FIELDS["tables"]
    columns = {**FIELDS["columns"], "offers": {"customer_id": "nr"}}
    windows = {"churn_days": 28, "churn_snapshots": 1}
    strange = connect(url, settings(tables={**tables, "customers": "padded"}, windows=windows))
    with pytest.raises(
        Problem, match=r"no customer of sales \(such as '1'\) is in padded \(such as '001'\). Write the "
    ):
        queries.churn_examples(strange)
    with pytest.raises(
        Problem, match=r"no customer of shown \(such as '001'\) is in sales \(such as '1'\). Write the "
    ):
        queries.offer_examples(connect(url, settings(tables={**tables, "offers": "shown"}, columns=columns)))


def test_if_nobody_bought_the_sign_of_amounts_is_suspected(fill: Fill, connect: Open) -> None:
    warehouse = connect(fill(*SHOP, "UPDATE sales SET amount = -10"), settings(windows={"churn_days": 28}))
    with pytest.raises(Problem, match=r"turn the sign of amount of \[columns.transactions\] in a query"):
        queries.churn_examples(warehouse)


ATTRIBUTES = {
    "tier": FIELDS["features"]["tier"],
    "mails": {"column": "mails"},
    "opens": "opens",
    "days_since_last": {"column": "opens"},
}


@pytest.mark.parametrize("table", ["features", "churn", "offers"])
def test_categories_are_read_in_the_same_way_from_every_table(
    fill: Fill,
    connect: Open,
    table: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = """CREATE TABLE dated AS SELECT nr AS customer_id, tier, mails, opens, nr % 2 AS offer_id, nr = 1 AS churned,
        nr = 1 AS converted, CAST('2025-05-01' AS TIMESTAMP) AS updated_at,
        CAST(CASE WHEN nr = 6 THEN '2025-07-01' ELSE '2025-05-01' END AS TIMESTAMP) AS created_at,
        CAST('2025-05-01' AS TIMESTAMP) AS snapshot_date FROM people"""
    url = fill(*SHOP[:2], "INSERT INTO people VALUES (8, NULL, 'platinum', 0.5, true, 0)", rows)
    mapped = {"columns": {}, "features": ATTRIBUTES, "domains": {"days_since_last": {}}}  # here it is a share
    warehouse = connect(url, settings(tables={"features": "dated", table: "dated"}, **mapped))
    names = ("tier_gold", "tier_silver", "tier_bronze", "mails", "opens")
    complete = {"1": (1, 0, 0, 1, 0.5), "2": (0, 0, 1, 0, 0.25), "4": (0, 1, 0, 1, 0.75), "8": (0, 0, 0, 1, 0.5)}
    if table == "features":
        current = queries.current_features(warehouse)
        assert current.names == (*names, "days_since_last")
        found = {row["customer_id"]: row for row in warehouse.rows(current.table).to_pylist()}
        assert {each: tuple(found[each][name] for name in names) for each in complete} == complete
        assert [found["6"][name] for name in names] == [None] * 5
    else:
        examples = queries.churn_examples(warehouse) if table == "churn" else queries.offer_examples(warehouse)
        assert examples is not None
        assert examples.names == (*names, "days_since_last")
        assert dict(zip(examples.customer_ids, map(tuple, examples.features[:, :5].tolist()), strict=True)) == complete
    assert "dated: 2 rows have a category that is not under [features] tier, such as 'platinum'" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("kind", ["INTEGER", "REAL", "DOUBLE PRECISION", "NUMERIC(5, 2)", "VARCHAR(4)", "CHAR(4)"])
def test_a_category_that_is_a_number_is_the_same_whatever_its_type(fill: Fill, connect: Open, kind: str) -> None:
    url = fill(*SHOP, "CREATE TABLE ranked AS SELECT nr, CAST(nr % 3 AS INTEGER) AS ranked FROM people",
               f"ALTER TABLE ranked ALTER COLUMN ranked TYPE {kind} USING CAST(ranked AS {kind})")  # fmt: skip
    ranked = {"ranked": {"column": "ranked", "categories": ["0", "1"]}}
    tables = {"transactions": "sales", "customers": "ranked"}
    columns = {"transactions": FIELDS["columns"]["transactions"], "customers": {"customer_id": "nr"}}
    warehouse = connect(url, settings(tables=tables, columns=columns, features=ranked))
    rows = warehouse.rows(queries.current_features(warehouse).table).to_pylist()
    found = {row["customer_id"]: (row["ranked_0"], row["ranked_1"]) for row in rows if row["customer_id"] != "9"}
    assert found == {str(n): (float(n % 3 == 0), float(n % 3 == 1)) for n in range(1, 7)}


def test_of_a_customers_rows_that_are_the_same_one_counts_and_of_those_that_differ_none(
    fill: Fill, connect: Open
) -> None:
    url = fill(*SHOP, "CREATE TABLE once AS SELECT * FROM people", "INSERT INTO people SELECT * FROM once WHERE nr = 1",
               "INSERT INTO people (nr) VALUES (2), (NULL), (NULL)")  # fmt: skip
    clean = connect(url, settings(tables={"transactions": "sales", "customers": "once"}))
    expected = by_customer(queries.current_features(clean, AS_OF), clean)
    warehouse = connect(url, settings(reading={"max_rejected_share": 0.5}))
    found = by_customer(queries.current_features(warehouse, AS_OF), warehouse)
    assert found["1"] == expected["1"]
    assert found.get("2") != expected["2"], "which row is right is not known"
    assert {reason: one.count for reason, one in warehouse.left_out("customers").reasons.items()} == {
        "rows of the same customer that differ": 2, "no customer id": 2, "the same row again": 1,
    }  # fmt: skip
    strict = connect(url, settings())
    with pytest.raises(Problem, match=r"choose one by a query under \[tables\] customers"):
        queries.current_features(strict, AS_OF)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tables": {"transactions": "sales"}}, "features.wants_mail: it is a column of the customers table"),
        ({"features": {"tier": {"column": "t", "categories": ["a", "a"]}}}, "a category comes twice"),
        ({"features": {"tier": {"column": "t", "categories": ["a "]}}}, "'a ' ends with a blank"),
        ({"features": {"tier": {"column": "t", "categories": []}}}, "categories"),
        (
            {"features": {"tier": {"column": "t", "categories": ["a"]}, "tier_a": "b"}},
            "tier_a is made twice, by a feature and by a category",
        ),
    ],
)
def test_an_attribute_that_cannot_be_meant_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        settings(**changes)
