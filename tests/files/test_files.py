"""Files over a whole deployment in moto: each row is answered once, as a single prediction answers it."""

import csv
import gzip
import io
import itertools
import json
import random
import re
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.files import app as files_function
from local.gateway import LambdaContext
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.customers.table import DEFAULT_FEATURES, FeatureTable
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.files.service import FileService, Ran
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of, type_of
from loyalty_ml.files.text.lines import LIMITS
from loyalty_ml.jobs.record import Job
from loyalty_ml.scoring.predictions import predict
from loyalty_ml.vocabulary import PredictionType, rfc3339
from tests import sample_set
from tests.examples import examples
from tests.segments.test_segments import MOMENT, Deployment, Row, some_customers
from tests.service import GOOD, Service, new_process, process, services
from training.registry import publish

pytestmark = pytest.mark.moto

HEADER = ("customer_id", *DEFAULT_FEATURES)
TYPES: Mapping[str, Sequence[PredictionType]] = {
    "churn": ["churn"],
    "nbo": ["nbo"],
    "rfm": ["rfm"],
    "all": ["churn", "nbo", "rfm"],
}
MODELS = sample_set.model_set()
CUSTOMERS = 120

Outcome = dict[str, Any] | tuple[str, str]
"""The columns of a results file, or an error's code and sentence."""

Answered = Callable[[str, str], Outcome]
"""A customer's outcome for a type."""


class Files:
    """Files dropped into the data bucket, and what comes of them."""

    def __init__(self, service: Service, customers: Mapping[str, Row] | None = None) -> None:
        self.service = service
        self.bucket = service.ids["DataBucket"]
        self.customers = dict(customers or {})
        self._numbers = itertools.count()

    def key(self, extension: str, kind: str = "churn") -> str:
        """One that no file has had."""
        return f"incoming/{kind}/{next(self._numbers)}.{extension}"

    def put(self, key: str, content: bytes) -> FileSource:
        etag = self.service.s3.put_object(Bucket=self.bucket, Key=key, Body=content)["ETag"]
        return FileSource(self.bucket, key, None, etag, len(content))

    def score(self, key: str, content: bytes, **options: Any) -> Ran:
        return self.run(self.put(key, content), **options)

    def run(
        self, source: FileSource, *, remaining: float = 900.0, is_last: bool = False, worker: FileService | None = None
    ) -> Ran:
        job = FileJobRequest(source, type_of(source.key), job_id_of(source))
        worker = worker or process().files.files
        return worker.score(job, remaining=lambda: remaining, on_beat=lambda _: None, is_last=is_last)

    def worker(self, sizes: Sizes = DEPLOYED, **others: Any) -> FileService:
        """One with other arguments than a deployment's."""
        parts = process().files
        return FileService(
            parts.data_s3,
            parts.file_jobs,
            parts.models,
            SnapshotStore(parts.data_s3, self.bucket, parts.settings.snapshot_cache),
            bucket=self.bucket,
            mock_mode="false",
            work=parts.settings.file_work,
            sizes=sizes,
            **others,
        )

    @cached_property
    def small(self) -> FileService:
        """A worker for which a file of some kilobytes has several blocks."""
        return self.worker(Sizes(block_bytes=2048, parquet_rows=8))

    @cached_property
    def wary(self) -> FileService:
        """A worker that soon takes a gzip for a bomb."""
        return self.worker(Sizes(expansion_free_bytes=10_000))

    def read(self, key: str) -> bytes:
        return self.service.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def results(self, ran: Ran) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """Predictions and errors, whose counts are those of the summary."""
        assert ran.summary is not None
        assert ran.summary["status"] == "succeeded", ran.summary
        named = ran.summary["files"]
        assert json.loads(self.read(named["summary"])) == ran.summary
        written = self.read(named["errors"])
        assert written.startswith(b"line,customer_id,code,error\n")
        predictions, errors = read_results(named["predictions"], self.read(named["predictions"])), rows_of(written)
        assert (ran.summary["predictions"], ran.summary["errors"]) == (len(predictions), len(errors))
        assert ran.summary["rows"] == len(predictions) + len(errors)
        assert ran.summary["errors_by_code"] == Counter(error["code"] for error in errors)
        return predictions, errors

    def failure(self, ran: Ran) -> str:
        """The sentence of a file that was refused, of which no result is shown."""
        assert ran.summary is not None
        assert (ran.outcome, ran.summary["status"], ran.summary["code"]) == ("finished", "failed", "INVALID_FILE")
        shown = self.service.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"results/{ran.job_id}/")
        assert shown["KeyCount"] == 0
        error: str = ran.summary["error"]
        return error


def read_results(key: str, content: bytes) -> list[dict[str, Any]]:
    """Rows of a results file: of CSV all are texts."""
    if key.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(content))
        return [dict(row) for row in table.to_pylist()]
    text = gzip.decompress(content) if key.endswith(".gz") else content
    return rows_of(text) if ".csv" in key else [json.loads(line) for line in text.splitlines()]


def rows_of(content: bytes) -> list[dict[str, str]]:
    found = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True, delimiter=_delimiter(content))
    return list(found)


def _delimiter(content: bytes) -> str:
    header = content.partition(b"\n")[0].decode()
    return max(",;\t|", key=header.count)


def as_csv(
    rows: Sequence[Sequence[Any]], header: Sequence[str] = HEADER, lineterminator: str = "\n", **options: Any
) -> bytes:
    """The same bytes on every Python: before 3.13, csv quotes a \\r or \\n only if it is in the line terminator."""
    lines = []
    for row in [header, *rows]:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\r\n", **options).writerow(row)
        lines.append(line.getvalue().removesuffix("\r\n") + lineterminator)
    return "".join(lines).encode()


def as_json(rows: Sequence[Sequence[Any]], header: Sequence[str] = HEADER) -> bytes:
    return b"".join(json.dumps(dict(zip(header, row, strict=True))).encode() + b"\n" for row in rows)


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content, **options)
    return content.getvalue()


def table_of(ids: Any, features: Mapping[str, Any] = GOOD, **more: Any) -> pa.Table:
    """A row an id, each with the same features unless `more` has the column."""
    columns = {name: pa.array([value] * len(ids), pa.float64()) for name, value in features.items()}
    return pa.table({"customer_id": ids, **columns, **more})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    """The bucket of one deployment, with customers in both stores, that all tests here share."""
    folder = tmp_path_factory.mktemp("deployed")
    with pytest.MonkeyPatch.context() as patch, services(patch, folder) as make:
        service = make()
        publish(service.s3, service.model_bucket, sample_set.FOLDER)
        deployed = Deployment(service, folder / "work")
        deployed.write_customers(some_customers(customers=CUSTOMERS))
        yield Files(service, deployed.customers)


@pytest.fixture(scope="module")
def answered(files: Files) -> Answered:
    """What the API says of a customer of the stores."""
    ids = [*files.customers, "nobody"]
    outcomes: dict[str, dict[str, Any]] = {}
    for name in TYPES["all"]:
        for start in range(0, len(ids), 100):
            body = files.service.predict_batch(ids[start : start + 100], name).body
            results = {entry["customer_id"]: entry["result"] for entry in body["results"]}
            errors = {entry["customer_id"]: (entry["code"], entry["error"]) for entry in body["errors"]}
            for customer_id, outcome in {**results, **errors}.items():
                outcomes.setdefault(customer_id, {})[name] = outcome

    def answer(customer_id: str, kind: str) -> Outcome:
        return side_by_side(outcomes.get(customer_id, outcomes["nobody"]), TYPES[kind])

    return answer


def side_by_side(outcomes: Mapping[str, Any], names: Sequence[PredictionType]) -> Outcome:
    """The columns of the results of several types, or the error of the first that has one."""
    columns: dict[str, Any] = {}
    for name in names:
        result = outcomes[name]
        if isinstance(result, tuple):
            return result
        columns |= columns_of(name, result)
    return columns


def columns_of(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """What a results file has of an answer, which over HTTP is nested."""
    if name != "nbo":
        return {column: value for column, value in result.items() if column != "customer_id"}
    return {
        "recommended_offer": result["recommended_offer"],
        "offer_code": result["top_offer"]["offer_code"],
        "offer_name": result["top_offer"]["offer_name"],
        "category": result["top_offer"]["category"],
        "confidence": result["confidence"],
        **{f"offer_{offer}": probability for offer, probability in enumerate(result["offer_scores"])},
    }


def assert_same(found: Mapping[str, Any], customer_id: str, expected: Mapping[str, Any]) -> None:
    """Numbers to the bit, in whichever way they are written; columns in that order."""
    assert list(found) == ["customer_id", *expected]
    assert found["customer_id"] == customer_id
    for name, value in expected.items():
        if isinstance(value, str):
            assert found[name] == value
        elif isinstance(value, int):
            assert float(found[name]) == value, name
        else:
            assert float(found[name]).hex() == value.hex(), name


def in_csv(text: str) -> str:
    """As a text is written where a spreadsheet might run it."""
    is_number = re.fullmatch(r"[+-]?\d+(\.\d+)?", text, re.ASCII)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") and text and not is_number else text


# --- any mix of good and bad lines ------------------------------------------------------------------------------------


class Line(NamedTuple):
    r"""A line of a file (or several, where an id has line ends), and what is to come of it.

    row:  the id and the values that are read, None for nothing there and NaN for no number; or the code of an error
          that is told before any value is looked at; or None for a line that is no row.
    """

    text: bytes
    row: tuple[str, Sequence[float | None]] | str | None


NAN, INFINITY = float("nan"), float("inf")
UNNAMED, BROKEN = "INVALID_CUSTOMER_ID", "INVALID_LINE"
NUMBERS = st.floats(0, 1e5, width=32) | st.floats(allow_nan=False, allow_infinity=False, width=32)
WRITTEN: list[tuple[str, float | None]] = [
    ("", None),
    ("abc", NAN),
    ("1.5.2", NAN),
    ("0x10", NAN),
    ("٣", NAN),
    ("nan", NAN),
    ("-inf", -INFINITY),
    ("1e400", INFINITY),
    ("1e39", 1e39),
    ("-1e39", -1e39),
    (" 2.5 ", 2.5),
    ("1E3", 1000.0),
    ("-0", -0.0),
    ("1e-400", 0.0),
]
"""Values as texts, and what they are read as."""

ids = st.one_of(
    st.text(st.sampled_from("ab1 ,;|\t\"\n\r=+-@'ü\ufeff\\#"), min_size=1, max_size=6),
    st.sampled_from(["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\tx", "\rx", "-12", "+491701234567", "x" * 256, "ü" * 256]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8),
)


def any_number(draw: random.Random) -> float:
    """A likely value, or any that float32 can hold."""
    if draw.random() < 0.7:
        return round(draw.lognormvariate(3, 2), 2)
    number = float(np.frombuffer(draw.randbytes(4), np.float32)[0])
    return number if np.isfinite(number) else -0.0


def up_to(count: int, lines: st.SearchStrategy[Line]) -> st.SearchStrategy[list[Line]]:
    """As often many as few, where a list by itself is mostly short."""
    return st.integers(0, count).flatmap(lambda size: st.lists(lines, min_size=size, max_size=size))


@st.composite
def values(draw: st.DrawFn) -> tuple[list[str], list[float | None]]:
    """A row's values as they are written, and as they are read."""
    seeded = random.Random(draw(st.integers(0, 2**32)))  # ten draws a row would leave room for few rows in a file
    numbers: list[float | None] = [any_number(seeded) for _ in DEFAULT_FEATURES]
    texts = [repr(number) for number in numbers]
    for place in draw(st.sets(st.integers(0, 9), max_size=2)):
        texts[place], numbers[place] = draw(st.sampled_from(WRITTEN))
    return texts, numbers


@st.composite
def csv_files(draw: st.DrawFn) -> tuple[bytes, list[Line]]:
    """A CSV file's header and its lines."""
    delimiter = draw(st.sampled_from(",;\t|"))
    columns = draw(
        st.permutations([*HEADER, *draw(st.lists(st.sampled_from(["note", "Revenue", 'a\n"b']), unique=True))])
    )
    line_ends = st.sampled_from(["\n", "\r\n", "\r"])

    def field(text: str) -> str:
        must = any(character in text for character in f'{delimiter}"\r\n') or not text.strip(" \t")
        return '"' + text.replace('"', '""') + '"' if must or draw(st.booleans()) else text

    def joined(cells: Mapping[str, str]) -> str:
        return delimiter.join(cells[name] for name in columns)

    @st.composite
    def line(draw: st.DrawFn) -> Line:
        end = draw(line_ends)
        customer_id = draw(ids)
        texts, numbers = draw(values())
        cells = {name: field(text) for name, text in zip(DEFAULT_FEATURES, texts, strict=True)}
        cells = {"customer_id": field(customer_id), **{name: "x" for name in columns if name not in HEADER}, **cells}
        match draw(
            st.sampled_from(
                ["good"] * 6 + ["few", "many", "quote", "after", "not UTF-8", "NUL", "unnamed", "long", "blank"]
            )
        ):
            case "few":
                return Line((joined(cells | {"customer_id": "few"}).rpartition(delimiter)[0] + end).encode(), BROKEN)
            case "many":
                return Line((joined(cells | {"customer_id": "many"}) + delimiter + end).encode(), BROKEN)
            case "quote":
                return Line((joined(cells | {"customer_id": 'a"b'}) + end).encode(), BROKEN)
            case "after":
                return Line((joined(cells | {"customer_id": '"a"b'}) + end).encode(), BROKEN)
            case "not UTF-8":
                text = joined(cells | {"customer_id": "latin-1"})
                return Line((text + end).encode().replace(b"latin-1", b"M\xfcller"), BROKEN)
            case "NUL":
                return Line((joined(cells | {"customer_id": "a\0b"}) + end).encode(), BROKEN)
            case "unnamed":
                return Line(
                    (joined(cells | {"customer_id": draw(st.sampled_from(["", '""']))}) + end).encode(), UNNAMED
                )
            case "long":
                return Line((joined(cells | {"customer_id": "x" * 257}) + end).encode(), UNNAMED)
            case "blank":
                return Line((draw(st.sampled_from(["", " ", "   "])) + end).encode(), None)
        return Line((joined(cells) + end).encode(), (customer_id, numbers))

    header = delimiter.join('"' + name.replace('"', '""') + '"' for name in columns) + draw(line_ends)
    lines = draw(up_to(25, line()))
    if draw(st.booleans()):
        unclosed = dict.fromkeys(columns, "1") | {"customer_id": '"unclosed'}
        lines.append(Line(joined(unclosed).encode(), BROKEN))
    return header.encode(), lines


def lines_in(text: bytes) -> int:
    return len(re.findall(rb"\r\n|\r|\n", text))


def joined_lines(lines: Sequence[Line], first: int) -> tuple[bytes, list[tuple[int, Line]]]:
    r"""The text of the lines, and those that are rows with their numbers; no \r ends one where an empty \n follows."""
    text, numbered = b"", []
    for line in lines:
        if text.endswith(b"\r") and line.text.startswith(b"\n"):
            text += b" "  # else the two were one line end
        number = first + lines_in(text)
        text += line.text
        if line.row is not None:
            numbered.append((number, line))
    return text, numbered


def expected_of(
    rows: Sequence[tuple[int, Line]], kind: str
) -> tuple[list[tuple[str, dict[str, Any]]], list[tuple[int, str, str | None]]]:
    """What a service that has these numbers of these customers answers each, and the error of the others."""
    read = {str(place): line.row for place, (_, line) in enumerate(rows) if isinstance(line.row, tuple)}

    def read_features(places: Sequence[str], names: Sequence[str]) -> FeatureTable:
        columns = [DEFAULT_FEATURES.index(name) for name in names]
        given = [[read[place][1][column] for column in columns] for place in places]
        absent = np.array([[value is None for value in row] for row in given], np.bool_)
        numbers = np.array([[NAN if value is None else value for value in row] for row in given], np.float64)
        shape = (len(places), len(columns))
        return FeatureTable(places, tuple(names), numbers.reshape(shape), absent.reshape(shape), None, None)

    outcomes: dict[str, dict[str, Any]] = {place: {} for place in read}
    for name in TYPES[kind]:
        if read:
            for place, outcome in predict(name, list(read), MODELS, read_features, "false").outcomes.items():
                failure = (outcome.code, outcome.message) if isinstance(outcome, LoyaltyError) else None
                outcomes[place][name] = failure or outcome
    answers: list[tuple[str, dict[str, Any]]] = []
    refusals: list[tuple[int, str, str | None]] = []
    for row, (number, line) in enumerate(rows):
        if isinstance(line.row, tuple):
            result = side_by_side(outcomes[str(row)], TYPES[kind])
            if isinstance(result, tuple):
                refusals.append((number, *result))
            else:
                answers.append((line.row[0], result))
        elif line.row is not None:
            refusals.append((number, line.row, None))
    return answers, refusals


def assert_all_told(files: Files, key: str, content: bytes, rows: Sequence[tuple[int, Line]]) -> None:
    """Scores the file: each row is answered or refused, in order, as it should be."""
    ran = files.score(key, content, worker=files.small)
    predictions, errors = files.results(ran)
    answers, refusals = expected_of(rows, key.split("/")[1])
    assert ran.summary is not None
    assert ran.summary["rows"] == len(rows)
    assert [(int(error["line"]), error["code"]) for error in errors] == [refusal[:2] for refusal in refusals]
    for error, (_, _, sentence) in zip(errors, refusals, strict=True):
        assert error["error"] == sentence or (sentence is None and error["error"].endswith("."))
    assert len(predictions) == len(answers)
    for found, (customer_id, columns) in zip(predictions, answers, strict=True):
        assert_same(found, in_csv(customer_id) if ".csv" in key else customer_id, columns)


@given(csv_files(), st.sampled_from(["csv", "csv.gz"]), st.sampled_from(list(TYPES)), st.booleans())
@settings(max_examples=examples(50))
def test_any_csv_adds_up_and_its_good_rows_are_answered_as_over_http(
    files: Files,
    written: tuple[bytes, list[Line]],
    extension: str,
    kind: str,
    utf_16: bool,  # noqa: FBT001
) -> None:
    header, lines = written
    text, rows = joined_lines(lines, 1 + lines_in(header))
    if header.endswith(b"\r") and text.startswith(b"\n"):
        header = header[:-1] + b"\n\n"  # the same two lines
    content = header + text
    if utf_16 and b"M\xfc" not in content:
        content = content.decode().encode("utf-16")
    assert_all_told(files, files.key(extension, kind), gzip.compress(content) if ".gz" in extension else content, rows)


@st.composite
def json_lines(draw: st.DrawFn) -> Line:
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    customer_id = draw(ids)
    texts, numbers = draw(values())
    row: dict[str, Any] = {"customer_id": customer_id}
    for name, text, number in zip(DEFAULT_FEATURES, texts, numbers, strict=True):
        is_plain = number is not None and np.isfinite(number) and draw(st.integers(0, 4)) > 0
        row[name] = number if is_plain else text
        if number is None:
            match draw(st.integers(0, 2)):
                case 0:
                    row[name] = None
                case 1:
                    del row[name]
    match draw(
        st.sampled_from(
            ["good"] * 6 + ["broken", "no object", "not UTF-8", "huge", "odd", "unnamed", "number", "blank"]
        )
    ):
        case "broken":
            return Line(json.dumps(row).encode()[:-2] + end, BROKEN)
        case "no object":
            return Line(draw(st.sampled_from([b"1", b'"a"', b"null", b"true"])) + end, BROKEN)
        case "not UTF-8":
            return Line(
                json.dumps(row | {"customer_id": "latin-1"}).encode().replace(b"latin-1", b"M\xfcller") + end, BROKEN
            )
        case "huge":
            return Line(json.dumps(row | {"revenue": INFINITY}).replace("Infinity", "1e400").encode() + end, BROKEN)
        case "odd":
            odd = draw(st.sampled_from([True, 1.5, ["a"], {}]))
            return Line(json.dumps(row | {"customer_id": odd}).encode() + end, BROKEN)
        case "unnamed":
            unusable = draw(st.sampled_from(["", None, "x" * 257]))
            return Line(json.dumps(row | {"customer_id": unusable}).encode() + end, UNNAMED)
        case "number":
            whole = draw(st.integers(-(2**63), 2**64 - 1))
            return Line(json.dumps(row | {"customer_id": whole}).encode() + end, (str(whole), numbers))
        case "blank":
            return Line(draw(st.sampled_from([b"", b"  "])) + end, None)
    return Line(json.dumps(row, ensure_ascii=draw(st.booleans())).encode() + end, (customer_id, numbers))


@given(up_to(25, json_lines()), st.sampled_from(["jsonl", "jsonl.gz"]), st.sampled_from(list(TYPES)))
@settings(max_examples=examples(40))
def test_any_json_lines_add_up_and_their_good_rows_are_answered_as_over_http(
    files: Files, lines: list[Line], extension: str, kind: str
) -> None:
    first = Line(as_json([["first", *GOOD.values()]]), ("first", list(GOOD.values())))  # so that it has columns
    content, rows = joined_lines([first, *lines], 1)
    assert_all_told(files, files.key(extension, kind), gzip.compress(content) if ".gz" in extension else content, rows)


@given(
    st.lists(
        st.tuples(
            ids | st.sampled_from([None, "", "x" * 257, "nul\0"]),
            st.lists(NUMBERS | st.sampled_from([None, NAN, INFINITY, 1e39]), min_size=10, max_size=10),
        ),
        max_size=40,
    ),
    st.integers(1, 20),
    st.booleans(),
    st.sampled_from(list(TYPES)),
)
@settings(max_examples=examples(30))
def test_any_parquet_adds_up_and_its_good_rows_are_answered_as_over_http(
    files: Files,
    rows: list[tuple[str | None, list[float | None]]],
    row_group_size: int,
    as_dictionary: bool,  # noqa: FBT001
    kind: str,
) -> None:
    written = {
        name: pa.array([row[1][place] for row in rows], pa.float64()) for place, name in enumerate(DEFAULT_FEATURES)
    }
    customer_ids = pa.array([row[0] for row in rows], pa.string())
    if as_dictionary:
        customer_ids = customer_ids.dictionary_encode()
    content = as_parquet(pa.table({**written, "customer_id": customer_ids}), row_group_size=row_group_size)
    assert_all_told(
        files,
        files.key("parquet", kind),
        content,
        [
            (number, Line(b"", (given[0], given[1]) if given[0] and len(given[0]) <= 256 else UNNAMED))
            for number, given in enumerate(rows, 1)
        ],
    )


@given(
    st.lists(st.integers(-3, CUSTOMERS - 1) | ids, max_size=40),
    st.sampled_from(["csv", "csv.gz", "jsonl", "parquet"]),
    st.sampled_from(list(TYPES)),
)
@settings(max_examples=examples(30))
def test_any_ids_alone_are_answered_from_the_snapshot_as_over_http(
    files: Files,
    answered: Answered,
    wanted: list[int | str],
    extension: str,
    kind: str,
) -> None:
    named = list(files.customers)
    rows = [named[place] if isinstance(place, int) and place >= 0 else str(place) for place in wanted]
    match extension:
        case "parquet":
            content = as_parquet(pa.table({"customer_id": pa.array(rows, pa.string()), "note": ["x"] * len(rows)}))
        case "jsonl":
            content = as_json([["", "x"], *([row, "x"] for row in rows)], ["customer_id", "note"])
        case _:
            content = as_csv([[row] for row in rows], ["customer_id"], quoting=csv.QUOTE_ALL)
    ran = files.score(files.key(extension, kind), gzip.compress(content) if ".gz" in extension else content)
    predictions, errors = files.results(ran)
    assert ran.summary is not None
    assert (ran.summary["features"], ran.summary["features_as_of"]) == ("snapshot", rfc3339(MOMENT))
    outcomes = [(row, answered(row, kind)) for row in rows]
    good = [(row, outcome) for row, outcome in outcomes if isinstance(outcome, dict)]
    bad = [(in_csv(row), *outcome) for row, outcome in outcomes if isinstance(outcome, tuple)]
    if extension == "jsonl":
        bad.insert(0, ("", UNNAMED, "The row has no customer_id."))
    assert [(error["customer_id"], error["code"], error["error"]) for error in errors] == bad
    assert len(predictions) == len(good)
    for found, (row, columns) in zip(predictions, good, strict=True):
        assert_same(found, in_csv(row) if "csv" in extension else row, columns)


# --- formats ----------------------------------------------------------------------------------------------------------


def rows_with_features(files: Files) -> list[list[Any]]:
    return [[customer_id, *(row[name] for name in DEFAULT_FEATURES)] for customer_id, row in files.customers.items()]


def as_table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    cells = list(zip(*rows, strict=True))
    numbers = {name: pa.array(values, pa.float64()) for name, values in zip(DEFAULT_FEATURES, cells[1:], strict=True)}
    return pa.table({"customer_id": cells[0], **numbers})


def in_members(content: bytes) -> bytes:
    middle = len(content) // 2
    return gzip.compress(content[:middle]) + gzip.compress(b"") + gzip.compress(content[middle:])


WRITINGS: dict[str, tuple[str, Callable[[list[list[Any]]], bytes]]] = {
    "comma": ("csv", as_csv),
    "semicolon": ("csv", lambda rows: as_csv(rows, delimiter=";")),
    "tab": ("csv", lambda rows: as_csv(rows, delimiter="\t")),
    "bar": ("CSV", lambda rows: as_csv(rows, delimiter="|")),
    "quoted, CRLF": ("csv", lambda rows: as_csv(rows, quoting=csv.QUOTE_ALL, lineterminator="\r\n")),
    "CR": ("csv", lambda rows: as_csv(rows, lineterminator="\r")),
    "without a last line end": ("csv", lambda rows: as_csv(rows).rstrip(b"\n")),
    "UTF-8 with a mark": ("csv", lambda rows: as_csv(rows).decode().encode("utf-8-sig")),
    "UTF-16 LE with a mark": ("csv", lambda rows: b"\xff\xfe" + as_csv(rows).decode().encode("utf-16-le")),
    "UTF-16 BE with a mark": ("csv", lambda rows: b"\xfe\xff" + as_csv(rows).decode().encode("utf-16-be")),
    "UTF-16 LE": ("csv", lambda rows: as_csv(rows).decode().encode("utf-16-le")),
    "UTF-16 BE": ("csv", lambda rows: as_csv(rows).decode().encode("utf-16-be")),
    "gzip": ("csv.gz", lambda rows: gzip.compress(as_csv(rows))),
    "gzip of several members": ("csv.gz", lambda rows: in_members(as_csv(rows))),
    "gzip of UTF-16": ("csv.gz", lambda rows: gzip.compress(as_csv(rows).decode().encode("utf-16"))),
    "JSON Lines": ("jsonl", as_json),
    "JSON Lines with a mark": ("jsonl", lambda rows: as_json(rows).decode().encode("utf-8-sig")),
    "JSON Lines, gzip": ("jsonl.gz", lambda rows: in_members(as_json(rows))),
    "Parquet": ("parquet", lambda rows: as_parquet(as_table(rows))),
    "Parquet, small row groups": ("parquet", lambda rows: as_parquet(as_table(rows), row_group_size=7)),
    "Parquet, no dictionary": ("parquet", lambda rows: as_parquet(as_table(rows), use_dictionary=False, version="1.0")),
    "Parquet, zstd": ("parquet", lambda rows: as_parquet(as_table(rows), compression="zstd")),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_one_table_has_the_same_answers_however_it_is_written(files: Files, answered: Answered, writing: str) -> None:
    extension, write = WRITINGS[writing]
    ran = files.score(
        files.key(extension, "all"), write(rows_with_features(files)), worker=files.worker(Sizes(block_bytes=4096))
    )
    predictions, errors = files.results(ran)
    outcomes = [(customer_id, answered(customer_id, "all")) for customer_id in files.customers]
    good = [(customer_id, outcome) for customer_id, outcome in outcomes if isinstance(outcome, dict)]
    assert len(good) > CUSTOMERS / 2
    for found, (customer_id, columns) in zip(predictions, good, strict=True):
        assert_same(found, customer_id, columns)
    header_lines = 1 if "csv" in extension.lower() else 0
    assert [(error["line"], error["customer_id"], error["code"], error["error"]) for error in errors] == [
        (str(number + header_lines), customer_id, *outcome)
        for number, (customer_id, outcome) in enumerate(outcomes, 1)
        if isinstance(outcome, tuple)
    ]
    assert ran.summary is not None
    assert (ran.summary["features"], ran.summary["features_as_of"], ran.summary["mock"]) == ("file", None, False)
    assert list(ran.summary["models"]) == TYPES["all"]


@pytest.mark.parametrize("extension", ["csv", "csv.gz", "jsonl", "parquet"])
def test_the_bytes_of_the_results_do_not_depend_on_who_reads_which_block(files: Files, extension: str) -> None:
    write = {"csv": as_csv, "csv.gz": lambda rows: gzip.compress(as_csv(rows)), "jsonl": as_json}
    content = write.get(extension, lambda rows: as_parquet(as_table(rows)))(rows_with_features(files))
    runs = [files.score(files.key(extension), content, worker=files.small) for _ in range(2)]
    for name in ("predictions", "errors"):
        first, second = (files.read(ran.summary["files"][name]) for ran in runs if ran.summary)
        assert first == second


@pytest.mark.smoke
@pytest.mark.parametrize("kind", TYPES)
def test_each_type_has_its_columns(files: Files, kind: str) -> None:
    ran = files.score(files.key("csv", kind), as_csv([["a", *GOOD.values()]]))
    columns = {
        "churn": ["churn_probability", "churn_risk"],
        "nbo": [
            "recommended_offer",
            "offer_code",
            "offer_name",
            "category",
            "confidence",
            *(f"offer_{n}" for n in range(8)),
        ],
        "rfm": ["recency", "frequency", "monetary", "r_score", "f_score", "m_score", "rfm_segment", "segment"],
    }
    wanted = ["customer_id", *(column for name in TYPES[kind] for column in columns[name])]
    assert list(files.results(ran)[0][0]) == wanted


def test_other_columns_are_ignored_and_named(files: Files) -> None:
    names = ["note", "Revenue", "c0", "c0_0", "answers", "select", "a\nb", 'a"b', "a\\b", "", "file_row_number"]
    content = as_csv([["a", *GOOD.values(), *names]], [*HEADER, *names])
    ran = files.score(files.key("csv"), content)
    plain = files.score(files.key("csv"), as_csv([["a", *GOOD.values()]]))
    assert files.results(ran) == files.results(plain)
    assert ran.summary is not None
    assert ran.summary["ignored_columns"] == names


def test_a_thousand_columns_more_change_no_answer(files: Files) -> None:
    names = [f"x{number}" for number in range(1000)]
    rows = [["a", *GOOD.values(), *range(1000)], ["b", "abc", *list(GOOD.values())[1:], *range(1000)]]
    ran = files.score(files.key("csv"), as_csv(rows, [*HEADER, *names]))
    predictions, errors = files.results(ran)
    assert [row["customer_id"] for row in predictions] == ["a"]
    assert [error["code"] for error in errors] == ["INVALID_FEATURES"]
    assert ran.summary is not None
    assert ran.summary["ignored_columns"] == names[:100]


def test_rfm_reads_three_features_and_no_more(files: Files) -> None:
    ran = files.score(
        files.key("csv", "rfm"), b"customer_id,revenue,transaction_count,days_since_last\na,2415.56,51,0\n"
    )
    (row,), errors = files.results(ran)
    assert (row["recency"], row["rfm_segment"], errors) == ("0.0", "555", [])


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("customer_id,revenue", "The file has feature columns, but not transaction_count, days_since_last"),
        ("customer_id,Revenue", "The file has a column 'Revenue', but the model reads 'revenue': rename it."),
        ("customer_id,REVENUE ", "The file has a column 'REVENUE', but the model reads 'revenue': rename it."),
    ],
)
def test_some_features_without_the_others_are_neither_the_files_nor_the_snapshots(
    files: Files, header: str, sentence: str
) -> None:
    ran = files.score(files.key("csv"), f"{header}\nc-1,5\n".encode())
    assert files.failure(ran).startswith(sentence)


def test_a_line_of_json_may_leave_out_what_it_has_no_value_for(files: Files) -> None:
    known = {"customer_id": "whole", **GOOD}
    rows = [{"customer_id": "none"}, {"note": "nobody"}, {"customer_id": "one", "revenue": 1}, known]
    ran = files.score(files.key("jsonl"), "\n".join(map(json.dumps, rows)).encode())
    predictions, errors = files.results(ran)
    assert [row["customer_id"] for row in predictions] == ["whole"]
    assert [(error["line"], error["code"]) for error in errors] == [
        ("1", "MISSING_FEATURES"),
        ("2", UNNAMED),
        ("3", "MISSING_FEATURES"),
    ]


def test_features_that_appear_only_after_a_block_of_ids_are_refused_line_by_line(files: Files) -> None:
    rows = as_json([["c-1"]], ["customer_id"]) * 200 + as_json([["c-1", *GOOD.values()]])
    predictions, errors = files.results(
        files.score(files.key("jsonl"), rows, worker=files.worker(Sizes(block_bytes=512)))
    )
    assert len(predictions) == 200
    assert [(error["line"], error["code"]) for error in errors] == [("201", BROKEN)]
    assert errors[0]["error"].startswith("The line has revenue, and the file's first lines have no features")


PARQUET_IDS: dict[str, tuple[pa.Array, list[str]]] = {
    "int64": (pa.array([-5, 2**62], pa.int64()), ["-5", str(2**62)]),
    "uint64": (pa.array([0, 2**64 - 1], pa.uint64()), ["0", str(2**64 - 1)]),
    "whole decimals": (pa.array([Decimal(10**20), Decimal(7)], pa.decimal128(38, 0)), [str(10**20), "7"]),
    "large strings": (pa.array(["a", "ü"], pa.large_string()), ["a", "ü"]),
    "a dictionary": (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
}


@pytest.mark.parametrize("kind", PARQUET_IDS)
def test_ids_of_parquet_are_texts_or_whole_numbers(files: Files, kind: str) -> None:
    written, ids = PARQUET_IDS[kind]
    predictions, errors = files.results(files.score(files.key("parquet"), as_parquet(table_of(written))))
    assert ([row["customer_id"] for row in predictions], errors) == (ids, [])


PARQUET_NUMBERS: dict[str, tuple[pa.Array, list[float | None]]] = {
    "int8": (pa.array([51, None], pa.int8()), [51.0, None]),
    "uint64": (pa.array([2**63, 2**64 - 1], pa.uint64()), [2.0**63, 2.0**64]),
    "float32": (pa.array([0.1, None], pa.float32()), [float(np.float32(0.1)), None]),
    "float16": (pa.array(np.array([0.5, 2], np.float16)), [0.5, 2.0]),
    "decimals": (pa.array([Decimal("2415.56"), None], pa.decimal128(38, 10)), [2415.56, None]),
    "texts": (pa.array([" 2415.56", ""]), [2415.56, None]),
    "texts that are none": (pa.array(["1e3", "abc"]), [1000.0, NAN]),
    "a dictionary": (pa.array(["12", None]).dictionary_encode(), [12.0, None]),
    "nothing": (pa.nulls(2), [None, None]),
    "not finite": (pa.array([NAN, -INFINITY]), [NAN, -INFINITY]),
}


@pytest.mark.parametrize("kind", PARQUET_NUMBERS)
def test_numbers_of_parquet_are_of_any_type_that_can_hold_them(files: Files, kind: str) -> None:
    written, numbers = PARQUET_NUMBERS[kind]
    rest = list(GOOD.values())[1:]
    rows = [(number, Line(b"", (str(number), [value, *rest]))) for number, value in enumerate(numbers, 1)]
    assert_all_told(files, files.key("parquet", "all"), as_parquet(table_of(["1", "2"], revenue=written)), rows)


def test_parquet_rows_are_in_order_also_where_one_row_group_has_them_all(files: Files) -> None:
    ids = [str(number) for number in range(5000)]
    content = as_parquet(table_of(ids), row_group_size=5000)
    predictions, errors = files.results(
        files.score(files.key("parquet"), content, worker=files.worker(Sizes(parquet_rows=700)))
    )
    assert ([row["customer_id"] for row in predictions], errors) == (ids, [])


@pytest.mark.parametrize("extension", ["csv", "jsonl", "parquet"])
def test_without_a_model_the_answers_are_mock_and_say_so_in_each_row(
    files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extension: str
) -> None:
    files.service.s3.create_bucket(
        Bucket=f"no-models-{extension}", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    monkeypatch.setenv("MODEL_BUCKET", f"no-models-{extension}")
    monkeypatch.setenv("MODEL_CACHE", str(tmp_path))
    new_process()
    rows = [["c-1"], ["nobody"]]
    table = pa.table({"customer_id": ["c-1", "nobody"]})
    content = {"csv": as_csv(rows, ["customer_id"]), "jsonl": as_json(rows, ["customer_id"])}.get(
        extension, as_parquet(table)
    )
    ran = files.score(files.key(extension, "all"), content)
    over_http = {name: files.service.predict("c-1", name).body for name in TYPES["all"]}
    new_process()
    (found,), (error,) = files.results(ran)
    assert ran.summary is not None
    assert ran.summary["mock"] is True
    assert error["code"] == "CUSTOMER_NOT_FOUND"
    assert str(found.pop("mock")).lower() == "true"
    for body in over_http.values():
        body["result"].pop("mock", None)
    assert [body["mock"] for body in over_http.values()] == [True, True, False]
    expected = side_by_side({name: body["result"] for name, body in over_http.items()}, TYPES["all"])
    assert isinstance(expected, dict)
    assert_same(found, "c-1", expected)


# --- bad input --------------------------------------------------------------------------------------------------------


def zipped(content: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", content)
    return written.getvalue()


def miscounted(content: bytes) -> bytes:
    """A Parquet file of 500 rows, the footer of which says 501 (in zigzag: 1000, 1002)."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return content[:footer] + content[footer:].replace(b"\x16\xe8\x07", b"\x16\xea\x07", 1)


CSV, JSON, PARQUET = as_csv([["a", *GOOD.values()]]), as_json([["a", *GOOD.values()]]), as_parquet(table_of(["a", "b"]))
WHOLE = as_parquet(table_of([str(number) for number in range(5000)]), compression="snappy")

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "an empty CSV": ("csv", b"", "The file is empty"),
    "a CSV of blank lines": ("csv", b"\n \r\n\n", "The file is empty: it needs a header with a column customer_id."),
    "an empty gzip": ("csv.gz", gzip.compress(b""), "The file is empty"),
    "no gzip at all": ("jsonl.gz", b"", "The file is empty"),
    "empty JSON Lines": ("jsonl", b"", "The file is empty"),
    "JSON Lines of blank lines": ("jsonl", b"\n  \n\r\n", "The file is empty"),
    "an empty Parquet": ("parquet", b"", "The file is empty"),
    "a header without customer_id": ("csv", b"id,revenue\n1,2\n", "The header has no column customer_id: its columns"),
    "customer_id in another case": (
        "csv",
        b"Customer_ID\n1\n",
        "The header has no column customer_id, but 'Customer_ID'",
    ),
    "a column twice": ("csv", b"customer_id,x,x\n1,2,3\n", "The header has more than one column named 'x'"),
    "customer_id twice": ("csv", b"customer_id,customer_id\n1,1\n", "The header has more than one column named"),
    "a header of 2 MB": ("csv", b"x" * 2_000_000 + b"\n1\n", "The header is longer than 1,000,000 bytes"),
    "rows without customer_id": ("jsonl", b'{"id": 1}\n{"id": 2}\n', "No row has a customer_id, but 'id'"),
    "a cut gzip": ("csv.gz", gzip.compress(CSV * 99)[:-20], "is cut off: the gzip ends too early"),
    "a bomb": ("csv.gz", gzip.compress(b"customer_id\n" + b"0\n" * 10**6), "expands to more than 200 times its size"),
    "a cut Parquet": ("parquet", WHOLE[:-100], "The file is not a whole Parquet file"),
    "a Parquet with a hole": (
        "parquet",
        WHOLE[:400] + bytes(600) + WHOLE[1000:],
        "The Parquet file is damaged, in the",
    ),
    "a Parquet with fewer rows than it says": (
        "parquet",
        miscounted(as_parquet(table_of(["a"] * 500))),
        "it does not have as many rows as it says",
    ),
    "noise named .parquet": ("parquet", bytes(range(256)) * 9, "The file is not a whole Parquet file"),
    "Parquet named .csv": ("csv", PARQUET, "The file is named as CSV, but is a Parquet file: name it .parquet."),
    "Parquet named .jsonl": ("jsonl", PARQUET, "No line of the file is a JSON object"),
    "CSV named .parquet": ("parquet", CSV, "The file is not a whole Parquet file: correct its extension"),
    "CSV named .csv.gz": ("csv.gz", CSV, "is not gzip, but its name says so"),
    "CSV named .jsonl": ("jsonl", CSV, "No line of the file is a JSON object: write one object a line"),
    "gzip named .csv": ("csv", gzip.compress(CSV), "The file is named as CSV, but is a gzip file: name it .csv.gz"),
    "gzip named .jsonl": ("jsonl", gzip.compress(JSON), "No line of the file is a JSON object"),
    "a workbook named .csv": ("csv", zipped(CSV), "The file is named as CSV, but is an Excel or zip file"),
    "JSON Lines named .csv": ("csv", JSON, "The file is named as CSV, but looks like JSON"),
    "a JSON array in a line": ("jsonl", b'[{"customer_id": "a"}]', "The file is a JSON array: write one object a line"),
    "a JSON array": ("jsonl", b'[\n{"customer_id": "a"},\n{"customer_id": "b"}\n]', "The file is a JSON array"),
    "a header in Latin-1": ("csv", b"customer_id,gr\xf6\xdfe\na,1\n", "The header is not valid UTF-8"),
    "Parquet without customer_id": (
        "parquet",
        as_parquet(pa.table({"id": [1]})),
        "The file has no column customer_id: its",
    ),
    "ids of Parquet that are floats": (
        "parquet",
        as_parquet(table_of([1.5])),
        "The column customer_id is of type DOUBLE",
    ),
    "nested ids": ("parquet", as_parquet(table_of([["a"]])), "The column customer_id is of type VARCHAR[]"),
    "nested features": (
        "parquet",
        as_parquet(table_of(["a"], revenue=[{"eur": 1}])),
        "The column revenue is of type STRUCT",
    ),
    "features that are days": (
        "parquet",
        as_parquet(table_of(["a"], revenue=pa.array([1], pa.date32()))),
        "The column revenue is of type DATE: write it as numbers.",
    ),
    "names that differ by case": (
        "parquet",
        as_parquet(table_of(["a"], Revenue=[1.0])),
        "The file has 2 columns named 'revenue', in upper or lower case",
    ),
    "the name of the row number": (
        "parquet",
        as_parquet(table_of(["a"], file_row_number=[1])),
        "The file has a column file_row_number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_scored_says_why_in_a_sentence_and_the_next_one_is(files: Files, name: str) -> None:
    extension, content, sentence = REFUSED[name]
    found = files.failure(files.score(files.key(extension), content, worker=files.wary))
    assert sentence in found
    assert found.endswith(".")
    assert str(process().files.settings.file_work) not in found, "a path of the function's"
    predictions, _ = files.results(files.score(files.key("csv"), CSV, worker=files.wary))
    assert [row["customer_id"] for row in predictions] == ["a"]


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("csv", as_csv([])),
        ("csv", b"customer_id"),
        ("csv", b"\xef\xbb\xbf\r\ncustomer_id;note\r\n\r\n"),
        ("csv.gz", gzip.compress(as_csv([]))),
        ("parquet", as_parquet(table_of(pa.array([], pa.string())))),
        ("parquet", as_parquet(pa.table({"customer_id": pa.array([], pa.int64())}))),
    ],
    ids=["all columns", "one column", "a mark and an empty line", "gzip", "parquet", "parquet of numbers"],
)
@pytest.mark.parametrize("kind", ["churn", "all"])
def test_a_file_of_a_header_alone_has_results_of_a_header_alone(
    files: Files, extension: str, content: bytes, kind: str
) -> None:
    ran = files.score(files.key(extension, kind), content)
    assert files.results(ran) == ([], [])
    assert ran.summary is not None
    written = files.read(ran.summary["files"]["predictions"])
    one = files.score(files.key("csv", kind), CSV)
    columns = list(files.results(one)[0][0])
    if extension == "parquet":
        assert pq.read_schema(io.BytesIO(written)).names == columns
    else:
        text = gzip.decompress(written) if extension == "csv.gz" else written
        assert re.split("[,;]", text.decode().rstrip("\n")) == columns


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("csv", b'customer_id\n""\n'),
        ("csv.gz", gzip.compress(b"customer_id\nnobody\n")),
        ("jsonl", b'{"customer_id": ""}\n'),
        ("jsonl.gz", gzip.compress(b'{"customer_id": "nobody"}\n')),
        ("parquet", as_parquet(pa.table({"customer_id": ["", "nobody", None]}))),
    ],
    ids=["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"],  # not of the content: a gzip has a time stamp
)
def test_a_file_of_bad_rows_alone_succeeds_with_errors_alone(files: Files, extension: str, content: bytes) -> None:
    predictions, errors = files.results(files.score(files.key(extension, "all"), content))
    assert predictions == []
    assert {error["code"] for error in errors} <= {UNNAMED, "CUSTOMER_NOT_FOUND"}
    assert errors


@pytest.mark.parametrize("extension", ["csv.gz", "jsonl.gz"])
def test_a_line_of_50_mb_is_an_error_and_never_in_memory(files: Files, extension: str) -> None:
    before, after = as_csv([["c-1"]], ["customer_id"]), b"c-3\n"
    if extension == "jsonl.gz":
        before, after = b'{"customer_id": "c-1"}\n', b'{"customer_id": "c-3"}\n'
    source = files.put(files.key(extension), gzip.compress(before + b"x" * 50_000_000 + b"\n" + after, 1))
    tracemalloc.start()
    ran = files.run(source, worker=files.worker(Sizes(block_bytes=2**20)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    predictions, errors = files.results(ran)
    assert [row["customer_id"] for row in predictions] == ["c-1", "c-3"]
    assert [(error["line"], error["error"]) for error in errors] == [
        (str(1 + lines_in(before)), f"The line is longer than {LIMITS.line_bytes:,} bytes.")
    ]
    assert peak < 25_000_000


def test_many_ids_that_are_too_long_cost_one_reading(files: Files) -> None:
    ids = ["x" * 300] * 20_000  # of which a copy of all for each would be 120 GB
    predictions, errors = files.results(files.score(files.key("csv"), as_csv([[i] for i in ids], ["customer_id"])))
    assert predictions == []
    assert {(error["code"], error["customer_id"]) for error in errors} == {(UNNAMED, "x" * 256)}
    assert len(errors) == len(ids)


def test_a_mark_in_the_middle_is_part_of_an_id_wherever_its_block_begins(files: Files) -> None:
    rows = [[f"\ufeff{number}", *GOOD.values()] for number in range(50)]
    ran = files.score(files.key("csv"), as_csv(rows), worker=files.worker(Sizes(block_bytes=700)))
    predictions, errors = files.results(ran)
    assert ([row["customer_id"] for row in predictions], errors) == ([row[0] for row in rows], [])


def test_mixed_line_ends_are_counted_as_an_editor_does(files: Files) -> None:
    content = b"customer_id\r\nc-1\nnobody\rc-3\r\n\r\nnobody\n\rc-4"
    predictions, errors = files.results(files.score(files.key("csv"), content))
    assert [row["customer_id"] for row in predictions] == ["c-1", "c-3", "c-4"]
    assert [error["line"] for error in errors] == ["3", "6"]


# --- formula injection ------------------------------------------------------------------------------------------------

DANGEROUS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1;2)", "\tx", "\r=1", "\n=1", "=", "-", "+1 2", "-1\n"]
HARMLESS = ["-12", "+491701234567", "-1.5", "0", "a=b", "'x", " =1", "1+1"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_a_spreadsheet_would_run_is_written_as_text(files: Files, delimiter: str) -> None:
    ids = [*DANGEROUS, *HARMLESS]
    written = [f"'{customer_id}" for customer_id in DANGEROUS] + HARMLESS
    content = as_csv([[customer_id, *GOOD.values()] for customer_id in ids], delimiter=delimiter)
    predictions, _ = files.results(files.score(files.key("csv"), content))
    assert [row["customer_id"] for row in predictions] == written
    content = as_csv([[customer_id, "x"] for customer_id in ids], ["customer_id", "note"], delimiter=delimiter)
    _, errors = files.results(files.score(files.key("csv"), content))
    assert [error["customer_id"] for error in errors] == written, "in errors.csv too"


@pytest.mark.parametrize("extension", ["jsonl", "parquet"])
def test_other_formats_keep_the_id_but_errors_csv_does_not(files: Files, extension: str) -> None:
    rows = [[customer_id, *GOOD.values()] for customer_id in DANGEROUS] + [["=bad", NAN, *list(GOOD.values())[1:]]]
    content = as_parquet(as_table(rows))
    if extension == "jsonl":
        content = as_json(rows).replace(b"NaN", b'"NaN"')
    predictions, errors = files.results(files.score(files.key(extension), content))
    assert [row["customer_id"] for row in predictions] == DANGEROUS
    assert [error["customer_id"] for error in errors] == ["'=bad"]


# --- keys -------------------------------------------------------------------------------------------------------------


def notify(files: Files, key: str, content: bytes) -> Job:
    """Puts an object, and brings the function what S3 says of it; gives the newest job of that key."""
    put = files.service.s3.put_object(Bucket=files.bucket, Key=key, Body=content)
    about = {
        "key": quote_plus(key),
        "size": len(content),
        "eTag": put["ETag"].strip('"'),
        "versionId": put["VersionId"],
    }
    named = {"bucket": {"name": files.bucket}, "object": about}
    event = {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": named}]}
    context: Any = LambdaContext("FilesFunction", 900)
    files_function.handler(event, context)
    return next(job for job in process().batch.jobs.list(20)[0] if job.request["key"] == key)


@pytest.mark.parametrize(
    "name", ["a b", "a+b", "größe %41", "a/../../b", "../a", "=1", "a'\"b", "a\\b", "🙂", "a?b&c#d"]
)
def test_a_file_may_have_any_name(files: Files, name: str) -> None:
    key = f"incoming/rfm/{name}.csv"
    job = notify(files, key, CSV)
    assert (job.status, job.processed, job.errors) == ("succeeded", 1, 0)
    assert job.summary is not None
    assert json.loads(files.read(job.summary["files"]["summary"]))["key"] == key


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("incoming/churn/a.xlsx", "'a.xlsx' has none of the extensions .csv, .csv.gz, .jsonl, .jsonl.gz, .parquet"),
        ("incoming/churn/csv", "'csv' has none of the extensions"),
        ("incoming/CHURN/a.csv", "'incoming/CHURN/a.csv' is in none of the folders incoming/churn/"),
        ("incoming/a.csv", "'incoming/a.csv' is in none of the folders"),
    ],
)
def test_a_key_that_does_not_say_what_it_is_is_a_failed_job(files: Files, key: str, sentence: str) -> None:
    job = notify(files, key, CSV)
    assert (job.status, job.code) == ("failed", "INVALID_FILE")
    assert job.error is not None
    assert job.error.startswith(sentence)
