"""Rows that cannot be used change nothing but the counts, and an id is the same text in every table."""

import math
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.training.warehouse.conftest import Fill, Open
from training.config import Config
from training.errors import Problem
from training.warehouse import queries
from training.warehouse.cleaning import LeftOut, Reason
from training.warehouse.connection import Warehouse
from training.warehouse.examples import Examples

pytestmark = pytest.mark.moto

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
START = datetime(2025, 6, 1, 9)  # noqa: DTZ001  # the warehouse's own, without a zone
NAMES = ("spent", "opened")


def shop(**sections: Any) -> Config:
    """A shop of its own names; with transactions alone if no other tables are named."""
    tables = sections.pop("tables", {"transactions": "receipts"})
    return Config.model_validate(
        {
            "tables": tables,
            "columns": {
                "transactions": {"customer_id": "customer_no", "date": "bought_at", "transaction": "receipt_no"}
                | {"amount": "amount"},
                "features": {"customer_id": "customer_no"},
                "churn": {"customer_id": "customer_no"},
                "offers": {"customer_id": "customer_no"},
            },
            "windows": {"churn_days": 90, "churn_snapshots": 2},
            **sections,
        }
    )


LABELLED = {"features": {name: name for name in NAMES}}


def receipts(count: int = 300, customers: int = 25) -> list[tuple[Any, ...]]:
    """customer_no, bought_at, amount, receipt_no; customers come and go, some pay back."""
    draw = random.Random(5)
    rows = []
    for number in range(count):
        customer = draw.randrange(customers)
        at = START + timedelta(days=draw.randrange(20 * (customer + 2)), seconds=draw.randrange(80_000))
        rows.append((1000 + customer, at, Decimal(draw.randrange(-300, 9_000)) / 100, number % 60))
    return rows


def create(table: str, columns: str, rows: list[tuple[Any, ...]]) -> list[str]:
    def literal(value: Any) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, float) and not math.isfinite(value):
            return f"CAST('{value}' AS DOUBLE PRECISION)"
        return str(value) if isinstance(value, int | Decimal | float) else f"'{value}'"

    values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    return [f"CREATE TABLE {table} ({columns})", f"INSERT INTO {table} VALUES {values}"]


RECEIPTS = "customer_no {id}, bought_at {moment}, amount {amount}, receipt_no INTEGER"
CLEAN = RECEIPTS.format(id="INTEGER", moment="TIMESTAMP", amount="DECIMAL(12, 2)")


def features_of(warehouse: Warehouse) -> tuple[datetime, pa.Table]:
    current = queries.current_features(warehouse)
    return current.as_of, warehouse.rows(current.table.order_by("customer_id"))


def assert_same_examples(one: Examples | None, other: Examples | None) -> None:
    assert one is not None
    assert other is not None
    assert one.customer_ids.tolist() == other.customer_ids.tolist()
    assert one.moments.tolist() == other.moments.tolist()
    assert one.features.tobytes() == other.features.tobytes()
    assert one.happened.tolist() == other.happened.tolist()
    assert (one.offers is None) == (other.offers is None)
    if one.offers is not None and other.offers is not None:
        assert one.offers.tolist() == other.offers.tolist()
    if one.purchases is not None and other.purchases is not None:
        assert one.purchases.tobytes() == other.purchases.tobytes()


BAD_RECEIPTS: dict[str, tuple[dict[str, str], list[tuple[Any, ...]], dict[str, int]]] = {
    "guests": (
        {},
        [(None, row[1], row[2], 900) for row in receipts()],
        {"no customer id": 300},  # as many as the others: they are no fault
    ),
    "float ids": ({"id": "DOUBLE PRECISION"}, [], {}),
    "decimal ids": ({"id": "NUMERIC(12, 3)"}, [], {}),
    "text ids with blanks": ({"id": "CHAR(9)"}, [("         ", START, Decimal(1), 900)], {"no customer id": 1}),
    "one in 2099": ({}, [(1001, "2099-12-31 00:00:00", 10, 1)], {"dated after this run": 1}),
    "one an hour ahead": ({}, [(1001, "2026-11-18 13:00:00", 10, 1)], {"dated after this run": 1}),
    "no date": ({}, [(1001, None, 10, 1)], {"no date": 1}),
    "no date that is one": ({}, [(1001, "0001-01-01 00:00:00", 10, 1)], {"dated before 1900": 1}),
    "no date that Python has": (
        {},
        [(1001, "infinity", 10, 1), (1001, "-infinity", 10, 1), (1001, "20000-01-01 00:00:00", 10, 1)],
        {"dated after this run": 2, "dated before 1900": 1},
    ),
    "no amount": ({}, [(1001, "2026-01-01 00:00:00", None, 1)], {"no amount": 1}),
    "amounts that are none": (
        {"amount": "DOUBLE PRECISION"},
        [(1001, "2026-01-01 00:00:00", amount, 1) for amount in (math.nan, math.inf, -math.inf, 1e300, -1.1e12)],
        {"an amount that is not a number, infinite or over 1,000,000,000,000": 5},
    ),
    "a huge decimal": (
        {"amount": "DECIMAL(20, 2)"},
        [(1001, "2026-01-01 00:00:00", 10**13, 1)],
        {"an amount that is not a number, infinite or over 1,000,000,000,000": 1},
    ),
}


@pytest.mark.parametrize("case", BAD_RECEIPTS)
def test_bad_rows_change_no_feature_and_no_label_and_are_counted(fill: Fill, connect: Open, case: str) -> None:
    kinds, bad, counts = BAD_RECEIPTS[case]
    columns = RECEIPTS.format(**{"id": "INTEGER", "moment": "TIMESTAMP", "amount": "DECIMAL(12, 2)"} | kinds)
    url = fill(*create("receipts", CLEAN, receipts()), *create("with_bad", columns, [*receipts(), *bad]))
    clean, dirty = (connect(url, shop(tables={"transactions": name}), now=NOW) for name in ("receipts", "with_bad"))
    assert features_of(dirty)[0] == features_of(clean)[0]
    assert features_of(dirty)[1].equals(features_of(clean)[1])
    examples = queries.churn_examples(dirty)
    assert_same_examples(examples, queries.churn_examples(clean))
    left_out = dirty.left_out("transactions")
    assert left_out.rows == 300 + len(bad)
    assert {reason: one.count for reason, one in left_out.reasons.items()} == counts
    assert counts.items() <= examples.left_out.items()


def test_an_amount_of_any_precision_may_be_nan_or_infinite(fill: Fill, connect: Open) -> None:
    kind = "NUMERIC" if "postgres" in fill("SELECT 1") else "DOUBLE"  # PostgreSQL's decimals know NaN
    columns = RECEIPTS.format(id="INTEGER", moment="TIMESTAMP", amount=kind)
    bad = [(1001, "2026-01-01 00:00:00", amount, 1) for amount in (math.nan, -math.inf)]
    url = fill(*create("receipts", CLEAN, receipts()), *create("with_bad", columns, [*receipts(), *bad]))
    clean, dirty = (connect(url, shop(tables={"transactions": name}), now=NOW) for name in ("receipts", "with_bad"))
    assert features_of(dirty)[1].equals(features_of(clean)[1])
    assert dirty.left_out("transactions").total == 2


def test_what_is_read_and_left_out_is_told_once_with_an_example(fill: Fill, connect: Open) -> None:
    url = fill(*create("receipts", CLEAN, [*receipts(), (1001, "2099-12-31 00:00:00", 10, 1)]))
    told: list[str] = []
    warehouse = connect(url, shop(), now=NOW, tell=told.append)
    queries.churn_examples(warehouse)
    queries.current_features(warehouse)
    assert told == [
        "receipts: 301 rows read, 1 left out",
        "  1: dated after this run (such as customer_no 1001, bought_at 2099-12-31 00:00:00, amount 10.00)",
    ]


def test_too_many_bad_rows_are_refused_with_what_to_do_but_any_number_of_guests_is_not(
    fill: Fill, connect: Open
) -> None:
    bad = [(1001, f"2099-12-{day:02} 00:00:00", 10, 1) for day in range(1, 31)]
    guests = [(None, "2026-01-01 00:00:00", 10, 1)] * 1000
    url = fill(*create("receipts", CLEAN, [*receipts(270), *bad, *guests]))
    queries.current_features(connect(url, shop(), now=NOW))  # 30 of 300 are a tenth
    with pytest.raises(Problem) as problem:
        queries.current_features(connect(url, shop(reading={"max_rejected_share": 0.09}), now=NOW))
    assert str(problem.value) == (
        "30 of 1,300 rows of receipts cannot be used, mostly (30) because of: dated after this run (such as "
        "customer_no 1001, bought_at 2099-12-01 00:00:00, amount 10.00). That is 10.0%, over [reading] "
        "max_rejected_share (0.09): correct the dates, or name the zone that they are in as [windows] time_zone, leave "
        "such rows out in the warehouse, or raise that share."
    )


@pytest.mark.parametrize(
    ("empty", "key"),
    [
        ({"bought_at": "NULL"}, "date under [columns.transactions]"),
        ({"amount": "NULL"}, "amount under [columns.transactions]"),
        ({"converted": "NULL"}, "converted under [columns.offers]"),
        ({"created_at": "NULL"}, "created_at under [columns.offers]"),
        ({"offer_id": "NULL"}, "offer_id under [columns.offers]"),
        ({"offer_id": "99"}, "put the offers under [[offers]], or map another column as offer_id"),
        ({"churned": "NULL"}, "churned under [columns.churn]"),
        ({"snapshot_date": "NULL"}, "snapshot_date under [columns.churn]"),
        ({"updated_at": "NULL"}, "updated_at under [columns.features]"),
    ],
)
def test_a_refusal_names_the_key_to_change(fill: Fill, connect: Open, empty: dict[str, str], key: str) -> None:
    kinds = {"bought_at": "TIMESTAMP", "amount": "INTEGER", "created_at": "TIMESTAMP", "converted": "BOOLEAN"}
    kinds |= {"offer_id": "INTEGER", "snapshot_date": "TIMESTAMP", "churned": "BOOLEAN", "updated_at": "TIMESTAMP"}
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    # The first rule that a row breaks is its reason, so what comes before is there.
    known = {"bought_at": f"'{START}'", "created_at": f"'{START}'", "snapshot_date": f"'{START}'", "converted": "true"}
    row = {"customer_no": "1", **known, **empty}
    insert = f"INSERT INTO everything ({', '.join(row)}) VALUES ({', '.join(row.values())})"
    url = fill(
        f"CREATE TABLE everything (customer_no INTEGER, receipt_no INTEGER, {columns}, spent REAL, opened REAL)", insert
    )
    section = next(name for name in ("transactions", "offers", "churn", "features") if name in key)
    tables = {"features": "everything", section: "everything"}
    catalogue = [{"offer_id": 1}, {"offer_id": 2}]
    warehouse = connect(url, shop(tables=tables, offers=catalogue, **LABELLED), now=NOW)
    with pytest.raises(Problem) as problem:
        getattr(warehouse, section)()
    assert key in str(problem.value)


IDS = [
    ("DOUBLE PRECISION", ["1000", "1e15", "1e16", "9007199254740992", "-0.0", "-7"],
     ["-7", "0", "1000", "1000000000000000", "10000000000000000", "9007199254740992"]),
    ("REAL", ["1000", "16777216"], ["1000", "16777216"]),
    ("NUMERIC(30, 4)", ["1000.0000", "12345678901234567890123456.0000", "0", "100"],
     ["0", "100", "1000", "12345678901234567890123456"]),
    ("NUMERIC(38, 0)", ["99999999999999999999999999999999999999", "10"],
     ["10", "99999999999999999999999999999999999999"]),
    ("BIGINT", ["9223372036854775807", "1000"], ["1000", "9223372036854775807"]),
    ("UUID", ["'6f9619ff-8b86-d011-b42d-00cf4fc964ff'"], ["6f9619ff-8b86-d011-b42d-00cf4fc964ff"]),
    ("CHAR(6)", ["'0042'", "' 7'", "'a b'"], [" 7", "0042", "a b"]),
    ("VARCHAR", ["'0042  '", "'x'", "'1000.0'"], ["0042", "1000.0", "x"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "ids", "texts"), IDS, ids=[kind for kind, _, _ in IDS])
def test_an_id_is_the_same_text_whatever_type_it_has(
    fill: Fill, connect: Open, kind: str, ids: list[str], texts: list[str]
) -> None:
    rows = ", ".join(f"({one}, TIMESTAMP '2026-01-01 00:00:00', 1, 1)" for one in ids)
    columns = RECEIPTS.format(id=kind, moment="TIMESTAMP", amount="INTEGER")
    url = fill(f"CREATE TABLE receipts ({columns})", f"INSERT INTO receipts VALUES {rows}")
    assert sorted(features_of(connect(url, shop(), now=NOW))[1]["customer_id"].to_pylist()) == sorted(texts)


@pytest.mark.parametrize(
    ("kind", "bad", "listed"),
    [
        ("DOUBLE PRECISION", ["10.5", "7.25", "3.125", "1.5"], r"1\.5, 10\.5, 3\.125"),
        ("DOUBLE PRECISION", ["'NaN'"], "[Nn]a[Nn]"),
        ("DOUBLE PRECISION", ["'-Infinity'"], "-[Ii]nf(inity)?"),
        ("DOUBLE PRECISION", ["1e19"], r"1e\+?19"),  # no longer tells one customer from the next
        ("NUMERIC(12, 2)", ["10.50"], r"10\.50"),
    ],
)
def test_an_id_that_is_no_whole_number_is_refused_with_examples(
    fill: Fill, connect: Open, kind: str, bad: list[str], listed: str
) -> None:
    rows = ", ".join(f"({one}, TIMESTAMP '2026-01-01 00:00:00', 1, 1)" for one in ["1000", *bad])
    columns = RECEIPTS.format(id=kind, moment="TIMESTAMP", amount="INTEGER")
    url = fill(f"CREATE TABLE receipts ({columns})", f"INSERT INTO receipts VALUES {rows}")
    sentence = f"Column customer_no of receipts has ids that are not whole numbers, such as {listed}: map"
    with pytest.raises(Problem, match=sentence):
        queries.current_features(connect(url, shop(), now=NOW))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("BOOLEAN", "true"), ("DATE", "'2026-01-01'"), ("INTEGER[]", "NULL"), ("BYTEA", "'a'"), ("JSON", "'1'")],
)
def test_a_column_that_can_hold_no_id_is_refused(fill: Fill, connect: Open, kind: str, value: str) -> None:
    columns = RECEIPTS.format(id=kind, moment="TIMESTAMP", amount="INTEGER")
    url = fill(f"CREATE TABLE receipts ({columns})", f"INSERT INTO receipts VALUES ({value}, '2026-01-01', 1, 1)")
    with pytest.raises(Problem, match=r"Column customer_no of receipts is .*, where a text, a whole number or a UUID"):
        queries.current_features(connect(url, shop(), now=NOW))


OFFERS = "customer_no {id}, offer_id INTEGER, converted BOOLEAN, created_at TIMESTAMP"


def shown(customers: range = range(1000, 1025)) -> list[tuple[Any, ...]]:
    return [
        (customer, (customer + place) % 8, "true" if customer * 7 % 3 == place else "false", START + timedelta(days=90))
        for customer in customers
        for place in range(2)
    ]


def test_a_table_with_float_ids_joins_one_with_integers(fill: Fill, connect: Open) -> None:
    url = fill(
        *create("receipts", CLEAN, receipts()),
        *create("integers", OFFERS.format(id="INTEGER"), shown()),
        *create("floats", OFFERS.format(id="DOUBLE PRECISION"), shown()),
        *create("chars", OFFERS.format(id="CHAR(8)"), shown()),
    )
    examples = [
        queries.offer_examples(connect(url, shop(tables={"transactions": "receipts", "offers": name}), now=NOW))
        for name in ("integers", "floats", "chars")
    ]
    assert examples[0] is not None
    assert len(examples[0]) > 20
    assert_same_examples(examples[1], examples[0])
    assert_same_examples(examples[2], examples[0])


def test_a_repeated_exposure_counts_once_and_converted_if_any_was(fill: Fill, connect: Open) -> None:
    columns = OFFERS.format(id="INTEGER") + ", spent DOUBLE PRECISION, opened DOUBLE PRECISION"
    at = START + timedelta(days=1)
    rows = [(number, number % 8, "true" if number % 2 else "false", at, 1.5, 2.5) for number in range(100)]
    again = [
        rows[0],
        rows[1],
        (2, 2, "true", at, 1.5, 2.5),
        (3, 3, "false", at, 1.5, 2.5),
        (4, 5, "true", at, 1.5, 2.5),
    ]
    unknown = [(5, 8, "true", at, 1.5, 2.5), (5, -1, "true", at, 1.5, 2.5), (6, None, "true", at, 1.5, 2.5)]
    young = (8, 1, "false", at + timedelta(days=1), 1.5, 2.5)
    url = fill(*create("mailings", columns, [*rows, *again, *unknown, (7, 7, None, at, 1.5, 2.5), young]))
    catalogue = [{"offer_id": code, "offer_name": f"Offer {code}", "category": "shop"} for code in range(8)]
    windows = {"offer_days": 1}
    labelled = shop(tables={"features": "view", "offers": "mailings"}, offers=catalogue, windows=windows, **LABELLED)
    examples = queries.offer_examples(connect(url, labelled, now=NOW))
    assert examples is not None
    assert examples.offers is not None
    expected = {(str(row[0]), row[1]): row[2] == "true" for row in rows} | {("2", 2): True, ("4", 5): True}
    keys = zip(examples.customer_ids.tolist(), examples.offers.tolist(), strict=True)
    assert dict(zip(keys, examples.happened.tolist(), strict=True)) == expected
    assert len(examples) == len(expected)
    assert examples.left_out == {
        "the same customer, moment and offer again": 4,
        "an offer that the catalogue does not have": 2,
        "no offer": 1,
        "no label": 1,
        "shown less than 1 days before the data ends": 1,
    }


CHURN = "customer_no INTEGER, churned BOOLEAN, snapshot_date TIMESTAMP, spent DOUBLE PRECISION, opened DOUBLE PRECISION"
WITH_DAYS = {"features": {**LABELLED["features"], "days_since_last": "spent"}}
"""Labels of churn need a column that says who is active."""


def test_of_churn_rows_that_are_the_same_one_counts_and_of_those_that_differ_none(fill: Fill, connect: Open) -> None:
    at = START
    rows = [(number, "true" if number % 2 else "false", at, float(number), None if number == 60 else 1.0)
            for number in range(100)]  # fmt: skip
    twice = [rows[7], rows[7], rows[60]]
    differing = [(8, "true", at, 8.0, 1.0), (9, "true", at, 9.5, 1.0)]
    later = [(10, "true", at + timedelta(days=90), 1.0, 1.0)]
    broken = [(200, "true", at, math.nan, 1.0), (201, "true", at, 1.0, math.inf), (202, None, at, 1.0, 1.0)]
    url = fill(*create("labels", CHURN, [*rows, *twice, *differing, *later, *broken]))
    labelled = shop(tables={"features": "view", "churn": "labels"}, **WITH_DAYS)
    examples = queries.churn_examples(connect(url, labelled, now=NOW))
    counted = [str(row[0]) for row in rows if row[0] not in {8, 9, 60}] + ["10"]
    assert sorted(examples.customer_ids.tolist()) == sorted(counted)
    assert examples.left_out == {
        "rows of the same customer and moment that differ": 4,
        "the same row again": 3,
        "spent is infinite or not a number": 1,
        "opened is infinite or not a number": 1,
        "no label": 1,
        "a feature is missing": 1,
    }


VIEW = "customer_no {id}, updated_at TIMESTAMP, spent DOUBLE PRECISION, opened DOUBLE PRECISION"


def test_of_a_customers_rows_in_the_features_view_the_newest_counts(fill: Fill, connect: Open) -> None:
    rows: list[tuple[Any, ...]] = [(number, START, float(number), None) for number in range(100)]
    more = [
        (1, START - timedelta(days=3), 77.0, None),  # older
        (2, START + timedelta(days=3), 78.0, 1.0),  # newer
        rows[3],
        (4, START, 4.5, None),
        (5, "2099-01-01 00:00:00", 5.5, None),
        (6, None, 6.5, None),
        (None, START, 7.5, None),
    ]
    url = fill(*create("everyone", VIEW.format(id="INTEGER"), [*rows, *more]))
    warehouse = connect(url, shop(tables={"features": "everyone"}, **LABELLED), now=NOW)
    as_of, table = features_of(warehouse)
    assert as_of == NOW
    values = {row["customer_id"]: (row["spent"], row["opened"]) for row in table.to_pylist()}
    assert len(values) == len(table)
    assert values == {str(number): (float(number), None) for number in range(100) if number != 4} | {"2": (78.0, 1.0)}
    assert warehouse.left_out("features").reasons == {
        "an older row of the same customer": Reason(2, "customer_no 1, updated_at 2025-05-29 09:00:00"),
        "rows of the same customer and moment that differ": Reason(2, "customer_no 4, updated_at 2025-06-01 09:00:00"),
        "dated after this run": Reason(1, "customer_no 5, updated_at 2099-01-01 00:00:00"),
        "no customer id": Reason(1, "customer_no NULL, updated_at 2025-06-01 09:00:00"),
        "no date": Reason(1, "customer_no 6, updated_at NULL"),
        "the same row again": Reason(1, "customer_no 3, updated_at 2025-06-01 09:00:00"),
    }
    assert warehouse.left_out("churn") == LeftOut()


TAKEN = ("rank", "place", "newest", "kinds", "again", "left_out", "raw_id", "id_is_whole", "has_customer", "rows")


@pytest.mark.parametrize("name", TAKEN)
def test_a_feature_may_be_called_as_what_marks_rows_was(fill: Fill, connect: Open, name: str) -> None:
    at, later = START + timedelta(days=1), START + timedelta(days=40)
    url = fill(
        *create("everyone", f"customer_no INTEGER, updated_at TIMESTAMP, {name} INTEGER", [(1, at, 70), (2, at, 80)]),
        *create(
            "mailings",
            f"customer_no INTEGER, offer_id INTEGER, converted BOOLEAN, created_at TIMESTAMP, {name} INTEGER",
            [(1, 0, "true", at, 70), (1, 0, "true", at, 70), (2, 1, "false", at, 80), (2, 1, "false", later, 80)],
        ),
    )
    tables = {"features": "everyone", "offers": "mailings"}
    own = shop(tables=tables, features={name: name}, reading={"max_rejected_share": 0.5})
    warehouse = connect(url, own, now=NOW)
    assert features_of(warehouse)[1][name].to_pylist() == [70, 80]
    examples = queries.offer_examples(warehouse)
    assert examples is not None
    assert examples.features.tolist() == [[70], [80]]


ZONED = [
    # bought at 23:30 UTC of 14 January: already the 15th in Berlin, where the days 31 and 30 before the moment begin
    "2026-01-14 23:30:00+00",
    "2026-02-13 23:30:00+00",
]


EPOCH = [int(datetime.fromisoformat(at).timestamp()) for at in ZONED]
LOCAL: dict[str, list[Any]] = {
    "TIMESTAMP WITH TIME ZONE": ZONED,
    "TIMESTAMP": ["2026-01-15 00:30:00", "2026-02-14 00:30:00"],
    "VARCHAR": ["2026-01-15T00:30:00", "2026-02-14T00:30:00"],
    "VARCHAR(40)": ["2026-01-15T01:30:00+02:00", "2026-02-13T23:30:00Z"],
    "INTEGER": EPOCH,
    "BIGINT": [at * 1000 for at in EPOCH],
    "NUMERIC(20, 0)": [at * 1_000_000 for at in EPOCH],
}


@pytest.mark.parametrize("kind", LOCAL)
def test_moments_are_read_and_days_begin_in_the_time_zone(fill: Fill, connect: Open, kind: str) -> None:
    local = LOCAL[kind]
    columns = RECEIPTS.format(id="INTEGER", moment=kind, amount="INTEGER")
    url = fill(*create("receipts", columns, [(7, at, 5, place) for place, at in enumerate(local)]))
    as_of, table = features_of(connect(url, shop(windows={"time_zone": "Europe/Berlin"}), now=NOW))
    assert as_of == datetime(2026, 2, 14, 23, tzinfo=UTC)  # the midnight in Berlin after the last
    (row,) = table.to_pylist()
    assert (row["days_since_last"], row["customer_age_days"], row["monthly_revenue"]) == (0, 30, 5)


def test_a_clock_in_another_zone_is_not_ahead(fill: Fill, connect: Open) -> None:
    """Bought at 13:30 in Auckland at 00:30 UTC, which is 13 hours ahead of what UTC's clock shows."""
    url = fill(*create("receipts", CLEAN, [(7, "2026-01-15 13:30:00", 5, 1)]))
    now = datetime(2026, 1, 15, 1, tzinfo=UTC)
    warehouse = connect(url, shop(windows={"time_zone": "Pacific/Auckland"}), now=now)
    assert warehouse.left_out("transactions").reasons == {}
    assert queries.current_features(warehouse).as_of == now
    with pytest.raises(Problem, match=r"dated after this run .* as \[windows\] time_zone"):
        queries.current_features(connect(url, shop(), now=now))


def test_moments_of_examples_are_utc_and_whole_days_apart_where_clocks_change(fill: Fill, connect: Open) -> None:
    rows = [(1000 + n % 5, START + timedelta(days=n), 5, n) for n in range(320)]
    rows += [(1005, START, 5, 1000)]
    url = fill(*create("receipts", CLEAN, rows))
    examples = queries.churn_examples(
        connect(url, shop(windows={"time_zone": "Europe/Berlin"} | {"churn_days": 90}), now=NOW)
    )
    # The last day is 2026-04-16; 90 days earlier Berlin is on winter time.
    assert np.unique(examples.moments).tolist() == [
        datetime(2025, 10, 18, 22),  # noqa: DTZ001
        datetime(2026, 1, 16, 23),  # noqa: DTZ001
    ]


def test_a_zone_that_does_not_exist_is_refused() -> None:
    for name in ("Europe/Berln", "Europe", "../etc", ""):
        with pytest.raises(ValueError, match="is no time zone: write an IANA name"):
            shop(windows={"time_zone": name})


# What follows is asked of DuckDB in memory: NULL ids in any number, in any of the tables.


def tables_in_memory(rows: dict[str, list[tuple[Any, ...]]]) -> Any:
    kinds = {"receipts": CLEAN, "labels": CHURN, "everyone": VIEW.format(id="INTEGER")}
    kinds["mailings"] = OFFERS.format(id="INTEGER") + ", spent DOUBLE PRECISION, opened DOUBLE PRECISION"
    backend = ibis.duckdb.connect()
    for name, own in rows.items():
        for statement in create(name, kinds[name], own):
            backend.raw_sql(statement)
    return backend


CUSTOMERS = {
    "receipts": receipts(120, 12),
    "labels": [(n, "true" if n % 3 else "false", START, float(n), n / 7) for n in range(12)],
    "mailings": [(n, n % 8, "true" if n % 3 else "false", START, float(n), n / 7) for n in range(12)]
    + [(0, 0, "false", START + timedelta(days=30), 0.0, 0.0)],
    "everyone": [(n, START, float(n), n / 7) for n in range(12)],
}


def everything(rows: dict[str, list[tuple[Any, ...]]]) -> tuple[Any, ...]:
    backend = tables_in_memory(rows)
    named = shop(tables={"features": "everyone", "churn": "labels", "offers": "mailings"}, **WITH_DAYS)
    with Warehouse(backend, shop(), NOW) as computed:
        warehouse = Warehouse(backend, named, NOW)
        counts = {
            "receipts": computed.left_out("transactions"),
            "labels": warehouse.left_out("churn"),
            "mailings": warehouse.left_out("offers"),
            "everyone": warehouse.left_out("features"),
        }
        return (
            [features_of(computed), features_of(warehouse)],
            [queries.churn_examples(computed), queries.churn_examples(warehouse), queries.offer_examples(warehouse)],
            counts,
        )


NOBODY = st.fixed_dictionaries(
    {
        name: st.lists(st.sampled_from(rows).map(lambda row: (None, *row[1:])), max_size=20)
        for name, rows in CUSTOMERS.items()
    }
)


@pytest.fixture(scope="module", name="clean")
def of_customers_alone() -> tuple[Any, ...]:
    return everything(CUSTOMERS)


@given(nobody=NOBODY)
@settings(max_examples=examples(10))
def test_rows_without_a_customer_change_nothing_but_the_counts(
    clean: tuple[Any, ...], nobody: dict[str, list[tuple[Any, ...]]]
) -> None:
    features, examples, counts = everything({name: [*rows, *nobody[name]] for name, rows in CUSTOMERS.items()})
    clean_features, clean_examples, _ = clean
    for (as_of, table), (clean_as_of, clean_table) in zip(features, clean_features, strict=True):
        assert as_of == clean_as_of
        assert table.equals(clean_table)
    for found, expected in zip(examples, clean_examples, strict=True):
        assert_same_examples(found, expected)
    for name, rows in CUSTOMERS.items():
        assert counts[name].rows == len(rows) + len(nobody[name])
        assert {reason: one.count for reason, one in counts[name].reasons.items()} == (
            {"no customer id": len(nobody[name])} if nobody[name] else {}
        )
