"""What holds of every file: in each format, however it is compressed, with features of its own or of the snapshot."""

import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.files import source
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.vocabulary import rfc3339
from tests.examples import examples
from tests.files.deployed import CUSTOMERS, TYPES, Answered, Files, Outcome, assert_same, in_csv, side_by_side
from tests.files.disturbed import PART_BYTES, Blocks, Jobs, Killed, KilledError, score
from tests.files.generated import UNNAMED, WRITTEN, Line, assert_all_told, ids
from tests.files.writings import FORMATS, HEADER, FileWriter, unpacked, written_as
from tests.segments.test_segments import MOMENT
from tests.service import GOOD, SNAPSHOT_FEATURES, new_process, process
from training.registry import publish

pytestmark = pytest.mark.moto

Values = Sequence[float | str | None]
RFM_FEATURES = {"days_since_last", "lifetime_transaction_count", "lifetime_value"}


class Cell(NamedTuple):
    """One of the ways to give the service customers."""

    format: FileWriter
    features: Literal["file", "snapshot"]

    @property
    def is_csv(self) -> bool:
        return self.format.extension.startswith("csv")

    def write(self, rows: Sequence[tuple[str | None, Values]], more: Sequence[str] = ()) -> bytes:
        """The customers, with their values if the file has features; and other columns, that say their own names."""
        names = HEADER if self.features == "file" else HEADER[:1]
        written = [[customer_id, *(values if self.features == "file" else ()), *more] for customer_id, values in rows]
        return self.format.write(written, [*names, *more])

    def written(self, customer_id: str) -> str:
        """How a prediction shows an id."""
        return in_csv(customer_id) if self.is_csv else customer_id


CELLS: dict[str, Cell] = {
    f"{name}-{features}": Cell(written, features)
    for name, written in FORMATS.items()
    for features in ("file", "snapshot")
}

PARQUET = "parquet.snappy"
"""DuckDB undoes Parquet's compression before it reads a row: its codec matters to the answers, and to nothing else."""


def of_one_codec(name: str) -> bool:
    return name.startswith((PARQUET, "csv", "jsonl"))


FEW_CELLS = {name: cell for name, cell in CELLS.items() if of_one_codec(name)}
FEW_FORMATS = {name: written for name, written in FORMATS.items() if of_one_codec(name)}


def in_time(name: str, *values: Any) -> Any:
    """A parameter. What only Zstandard adds is for `make test-long`: but for its codec it goes gzip's way."""
    return pytest.param(*values, id=name, marks=pytest.mark.long if "zst" in name.replace("parquet.zstd", "") else ())


every_format = pytest.mark.parametrize("written", [in_time(*each) for each in FEW_FORMATS.items()])
every_type = pytest.mark.parametrize("kind", TYPES)

PAIRS = ("csv-file", "csv.gz-snapshot", "csv.zst-snapshot", "jsonl-snapshot", "jsonl.gz-file", f"{PARQUET}-snapshot")
"""Each format, plain and compressed, with features of its own and of the snapshot: each two of these meet in a cell."""
EACH = [name for name in FEW_CELLS if "zst" not in name or name == "csv.zst-file"]
"""For what costs half a minute: of Zstandard, one is enough."""
TWO = ("csv-file", f"{PARQUET}-snapshot")
"""For what costs seconds: text and columns, with features of either kind."""


def in_cells(names: Sequence[str]) -> pytest.MarkDecorator:
    """These cells in `make test`, and all in `make test-long`."""
    cells = [cell if name in names else pytest.param(cell, marks=pytest.mark.long) for name, cell in FEW_CELLS.items()]
    return pytest.mark.parametrize("cell", cells, ids=FEW_CELLS)


in_pairs = in_cells(PAIRS)


# --- answers ----------------------------------------------------------------------------------------------------------


class Customer(NamedTuple):
    """A row: whose: the customer of the stores whose features the file gives to that id."""

    customer_id: str | None
    whose: str


def customers_of(files: Files) -> list[Customer]:
    """All of the stores, each with the features of another; among them ids that are twice, unknown, long or absent."""
    known = list(files.customers)
    rows = [Customer(*pair) for pair in zip(known, reversed(known), strict=True)]
    rows[5:5] = [Customer("", "c-8"), Customer(None, "c-8"), rows[2]]
    rows[40:40] = [Customer(each, "c-9") for each in ("nobody", "ü" * 256, "x" * 257)]
    return [*rows, rows[0], Customer("=1+1", "c-9")]


def values_of(files: Files, rows: Sequence[Customer]) -> list[tuple[str | None, Values]]:
    of = files.customers
    return [(customer_id, [of[whose][name] for name in SNAPSHOT_FEATURES]) for customer_id, whose in rows]


def outcome_of(row: Customer, cell: Cell, answered: Answered, kind: str) -> Outcome:
    if not row.customer_id:
        return (UNNAMED, "The row has no customer_id.")
    if len(row.customer_id) > 256:
        return (UNNAMED, "The customer_id has more than 256 characters.")
    return answered(row.whose if cell.features == "file" else row.customer_id, kind)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        pytest.param(cell, kind, id=f"{kind}-{name}", marks=() if kind == "all" or name in PAIRS else pytest.mark.long)
        for kind in TYPES
        for name, cell in CELLS.items()
        if kind == "all" or of_one_codec(name)
    ],
)
def test_each_row_has_in_order_the_answer_or_the_error_that_the_api_gives(
    files: Files, answered: Answered, cell: Cell, kind: str
) -> None:
    """Answers are the same to the bit. An error has the row's line and its id. Both add up to the rows."""
    rows = customers_of(files)
    content = cell.write(values_of(files, rows))
    key = files.key(cell.format.extension, kind)
    ran = files.score(key, content, worker=files.worker(cell.format.sizes(content, len(rows))))
    predictions, errors = files.results(ran)
    outcomes = [
        (line, row.customer_id or "", outcome_of(row, cell, answered, kind)) for line, row in enumerate(rows, 1)
    ]
    good = [(customer_id, outcome) for _, customer_id, outcome in outcomes if isinstance(outcome, dict)]
    assert len(good) > CUSTOMERS / 2
    for found, (customer_id, columns) in zip(predictions, good, strict=True):
        assert_same(found, cell.written(customer_id), columns)
    assert [(error["line"], error["customer_id"], error["code"], error["error"]) for error in errors] == [
        (str(line + cell.format.header_lines), in_csv(customer_id[:256]), *outcome)
        for line, customer_id, outcome in outcomes
        if isinstance(outcome, tuple)
    ]
    codes = {"INVALID_CUSTOMER_ID", "MISSING_FEATURES"} | (
        {"CUSTOMER_NOT_FOUND"} if cell.features == "snapshot" else set()
    )
    assert codes <= {error["code"] for error in errors}
    assert ran.summary is not None
    assert (ran.summary["type"], ran.summary["key"], ran.summary["rows"]) == (kind, key, len(rows))
    assert (ran.summary["features"], ran.summary["mock"]) == (cell.features, False)
    assert ran.summary["features_as_of"] == (rfc3339(MOMENT) if cell.features == "snapshot" else None)
    assert list(ran.summary["models"]) == TYPES[kind]
    unread = set(SNAPSHOT_FEATURES) - RFM_FEATURES if (kind, cell.features) == ("rfm", "file") else set()
    assert set(ran.summary["ignored_columns"]) == unread
    assert ran.summary["files"]["predictions"] == f"results/{ran.job_id}/predictions.{cell.format.extension}"


@every_format
@pytest.mark.parametrize("kind", ["rfm", "all"])
def test_a_value_is_a_number_or_it_is_none_in_every_format_alike(files: Files, written: FileWriter, kind: str) -> None:
    """The errors are those of a service whose customers have these values."""
    good = list(GOOD.values())
    rows: list[tuple[str, list[Any]]] = []
    lines: list[tuple[int, Line]] = []
    for place in range(len(SNAPSHOT_FEATURES)):
        for text, number in WRITTEN:
            if text == "-0":  # beside 0.0: DuckDB's Parquet dictionary takes the two zeros for one
                continue
            line = 1 + len(rows) + written.header_lines
            rows.append((f"c-{line}", [*good[:place], text, *good[place + 1 :]]))
            lines.append((line, Line(b"", (f"c-{line}", [*good[:place], number, *good[place + 1 :]]))))
    content = Cell(written, "file").write(rows)
    assert_all_told(files, files.key(written.extension, kind), content, lines)


@given(wanted=st.lists(st.integers(-3, CUSTOMERS - 1) | ids, max_size=40), kind=st.sampled_from(list(TYPES)))
@settings(max_examples=examples(6))
@every_format
def test_any_ids_alone_are_answered_from_the_snapshot_as_over_http(
    files: Files, answered: Answered, written: FileWriter, wanted: list[int | str], kind: str
) -> None:
    named = list(files.customers)
    # JSON Lines without a line would have no customer_id.
    rows = ["", *(named[place] if isinstance(place, int) and place >= 0 else str(place) for place in wanted)]
    cell = Cell(written, "snapshot")
    ran = files.score(files.key(written.extension, kind), cell.write([(row, ()) for row in rows], ["note"]))
    predictions, errors = files.results(ran)
    outcomes = [(row, outcome_of(Customer(row, ""), cell, answered, kind)) for row in rows]
    good = [(row, outcome) for row, outcome in outcomes if isinstance(outcome, dict)]
    bad = [(in_csv(row), *outcome) for row, outcome in outcomes if isinstance(outcome, tuple)]
    assert [(error["customer_id"], error["code"], error["error"]) for error in errors] == bad
    for found, (row, columns) in zip(predictions, good, strict=True):
        assert_same(found, cell.written(row), columns)


COLUMNS: Mapping[str, Sequence[str]] = {
    "churn": ["churn_probability", "churn_risk"],
    "nbo": [
        "recommended_offer",
        "offer_code",
        "offer_name",
        "category",
        "confidence",
        "evidence",
        *(f"offer_{offer}" for offer in range(8)),
    ],
    "rfm": ["recency", "frequency", "monetary", "r_score", "f_score", "m_score", "rfm_segment", "segment"],
}


def columns_of(kind: str) -> list[str]:
    return ["customer_id", *(column for name in TYPES[kind] for column in COLUMNS[name])]


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(written, id=name, marks=pytest.mark.smoke) if name == "csv" else in_time(name, written)
        for name, written in FEW_FORMATS.items()
    ],
)
@every_type
def test_each_type_has_its_columns(files: Files, written: FileWriter, kind: str) -> None:
    content = Cell(written, "file").write([("a", list(GOOD.values()))])
    (row,), _ = files.results(files.score(files.key(written.extension, kind), content))
    assert list(row) == columns_of(kind)


@every_format
def test_rfm_reads_three_features_and_no_more(files: Files, written: FileWriter) -> None:
    content = written.write(
        [["a", 2415.56, 51, 0]], ["customer_id", "lifetime_value", "lifetime_transaction_count", "days_since_last"]
    )
    (row,), errors = files.results(files.score(files.key(written.extension, "rfm"), content))
    assert (float(row["recency"]), row["rfm_segment"], errors) == (0.0, "555", [])


@in_pairs
def test_other_columns_are_ignored_and_named(files: Files, cell: Cell) -> None:
    rows = [("c-1", list(GOOD.values())), ("", list(GOOD.values()))]
    more = ["note", "c0", "c0_0", "answers", "select", "a\nb", 'a"b', "a\\b"]
    ran, plain = (files.score(files.key(cell.format.extension), cell.write(rows, names)) for names in (more, ()))
    predictions, errors = files.results(ran)
    assert predictions == files.results(plain)[0]
    assert [error["code"] for error in errors] == [UNNAMED]
    assert ran.summary is not None
    assert ran.summary["ignored_columns"] == more


DANGEROUS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1;2)", "\tx", "\r=1", "\n=1", "=", "-", "+1 2", "-1\n"]


@in_pairs
def test_only_csv_changes_an_id_that_a_spreadsheet_would_run(files: Files, cell: Cell) -> None:
    """errors.csv is CSV whatever the file is."""
    good = list(GOOD.values())
    rows: list[tuple[str | None, Values]] = [(customer_id, good) for customer_id in DANGEROUS]
    rows.append(("=bad", [None, *good[1:]]))
    predictions, errors = files.results(files.score(files.key(cell.format.extension), cell.write(rows)))
    answered = DANGEROUS if cell.features == "file" else []
    assert [row["customer_id"] for row in predictions] == [f"'{each}" if cell.is_csv else each for each in answered]
    assert [error["customer_id"] for error in errors] == [f"'{each}" for each, _ in rows if each not in answered]


@in_pairs
def test_a_file_of_bad_rows_alone_fails_and_has_its_errors(files: Files, cell: Cell) -> None:
    unknown = [("nobody", [None] * len(SNAPSHOT_FEATURES))]
    content = cell.write([("", list(GOOD.values())), (None, list(GOOD.values())), *unknown])
    ran = files.score(files.key(cell.format.extension, "all"), content)
    predictions, errors = files.results(ran)
    assert predictions == []
    code = "MISSING_FEATURES" if cell.features == "file" else "CUSTOMER_NOT_FOUND"
    assert [error["code"] for error in errors] == [UNNAMED, UNNAMED, code]
    assert ran.summary is not None
    first = 1 + cell.format.header_lines
    assert ran.summary["error"] == (
        f"None of the 3 rows has an answer. 2 are {UNNAMED} (1 {code} besides), the first in line {first}: The row has "
        "no customer_id. Correct that, then upload the file again."
    )
    assert files.run(files.source_of(ran)).summary == ran.summary, "it is over for good"


@pytest.mark.parametrize(
    "cell",
    [in_time(name, cell) for name, cell in FEW_CELLS.items() if not name.startswith("jsonl")],
)
@pytest.mark.parametrize("kind", ["churn", "all"])
def test_a_file_of_columns_alone_fails_and_has_results_of_columns_alone(files: Files, cell: Cell, kind: str) -> None:
    """JSON Lines name their columns in each line: without one they are an empty file, which is refused."""
    ran = files.score(files.key(cell.format.extension, kind), cell.write([]))
    assert files.results(ran) == ([], [])
    assert ran.summary is not None
    assert ran.summary["error"] == ("The file has columns and no rows, so nobody is answered: export it with its rows.")
    predictions = files.read(ran.summary["files"]["predictions"])
    if cell.is_csv:
        assert unpacked(cell.format.extension, predictions).decode() == ",".join(columns_of(kind)) + "\n"
    else:
        assert pq.read_schema(io.BytesIO(predictions)).names == columns_of(kind)


@pytest.fixture(scope="module")
def empty_bucket(files: Files) -> str:
    bucket = "no-models"
    files.service.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return bucket


@pytest.fixture
def _without_models(empty_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("MODEL_BUCKET", empty_bucket)
    monkeypatch.setenv("MODEL_CACHE", str(tmp_path))
    new_process()
    yield
    monkeypatch.undo()
    new_process()


@pytest.mark.usefixtures("_without_models")
@in_pairs
def test_without_a_model_the_answers_are_mock_and_say_so_in_each_row(files: Files, cell: Cell) -> None:
    content = cell.write(values_of(files, [Customer("c-1", "c-1"), Customer("nobody", "c-1")]))
    ran = files.score(files.key(cell.format.extension, "all"), content)
    over_http = {name: files.service.predict("c-1", name).body for name in TYPES["all"]}
    (found, *others), errors = files.results(ran)
    assert ran.summary is not None
    assert ran.summary["mock"] is True
    assert [str(row["mock"]).lower() for row in (found, *others)] == ["true"] * (2 if cell.features == "file" else 1)
    assert [error["code"] for error in errors] == ([] if cell.features == "file" else ["CUSTOMER_NOT_FOUND"])
    assert [body["mock"] for body in over_http.values()] == [True, True, False]
    for body in over_http.values():
        body["result"].pop("mock", None)
    expected = side_by_side({name: body["result"] for name, body in over_http.items()}, TYPES["all"])
    assert isinstance(expected, dict)
    del found["mock"]
    assert_same(found, "c-1", expected)


# --- files that are refused -------------------------------------------------------------------------------------------


@every_format
def test_an_object_without_a_byte_is_an_empty_file(files: Files, written: FileWriter) -> None:
    assert files.refused(written.extension, b"").startswith("The file is empty")


NO_ID = {
    "csv": "The header has no column customer_id",
    "jsonl": "No row has a customer_id, but",
    "parquet": "The file has no column customer_id",
}


@every_format
@pytest.mark.parametrize("name", ["id", "customer"])
def test_without_a_column_customer_id_there_is_nobody_to_answer(files: Files, written: FileWriter, name: str) -> None:
    sentence = files.refused(written.extension, written.write([["c-1", 5]], [name, "note"]))
    assert sentence.startswith(NO_ID[written_as(f"a.{written.extension}").kind])
    assert name in sentence, "what it has instead"


@every_format
@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("revenue", "The file has the feature columns 'revenue', but not transaction_count, days_since_last"),
        ("REVE NUE", "The file has the feature columns 'REVE NUE', but not transaction_count, days_since_last"),
        ("Revenues", "The file has a column 'Revenues', but the model reads 'revenue': rename it, or remove it."),
    ],
)
def test_some_features_without_the_others_are_neither_the_files_nor_the_snapshots(
    files: Files, written: FileWriter, column: str, sentence: str
) -> None:
    assert files.refused(written.extension, written.write([["c-1", 5]], ["customer_id", column])).startswith(sentence)


ZSTANDARD = [("csv", "csv.zst"), ("csv.zst", "csv"), ("csv.gz", "csv.zst")]
"""Of which `make test` too sees what is said."""


def misnamed(name: str, content: FileWriter) -> str:
    """What is said of the content under a name of another format."""
    if name == "parquet":
        return "The file is not a whole Parquet file: correct its extension"
    for extension, compression, called in ((".gz", "gzip", "gzip"), (".zst", "zstd", "Zstandard")):
        if name.endswith(extension) and content.compression != compression:
            return f"is not {called}, but its name says so"
    if name.startswith("jsonl"):
        return "No line of the file is a JSON object: write one object a line"
    if content.extension == "parquet":
        return "The file is named as CSV, but is a Parquet file: name it .parquet."
    if name == "csv" and content.compression == "gzip":
        return "The file is named as CSV, but is a gzip file: name it .csv.gz"
    if name == "csv" and content.compression == "zstd":
        return "The file is named as CSV, but is a Zstandard file: name it .csv.zst"
    return "The file is named as CSV, but looks like JSON"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        in_time(f"{of}-{name}", written, name) if (of, name) not in ZSTANDARD else pytest.param(written, name)
        for of, written in FEW_FORMATS.items()
        for name in source.FORMATS
        if name != written.extension
    ],
)
def test_a_file_of_one_format_that_is_named_as_another_is_told_so(files: Files, written: FileWriter, name: str) -> None:
    content = written.write([["a", *GOOD.values()]])
    assert misnamed(name, written) in files.refused(name, content)


@every_format
def test_noise_is_no_file_of_any_format(files: Files, written: FileWriter) -> None:
    files.refused(written.extension, random.Random(5).randbytes(2_000))


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(written, id=name, marks=pytest.mark.long if name == "jsonl.zst" else ())
        for name, written in FORMATS.items()
        if written.compression or written.codec
    ],
)
def test_a_file_that_is_cut_off_has_no_results(files: Files, written: FileWriter) -> None:
    """Only of plain text nobody can see it."""
    content = written.write([[f"c-{number}", *GOOD.values()] for number in range(100)])
    sentence = files.refused(written.extension, content[:-20])
    assert ("ends too early, after" if written.compression else "not a whole Parquet file") in sentence


# --- files whose job is disturbed -------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A file of four blocks for a job, and the sizes that make them four."""

    content: bytes
    sizes: Sizes


def four_blocks(jobs: Jobs, files: Files, cell: Cell) -> Told:
    rows = customers_of(files)
    content = cell.write(values_of(files, rows))
    return Told(content, cell.format.sizes(content, len(rows), part_bytes=PART_BYTES))


@in_pairs
def test_two_runs_make_the_same_bytes_whoever_reads_which_block(files: Files, cell: Cell) -> None:
    rows = customers_of(files)
    content = cell.write(values_of(files, rows))
    worker = files.worker(cell.format.sizes(content, len(rows), blocks=16))
    runs = [files.score(files.key(cell.format.extension), content, worker=worker) for _ in range(2)]
    for name in ("predictions", "errors"):
        first, second = (files.read(ran.summary["files"][name]) for ran in runs if ran.summary)
        assert first == second


@in_cells(TWO)
@pytest.mark.parametrize("blocks", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_file_that_takes_many_invocations_has_the_bytes_of_one(
    jobs: Jobs, files: Files, cell: Cell, blocks: int
) -> None:
    content, sizes = four_blocks(jobs, files, cell)
    job = jobs.put(f"incoming/all/customers.{cell.format.extension}", content)
    expected = jobs.undisturbed(job, sizes)
    jobs.forget(job)
    invocations = 1
    while (ran := score(jobs.worker(sizes=sizes), job, Blocks(blocks))).outcome == "unfinished":
        invocations += 1
    assert ran.outcome == "finished"
    # The last finds nothing left where the blocks before were all.
    assert invocations == 4 // blocks + 1
    assert jobs.results(job) == expected


@in_cells(TWO)
def test_models_that_change_between_two_invocations_answer_for_the_whole_file(
    jobs: Jobs, files: Files, other_models: Path, cell: Cell
) -> None:
    content, sizes = four_blocks(jobs, files, cell)
    job = jobs.put(f"incoming/all/customers.{cell.format.extension}", content)
    of_the_old = jobs.undisturbed(job, sizes)
    assert score(jobs.worker(sizes=sizes), job, Blocks(3)).outcome == "unfinished"
    publish(jobs.service.s3, jobs.service.model_bucket, other_models)
    assert score(jobs.worker(sizes=sizes), job, Blocks(2)).outcome == "unfinished"
    ran = score(jobs.worker(sizes=sizes), job)
    assert ran.summary is not None
    assert ran.summary["models"]["churn"]["version"] == "v2"
    found = jobs.results(job)
    jobs.forget(job)
    assert found == jobs.undisturbed(job, sizes)
    assert found != of_the_old


@pytest.mark.parametrize(
    ("cell", "first", "step"),
    [
        *(
            pytest.param(FEW_CELLS[name], place, len(PAIRS), marks=() if name in TWO else pytest.mark.long)
            for place, name in enumerate(PAIRS)
        ),
        *(pytest.param(FEW_CELLS[name], 0, 1, marks=pytest.mark.long) for name in EACH),
    ],
    ids=[*PAIRS, *(f"{name}-each" for name in EACH)],
)
def test_a_worker_killed_at_any_call_is_followed_by_one_that_makes_the_same_bytes(
    jobs: Jobs, files: Files, cell: Cell, first: int, step: int
) -> None:
    """The pairs share the calls out: in `make test-long` each call is the last one in EACH."""
    content, sizes = four_blocks(jobs, files, cell)
    job = jobs.put(f"incoming/churn/customers.{cell.format.extension}", content)
    expected = jobs.undisturbed(job, sizes)
    for calls in count(1 + first, step):
        killed = Killed(calls)
        with suppress(KilledError):
            # Without beats: one would be a call as well, and end its own thread in the place of the worker.
            score(jobs.worker(afflict=killed.afflict, sizes=replace(sizes, checkpoint_seconds=0)), job)
        if killed.made < calls:
            break
        ran = score(jobs.worker(jobs.after_the_lease(), sizes=sizes), job)
        assert ran.outcome == "finished"
        assert jobs.results(job) == expected
        jobs.forget(job)
    assert calls > 20
    assert jobs.results(job) == expected


@in_pairs
def test_a_worker_that_was_given_up_for_dead_leaves_the_others_results_alone(
    jobs: Jobs, files: Files, other_models: Path, cell: Cell
) -> None:
    """Models are new when the other takes over, so that it can be seen whose the results are."""
    content, sizes = four_blocks(jobs, files, cell)
    job = jobs.put(f"incoming/all/customers.{cell.format.extension}", content)
    of_the_other: dict[str, bytes] = {}
    asked = count(1)

    def take_over() -> float:
        if next(asked) == 2:
            publish(jobs.service.s3, jobs.service.model_bucket, other_models)
            ran = score(jobs.worker(jobs.after_the_lease(), sizes=sizes), job)
            assert ran.outcome == "finished"
            of_the_other.update(jobs.results(job))
        return 900

    # Of an upload that was aborted, which moto says so.
    with suppress(StoreUnavailable, KeyError):
        assert score(jobs.worker(sizes=sizes), job, take_over).outcome == "running"
    assert b'"v2"' in of_the_other["summary.json"]
    assert jobs.results(job) == of_the_other
    assert jobs.versions(job) == dict.fromkeys(of_the_other, 1)


@in_pairs
def test_a_message_that_comes_again_after_the_end_changes_nothing(jobs: Jobs, files: Files, cell: Cell) -> None:
    content, sizes = four_blocks(jobs, files, cell)
    job = jobs.put(f"incoming/all/customers.{cell.format.extension}", content)
    first = score(jobs.worker(sizes=sizes), job)
    results = jobs.results(job)
    record = process().batch.jobs.get(job.job_id)
    assert first.summary is not None
    assert first.summary == record.summary == json.loads(results["summary.json"])
    assert (record.status, record.processed, record.total, record.errors) == (
        "succeeded",
        first.summary["rows"],
        first.summary["rows"],
        first.summary["errors"],
    )
    again = score(jobs.worker(jobs.after_the_lease(), sizes=sizes), job)
    assert (again.outcome, again.summary) == ("finished", first.summary)
    assert jobs.results(job) == results
    assert jobs.versions(job) == dict.fromkeys(results, 1)
    assert process().batch.jobs.get(job.job_id) == record
