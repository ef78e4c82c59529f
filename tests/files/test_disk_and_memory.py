"""What a file takes of disk, memory and DuckDB, and what it leaves of them to the next one."""

import errno
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loyalty_ml.files import reading
from loyalty_ml.files.scoring import INVALID_LINE, Failure
from loyalty_ml.files.selection import Selection
from loyalty_ml.files.service import connect
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import job_id_of
from loyalty_ml.files.text.lines import LIMITS
from loyalty_ml.files.writing import error_rows
from tests.files.deployed import Files
from tests.files.generated import UNNAMED, lines_in
from tests.files.writings import as_csv, as_json, as_parquet, packed, table_of
from tests.service import process

pytestmark = pytest.mark.moto

IDS = ["c-1", "c-2", "c-3"]


def test_what_a_file_does_to_duckdb_ends_with_it(files: Files) -> None:
    made: list[duckdb.DuckDBPyConnection] = []

    def used(work: Path) -> duckdb.DuckDBPyConnection:
        made.append(connect(work))
        made[-1].execute("CREATE TABLE once AS SELECT 1")
        return made[-1]

    worker = files.worker(connect=used)
    for _ in range(2):
        ran = files.score(files.key("parquet"), as_parquet(table_of(IDS)), worker=worker)
        assert [row["customer_id"] for row in files.results(ran)[0]] == IDS
        with pytest.raises(duckdb.ConnectionException, match="closed"):
            made[-1].execute("SELECT 1")
    assert len(made) == 2


def test_what_a_killed_worker_has_left_on_the_disk_goes_with_the_next_file(files: Files) -> None:
    folder = process().files.settings.file_work
    left = folder / ("0" * 31 + "f") / "input.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PAR1")
    somebody_elses = folder / "notes.txt"
    somebody_elses.touch()
    files.results(files.score(files.key("csv"), as_csv([[each] for each in IDS], ["customer_id"])))
    assert list(folder.iterdir()) == [somebody_elses]


@pytest.mark.parametrize(
    ("trouble", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "more disk than there is: raise FileStorage"),
        (duckdb.OutOfMemoryException("failed to allocate"), "too much memory: write it with smaller row groups"),
    ],
)
def test_a_file_that_is_too_large_says_so(
    files: Files,
    trouble: Exception,
    remedy: str,
) -> None:
    def fail(work: Path) -> duckdb.DuckDBPyConnection:
        raise trouble

    source = files.put(files.key("csv"), as_csv([[each] for each in IDS], ["customer_id"]))
    with pytest.raises(type(trouble)):
        files.run(source, is_last=True, worker=files.worker(connect=fail))
    job = process().batch.jobs.get(job_id_of(source))
    assert job.status == "failed"
    assert remedy in str(job.error)


def traced(work: Callable[[], object]) -> int:
    """The most bytes that it takes at one time."""
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_a_million_bad_lines_take_little_more_than_what_is_written_of_them() -> None:
    bad = (Failure(line, "", INVALID_LINE, "The line is not a JSON object.") for line in range(200_000))
    written: list[bytes] = []
    peak = traced(lambda: written.append(error_rows(bad)))
    assert peak < 2.5 * len(written[0])


def test_rows_of_very_short_lines_are_not_all_objects_at_once(files: Files) -> None:
    source = files.put(files.key("jsonl"), as_json([["c-1", 1.0]], ["customer_id", "revenue"]) + b"{}\n" * 40_000)
    file = reading.JsonFile(files.service.s3, source, compression=None, sizes=Sizes(json_rows=5_000))
    selection = Selection("customer_id", ("revenue",) * 10, ("revenue",) * 10, ("revenue",), has_features=True)
    ((block, _),) = file.blocks(None, selection)
    read: list[reading.Read] = []
    connection: Any = None
    peak = traced(lambda: read.append(file.read(block, selection, connection)))
    assert read[0].total == sum(len(rows.values) for rows in read[0].rows) == 40_001
    assert peak < 40_000 * 250  # an object for each value of each row takes twice as much


@pytest.mark.parametrize("extension", ["csv.gz", pytest.param("csv.zst", marks=pytest.mark.long), "jsonl.gz"])
def test_a_line_of_50_mb_is_an_error_and_never_in_memory(files: Files, extension: str) -> None:
    before, after = as_csv([["c-1"]], ["customer_id"]), b"c-3\n"
    if extension == "jsonl.gz":
        before, after = b'{"customer_id": "c-1"}\n', b'{"customer_id": "c-3"}\n'
    source = files.put(files.key(extension), packed(extension, before + b"x" * 50_000_000 + b"\n" + after))
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
