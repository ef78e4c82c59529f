"""A file of a million customers, from its object to its results, beside what others would use; and of ten million."""

import contextlib
import io
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from benchmarks import sample_models, segments
from benchmarks.measure import Result, alternate
from benchmarks.processes import alternate_processes, report
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.files.service import FileService
from loyalty_ml.files.sizes import DEPLOYED
from loyalty_ml.files.source import FileJobRequest, FileSource
from loyalty_ml.jobs.lease import LEASE_SECONDS, Claim
from loyalty_ml.models.store import ModelSet

ROWS, MANY = segments.ROWS, segments.MANY
FOLDER = Path("build/bench-files")
BUCKET = "bench"
HEADER = ("customer_id", *DEFAULT_FEATURES)
MEMORY_BAR = 1.5
PROCESSES = 3
ROUNDS, REPEATS = 3, 3


def run() -> Iterator[Result]:
    """files.*: time of a whole job over CSV, with features and with ids only; then memory and growth."""
    network, models = segments.networks()
    service = file_service(models)
    with_features, ids = csv_file(ROWS, HEADER), csv_file(ROWS, HEADER[:1])

    def ours() -> None:
        score(service, with_features)

    connection = duckdb.connect()
    ours()
    expected = predictions(service)
    mine, theirs = alternate(
        ours,
        lambda: rewrite(connection, with_features),
        rounds=ROUNDS,
        repeats=REPEATS,
        settle=segments.SETTLE,
        quickest=True,
    )
    floor = f"DuckDB {duckdb.__version__} reading and rewriting it, nothing scored"
    yield Result("files.csv.1m", 1e3 * mine, "ms", floor, 1e3 * theirs, 1.5)
    for name, streaming in (("polars", False), ("polars.streaming", True)):
        theirs_does, peer = polars_and_onnxruntime(network, FOLDER / with_features, expected, streaming=streaming)
        mine, theirs = alternate(
            ours, theirs_does, rounds=ROUNDS, repeats=REPEATS, settle=segments.SETTLE, quickest=True
        )
        yield Result(f"files.csv.1m.{name}", 1e3 * mine, "ms", peer, 1e3 * theirs, 1.0)
    mine, theirs = alternate(
        lambda: score(service, ids), ours, rounds=ROUNDS, repeats=REPEATS, settle=segments.SETTLE, quickest=True
    )
    unit = "ms, joined with a snapshot of 1 million"
    yield Result("files.ids.1m", 1e3 * mine, unit, "the file with features", 1e3 * theirs, 2.0)
    large = csv_file(MANY, HEADER)
    small, big, rewritten = alternate_processes(
        "benchmarks.files",
        *(["score", with_features], ["score", large], ["rewrite", large]),
        rounds=PROCESSES,
    )
    unit = "MB at most, whole process"
    yield Result("files.csv.memory.growth", big.megabytes, unit, "the same of 1 million", small.megabytes, 1.2)
    yield Result("files.csv.10m.memory", big.megabytes, unit, floor, rewritten.megabytes, MEMORY_BAR)
    yield Result("files.csv.10m", big.work_seconds, "s", "ten times 1 million", 10 * small.work_seconds, 1.3)


def csv_file(rows: int, columns: tuple[str, ...]) -> str:
    """A generated file's key in the folder: the customers of the segments' snapshot, made once and kept."""
    key = f"incoming/churn/{rows}-{len(columns)}.csv"
    path = FOLDER / key
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = [str(part) for part in segments.snapshot(rows).paths]
        partial = path.with_suffix(".partial")
        selected = duckdb.read_parquet(parts).select(*columns)
        selected.write_csv(str(partial), header=True)
        partial.rename(path)
    return key


def file_service(models: ModelSet, customers: int = ROWS) -> FileService:
    for left in ("jobs", "uploads"):  # of a benchmark that was stopped
        shutil.rmtree(FOLDER / left, ignore_errors=True)
    snapshot = segments.snapshot(customers)
    leases = SimpleNamespace(seconds=LEASE_SECONDS, beat=lambda *_: None, release=lambda *_: None)
    jobs: Any = SimpleNamespace(claim=lambda *_: Claim("claimed"), finish=lambda *_: None, leases=leases)
    models_store: Any = SimpleNamespace(current=lambda: models)
    snapshots: Any = SimpleNamespace(current=lambda on_fetch=None: snapshot)
    s3: Any = FolderS3(FOLDER)
    return FileService(s3, jobs, models_store, snapshots, bucket=BUCKET, mock_mode="false", work=FOLDER / "work")


def score(service: FileService, key: str) -> None:
    size = (FOLDER / key).stat().st_size
    job = FileJobRequest(FileSource(BUCKET, key, None, "etag", size), "churn", "0" * 32)
    with contextlib.redirect_stdout(None):  # its line of metrics
        ran = service.score(job, remaining=lambda: 900.0, on_beat=lambda _: None, is_last=True)
    assert ran.summary is not None
    assert ran.summary["rows"] == ran.summary["predictions"], ran


def rewrite(connection: duckdb.DuckDBPyConnection, key: str) -> None:
    """Reads the file and writes it again: the least that a file's job costs."""
    connection.execute(f"COPY (SELECT * FROM read_csv('{FOLDER / key}')) TO '{FOLDER / 'rewritten.csv'}' (HEADER)")


def predictions(service: FileService) -> Any:
    """The probabilities that the last job wrote, float64 (n,), in order."""
    path = FOLDER / "results" / ("0" * 32) / "predictions.csv"
    return duckdb.read_csv(str(path)).select("churn_probability").fetchnumpy()["churn_probability"]


class FolderS3:
    """As much of an S3 client as a file job asks of one, over a folder: so the disk is the only network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.exceptions = SimpleNamespace(NoSuchKey=_NoSuchKey)

    def get_object(self, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:
        path = self._folder / Key
        if not path.exists():
            raise _NoSuchKey({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        size = path.stat().st_size
        start, last = (int(text) for text in Range.removeprefix("bytes=").split("-")) if Range else (0, size - 1)
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(last + 1 - start)
        body = StreamingBody(io.BytesIO(content), len(content))
        return {"Body": body, "ContentRange": f"bytes {start}-{last}/{size}", "ETag": "etag"}

    def put_object(self, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        path = self._folder / Key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Body)
        return {"ETag": "etag"}

    def delete_object(self, Key: str, **_: Any) -> None:
        (self._folder / Key).unlink(missing_ok=True)

    def create_multipart_upload(self, **_: Any) -> dict[str, Any]:
        upload_id = uuid.uuid4().hex
        path = self._folder / "uploads" / upload_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return {"UploadId": upload_id}

    def upload_part(self, UploadId: str, PartNumber: int, Body: bytes, **_: Any) -> dict[str, Any]:
        # Where it belongs at once: putting parts together is S3's work, and takes none of the machine's here.
        with (self._folder / "uploads" / UploadId).open("r+b") as file:
            file.seek(sum(DEPLOYED.part(number) for number in range(1, PartNumber)))
            file.write(Body)
        return {"ETag": "etag"}

    def complete_multipart_upload(self, Key: str, UploadId: str, **_: Any) -> None:
        path = self._folder / Key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # or the file system writes all of the new one to the disk first
        (self._folder / "uploads" / UploadId).rename(path)

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{}])


class _NoSuchKey(ClientError):
    pass


def polars_and_onnxruntime(
    network: Any, path: Path, expected: Any, *, streaming: bool
) -> tuple[Callable[[], object], str]:
    """As their users write it; and what it is called."""
    import onnxruntime  # noqa: PLC0415  only this part wants it
    import polars  # noqa: PLC0415

    from benchmarks.onnx_network import to_onnx  # noqa: PLC0415

    session = onnxruntime.InferenceSession(to_onnx(network))
    out = FOLDER / "polars.csv"

    def probabilities(table: Any) -> Any:
        matrix = np.ascontiguousarray(table.select(polars.col(DEFAULT_FEATURES).cast(polars.Float32)).to_numpy())
        starts = range(0, len(matrix), segments.ORT_ROWS)
        chunks = [session.run(None, {"features": matrix[at : at + segments.ORT_ROWS]})[0] for at in starts]
        return np.concatenate(chunks)[:, 0]

    def answered(table: Any) -> Any:
        churn = polars.Series("churn_probability", probabilities(table).astype(np.float64))
        return table.select("customer_id").with_columns(
            churn,
            churn_risk=polars.when(table["days_since_last"] > segments.ACTIVE_DAYS)
            .then(polars.lit("lapsed"))
            .when(churn >= segments.HIGH)
            .then(polars.lit("high"))
            .when(churn >= segments.MEDIUM)
            .then(polars.lit("medium"))
            .otherwise(polars.lit("low")),
        )

    def work() -> None:
        if streaming:
            schema = {"customer_id": polars.String, "churn_probability": polars.Float64, "churn_risk": polars.String}
            polars.scan_csv(path).map_batches(answered, streamable=True, schema=schema).sink_csv(out)
        else:
            answered(polars.read_csv(path)).write_csv(out)

    work()
    theirs = duckdb.read_csv(str(out)).select("churn_probability").fetchnumpy()["churn_probability"]
    assert np.abs(theirs - expected).max() < 1e-5
    kind = "streaming" if streaming else "eager"
    return work, f"Polars {polars.__version__} {kind} + onnxruntime {onnxruntime.__version__}"


if __name__ == "__main__":
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "WARNING")
    work, file = sys.argv[1:]
    if work == "rewrite":
        report(lambda: rewrite(duckdb.connect(), file))
    else:
        own = file_service(sample_models.model_store().current())
        score(own, csv_file(1000, HEADER))
        report(lambda: score(own, file))
