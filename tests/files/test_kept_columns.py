"""The file's own columns travel into the predictions, after the answer, as they were."""

import datetime
import io
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_ml.files.service import Ran
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of, keep_of
from tests.examples import examples
from tests.files.deployed import Files, in_csv
from tests.files.writings import FORMATS, as_csv, as_parquet, packed, read_results
from tests.service import process

pytestmark = pytest.mark.moto

MOMENT = datetime.datetime(2026, 11, 28, 12, 30, tzinfo=datetime.UTC)
ANSWER = ["customer_id", "churn_probability", "churn_risk"]
FEW = {name: FORMATS[name] for name in ("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet.snappy")}
every_format = pytest.mark.parametrize("extension", FEW)


def score(files: Files, extension: str, content: bytes, keep: Sequence[str], kind: str = "churn", **sizes: Any) -> Ran:
    source = files.put(files.key(extension, kind), content)
    return run(files, source, keep, kind, **sizes)


def run(files: Files, source: FileSource, keep: Sequence[str], kind: str = "churn", **options: Any) -> Ran:
    job = FileJobRequest(source, kind, job_id_of(source), keep=tuple(keep))  # type: ignore[arg-type]
    remaining = options.pop("remaining", 900.0)
    worker = files.worker(Sizes(**options)) if options else process().files.files
    return worker.score(job, remaining=lambda: remaining, on_beat=lambda _: None, is_last=False)


@every_format
@pytest.mark.parametrize(
    ("keep", "kept"),
    [(["*"], ["name", "note", "Other Name"]), (["note", "name"], ["note", "name"]), (["other_name"], ["Other Name"])],
)
def test_columns_come_after_the_answer_in_the_order_that_is_asked_for(
    files: Files, extension: str, keep: list[str], kept: list[str]
) -> None:
    rows = [["c-1", "Müller", 'a "b"\n, c', "=1+1"], ["nobody", "x", "y", "z"], ["c-3", "", "-1,5", "+4917"]]
    content = FEW[extension].write(rows, ["customer_id", "name", "note", "Other Name"])
    ran = score(files, FEW[extension].extension, content, keep, block_bytes=200, parquet_rows=2)
    predictions, errors = files.results(ran)
    assert [row["customer_id"] for row in predictions] == ["c-1", "c-3"]
    assert [error["customer_id"] for error in errors] == ["nobody"]
    written = {name: [rows[0][place], rows[2][place]] for place, name in enumerate(["", "name", "note", "Other Name"])}
    for place, row in enumerate(predictions):
        assert list(row) == [*ANSWER, *kept]
        wanted = [written[name][place] for name in kept]
        shown = [in_csv(text) if "csv" in extension and text != "-1,5" else text for text in wanted]
        assert [row[name] for name in kept] == shown
    assert ran.summary is not None
    assert ran.summary["kept_columns"] == kept
    assert ran.summary["ignored_columns"] == [each for each in ["name", "note", "Other Name"] if each not in kept]


@every_format
@pytest.mark.parametrize("keep", [["*"], ["churn_risk"], ["Churn-Risk"]])
def test_a_column_with_a_name_of_the_answers_is_refused(files: Files, extension: str, keep: list[str]) -> None:
    header = ["customer_id", "note", "Churn_Risk"]
    content = FEW[extension].write([["c-1", "x", "y"]], header)
    sentence = files.failure(score(files, FEW[extension].extension, content, keep))
    assert sentence == (
        "The column 'Churn_Risk' cannot be kept, because the answer has a column of that name: rename it."
    )


@every_format
def test_a_column_is_kept_once_however_often_it_is_named(files: Files, extension: str) -> None:
    content = FEW[extension].write([["c-1", "x"]], ["customer_id", "Other Name"])
    ran = score(files, FEW[extension].extension, content, ["OTHER_NAME", "Other Name", "other-name"])
    predictions, _ = files.results(ran)
    assert [list(row) for row in predictions] == [[*ANSWER, "Other Name"]]


@every_format
def test_a_column_that_is_not_there_is_refused(files: Files, extension: str) -> None:
    content = FEW[extension].write([["c-1", "x"]], ["customer_id", "note"])
    sentence = files.failure(score(files, FEW[extension].extension, content, ["note", "city"]))
    assert sentence == (
        "The file has no column 'city' to keep: its columns are 'customer_id', 'note'. Correct the name."
    )


@every_format
def test_the_file_s_own_features_may_be_kept(files: Files, extension: str) -> None:
    header = ["customer_id", "days_since_last", "lifetime_transaction_count", "lifetime_value", "revenue"]
    content = FEW[extension].write([["a", "1", "2", "3.50", "7"], ["b", "x", "2", "3", "8"]], header)
    predictions, errors = files.results(
        score(files, FEW[extension].extension, content, ["lifetime_value", "revenue"], "rfm")
    )
    assert [(row["lifetime_value"], row["revenue"]) for row in predictions] == [("3.50", "7")] or [
        (float(row["lifetime_value"]), float(row["revenue"])) for row in predictions
    ] == [(3.5, 7.0)]
    assert [error["code"] for error in errors] == ["INVALID_FEATURES"]


@every_format
def test_killed_workers_keep_the_same_bytes(files: Files, extension: str) -> None:
    rows = [["c-1" if place % 3 else "nobody", f"note {place}", "x" * place] for place in range(24)]
    content = FEW[extension].write(rows, ["customer_id", "note", "long"])
    small: Any = {"block_bytes": 400, "parquet_rows": 7}
    whole = score(files, FEW[extension].extension, content, ["*"], **small)
    source = files.put(files.key(FEW[extension].extension), content)
    while (ran := run(files, source, ["*"], remaining=0.0, **small)).outcome == "unfinished":
        pass
    assert whole.summary is not None
    assert ran.summary is not None
    names = ("predictions", "errors")
    assert [files.read(ran.summary["files"][name]) for name in names] == [
        files.read(whole.summary["files"][name]) for name in names
    ]
    assert [row["note"] for row in files.results(ran)[0]] == [row[1] for row in rows if row[0] == "c-1"]


texts = st.text(st.sampled_from('ab ,;"\r\n\té€=+-@1'), max_size=6) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5
)


@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=12), extension=st.sampled_from(["csv", "jsonl"]))
@settings(max_examples=examples(15))
def test_any_text_travels(files: Files, rows: list[tuple[str, str]], extension: str) -> None:
    written = [["c-1", *row, "z"] for row in rows]
    content = FEW[extension].write(written, ["customer_id", "one", "two", "z"])
    predictions, errors = files.results(score(files, extension, content, ["one", "two"], block_bytes=300))
    assert errors == []
    shown = [tuple(map(in_kept_csv, row)) if extension == "csv" else row for row in rows]
    assert [(row["one"], row["two"]) for row in predictions] == shown


def in_kept_csv(text: str) -> str:
    return text if re.fullmatch(r"[+-]\d+([.,]\d+)*", text, re.ASCII) else in_csv(text)


def test_json_travels_as_it_is_written(files: Files) -> None:
    values: Mapping[str, Any] = {"a": 1.10, "deep": {"list": [1, None, True, {"x": "é"}]}, "none": None}
    lines = [
        b'{"customer_id":"c-1","big":123456789012345678901234567890,"exact":1.10,"deep":{"n":1.0E+2},"t":true}',
        json.dumps({"customer_id": "c-3", **values}).encode(),
        b'{"customer_id":"c-4","nan":NaN,"late":1}',
        b'{"customer_id":"c-1","mock":1,"CHURN_RISK":2}',
        b'{"customer_id":"c-1"}',
    ]
    ran = score(files, "jsonl", b"\n".join(lines), ["*"], block_bytes=220)
    assert ran.summary is not None
    _, errors = files.results(ran)
    assert [(error["line"], error["code"]) for error in errors] == [("4", "INVALID_LINE")]
    assert "'CHURN_RISK' cannot be kept" in errors[0]["error"]
    first, second, third, last = files.read(ran.summary["files"]["predictions"]).splitlines()
    assert first.endswith(b',"big":123456789012345678901234567890,"exact":1.10,"deep":{"n":1.0E+2},"t":true}')
    assert list(json.loads(second)) == [*ANSWER, *values]
    assert json.loads(second) | values == json.loads(second)
    assert third.endswith(b',"nan":null,"late":1}')
    assert list(json.loads(last)) == ANSWER


def test_parquet_keeps_its_types(files: Files) -> None:
    columns = {
        "moment": pa.array(
            [datetime.datetime(2026, 11, 28, 12, 30, tzinfo=datetime.UTC), None, None], pa.timestamp("us", "UTC")
        ),
        "day": pa.array([datetime.date(2026, 11, 28)] * 3),
        "exact": pa.array([Decimal("1.10"), None, Decimal(7)], pa.decimal128(38, 2)),
        "list": pa.array([["a", None], [], None]),
        "flag": pa.array([True, False, None]),
        'a "b"': pa.array([1, 2, 3], pa.int16()),
    }
    table = pa.table({"customer_id": ["c-1", "nobody", "c-3"], **columns})
    ran = score(files, "parquet", as_parquet(table), ["*"], parquet_rows=2)
    assert ran.summary is not None
    found = pq.read_table(io.BytesIO(files.read(ran.summary["files"]["predictions"])))
    assert found.column_names == [*ANSWER, *columns]
    for name, column in columns.items():
        assert found[name].to_pylist() == [column[0].as_py(), column[2].as_py()]
        assert found[name].type == column.type or str(column.type).startswith(("list", "timestamp"))
    wide = pa.table({"customer_id": ["c-1"], "wide": pa.array([Decimal(1)], pa.decimal256(60, 4))})
    sentence = files.failure(score(files, "parquet", as_parquet(wide), ["wide"]))
    assert "The column wide is of type DECIMAL(60,4)" in sentence


def test_a_long_text_among_short_ones_is_kept(files: Files) -> None:
    rows = [["c-1", "x" * (100_000 if place == 7 else place)] for place in range(2000)]
    predictions, _ = files.results(score(files, "csv", as_csv(rows, ["customer_id", "note"]), ["*"]))
    assert [row["note"] for row in predictions] == [row[1] for row in rows]


def test_what_is_no_text_matters_in_what_is_kept(files: Files) -> None:
    content = b"customer_id,name,note\nc-1,M\xfcller,x\nc-3,x,M\xfcller\n"
    predictions, errors = files.results(score(files, "csv", content, ["note"]))
    assert [(row["customer_id"], row["note"]) for row in predictions] == [("c-1", "x")]
    assert [error["line"] for error in errors] == ["3"]


@pytest.mark.parametrize(
    ("key", "keep"),
    [
        ("incoming/churn/keep/a.csv", ("*",)),
        ("incoming/rfm/keep/deep/000", ("*",)),
        ("incoming/churn/a.csv", ()),
        ("incoming/churn/keep", ()),
        ("incoming/churn/keep.csv", ()),
        ("incoming/churn/other/keep/a.csv", ()),
    ],
)
def test_a_folder_says_that_all_is_kept(key: str, keep: tuple[str, ...]) -> None:
    assert keep_of(key) == keep


@pytest.mark.parametrize("extension", ["csv.gz", "csv.zst"])
def test_a_compressed_file_of_kept_columns_is_one(files: Files, extension: str) -> None:
    content = packed(extension, as_csv([["c-1", "x"]], ["customer_id", "note"]))
    ran = score(files, extension, content, ["*"])
    assert ran.summary is not None
    (row,) = read_results(f"predictions.{extension}", files.read(ran.summary["files"]["predictions"]))
    assert row["note"] == "x"


def test_a_column_that_comes_late_is_kept_with_reasons_as_without(files: Files) -> None:
    """Of JSON Lines, columns are known by the first 8 MB, however small the blocks are that are explained at a time."""
    padded = [{"customer_id": "nobody", "pad": "x" * 9_999}] * 60
    lines = [*padded, {"customer_id": "c-1", "name": "Ada"}]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    source = files.put(files.key("jsonl"), content)
    kept = []
    for explain in (False, True):
        job = FileJobRequest(source, "churn", f"{job_id_of(source)}-{explain}", keep=("name",), explain=explain)
        worker = files.worker(Sizes(block_bytes=2**20))
        ran = worker.score(job, remaining=lambda: 900.0, on_beat=lambda _: None, is_last=True)
        (row,) = files.results(ran)[0]
        kept.append(row["name"])
        assert ("reason_1" in row) is explain
    assert kept == ["Ada", "Ada"]
