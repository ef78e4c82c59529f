"""Which columns are read as moments, numbers and labels, on DuckDB and on PostgreSQL, and what others are told."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest

from tests.training.warehouse.conftest import Fill, Open
from training.config import Config, Windows
from training.errors import Problem
from training.warehouse.connection import Warehouse
from training.warehouse.kinds import ISO_8601, Kinds

pytestmark = pytest.mark.process


def clock(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type]


NOON = clock(2024, 2, 29, 12, 30, 15)


def settings(source: Any = "dwh.t", **columns: str) -> Config:
    """The column v of dwh.t as the date, the amount or the label."""
    transactions = {"customer_id": "id", "date": "day", "amount": "amount", **columns}
    churn = {"customer_id": "id", "snapshot_date": "day", "churned": columns.get("churned", "v")}
    return Config.model_validate(
        {
            "tables": {"transactions": source, "churn": source},
            "columns": {"transactions": {k: v for k, v in transactions.items() if k != "churned"}, "churn": churn},
            "reading": {"max_rejected_share": 1},  # what is NULL is left out, in a table of two rows too
        }
    )


def table_of(kind: str, values: list[str]) -> list[str]:
    """Statements that make dwh.t with a column v of this type; the values are SQL."""
    rows = ", ".join(f"({n}, TIMESTAMP '2024-01-01', 1.5, {value})" for n, value in enumerate(values))
    return [
        "CREATE SCHEMA dwh",
        "CREATE TYPE dwh.f_or_t AS ENUM ('f', 't')",
        "CREATE TYPE no_or_yes AS ENUM ('no', 'yes')",
        f"CREATE TABLE dwh.t (id INTEGER, day TIMESTAMP, amount DOUBLE PRECISION, v {kind})",
        f"INSERT INTO dwh.t VALUES {rows}",
    ]


def read(warehouse: Warehouse, table: ibis.Table | None, column: str) -> list[Any]:
    assert table is not None
    found: list[Any] = warehouse.rows(table.order_by("customer_id"))[column].to_pylist()
    return found


MOMENTS = {
    "timestamp": ("TIMESTAMP", ["'2024-02-29 12:30:15'", "NULL"], NOON),
    "timestamp with a zone": ("TIMESTAMPTZ", ["'2024-02-29 14:30:15+02'"], NOON),
    "date": ("DATE", ["'2024-02-29'"], NOON.replace(hour=0, minute=0, second=0)),
    "text, a date": ("VARCHAR", ["'2024-02-29'", "NULL"], NOON.replace(hour=0, minute=0, second=0)),
    "text, to the minute": ("VARCHAR", ["'2024-02-29 12:30'"], NOON.replace(second=0)),
    "text, with a T": ("VARCHAR", ["'2024-02-29T12:30:15'", "'2024-02-29'"], NOON),
    "text, with a fraction": ("VARCHAR", ["'2024-02-29 12:30:15.250000000'"], NOON.replace(microsecond=250_000)),
    "text of fixed width": ("CHAR(24)", ["'2024-02-29 12:30:15'"], NOON),
    "text in UTC": ("VARCHAR", ["'2024-02-29T12:30:15Z'"], NOON),
    "text in UTC to the minute": ("VARCHAR", ["'2024-02-29T12:30Z'"], NOON.replace(second=0)),
    "text with an offset": ("VARCHAR", ["'2024-02-29T14:30:15+02:00'"], NOON),
    "text with offsets": ("VARCHAR", ["'2024-02-29 07:00:15-0530'", "'2024-01-01T00:00:00Z'", "NULL"], NOON),
    "text with an hour's offset": ("VARCHAR", ["'2024-02-29 14:30:15.000+02'"], NOON),
    "text with a blank before the offset": ("VARCHAR", ["'2024-02-29 14:30 +02:00'"], NOON.replace(second=0)),
    "seconds": ("INTEGER", ["1709209815", "NULL", "1000000000"], NOON),
    "milliseconds": ("BIGINT", ["1709209815250", "NULL"], NOON.replace(microsecond=250_000)),
    "microseconds": ("BIGINT", ["1709209815123456"], NOON.replace(microsecond=123_456)),
    "milliseconds of any scale": ("NUMERIC(38, 0)", ["1709209815250"], NOON.replace(microsecond=250_000)),
    "seconds of no scale": ("NUMERIC(20, 0)", ["1709209815"], NOON),
}


@pytest.mark.parametrize("case", MOMENTS)
def test_moments_are_read_where_there_is_one_way_to(fill: Fill, connect: Open, case: str) -> None:
    kind, values, expected = MOMENTS[case]
    warehouse = connect(fill(*table_of(kind, values)), settings(date="v"))
    found = read(warehouse, warehouse.transactions(), "date")
    assert found[0] == expected
    assert len(found) == len([value for value in values if value != "NULL"])


def test_a_moment_keeps_its_zone_until_it_is_made_utc(fill: Fill, connect: Open) -> None:
    """Whoever puts moments on the clock of a place needs to know which of them are moments already."""
    values = {"TIMESTAMPTZ": "'2024-01-01 00:00:00Z'", "VARCHAR": "'2024-01-01T00:00:00Z'", "BIGINT": "1709209815"}
    fresh = ("DROP SCHEMA IF EXISTS dwh CASCADE", "DROP TYPE IF EXISTS no_or_yes")
    for kind, value in values.items():
        warehouse = connect(fill(*fresh, *table_of(kind, [value])), settings())
        table = warehouse.backend.table("t", database="dwh")
        assert warehouse.kinds.moment(table, "dwh.t", "v").type().timezone == "UTC"
        assert warehouse.kinds.moment(table, "dwh.t", "day").type().timezone is None
        warehouse.backend.disconnect()


BAD_MOMENTS = {
    "day or month first": ("VARCHAR", ["'01/02/2024'", "'13/02/2024'"], "'01/02/2024' can be read in more than one"),
    "points": ("VARCHAR", ["'01.02.2024 10:30'"], "'01.02.2024 10:30' can be read"),
    "slashes": ("VARCHAR", ["'2024/02/01 10:30:00'"], "'2024/02/01 10:30:00' can be read"),
    "one of many": ("VARCHAR", ["'2024-02-01'", "'20240201'", "NULL"], "1 of its 2 values are not: '20240201' can"),
    "a day that is not": ("VARCHAR", ["'2023-02-29'"], "'2023-02-29'"),
    "an offset for some": (
        "VARCHAR",
        ["'2024-02-01T00:00:00Z'", "'2024-02-01T00:00:00'"],
        "names a time zone in 1 of 2 values, so that the others may be of any",
    ),
    "digits of a day": ("INTEGER", ["20240201", "20241231"], "it runs from 20240201 to 20241231, which is not between"),
    "two units": ("BIGINT", ["1709209815", "1709209815000"], "it runs from 1709209815 to 1709209815000"),
    "zero for none": ("BIGINT", ["0", "1709209815000"], "it runs from 0 to 1709209815000"),
    "fractions": ("DOUBLE PRECISION", ["1709209815.5"], "is float64, where a date or timestamp is needed"),
}


@pytest.mark.parametrize("case", BAD_MOMENTS)
def test_moments_that_can_be_read_in_two_ways_are_refused(fill: Fill, connect: Open, case: str) -> None:
    kind, values, sentence = BAD_MOMENTS[case]
    with pytest.raises(Problem, match=re.escape(sentence)) as problem:
        connect(fill(*table_of(kind, values)), settings(date="v")).transactions()
    assert "Column v of dwh.t is " in str(problem.value)
    assert ' AS v_read FROM "dwh"."t"' in str(problem.value)


def as_advised(problem: Problem) -> Any:
    """What the sentence says to write under [tables]."""
    written = re.search(r"\{ query = .* \}(?= in place of)", str(problem))
    assert written, problem
    return tomllib.loads(f"table = {written[0]}")["table"]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("VARCHAR", ["'01/02/2024'", "'13/02/2024'"], clock(2024, 2, 1)),
        ("VARCHAR", ["'01.02.2024 10:30'"], clock(2024, 2, 1, 10, 30)),
        ("VARCHAR", ["'2024/02/01 10:30:05'"], clock(2024, 2, 1, 10, 30, 5)),
        ("VARCHAR", ["'20240201'"], clock(2024, 2, 1)),
        ("VARCHAR", ["'2024-02-01T00:00:00Z'", "'2024-02-01T00:00:00'"], clock(2024, 2, 1)),
        ("INTEGER", ["20240201"], clock(2024, 2, 1)),
        ("BIGINT", ["1709209815000", "0"], NOON),
    ],
)
def test_the_sql_that_is_advised_works(
    fill: Fill, connect: Open, kind: str, values: list[str], expected: datetime
) -> None:
    url = fill(*table_of(kind, values))
    warehouse = connect(url, settings(date="v"))
    with pytest.raises(Problem) as problem:
        warehouse.transactions()
    warehouse.backend.disconnect()
    warehouse = connect(url, settings(as_advised(problem.value), date="v_read"))
    assert read(warehouse, warehouse.transactions(), "date")[0] == expected


LABELS = {
    "booleans": ("BOOLEAN", ["TRUE", "FALSE", "NULL"], [True, False]),
    "0 and 1": ("INTEGER", ["1", "0", "NULL"], [True, False]),
    "0 and 1 of a small type": ("SMALLINT", ["1", "0"], [True, False]),
    "0 and 1 as decimals": ("NUMERIC(5, 2)", ["1", "0"], [True, False]),
    "0 and 1 as doubles": ("DOUBLE PRECISION", ["1", "0"], [True, False]),
    "Y and N": ("CHAR(1)", ["'Y'", "'N'", "NULL"], [True, False]),
    "y and N": ("VARCHAR", ["'y'", "' N '"], [True, False]),
    "yes and no": ("VARCHAR", ["'Yes'", "'no'"], [True, False]),
    "true and false": ("VARCHAR", ["'true'", "'FALSE'"], [True, False]),
    "t and f": ("VARCHAR", ["'t'", "'f'"], [True, False]),
    "texts of 0 and 1": ("VARCHAR", ["'1'", "'0'"], [True, False]),
    "an enumeration": ("no_or_yes", ["'no'", "'yes'"], [False, True]),
    "an enumeration of a schema": ("dwh.f_or_t", ["'f'", "'t'"], [False, True]),
    "one of a pair": ("VARCHAR", ["'N'", "'N'"], [False, False]),
    "none": ("VARCHAR", ["NULL", "NULL"], []),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_read_where_all_values_are_of_one_pair(fill: Fill, connect: Open, case: str) -> None:
    kind, values, expected = LABELS[case]
    warehouse = connect(fill(*table_of(kind, values)), settings())
    assert read(warehouse, warehouse.churn(), "happened") == expected


BAD_LABELS = {
    "a third number": ("INTEGER", ["0", "1", "2"], "has the values 0, 1, 2: say which of them mean yes"),
    "no truth": ("INTEGER", ["-1", "0"], "has the values -1, 0"),
    "two pairs": ("VARCHAR", ["'Y'", "'no'"], "has the values 'Y', 'no'"),
    "other words": ("VARCHAR", ["'ja'", "'nein'", "'l''oui'"], "has the values 'ja', 'l''oui', 'nein'"),
    "blank": ("VARCHAR", ["'Y'", "''"], "has the values '', 'Y'"),
    "a word that means yes among others": (
        "VARCHAR",
        ["'N'", "'Yes'", "'maybe'"],
        "has the values 'N', 'Yes', 'maybe'",
    ),
    "a date": ("DATE", ["'2024-01-01'", "NULL"], "is date, where a boolean is needed"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels_of_other_values_are_refused_with_the_values(fill: Fill, connect: Open, case: str) -> None:
    kind, values, sentence = BAD_LABELS[case]
    url = fill(*table_of(kind, values))
    warehouse = connect(url, settings())
    with pytest.raises(Problem, match=r"Column v of dwh\.t is ") as problem:
        warehouse.churn()
    shown = str(problem.value)
    assert sentence in shown or sorted(sentence.split("values ")[1].split(", ")) == sorted(
        shown.split("values ")[1].split(":", maxsplit=1)[0].split(", ")
    )
    warehouse.backend.disconnect()
    warehouse = connect(url, settings(as_advised(problem.value), churned="v_read"))
    happened = read(warehouse, warehouse.churn(), "happened")
    assert sum(happened) == 1
    if (yes := YES.get(case)) is not None:
        assert happened.index(True) == yes


YES = {"a third number": 1, "two pairs": 0, "blank": 0, "a word that means yes among others": 1, "a date": 0}
"""Which row the advised SQL takes for a yes, if its value says so."""


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"date": "v"}, "is boolean, where a date or timestamp is needed: map another."),
        ({"amount": "day"}, "is timestamp(6), where a number is needed: map another."),
    ],
)
def test_what_no_cast_makes_right_is_refused_without_one(
    fill: Fill, connect: Open, columns: dict[str, str], sentence: str
) -> None:
    with pytest.raises(Problem) as problem:
        connect(fill(*table_of("BOOLEAN", ["TRUE"])), settings(**columns)).transactions()
    assert str(problem.value).endswith(sentence)


@pytest.mark.parametrize("kind", ["INTEGER", "BIGINT", "NUMERIC(10, 3)", "REAL", "DOUBLE PRECISION"])
def test_numbers_of_every_type_are_read(fill: Fill, connect: Open, kind: str) -> None:
    warehouse = connect(fill(*table_of(kind, ["12", "NULL"])), settings(amount="v"))
    assert read(warehouse, warehouse.transactions(), "amount") == [12]


@pytest.mark.parametrize(
    ("kind", "value", "sql"),
    [
        ("VARCHAR", "'12.5'", 'CAST("v" AS DOUBLE PRECISION)'),
        ("VARCHAR", "'12,5'", "CAST(REPLACE(\"v\", ',', '.') AS DOUBLE PRECISION)"),
        ("VARCHAR", "'1.012,50'", "CAST(REPLACE(REPLACE(\"v\", '.', ''), ',', '.') AS DOUBLE PRECISION)"),
        ("VARCHAR", "'-1,012.50'", "CAST(REPLACE(\"v\", ',', '') AS DOUBLE PRECISION)"),
        (
            "VARCHAR",
            "'12.5'), (1, TIMESTAMP '2024-01-01', 1.5, ' '",
            "CAST(NULLIF(TRIM(\"v\"), '') AS DOUBLE PRECISION)",
        ),
        ("BOOLEAN", "TRUE", 'CAST("v" AS INTEGER)'),
    ],
)
def test_what_is_no_number_is_refused_with_the_cast(fill: Fill, connect: Open, kind: str, value: str, sql: str) -> None:
    url = fill(*table_of(kind, [value]))
    warehouse = connect(url, settings(amount="v"))
    with pytest.raises(Problem, match=r"Column v of dwh.t is \w+, where a number is needed") as problem:
        warehouse.transactions()
    assert f"SELECT *, {sql} AS v_read" in str(problem.value)
    warehouse.backend.disconnect()
    warehouse = connect(url, settings(as_advised(problem.value), amount="v_read"))
    assert read(warehouse, warehouse.transactions(), "amount")[0] in (12.5, 1012.5, -1012.5, 1)


def test_text_that_is_no_number_is_told_its_categories(fill: Fill, connect: Open) -> None:
    warehouse = connect(fill(*table_of("CHAR(8)", ["'gold'", "'silver'", "NULL"])), settings())
    with pytest.raises(Problem, match=r'under \[features\], such as .*"v", categories = \["gold", "silver"\] }'):
        warehouse.kinds.feature(warehouse.table("dwh.t"), "dwh.t", "v")


def test_a_day_in_text_is_the_same_day_in_every_zone(fill: Fill, connect: Open) -> None:
    url = fill(*table_of("VARCHAR", ["'31.01.2024'"]))
    with pytest.raises(Problem) as problem:
        connect(url, settings(date="v")).transactions()
    there = settings(as_advised(problem.value), date="v_read").model_copy(
        update={"windows": Windows(time_zone="America/New_York")}
    )
    warehouse = connect(url, there)
    assert read(warehouse, warehouse.transactions(), "date") == [clock(2024, 1, 31)]


@pytest.mark.parametrize("fill", ["postgres"], indirect=True)  # DuckDB has no money
def test_postgres_money_is_an_amount(fill: Fill, connect: Open) -> None:
    warehouse = connect(fill(*table_of("money", ["12.5", "-3"])), settings(amount="v"))
    assert read(warehouse, warehouse.transactions(), "amount") == [12.5, -3]


def test_the_columns_of_a_query_are_read_and_refused_in_the_same_way(fill: Fill, connect: Open) -> None:
    url = fill(*table_of("VARCHAR", ["'01/02/2024'"]))
    query = {"query": "SELECT id, amount, day, v FROM dwh.t"}
    with pytest.raises(Problem, match=r"Write .* AS v_read in the query of \[tables\] transactions, and v_read in pl"):
        connect(url, settings(query, date="v")).transactions()


def test_a_column_is_asked_about_once(fill: Fill, connect: Open) -> None:
    warehouse = connect(fill(*table_of("VARCHAR", ["'Y'", "'N'"])), settings())
    table, asked = warehouse.backend.table("t", database="dwh"), []

    def rows(expression: ibis.Table) -> pa.Table:
        asked.append(expression)
        return warehouse.rows(expression)

    kinds = Kinds(warehouse.backend, rows)
    assert kinds.label(table, "dwh.t", "v").equals(kinds.label(table, "dwh.t", "v"))
    assert len(asked) == 1


@pytest.mark.unit
def test_iso_8601_has_the_days_of_the_calendar_and_no_others() -> None:
    day = datetime(1896, 1, 1, tzinfo=UTC)
    days = set()
    while day.year < 2105:
        days.add(f"{day:%Y-%m-%d}")
        day += timedelta(days=1)
    for year in range(1896, 2105):
        for month in range(14):
            for number in range(33):
                text = f"{year}-{month:02}-{number:02}"
                assert bool(re.search(ISO_8601, text)) == (text in days), text
