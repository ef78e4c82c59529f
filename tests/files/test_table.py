"""A file's rows as a table: what is a number, what is none, what is not there; the same in every format."""

import random
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loyalty_ml.arrow import NO_EXTENSIONS
from loyalty_ml.customers.snapshot import ROW_GROUP
from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.csv_table import csv_rows
from loyalty_ml.files.json_table import JsonRows, json_columns, json_rows
from loyalty_ml.files.parquet_table import check_features, parquet_rows, parquet_table
from loyalty_ml.files.selection import Selection, select
from loyalty_ml.files.table import Rows
from loyalty_ml.files.text.csv_lines import Dialect, State, split_records
from tests.examples import examples

pytestmark = pytest.mark.unit

DIALECT = Dialect(",", ("customer_id", "revenue", "visits"))
FEATURES = ("revenue", "visits")


def reading(*features: str, known: Sequence[str] = FEATURES) -> Selection:
    """What is read of a file whose columns are called as they should be."""
    return Selection("customer_id", features, features, tuple(known), bool(features))


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={**NO_EXTENSIONS, "threads": 1})


def read_csv(
    connection: duckdb.DuckDBPyConnection, text: bytes, work: Path, features: Sequence[str] = FEATURES
) -> list[Rows]:
    records, _ = split_records(text, DIALECT, State(b"", 2, skipping=False), final=True)
    assert not records.bad
    return list(csv_rows(connection, records, DIALECT, reading(*features), work))


def read_json(*rows: object, features: Sequence[str] = FEATURES) -> JsonRows:
    lines = [(number, row if isinstance(row, bytes) else orjson.dumps(row)) for number, row in enumerate(rows, 1)]
    return json_rows(lines, reading(*features))


def written(path: Path, table: pa.Table, **options: object) -> Path:
    pq.write_table(table, path / "input.parquet", **options)
    return path / "input.parquet"


@pytest.mark.parametrize(
    ("columns", "features"),
    [
        (("customer_id",), ()),
        (("customer_id", "note"), ()),
        (("visits", "note", "customer_id", "revenue"), FEATURES),
        (("customer_id", "Revenue", "revenue", "visits"), FEATURES),
        (("Customer ID", " re-venue", "VISITS"), FEATURES),
        (("customer_id", "re.venue\ufeff", "Vi\u00a0sits"), FEATURES),
        (("customer_id", "total revenue"), ()),
    ],
)
def test_a_file_has_all_that_is_wanted_or_ids_alone(columns: tuple[str, ...], features: tuple[str, ...]) -> None:
    found = select(columns, FEATURES, FEATURES)
    assert (found.features, found.has_features) == (features, bool(features))


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (("customer_id", "revenue"), "The file has the feature columns 'revenue', but not visits: add what is missing"),
        (("customer_id", "unread"), "The file has the feature columns 'unread', but not revenue, visits"),
        (
            ("customer_id", "Total Revenue", "visits"),
            "The file has a column 'Total Revenue', but the model reads 'revenue': rename it, or remove it.",
        ),
        (("customer_id", "revenu"), "The file has a column 'revenu', but the model reads 'revenue'"),
        (("customer_id", "revenue", "visit"), "The file has a column 'visit', but the model reads 'visits'"),
        (
            ("customer_id", "Visits", "VISITS", "revenue"),
            "The file has the columns 'Visits', 'VISITS', which both mean",
        ),
    ],
)
def test_a_file_with_some_of_it_is_refused(columns: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        select(columns, FEATURES, (*FEATURES, "unread"))
    assert refused.value.message.startswith(sentence)


def test_no_value_stays_apart_from_a_text_that_is_no_number(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    (rows,) = read_csv(connection, b'a,1,2\nb,,3\n"c",abc,""\n', tmp_path)
    assert rows.ids.to_list() == ["a", "b", "c"]
    assert rows.lines.tolist() == [2, 3, 4]
    np.testing.assert_array_equal(rows.values, [[1, 2], [np.nan, 3], [np.nan, np.nan]])
    assert rows.absent is not None
    assert rows.absent.tolist() == [[False, False], [True, False], [False, True]]


def test_features_are_in_the_order_that_is_asked_for(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (rows,) = read_csv(connection, b"a,1,2\n", tmp_path, ("visits", "revenue"))
    assert rows.values.tolist() == [[2.0, 1.0]]
    assert rows.absent is None
    (rows,) = read_csv(connection, b"a,not read,2\n", tmp_path, ("visits",))
    assert rows.values.tolist() == [[2.0]]


def test_a_thread_leaves_one_file_on_the_disk_and_nothing_of_it_in_the_next_rows(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for text, expected in (
        (b"a,1,2\nb,x,2\n", ["a", "b"]),
        (b"c,1,2\n", ["c"]),
        (b"d,1,2\ne,3,4\nf,5,6\n", ["d", "e", "f"]),
    ):
        assert [
            customer_id for rows in read_csv(connection, text, tmp_path) for customer_id in rows.ids.to_list()
        ] == expected
    assert len(list(tmp_path.iterdir())) == 1


number_texts = st.text("0123456789+-._eExXn af", max_size=8) | st.floats().map(repr) | st.integers().map(str)


@given(number_texts)
@example("+-0")
@example(" +-5")
@example("1e+-5")
@example("++-5")
@settings(max_examples=examples(300))
def test_a_text_is_the_same_number_in_json_and_in_parquet_or_in_both_none(
    connection: duckdb.DuckDBPyConnection, text: str
) -> None:
    ((read,),) = connection.execute("SELECT TRY_CAST($1 AS DOUBLE)", [text]).fetchall()
    found = read_json({"customer_id": "a", "revenue": text, "visits": 1}).rows.values[0, 0]
    in_duckdb = float("nan") if read is None else read
    # What is not finite is refused, whichever way it is so.
    assert float(found).hex() == in_duckdb.hex() or not (np.isfinite(found) or np.isfinite(in_duckdb))


def test_json_values_of_every_kind() -> None:
    values = [1, 2.5, "3", True, None, "", [1], {}, "abc"]
    rows, bad = read_json(*({"customer_id": "a", "revenue": value, "visits": 0} for value in values))
    assert bad == []
    np.testing.assert_array_equal(rows.values[:, 0], [1, 2.5, 3, *[np.nan] * 6])
    assert rows.absent is not None
    assert [values[place] for place in np.flatnonzero(rows.absent[:, 0])] == [None, ""]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "The line is not JSON: "),
        (b'{"customer_id": "\\ud800", "revenue": 1}', "The line is not JSON: "),
        (b'{"customer_id": "a", "revenue": NaN', "The line is not JSON: "),
        (b'{"customer_id": NaN}', "customer_id is neither a text nor a whole number."),
        (b'{"customer_id": "\xff"}', "The line is not valid UTF-8: save the file as UTF-8"),
        (b'{"customer_id": "a", "customer_id": "b"}', "The line has the key 'customer_id' more than once"),
        (b'{"customer_id" :"a", "c\\u0075stomer_id":"b"}', "The line has the key 'customer_id' more than once"),
        (b'{"customer_id": "a\xff", "x@y": 1, "x@y": 2}', "The line has a key more than once"),
        (b'["a"]', "The line is not a JSON object."),
        (b'{"customer_id": 1.0}', "customer_id is neither a text nor a whole number."),
        (b'{"customer_id": false}', "customer_id is neither a text nor a whole number."),
        (b'{"customer_id": 123456789012345678901234567890}', "customer_id is neither a text nor a whole number."),
    ],
)
def test_a_line_that_is_no_row_says_why(line: bytes, problem: str) -> None:
    rows, (bad,) = read_json({"customer_id": 7}, line, {"customer_id": "b"})
    assert (bad.line, bad.customer_id) == (2, "")
    assert bad.problem.startswith(problem)
    assert bad.problem.endswith(".")
    assert (rows.lines.tolist(), rows.ids.to_list()) == ([1, 3], ["7", "b"])


def test_a_line_with_features_in_a_file_of_ids_is_no_row() -> None:
    rows, (bad,) = read_json({"customer_id": "a"}, {"customer_id": "b", "visits": 3}, features=())
    assert rows.ids.to_list() == ["a"]
    assert (bad.line, bad.customer_id) == (2, "b")
    assert bad.problem.startswith("The line has visits, and the file's first lines have no features")


def test_the_columns_of_json_are_those_of_any_line() -> None:
    lines = [(1, b"not JSON"), (2, b'{"customer_id": "a"}'), (3, b"[1]"), (4, b'{"visits": 1, "customer_id": "b"}')]
    assert json_columns(lines) == ("customer_id", "visits")
    assert json_columns([(1, b"{}")]) == ()
    assert json_columns([(1, b"not JSON"), (2, b"[1]")]) is None


def test_columns_of_parquet_are_those_of_the_table_and_not_what_is_nested_in_them(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    nested = {"revenue": 1, "deep": {"customer_id": "x", "list": [{"visits": 1}]}}
    table = pa.table({"note": [nested], "customer_id": ["a"], "tags": [["visits"]], "revenue": [1.5]})
    found = parquet_table(connection, written(tmp_path, table))
    assert (tuple(found.columns), found.rows) == (("note", "customer_id", "tags", "revenue"), 1)


@pytest.mark.parametrize(
    "names", [("revenue", "revenue"), ("revenue", "Revenue"), ("Revenue", "revenue"), ("customer_id", "CUSTOMER_ID")]
)
def test_parquet_columns_of_one_name_in_any_case_are_refused(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, names: tuple[str, str]
) -> None:
    table = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["note", *names])
    with pytest.raises(InvalidFile, match=f"2 columns named '{names[0].lower()}', in upper or lower case"):
        parquet_table(connection, written(tmp_path, table))


def test_rows_of_parquet_are_numbered_from_one_across_its_parts(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    numbers = [None if place % 5 == 0 else float(place) for place in range(20)]
    table = pa.table({"revenue": numbers, "customer_id": [str(place) for place in range(20)]})
    path = written(tmp_path, table, row_group_size=3)
    blocks = [range(first, first + 7) for first in range(0, 20, 7)]
    found = parquet_table(connection, path)
    parts = [rows for block in blocks for rows in parquet_rows(connection, path, block, found, reading("revenue"))]
    assert [line for rows in parts for line in rows.lines.tolist()] == list(range(1, 21))
    assert [name for rows in parts for name in rows.ids.to_list()] == [str(place) for place in range(20)]
    absent = [flag for rows in parts for (flag,) in (rows.absent if rows.absent is not None else [[False]] * 7)]
    assert absent == [number is None for number in numbers]


def test_of_an_id_that_is_too_long_only_the_beginning_is_read(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    table = pa.table({"customer_id": ["ü" * 256, "ü" * 100_000]})
    path = written(tmp_path, table)
    (rows,) = parquet_rows(connection, path, range(2), parquet_table(connection, path), reading())
    assert rows.ids.to_list() == ["ü" * 256, "ü" * 257]


def test_damage_anywhere_is_told_as_such_and_loses_no_rows_in_silence(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    table = pa.table({"customer_id": [str(place) for place in range(500)], "revenue": np.arange(500) / 7})
    path = written(tmp_path, table, compression="snappy")
    whole = path.read_bytes()
    draw = random.Random(5)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[draw.choice([draw.randrange(len(whole)), draw.randrange(len(whole) - 800, len(whole))])] ^= (
            draw.randrange(1, 256)
        )
        path.write_bytes(damaged)
        try:
            read = parquet_table(connection, path)
            check_features(read, reading("revenue"))
            found = list(parquet_rows(connection, path, range(ROW_GROUP), read, reading("revenue")))
        except InvalidFile as error:
            assert str(tmp_path) not in error.message  # noqa: PT017
            refused += 1
        else:
            assert sum(len(rows.values) for rows in found) == min(read.rows, ROW_GROUP)
    assert refused > 20
