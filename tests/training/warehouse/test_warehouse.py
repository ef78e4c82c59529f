"""The warehouse on DuckDB and on a real PostgreSQL: the same tables, the same features, the same sentences."""

import math
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import psycopg
import pytest

from loyalty_ml.customers.online_store import FeatureStore
from tests.service import Service
from tests.training.warehouse.conftest import SETTINGS, Fill, Open
from tests.training.warehouse.postgres import PASSWORD, QUOTED_PASSWORD
from training import config
from training.config import Config
from training.errors import Problem
from training.snapshot import customers_table
from training.snapshot.materialize import materialize
from training.warehouse import features, queries
from training.warehouse.connection import Warehouse

pytestmark = pytest.mark.moto

DAY = timedelta(days=1)
AS_OF = datetime(2025, 6, 1, tzinfo=UTC)

TRANSACTIONS = """CREATE TABLE customer_transaction_history (
    customer_id VARCHAR, transaction_id BIGINT, transaction_date TIMESTAMP, transaction_amount NUMERIC(12, 2),
    product_id BIGINT, service VARCHAR
)"""


def insert(rows: list[tuple[Any, ...]], table: str = "customer_transaction_history") -> str:
    def literal(value: Any) -> str:
        if value is None:
            return "NULL"
        return str(value) if isinstance(value, int | Decimal | float) else f"'{value}'"

    return f"INSERT INTO {table} VALUES " + ", ".join(f"({', '.join(map(literal, row))})" for row in rows)


def random_transactions(seed: int, start: datetime, end: datetime, count: int = 400) -> list[tuple[Any, ...]]:
    """Half of them at midnight, where windows begin and end."""
    draw = random.Random(seed)
    seconds = int((end - start).total_seconds())

    def moment(number: int) -> datetime:
        at = start + timedelta(seconds=draw.randrange(seconds))
        return (at if number % 2 else at.replace(hour=0, minute=0, second=0)).replace(tzinfo=None)

    return [
        (
            f"c-{draw.randrange(40)}",
            draw.randrange(count),
            moment(number),
            Decimal(draw.randrange(-500, 20_000)) / 100,
            draw.randrange(30),
            draw.choice([None, None, "deli", "fuel"]),
        )
        for number in range(count)
    ]


def purchases_of(rows: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    """The lines of each purchase, by customer, day and transaction; returns are no purchases."""
    receipts: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        receipts.setdefault((row[0], row[2].date(), row[1]), []).append(row)
    return {
        key: lines
        for key, lines in receipts.items()
        if sum(line[3] for line in lines) > 0 or all(line[3] >= 0 for line in lines)
    }


def expected_features(rows: list[tuple[Any, ...]], as_of: datetime) -> dict[str, dict[str, float | None]]:
    """The definitions of docs/features.md, a customer at a time."""
    at = as_of.replace(tzinfo=None)
    answer: dict[str, dict[str, float | None]] = {}
    for customer in sorted({row[0] for row in rows if row[2] < at}):
        known = [row for row in rows if row[0] == customer and row[2] < at]
        revenue = float(sum(row[3] for row in known if row[2] >= at - 365 * DAY))
        lifetime_value = float(sum(row[3] for row in known))
        purchases = list(purchases_of(known).values())
        bought = [line for lines in purchases for line in lines]
        dates = [max(line[2] for line in lines) for lines in purchases]
        in_year = sum(date >= at - 365 * DAY for date in dates)
        weeks = {-((date - at) // (7 * DAY)) for date in dates}  # rounded up: 1 is the last seven days
        answer[customer] = {
            "revenue": revenue,
            "transaction_count": in_year,
            "days_since_last": (at - max(dates)) // DAY if dates else None,
            "avg_transaction_value": revenue / in_year if in_year else lifetime_value / max(len(purchases), 1),
            "lifetime_value": lifetime_value,
            "customer_age_days": (at - min(line[2] for line in bought)) // DAY if dates else None,
            "monthly_revenue": float(sum(row[3] for row in known if row[2] >= at - 30 * DAY)),
            "product_count": len({line[4] for line in bought}),
            "service_count": len({line[5] for line in bought} - {None}),
            "engagement_score": 100 * len([week for week in weeks if week <= 12]) / 12,
            "lifetime_transaction_count": len(purchases),
        }
        if not purchases:
            money = ("revenue", "lifetime_value", "monthly_revenue")
            answer[customer] = {name: value if name in money else None for name, value in answer[customer].items()}
            answer[customer]["lifetime_transaction_count"] = 0
    return answer


def computed_features(warehouse: Warehouse, expression: ibis.Table) -> dict[str, dict[str, float | None]]:
    names = (*SETTINGS.features, "lifetime_transaction_count")
    rows = warehouse.rows(expression.select("customer_id", *names)).to_pylist()
    return {row.pop("customer_id"): row for row in rows}


def transactions_of(warehouse: Warehouse) -> ibis.Table:
    table = warehouse.transactions()
    assert table is not None
    return table


def test_features_are_those_of_the_readme(fill: Fill, connect: Open) -> None:
    rows = random_transactions(1, AS_OF - 700 * DAY, AS_OF)
    warehouse = connect(fill(TRANSACTIONS, insert(rows)))
    computed = computed_features(warehouse, features.as_of(transactions_of(warehouse), AS_OF, SETTINGS.windows))
    assert computed == expected_features(rows, AS_OF)
    assert any(row["avg_transaction_value"] is None for row in computed.values()) or len(computed) == 40


def test_what_happens_from_the_moment_on_changes_no_feature(fill: Fill, connect: Open) -> None:
    before = random_transactions(2, AS_OF - 500 * DAY, AS_OF)
    at_the_moment = [("c-1", 9_001, AS_OF.replace(tzinfo=None), Decimal("99.00"), 777, "photo")]
    later = [*random_transactions(3, AS_OF, AS_OF + 100 * DAY), *at_the_moment]
    url = fill(TRANSACTIONS, insert(before))
    with connect(url) as warehouse:
        known = computed_features(warehouse, features.as_of(transactions_of(warehouse), AS_OF, SETTINGS.windows))
    warehouse = connect(
        fill(TRANSACTIONS, insert(before), insert(later)) if "postgres" in url else fill(insert(later)), SETTINGS
    )
    table = transactions_of(warehouse)
    assert warehouse.rows(table.aggregate(rows=table.count()))["rows"][0].as_py() == len(before) + len(later)
    assert computed_features(warehouse, features.as_of(table, AS_OF, SETTINGS.windows)) == known


def dated(day: int, hour: int = 12) -> datetime:
    return datetime(2025, 5, day, hour)  # noqa: DTZ001  as a warehouse has it


PURCHASES_AND_RETURNS: dict[str, tuple[list[tuple[Any, ...]], dict[str, float | None]]] = {
    "receipt numbers restart": (
        [("a", 1, dated(1), 5, 1, None), ("b", 1, dated(1), 5, 1, None), ("a", 1, dated(2), 5, 1, None)],
        {"lifetime_transaction_count": 2, "transaction_count": 2, "avg_transaction_value": 5},
    ),
    "the lines of a receipt are one": (
        [("a", 1, dated(1, 9), 5, 1, None), ("a", 1, dated(1, 10), 7, 2, "deli")],
        {"lifetime_transaction_count": 1, "avg_transaction_value": 12, "product_count": 2, "service_count": 1},
    ),
    "without a receipt number it is the day": (
        [
            ("a", None, dated(1, 9), 5, 1, None),
            ("a", None, dated(1, 20), 7, 2, None),
            ("a", None, dated(2), 1, 1, None),
        ],
        {"lifetime_transaction_count": 2, "revenue": 13},
    ),
    "a return moves money and nothing else": (
        [("a", 1, dated(1), 50, 1, None), ("a", 2, dated(30), -20, 2, "deli")],
        {
            "lifetime_transaction_count": 1,
            "transaction_count": 1,
            "days_since_last": 30,
            "customer_age_days": 30,
            "revenue": 30,
            "monthly_revenue": -20,
            "lifetime_value": 30,
            "avg_transaction_value": 30,
            "product_count": 1,
            "service_count": 0,
            "engagement_score": 100 / 12,
        },
    ),
    "what was taken back at once was not bought": (
        [("a", 1, dated(1), 50, 1, None), ("a", 2, dated(9), 20, 2, None), ("a", 2, dated(9), -20, 2, None)],
        {"lifetime_transaction_count": 1, "days_since_last": 30, "product_count": 1},
    ),
    "an exchange for something dearer was": (
        [("a", 1, dated(1), 50, 1, None), ("a", 2, dated(9), 30, 2, None), ("a", 2, dated(9), -20, 1, None)],
        {"lifetime_transaction_count": 2, "days_since_last": 22, "product_count": 2},
    ),
    "what was free was": (
        [("a", 1, dated(1), 0, 1, None)],
        {"lifetime_transaction_count": 1, "days_since_last": 30, "avg_transaction_value": 0, "revenue": 0},
    ),
    "the average is of all time if the year has no purchase": (
        [
            ("a", 1, datetime(2022, 1, 1), 50, 1, None),  # noqa: DTZ001
            ("a", 2, datetime(2022, 2, 1), 30, 1, None),  # noqa: DTZ001
            ("a", 3, dated(1), -20, 1, None),
        ],
        {"transaction_count": 0, "revenue": -20, "avg_transaction_value": 30, "lifetime_transaction_count": 2},
    ),
    "who only returned goods has money and no purchase": (
        [("a", 1, dated(1), -50, 1, "deli")],
        {
            **dict.fromkeys(SETTINGS.features),
            "revenue": -50,
            "lifetime_value": -50,
            "monthly_revenue": 0,
            "lifetime_transaction_count": 0,
        },
    ),
    "an amount that is missing is no purchase": (
        [("a", 1, dated(1), None, 1, None), ("a", 2, dated(2), 5, 2, None)],
        {"lifetime_transaction_count": 1, "customer_age_days": 29, "product_count": 1, "lifetime_value": 5},
    ),
}


@pytest.mark.parametrize("case", PURCHASES_AND_RETURNS)
def test_what_a_purchase_is_and_what_a_return(fill: Fill, connect: Open, case: str) -> None:
    rows, expected = PURCHASES_AND_RETURNS[case]
    settings = SETTINGS.model_copy(update={"reading": config.Reading(max_rejected_share=1)})
    warehouse = connect(fill(TRANSACTIONS, insert(rows)), settings)
    computed = computed_features(warehouse, features.as_of(transactions_of(warehouse), AS_OF, SETTINGS.windows))
    assert {name: computed["a"][name] for name in expected} == expected


def test_who_only_returned_goods_has_churned(fill: Fill, connect: Open) -> None:
    bought = [(customer, 1, dated(1), 50, 1, None) for customer in ("stays", "returns")]
    later = [("stays", 2, dated(20), 10, 1, None), ("returns", 3, dated(20), -50, 1, None)]
    warehouse = connect(fill(TRANSACTIONS, insert(bought + later)))
    transactions, moment = transactions_of(warehouse), datetime(2025, 5, 10, tzinfo=UTC)
    known = features.as_of(transactions, moment, SETTINGS.windows)
    later = features.bought_nothing(transactions, moment, 30 * DAY, known, SETTINGS.windows)
    labelled = warehouse.rows(later).to_pylist()
    assert {row["customer_id"]: row["happened"] for row in labelled} == {"stays": False, "returns": True}


def test_features_of_many_moments_at_once_are_those_of_each(fill: Fill, connect: Open) -> None:
    rows = random_transactions(4, AS_OF - 400 * DAY, AS_OF)
    moments = [AS_OF - days * DAY for days in (0, 40, 200)]
    asked = [(f"c-{number}", moments[number % 3].replace(tzinfo=None)) for number in range(40)]
    warehouse = connect(
        fill(
            TRANSACTIONS,
            insert(rows),
            "CREATE TABLE asked (customer_id VARCHAR, moment TIMESTAMP)",
            insert(asked, "asked"),
        ),
        SETTINGS,
    )
    each = features.as_of_each(transactions_of(warehouse), warehouse.backend.table("asked"), SETTINGS.windows)
    expected = [expected_features(rows, moment) for moment in moments]
    assert computed_features(warehouse, each) == {
        customer: expected[number % 3][customer]
        for number, (customer, _) in enumerate(asked)
        if customer in expected[number % 3]
    }


def test_tables_and_columns_may_have_any_names(fill: Fill, connect: Open) -> None:
    """Another schema, other names, no products or services, dates for timestamps, double for money."""
    settings = Config.model_validate(
        {
            "tables": {"transactions": "dwh.Sales"},
            "columns": {"transactions": {"customer_id": "Client Nr", "date": "day", "amount": "value"}},
        }
    )
    url = fill(
        "CREATE SCHEMA dwh",
        'CREATE TABLE dwh."Sales" ("Client Nr" INTEGER, day DATE, value DOUBLE PRECISION)',
        insert([(7, date(2025, 5, 1), 0.1), (7, date(2025, 5, 1), 0.2), (8, date(2025, 1, 1), 5.5)], 'dwh."Sales"'),
    )
    current = queries.current_features(warehouse := connect(url, settings))
    assert current.as_of == datetime(2025, 5, 2, tzinfo=UTC)
    assert "product_count" not in current.names
    rows = {row["customer_id"]: row for row in warehouse.rows(current.table).to_pylist()}
    assert set(rows) == {"7", "8"}
    assert rows["7"]["transaction_count"] == 1  # a day is a purchase where nothing says what belongs together
    assert rows["7"]["revenue"] == 0.3  # summed as decimals


def test_churn_from_transactions_is_no_purchase_in_the_window_and_nothing_else(fill: Fill, connect: Open) -> None:
    rows = random_transactions(5, AS_OF - 300 * DAY, AS_OF, count=150)
    rows.append(("c-1", 1, (AS_OF - timedelta(seconds=1)).replace(tzinfo=None), Decimal(1), 1, None))

    def in_horizon(row: tuple[Any, ...], moment: datetime) -> bool:
        at: datetime = row[2].replace(tzinfo=UTC)
        return moment <= at < moment + 28 * DAY

    settings = SETTINGS.model_copy(update={"tables": config.Tables(transactions="customer_transaction_history")})
    examples = queries.churn_examples(connect(fill(TRANSACTIONS, insert(rows)), settings))
    moments = [AS_OF - 28 * DAY * (back + 1) for back in range(6)]
    expected = {
        (customer, np.datetime64(moment.replace(tzinfo=None), "us")): customer not in came_back
        for moment in moments
        for came_back in [{key[0] for key in purchases_of([row for row in rows if in_horizon(row, moment)])}]
        for customer, values in expected_features(rows, moment).items()
        if values["lifetime_transaction_count"]
    }
    without_purchase = sum(
        not values["lifetime_transaction_count"]
        for moment in moments
        for values in expected_features(rows, moment).values()
    )
    assert without_purchase
    assert examples.left_out == {"no purchase before it": without_purchase}
    keys = zip(examples.customer_ids, examples.moments, strict=True)
    assert dict(zip(keys, examples.happened.tolist(), strict=True)) == expected
    assert examples.horizon_days == 28


CHURN = "CREATE TABLE customer_churn_history (customer_id VARCHAR, churned BOOLEAN, snapshot_date DATE, {})".format(
    ", ".join(f"{name} DOUBLE PRECISION" for name in SETTINGS.features)
)


def churn_rows(count: int = 6) -> list[tuple[Any, ...]]:
    return [(f"c-{n}", "true" if n % 2 else "false", date(2025, 1, 1), *range(n, n + 10)) for n in range(count)]


def test_labelled_tables_are_read_with_their_own_features_and_incomplete_rows_are_counted(
    fill: Fill, connect: Open
) -> None:
    rows = churn_rows()
    rows.append(("c-9", "true", date(2025, 1, 1), *range(9), None))
    rows += [(None, "true", date(2025, 1, 1), *range(10))] * 2
    settings = SETTINGS.model_copy(update={"tables": config.Tables(features="f", churn="customer_churn_history")})
    examples = queries.churn_examples(connect(fill(CHURN, insert(rows, "customer_churn_history")), settings))
    assert examples.customer_ids.tolist() == [f"c-{n}" for n in range(6)]
    assert examples.features.tolist() == [[float(n + place) for place in range(10)] for n in range(6)]
    assert examples.happened.tolist() == [False, True] * 3
    assert examples.left_out == {"no customer id": 2, "a feature is missing": 1}
    assert examples.purchases is None


def test_labelled_tables_without_features_get_them_from_transactions(fill: Fill, connect: Open) -> None:
    rows = random_transactions(6, AS_OF - 200 * DAY, AS_OF)
    moments = [AS_OF - (SETTINGS.windows.offer_days + n) * DAY for n in range(40)]
    shown = [(f"c-{n}", n % 8, "true" if n % 3 else "false", moments[n].replace(tzinfo=None)) for n in range(40)]
    url = fill(
        TRANSACTIONS,
        insert(rows),
        "CREATE TABLE customer_offer_history "
        "(customer_id VARCHAR, offer_id INTEGER, converted BOOLEAN, created_at TIMESTAMP)",
        insert(shown, "customer_offer_history"),
    )
    examples = queries.offer_examples(connect(url))
    assert examples is not None
    assert examples.offers is not None
    known = [expected_features(rows, moment) for moment in moments]
    bought = [n for n in range(40) if known[n].get(f"c-{n}", {}).get("lifetime_transaction_count")]
    assert sorted(examples.customer_ids) == sorted(f"c-{n}" for n in bought)
    for row in range(len(examples)):
        number = int(examples.customer_ids[row][2:])
        values = known[number][f"c-{number}"]
        assert examples.features[row].tolist() == [values[name] for name in SETTINGS.features]
        assert examples.offers[row] == number % 8


BAD_CHURN = {
    "no rows": ([], "customer_churn_history has no rows"),
    "one class": (churn_rows()[::2], "All 3 examples of customer_churn_history have the same label, False"),
}


@pytest.mark.parametrize("case", BAD_CHURN)
def test_what_cannot_be_learnt_from_is_refused_in_a_sentence(fill: Fill, connect: Open, case: str) -> None:
    rows, sentence = BAD_CHURN[case]
    url = fill(CHURN, *([insert(rows, "customer_churn_history")] if rows else []))
    settings = SETTINGS.model_copy(update={"tables": config.Tables(features="f", churn="customer_churn_history")})
    with pytest.raises(Problem) as problem:
        queries.churn_examples(connect(url, settings))
    assert sentence in str(problem.value)


def test_a_missing_table_or_column_is_named_with_what_is_there(fill: Fill, connect: Open) -> None:
    url = fill("CREATE TABLE customer_transactions (customer_id VARCHAR)", CHURN.replace("churned", "is_gone"))
    warehouse = connect(url)
    with pytest.raises(Problem, match=r"no table customer_transaction_history; it has customer_churn_history, cust"):
        warehouse.transactions()
    warehouse = connect(
        url, SETTINGS.model_copy(update={"tables": config.Tables(features="f", churn="customer_churn_history")})
    )
    with pytest.raises(Problem, match=r"customer_churn_history has no column churned; it has .*is_gone"):
        warehouse.churn()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "ALTER TABLE customer_churn_history ALTER COLUMN revenue TYPE VARCHAR",
            "Column revenue of .* is string, where a number",
        ),
        (
            "ALTER TABLE customer_churn_history ALTER COLUMN churned TYPE VARCHAR USING 'maybe'",
            "Column churned of .* is string, where a boolean",
        ),
        (
            "ALTER TABLE customer_churn_history ALTER COLUMN snapshot_date TYPE VARCHAR USING '01/02/2024'",
            "is string, where a date or timestamp",
        ),
    ],
)
def test_a_column_of_the_wrong_kind_is_named(fill: Fill, connect: Open, change: str, sentence: str) -> None:
    settings = SETTINGS.model_copy(update={"tables": config.Tables(features="f", churn="customer_churn_history")})
    with pytest.raises(Problem, match=sentence):
        connect(fill(CHURN, insert(churn_rows(), "customer_churn_history"), change), settings).churn()


def test_current_features_come_from_the_view_each_as_of_its_row(fill: Fill, connect: Open) -> None:
    columns = ", ".join(f"{name} DOUBLE PRECISION" for name in SETTINGS.features)
    rows = [("a", "2025-03-02 04:00:00", *range(10)), ("b", "2025-03-01 04:00:00", *range(9), None)]
    url = fill(
        f"CREATE TABLE customer_features_view (customer_id VARCHAR, updated_at TIMESTAMP, {columns})",
        insert(rows, "customer_features_view"),
    )
    settings = SETTINGS.model_copy(update={"tables": config.Tables(features="customer_features_view")})
    now = datetime(2025, 4, 1, 12, 30, 15, 250_000, tzinfo=UTC)
    current = queries.current_features(warehouse := connect(url, settings, now=now))
    assert current.as_of == now.replace(microsecond=0)
    assert current.names == tuple(SETTINGS.features)
    assert queries.rfm_features(settings, current.names) == ("days_since_last", "transaction_count", "revenue")
    found = {row["customer_id"]: row for row in warehouse.rows(current.table).to_pylist()}
    assert found["b"]["engagement_score"] is None
    assert {name: row["features_as_of"] for name, row in found.items()} == {
        "a": datetime(2025, 3, 2, 4, tzinfo=UTC),
        "b": datetime(2025, 3, 1, 4, tzinfo=UTC),
    }
    in_summer = settings.model_copy(update={"windows": config.Windows(time_zone="Europe/Berlin")})
    current = queries.current_features(warehouse := connect(url, in_summer, now=now))
    found = {row["customer_id"]: row for row in warehouse.rows(current.table).to_pylist()}
    assert found["a"]["features_as_of"] == datetime(2025, 3, 2, 3, tzinfo=UTC)
    assert math.isclose(found["a"]["engagement_score"], 9)


def test_as_of_a_date_refuses_what_only_the_features_table_has(fill: Fill, connect: Open) -> None:
    rows = random_transactions(7, AS_OF - 200 * DAY, AS_OF)
    warehouse = connect(fill(TRANSACTIONS, insert(rows)))
    settings = SETTINGS.model_copy(
        update={
            "tables": config.Tables(features="crm.everyone", transactions="customer_transaction_history"),
            "features": {**SETTINGS.features, "email_open_rate": "opened", "tickets": "tickets"},
        }
    )
    with pytest.raises(
        Problem, match=r"cannot give email_open_rate, tickets; only crm\.everyone has them, .*Leave out --as-of"
    ):
        queries.current_features(Warehouse(warehouse.backend, settings), AS_OF)


def view_of(rows: list[tuple[Any, ...]], *more: str) -> tuple[str, str]:
    columns = ", ".join(f"{name} DOUBLE PRECISION" for name in (*SETTINGS.features, *more))
    table = f"CREATE TABLE customer_features_view (customer_id VARCHAR, updated_at TIMESTAMP, {columns})"
    return table, insert(rows, "customer_features_view")


def test_what_the_view_lacks_for_rfm_is_computed_from_transactions(fill: Fill, connect: Open) -> None:
    view = [("a", "2025-06-01 00:00:00", *range(10)), ("registered", "2025-06-01 00:00:00", *range(10))]
    bought = [("a", number, dated(number), number, 1, None) for number in (1, 2, 30)]
    url = fill(TRANSACTIONS, insert(bought), *view_of(view))
    current = queries.current_features(warehouse := connect(url))
    assert current.names == (*SETTINGS.features, "lifetime_transaction_count")
    rows = {row.pop("customer_id"): list(row.values())[:-1] for row in warehouse.rows(current.table).to_pylist()}
    assert rows == {"a": [*range(10), 3], "registered": [*range(10), 0]}
    narrow = SETTINGS.model_copy(update={"rfm": config.Rfm(window_days=10)})
    current = queries.current_features(warehouse := connect(url, narrow))
    assert queries.rfm_features(narrow, current.names) == ("days_since_last", "rfm_transaction_count", "rfm_revenue")
    rows = {row.pop("customer_id"): list(row.values())[10:-1] for row in warehouse.rows(current.table).to_pylist()}
    assert rows == {"a": [3, 1, 30], "registered": [0, None, None]}


def test_the_views_own_lifetime_columns_are_rfms(fill: Fill, connect: Open) -> None:
    view = [("a", "2025-06-01 00:00:00", *range(10), 77)]
    settings = SETTINGS.model_copy(update={"tables": config.Tables(features="customer_features_view")})
    current = queries.current_features(
        warehouse := connect(fill(*view_of(view, "lifetime_transaction_count")), settings)
    )
    names = queries.rfm_features(settings, current.names)
    assert names == ("days_since_last", "lifetime_transaction_count", "lifetime_value")
    assert queries.matrix(warehouse, current.table, names).tolist() == [[2, 77, 4]]


def test_rfm_has_its_columns_whatever_the_models_read(fill: Fill, connect: Open) -> None:
    settings = Config.model_validate(
        {
            "tables": {"transactions": "customer_transaction_history"},
            "features": {"revenue": "revenue"},
            "rfm": {"window_days": 10},
        }
    )
    bought = [("a", number, dated(number), number, 1, None) for number in (1, 2, 30)]
    current = queries.current_features(warehouse := connect(fill(TRANSACTIONS, insert(bought)), settings), AS_OF)
    row = {"customer_id": "a", "revenue": 33, "days_since_last": 1, "lifetime_transaction_count": 3}
    assert warehouse.rows(current.table).to_pylist() == [
        {**row, "lifetime_value": 33, "rfm_transaction_count": 1, "rfm_revenue": 30}
    ]


def test_any_warehouse_can_be_materialized(
    fill: Fill, connect: Open, new_service: Callable[[], Service], tmp_path: Path
) -> None:
    rows = random_transactions(7, AS_OF - 200 * DAY, AS_OF)
    warehouse, service = connect(fill(TRANSACTIONS, insert(rows))), new_service()
    settings = SETTINGS.model_copy(update={"tables": config.Tables(transactions="customer_transaction_history")})
    current = queries.current_features(Warehouse(warehouse.backend, settings), AS_OF)
    ids = service.ids
    done = materialize(
        current.table,
        current.as_of,
        service.s3,
        customers_table.client(),
        bucket=ids["DataBucket"],
        table=ids["CustomersTable"],
        work=tmp_path / "work",
    )
    expected = expected_features(rows, AS_OF)
    assert done.customers == len(expected)
    read = FeatureStore(service.dynamodb, ids["CustomersTable"]).read(list(expected), current.names)
    assert read.values.tolist() == [[row[name] for name in current.names] for row in expected.values()]
    assert read.as_of == "2025-06-01T00:00:00Z"


@pytest.mark.long
def test_the_demo_warehouse_is_the_same_on_both(fill: Fill, connect: Open) -> None:
    from training.warehouse import demo

    demo.build(url := fill("SELECT 1"))
    warehouse = connect(url, config.load())
    churn, offers = queries.churn_examples(warehouse), queries.offer_examples(warehouse)
    assert offers is not None
    assert offers.offers is not None
    assert (len(churn), int(churn.happened.sum())) == (14_637, 2_602)
    # Of the 6,589 exposures, 165 came before the household's first purchase in the panel.
    assert offers.left_out == {"shown less than 60 days before the data ends": 898, "a feature is missing": 165}
    assert (len(offers), int(offers.happened.sum())) == (5_526, 732)
    seen = dict(zip(offers.names, offers.features.sum(axis=0).tolist(), strict=True))
    assert (seen["offers_seen"], seen["offers_taken"]) == (8_260, 1_094)
    totals = dict(zip(churn.names, churn.features.sum(axis=0).tolist(), strict=True))
    assert totals["revenue"] == pytest.approx(20_110_599.02, rel=1e-12)
    assert (totals["days_since_last"], totals["product_count"], totals["service_count"]) == (268_379, 4_005_959, 44_149)
    assert queries.current_features(warehouse).newest == demo.AS_OF


def test_a_warehouse_that_lets_nobody_in_is_told_without_the_password(postgres_port: int, connect: Open) -> None:
    wrong = f"postgresql://warehouse:{QUOTED_PASSWORD}x@127.0.0.1:{postgres_port}/postgres"
    with pytest.raises(Problem, match='password authentication failed for user "warehouse"') as problem:
        connect(wrong)
    for secret in (PASSWORD, QUOTED_PASSWORD):
        assert secret not in str(problem.value)


def test_a_user_who_may_not_read_a_table_is_told_to_have_it_granted(postgres_port: int, connect: Open) -> None:
    owner = f"postgresql://warehouse:{QUOTED_PASSWORD}@127.0.0.1:{postgres_port}/postgres"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS hidden CASCADE; DROP ROLE IF EXISTS nobody")
        connection.execute("CREATE SCHEMA hidden; CREATE TABLE hidden.sales (id INT)")
        connection.execute("CREATE ROLE nobody LOGIN PASSWORD 'nobody'")
    warehouse = connect(f"postgresql://nobody:nobody@127.0.0.1:{postgres_port}/postgres")
    refused = r"permission denied for schema hidden: grant the user of the warehouse to read it\.$"
    with pytest.raises(Problem, match=refused):
        warehouse.rows(warehouse.backend.table("sales", database="hidden"))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://someone:hush@127.0.0.1:1/dwh", "Connection refused: correct the URL of --warehouse"),
        ("duckdb:///no/such/folder/file.duckdb", "does not exist.*: correct the URL of --warehouse"),
        ("warehouse.duckdb", "is no warehouse URL"),
        ("mssql://someone:hush@127.0.0.1/dwh", r"pip install 'ibis-framework\[mssql\]'"),
        ("nosuchdatabase://someone:hush@127.0.0.1/dwh", "nosuchdatabase"),
    ],
)
def test_an_unreachable_warehouse_is_one_sentence(url: str, sentence: str, connect: Open) -> None:
    with pytest.raises(Problem, match=sentence) as problem:
        connect(url)
    assert "hush" not in str(problem.value)
    assert "\n" not in str(problem.value)
