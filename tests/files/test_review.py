"""Files and what is around them: the disk and DuckDB that one leaves to the next, parts that are gone, sizes."""

import errno
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.files import reading, service, table
from loyalty_ml.files import results as results_module
from loyalty_ml.files.parquet_parts import PartsMissing
from loyalty_ml.files.results import open_results
from loyalty_ml.files.scoring import INVALID_LINE, Failure
from loyalty_ml.files.source import job_id_of
from loyalty_ml.files.writing import error_rows
from tests.files.test_files import Files, as_csv, as_json, as_parquet, files, table_of  # noqa: F401  a fixture
from tests.service import process

pytestmark = pytest.mark.moto

IDS = ["c-1", "c-2", "c-3"]


def opening(monkeypatch: pytest.MonkeyPatch, first: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
    """Has something done with a job's DuckDB before its file is opened."""
    open_file = reading.open_file

    def opened(s3: Any, source: Any, written: Any, connection: duckdb.DuckDBPyConnection, work: Any) -> Any:
        first(connection)
        return open_file(s3, source, written, connection, work)

    monkeypatch.setattr(service, "open_file", opened)


def test_what_a_file_does_to_duckdb_ends_with_it(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    opening(monkeypatch, lambda connection: connection.execute("CREATE TABLE once AS SELECT 1"))
    for _ in range(2):
        predictions, _ = files.results(files.score(files.key("parquet"), as_parquet(table_of(IDS))))
        assert [row["customer_id"] for row in predictions] == IDS


def test_what_a_killed_worker_has_left_on_the_disk_goes_with_the_next_file(files: Files) -> None:  # noqa: F811
    folder = process().files.settings.file_work
    left = folder / ("0" * 31 + "f") / "input.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PAR1")
    somebody_elses = folder / "notes.txt"
    somebody_elses.touch()
    files.results(files.score(files.key("csv"), as_csv([[each] for each in IDS], ["customer_id"])))
    assert list(folder.iterdir()) == [somebody_elses]


def test_a_parquet_file_whose_parts_are_gone_is_scored_again_from_its_beginning(
    files: Files,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where its dead letter is sent again when the bucket has deleted the older of them, and no checkpoint yet."""
    for module in (table, reading):
        monkeypatch.setattr(module, "PARQUET_ROWS", 1)
    source = files.put(files.key("parquet"), as_parquet(table_of(IDS)))
    assert files.run(source, remaining=0).outcome == "unfinished"
    data = files.service.s3
    parts = data.list_objects_v2(Bucket=files.bucket, Prefix=f"jobs/{job_id_of(source)}/parts/")["Contents"]
    data.delete_object(Bucket=files.bucket, Key=parts[0]["Key"])
    with pytest.raises(PartsMissing, match="2 rows where 3 were written"):
        files.run(source)
    predictions, _ = files.results(files.run(source))
    assert [row["customer_id"] for row in predictions] == IDS


def test_columns_with_very_long_names_fit_into_the_jobs_record(files: Files) -> None:  # noqa: F811
    header = ["customer_id", "a" * 450_000, "b" * 450_000]
    ran = files.score(files.key("csv"), as_csv([[each, "", ""] for each in IDS], header))
    files.results(ran)
    assert ran.summary is not None
    assert ran.summary["ignored_columns"] == ["a" * 100, "b" * 100]


@pytest.mark.parametrize(
    ("trouble", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "more disk than there is: raise FileStorage"),
        (duckdb.OutOfMemoryException("failed to allocate"), "too much memory: write it with smaller row groups"),
    ],
)
def test_a_file_that_is_too_large_says_so(
    files: Files,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
    remedy: str,
) -> None:
    def fail(connection: duckdb.DuckDBPyConnection) -> None:
        raise trouble

    opening(monkeypatch, fail)
    source = files.put(files.key("csv"), as_csv([[each] for each in IDS], ["customer_id"]))
    with pytest.raises(type(trouble)):
        files.run(source, is_last=True)
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


def test_rows_of_very_short_lines_are_not_all_objects_at_once(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(reading, "JSON_ROWS", 5_000)
    source = files.put(files.key("jsonl"), as_json([["c-1", 1.0]], ["customer_id", "revenue"]) + b"{}\n" * 50_000)
    file = reading.JsonFile(files.service.s3, source, gzipped=False)
    ((block, _),) = file.blocks(None)
    read: list[reading.Read] = []
    connection: Any = None
    peak = traced(lambda: read.append(file.read(block, ["revenue"] * 10, ["revenue"], connection)))
    assert read[0].total == sum(len(rows.values) for rows in read[0].rows) == 50_001
    assert peak < 50_000 * 250  # an object for each value of each row takes twice as much


def test_a_file_writes_a_line_of_what_it_came_to_once(
    files: Files,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    contents = [as_csv([["c-1"], [""]], ["customer_id"]), as_csv([["c-1"]], ["customer"])]
    sources = [files.put(files.key("csv"), content) for content in contents]
    for source in sources:
        files.run(source)
        files.run(source)  # as where its message comes twice
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["type"], line["job_id"]) for line in written] == [("churn", job_id_of(source)) for source in sources]
    assert [written[0][name] for name in ("Rows", "Predictions", "FailedPredictions")] == [[2], [1], [1]]
    assert written[1]["INVALID_FILE"] == [1]


def test_an_upload_that_can_never_be_completed_is_begun_again(
    files: Files,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results_module, "PART_BYTES", 4)
    s3, keys, types = files.service.s3, {"rows": "results/some-job/rows.csv"}, {"rows": "text/csv"}
    with open_results(s3, files.bucket, "some-job", keys, types) as results:
        results.append("rows", b"1234")
        results.checkpoint({"share": 1})
        (upload,) = s3.list_multipart_uploads(Bucket=files.bucket, Prefix="results/some-job/")["Uploads"]
        s3.upload_part(Bucket=files.bucket, Key=keys["rows"], UploadId=upload["UploadId"], PartNumber=1, Body=b"5678")
        with pytest.raises(StoreUnavailable, match="InvalidPart"):
            results.complete({"share": 1})
    with open_results(s3, files.bucket, "some-job", keys, types) as again:
        assert (again.position, again.completing) == (None, False)
        again.append("rows", b"1234")
        again.complete({"share": 1})
    assert files.read(keys["rows"]) == b"1234"
