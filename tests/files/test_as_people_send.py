"""Files as spreadsheets, databases and scripts write them: scored right, or refused in one sentence."""

import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loyalty_ml.files.sizes import Sizes
from tests.examples import examples
from tests.files.deployed import Files
from tests.files.writings import HEADER, as_csv, as_parquet, table_of
from tests.service import GOOD, SNAPSHOT_FEATURES

pytestmark = pytest.mark.moto

Row = Mapping[str, Any]

RFM = ("days_since_last", "lifetime_transaction_count", "lifetime_value")
FORMATS = ("csv", "jsonl", "parquet")


def in_texts(
    extension: str, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER, delimiter: str = ","
) -> bytes:
    """A file of texts alone."""
    if extension == "parquet":
        columns = zip(*rows, strict=True)
        return as_parquet(pa.table({name: list(column) for name, column in zip(header, columns, strict=True)}))
    if extension.startswith("csv"):
        content = as_csv(rows, header, delimiter=delimiter)
    else:
        content = b"".join(json.dumps(dict(zip(header, row, strict=True))).encode() + b"\n" for row in rows)
    return content


def with_features(customer_id: str, **others: str) -> list[str]:
    return [customer_id, *(others.get(name, str(value)) for name, value in GOOD.items())]


# --- numbers ----------------------------------------------------------------------------------------------------------


def european(number: float, group: str) -> str:
    """As a spreadsheet shows it in much of Europe."""
    return (
        f"{number:,.2f}".replace(",", group).replace(".", ",")
        if group != "."
        else (f"{number:,.2f}".translate(str.maketrans(",.", ".,")))
    )


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("group", [".", "\u202f", "'"])
def test_numbers_with_a_decimal_comma_are_read(files: Files, extension: str, group: str) -> None:
    amounts = [1234.56, 12.5, 1234567.89, -1234.5, 0.0, 999.99]
    rows = [[str(place), *[european(amount, group)] * len(SNAPSHOT_FEATURES)] for place, amount in enumerate(amounts)]
    plain = [[str(place), *[repr(amount)] * len(SNAPSHOT_FEATURES)] for place, amount in enumerate(amounts)]
    content = in_texts(extension, rows, delimiter=";")
    found = files.results(files.score(files.key(extension, "all"), content))
    assert found == files.results(files.score(files.key(extension, "all"), in_texts(extension, plain)))


@pytest.mark.parametrize("extension", FORMATS)
def test_thousands_with_a_point_are_thousands_where_another_number_has_a_comma(files: Files, extension: str) -> None:
    rows = [["1", "10", "1.234", "1.234,56"], ["2", "10", "12", "5.000"]]
    plain = [["1", "10", "1234", "1234.56"], ["2", "10", "12", "5000"]]
    found, expected = (
        files.results(files.score(files.key(extension, "rfm"), in_texts(extension, each, ["customer_id", *RFM])))
        for each in (rows, plain)
    )
    assert found == expected
    assert [float(row["monetary"]) for row in found[0]] == [1234.56, 5000.0]


MIXED = [
    ("1.234,56", "1234.56"),
    ("12,5", "12.5"),
    ("1.234,5", "1,234.5"),
    ("1.234.567", "0.5"),
    ("0,125", "1,234,567"),
]


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("pair", MIXED)
@pytest.mark.parametrize("block_bytes", [400, 8 * 2**20], ids=["of many blocks", "of one block"])
def test_a_file_that_writes_numbers_in_two_ways_is_refused_with_the_line(
    files: Files, extension: str, pair: tuple[str, str], block_bytes: int
) -> None:
    first = 1 + extension.startswith("csv")
    for one, other in (pair, pair[::-1]):
        rows = [with_features(str(place)) for place in range(30)]
        rows = [[value.partition(".")[0] for value in row] for row in rows]  # whole numbers tell nothing
        rows[0][1], rows[25][1] = one, other
        ran = files.score(
            files.key(extension), in_texts(extension, rows), worker=files.worker(Sizes(block_bytes=block_bytes))
        )
        sentence = files.failure(ran)
        assert sentence.startswith("The numbers of the file are written in two ways, as line ")
        shown = [(first, one), (25 + first, other)]
        assert any(f"line {line} has {text!r} in revenue" in sentence for line, text in shown)


@pytest.mark.parametrize("extension", FORMATS)
def test_a_comma_that_is_no_decimal_mark_makes_its_own_row_bad(files: Files, extension: str) -> None:
    rows = [with_features("1", revenue="1,2,3"), with_features("2", revenue="12,345"), with_features("3")]
    predictions, errors = files.results(files.score(files.key(extension), in_texts(extension, rows)))
    assert [row["customer_id"] for row in predictions] == ["3"]
    assert [error["code"] for error in errors] == ["INVALID_FEATURES"] * 2


def test_a_text_beside_json_s_own_numbers_is_a_number_only_if_it_is_written_as_they_are(files: Files) -> None:
    revenues = [float("nan"), None, "", "12", " 1234.5 ", "1,5", "1.234,56", True, [1], 10**9, 10**400, "NULL", "1e3"]
    lines = [
        json.dumps({"customer_id": f"c-{place}", **GOOD, "revenue": value}) for place, value in enumerate(revenues)
    ]
    predictions, errors = files.results(files.score(files.key("jsonl"), "\n".join(lines).encode()))
    assert [row["customer_id"] for row in predictions] == ["c-3", "c-4", "c-9", "c-12"]
    codes = ["INVALID_FEATURES"] + ["MISSING_FEATURES"] * 2 + ["INVALID_FEATURES"] * 6
    assert [error["code"] for error in errors] == codes
    assert all("revenue" in error["error"] for error in errors)


@pytest.mark.parametrize("extension", FORMATS)
def test_nan_and_infinity_name_their_feature(files: Files, extension: str) -> None:
    rows = [with_features(text, revenue=text) for text in ("NaN", "Infinity", "-Infinity", "inf")]
    content = in_texts(extension, [*rows, with_features("good")])
    if "jsonl" in extension:  # as Python's json.dumps writes them
        values = [float(row[0]) if row[0] != "good" else 1.0 for row in [*rows, ["good"]]]
        content = b"".join(
            json.dumps({"customer_id": str(value), **GOOD, "revenue": value}).encode() + b"\n" for value in values
        )
    predictions, errors = files.results(files.score(files.key(extension), content))
    assert len(predictions) == 1
    assert [error["code"] for error in errors] == ["INVALID_FEATURES"] * 4
    assert all("revenue" in error["error"] for error in errors)


# --- Parquet's types --------------------------------------------------------------------------------------------------


def of_rfm(**columns: pa.Array) -> bytes:
    rest = {"lifetime_transaction_count": pa.array([3, 4]), "lifetime_value": pa.array([10.0, 20.0])}
    return as_parquet(pa.table({"customer_id": ["1", "2"], **rest, **columns}))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_are_days(files: Files, unit: str) -> None:
    days = np.array([7, 695], "timedelta64[D]").astype(f"timedelta64[{unit}]")
    predictions, errors = files.results(
        files.score(files.key("parquet", "rfm"), of_rfm(days_since_last=pa.array(days)))
    )
    assert ([row["recency"] for row in predictions], errors) == ([7.0, 695.0], [])


@pytest.mark.parametrize("as_dictionary", [False, True], ids=["plain", "a dictionary"])
def test_durations_are_days_whatever_else_the_file_has(files: Files, as_dictionary: bool) -> None:  # noqa: FBT001
    # One day in seconds is below the 100,000 that a feature of days may be. Polars writes its texts as views.
    durations = pa.array(np.array([1, 0], "timedelta64[s]") * 86_400)
    texts = pa.array(["a", None], pa.string_view())
    content = of_rfm(days_since_last=durations.dictionary_encode() if as_dictionary else durations, other=texts)
    predictions, errors = files.results(files.score(files.key("parquet", "rfm"), content))
    assert ([row["recency"] for row in predictions], errors) == ([1.0, 0.0], [])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("name", ["lifetime_value", "customer_id"])
def test_a_duration_that_can_be_no_days_is_refused(files: Files, unit: str, name: str) -> None:
    durations = {name: pa.array([1, 2], pa.duration(unit)), "days_since_last": pa.array([1, 2])}
    if name == "customer_id":
        durations["lifetime_value"] = pa.array([1.0, 2.0])
    sentence = (
        files.refused("parquet", of_rfm(**durations))
        if name == "customer_id"
        else files.failure(files.score(files.key("parquet", "rfm"), of_rfm(**durations)))
    )
    assert f"The column {name} is of type DURATION: write it as" in sentence


@pytest.mark.parametrize(("kind", "days"), [("interval day to second", 7.0), ("interval day", 7.0)])
def test_intervals_of_spark_are_days(files: Files, kind: str, days: float) -> None:
    table = pq.read_table(io.BytesIO(of_rfm(days_since_last=pa.array([7 * 86_400 * 10**6] * 2))))
    fields = [{"name": name, "type": kind if name == "days_since_last" else "x"} for name in table.column_names]
    schema = {"org.apache.spark.sql.parquet.row.metadata": json.dumps({"type": "struct", "fields": fields})}
    predictions, _ = files.results(
        files.score(files.key("parquet", "rfm"), as_parquet(table.replace_schema_metadata(schema)))
    )
    assert [row["recency"] for row in predictions] == [days] * 2
    months = {key: value.replace(kind, "interval year to month") for key, value in schema.items()}
    sentence = files.failure(
        files.score(files.key("parquet", "rfm"), as_parquet(table.replace_schema_metadata(months)))
    )
    assert sentence == "The column days_since_last is of type DURATION: write it as numbers."


@pytest.mark.parametrize(("precision", "scale"), [(39, 0), (39, 10), (60, 4), (76, 75)])
@pytest.mark.parametrize("name", ["revenue", "customer_id"])
def test_decimals_of_over_38_digits_are_refused(files: Files, precision: int, scale: int, name: str) -> None:
    decimals = pa.array([Decimal(1)], pa.decimal256(precision, scale))
    table = table_of(["1"], revenue=decimals) if name == "revenue" else table_of(decimals)
    sentence = files.refused("parquet", as_parquet(table))
    assert sentence == (
        f"The column {name} is of type DECIMAL({precision},{scale}), which cannot be read: cast it to DOUBLE, or to a "
        "DECIMAL of at most 38 digits."
    )


@given(precision=st.integers(1, 38), data=st.data())
@settings(max_examples=examples(15))
def test_decimals_of_up_to_38_digits_are_read(files: Files, precision: int, data: st.DataObject) -> None:
    scale = data.draw(st.integers(0, precision))
    digits = data.draw(st.integers(1, min(10**precision, 2 * 10**14) - 1))
    value = Decimal(digits).scaleb(-scale)
    assume(value < 10**12)  # its domain
    columns = {"lifetime_value": pa.array([value] * 2, pa.decimal128(precision, scale))}
    predictions, errors = files.results(
        files.score(files.key("parquet", "rfm"), of_rfm(days_since_last=pa.array([1, 2]), **columns))
    )
    assert errors == []
    assert predictions[0]["monetary"] == pytest.approx(float(value), rel=1e-15)


def test_a_column_that_nobody_reads_may_be_of_any_type(files: Files) -> None:
    more = {
        "wide": pa.array([Decimal(1)], pa.decimal256(60, 4)),
        "long": pa.array([1], pa.duration("ns")),
        "deep": pa.array([{"a": [1]}]),
    }
    plain, found = (
        files.results(files.score(files.key("parquet"), as_parquet(table_of(["1"], **columns))))
        for columns in ({}, more)
    )
    assert found == plain


# --- names ------------------------------------------------------------------------------------------------------------


SPELLINGS = {
    "blanks": lambda name: name.replace("_", " ").title(),
    "hyphens": lambda name: name.replace("_", "-"),
    "dots": lambda name: name.replace("_", ".").upper(),
    "no separators": lambda name: name.title().replace("_", ""),
    "no-break spaces": lambda name: "\u00a0" + name.replace("_", "\u00a0"),
    "a byte order mark": lambda name: "\ufeff" + name,
}


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_names_are_compared_without_case_blanks_hyphens_and_underscores(
    files: Files, extension: str, spelling: str
) -> None:
    rows = [with_features("1"), with_features("2", revenue="7")]
    header = [SPELLINGS[spelling](name) for name in HEADER]
    expected = files.results(files.score(files.key(extension), in_texts(extension, rows)))
    ran = files.score(files.key(extension), in_texts(extension, rows, header))
    assert files.results(ran) == expected
    assert ran.summary is not None
    assert (ran.summary["features"], ran.summary["ignored_columns"]) == ("file", [])


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("revenue", "Total Revenue"),
        ("engagement_score", "engagment_score"),
        ("days_since_last", "Days Since Last Order"),
    ],
)
def test_a_name_that_is_nearly_right_is_refused_with_both(
    files: Files, extension: str, name: str, written: str
) -> None:
    header = [written if each == name else each for each in HEADER]
    sentence = files.refused(extension, in_texts(extension, [with_features("1")], header))
    assert sentence == f"The file has a column {written!r}, but the model reads {name!r}: rename it, or remove it."


@pytest.mark.parametrize("extension", FORMATS)
def test_a_file_of_ids_whose_one_feature_is_nearly_right_is_refused(files: Files, extension: str) -> None:
    sentence = files.failure(
        files.score(files.key(extension), in_texts(extension, [["1", "2"]], ["customer_id", "Revenues"]))
    )
    assert sentence == "The file has a column 'Revenues', but the model reads 'revenue': rename it, or remove it."


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("header", [["1001", "first@example.org"], ["Anna", "+490000000001"], ["c-1", "1990-02-28"]])
def test_a_message_shows_no_customer(files: Files, extension: str, header: Sequence[str]) -> None:
    sentence = files.refused(extension, in_texts(extension, [["1002", "b@example.org"]], header))
    assert not any(each in sentence for each in header)
    assert "customer_id, but what looks like values" in sentence


# --- texts ------------------------------------------------------------------------------------------------------------

TEXT_FORMATS = [each for each in FORMATS if each != "parquet"]


@pytest.mark.parametrize("extension", TEXT_FORMATS)
def test_bytes_of_another_encoding_matter_where_they_are_read(files: Files, extension: str) -> None:
    header = ["customer_id", "Stra\u00dfe"]
    rows = [["c-1", "M\u00fcller"], ["c-8", "Example"], ["M\u00fcller", "x"], ["c-3", "D\u00e9sir\u00e9e"]]
    content = (
        in_texts(extension, rows, header)
        if "csv" in extension
        else b"".join(
            json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False).encode() + b"\n" for row in rows
        )
    )
    content = content.decode().encode("cp1252")
    predictions, errors = files.results(files.score(files.key(extension), content))
    assert [row["customer_id"] for row in predictions] == ["c-1", "c-8", "c-3"]
    sentence = 'The line is not valid UTF-8: save the file as UTF-8, which Excel calls "CSV UTF-8".'
    assert [(error["code"], error["error"]) for error in errors] == [("INVALID_LINE", sentence)]


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\r\ncustomer_id;name\r\nc-1;a\r\nc-8;b\r\n",
        b"\xef\xbb\xbfsep=;\r\ncustomer_id;name\r\nc-1;a\r\nc-8;b\r\n",
        "sep=;\r\ncustomer_id;name\r\nc-1;a\r\nc-8;b\r\n".encode("utf-16"),
        b"customer_id,name,,,\nc-1,a,,,\nc-8,b,,,\n",
        b"customer_id,name,,,\r\nc-1,a,,,\r\nc-8,b\r\n,,,,\r\n,\r\n",
        b'customer_id;name;;\n"c-1";"a;b";\n\n;;;\nc-8;"b\nc"\n',
        b",customer_id,,name,,\n,c-1,,a,,\n,c-8,,b\n",
        b"customer_id\t\t\nc-1\t\t\nc-8\n\t\t\n",
        b";;;\r\n;;;\r\ncustomer_id;name;;\r\nc-1;a;;\r\nc-8;b;;\r\n",
    ],
)
@pytest.mark.parametrize("block_bytes", [7, 8 * 2**20], ids=["of many blocks", "of one block"])
def test_what_excel_adds_is_read(files: Files, content: bytes, block_bytes: int) -> None:
    if block_bytes == 7:  # the header must be in the first block
        block_bytes = content.find(b"c\x00-\x001" if content.startswith(b"\xff\xfe") else b"c-1")
    ran = files.score(files.key("csv"), content, worker=files.worker(Sizes(block_bytes=block_bytes)))
    predictions, errors = files.results(ran)
    assert [row["customer_id"] for row in predictions] == ["c-1", "c-8"]
    assert errors == []


def test_a_key_that_is_there_twice_makes_its_line_bad(files: Files) -> None:
    lines = [
        b'{"customer_id":"c-1","customer_id":"c-8"}',
        b'{"customer_id":"c-1","note":"a:b","note":1}',
        b'{"customer_id":"c-1", "deep":{"a":1,"a":2}}',
        b'{"customer_id":"c-8", "at":"10:00", "a:b":{"c":"d"}}',
    ]
    predictions, errors = files.results(files.score(files.key("jsonl"), b"\n".join(lines)))
    ran = files.score(files.key("jsonl"), lines[0])
    assert files.results(ran)[1] == [errors[0]]
    assert [row["customer_id"] for row in predictions] == ["c-1", "c-8"]
    assert [(error["line"], error["customer_id"], error["error"]) for error in errors] == [
        ("1", "", "The line has the key 'customer_id' more than once: keep one of each."),
        ("2", "c-1", "The line has the key 'note' more than once: keep one of each."),
    ]


@pytest.mark.parametrize(("end", "delimiter"), [("\n", "\t"), ("\r\n", ","), ("\r", ";"), ("\n", "|")])
def test_a_stray_quote_swallows_no_customer(files: Files, end: str, delimiter: str) -> None:
    rows = [["customer_id", "name"], ["c-1", '"first'], ["c-8", "second"], ["c-3", 'third"'], ["c-4", "fourth"]]
    content = end.join(delimiter.join(row) for row in rows).encode()
    ran = files.score(files.key("csv"), content)
    predictions, errors = files.results(ran)
    assert [row["customer_id"] for row in predictions] == ["c-8", "c-4"]
    assert [(error["line"], error["code"]) for error in errors] == [("2", "INVALID_LINE"), ("4", "INVALID_LINE")]
