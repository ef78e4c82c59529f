"""A segment's members as files, so that each of them is scored: as a dataset, or as one file that people can open."""

import csv
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
from botocore.exceptions import ClientError

from loyalty_ml import arrow
from loyalty_ml.aws.errors import asking
from loyalty_ml.datasets.start import SEGMENT_COPIES, DatasetJobs
from loyalty_ml.errors import InvalidRequest
from loyalty_ml.files.compression import CODECS
from loyalty_ml.files.source import FORMATS, Format
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.segments.service import SegmentService, ranking_of
from loyalty_ml.vocabulary import CUSTOMER_ID

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILE_ROWS = 100_000
"""A worker's share: some seconds of work, and many workers for a large segment."""

_PACKED_BYTES = 8 * 2**20
"""Of content in each member of a compressed file."""

_DUCKDB: dict[str, Any] = {**arrow.NO_EXTENSIONS, "threads": 1, "memory_limit": "256MB"}


class SegmentDatasets:
    """Jobs whose files are a segment's members."""

    def __init__(
        self,
        segments: SegmentService,
        datasets: DatasetJobs,
        s3: "S3Client",
        *,
        bucket: str,
        file_rows: int = FILE_ROWS,
    ) -> None:
        self._segments = segments
        self._datasets = datasets
        self._s3 = s3
        self._bucket = bucket
        self._file_rows = file_rows

    def execute(
        self, job_id: str, request: Mapping[str, Any], on_progress: Progress, before_start: Callable[[], object]
    ) -> None:
        """Writes the members as files below members/ and has the recorded job score them.

        request: {"type", "segment_id"} and the ranking; on_progress is told of customers looked at and in all;
        before_start is called when all is written: what it raises keeps the job from being started. Raises
        InvalidRequest for a segment without members, and what SegmentService does.
        """
        # A folder for each attempt: what a killed one has left behind, maybe of an older snapshot, is no part of this.
        prefix = f"{SEGMENT_COPIES}{job_id}/{uuid.uuid4().hex}/"
        files = 0
        with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=_DUCKDB) as connection:
            path = Path(folder, "part.parquet")
            for ids in _shares(self._member_ids(request, on_progress), self._file_rows):
                _write_parquet(connection, ids, path)
                with asking("results", "The segment's members cannot be written to the data bucket"):
                    self._s3.put_object(
                        Bucket=self._bucket, Key=f"{prefix}part-{files:05}.parquet", Body=path.read_bytes()
                    )
                files += 1
        before_start()
        self._datasets.execute(job_id, request["type"], prefix, explain=request.get("explain", False))

    def is_written(self, request: Mapping[str, Any]) -> bool:
        """Whether the one file of the job is in the bucket."""
        with asking("results", "The segment's members cannot be looked for in the data bucket"):
            found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=request["key"], MaxKeys=1)
        return bool(found.get("KeyCount"))

    @contextmanager
    def file_of_members(self, request: Mapping[str, Any], on_progress: Progress) -> Iterator[Path]:
        """The members in one file on this machine, as long as it is entered.

        request: {"segment_id", "format"} and the ranking; on_progress, and what is raised, are as in `execute`.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"members.{request['format']}")
            _write_file(self._member_ids(request, on_progress), FORMATS[request["format"]], path)
            yield path

    def put_file(self, request: Mapping[str, Any], path: Path) -> None:
        """Puts it to the request's `key`, where it is scored as every file that comes; one that is there stays."""
        with path.open("rb") as file, asking("results", "The segment's members cannot be written to the data bucket"):
            try:
                self._s3.put_object(Bucket=self._bucket, Key=request["key"], Body=file, IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise

    def _member_ids(self, request: Mapping[str, Any], on_progress: Progress) -> Iterator[Sequence[str]]:
        def steps(step: str) -> Progress:
            return on_progress if step == "score" else no_progress

        found = False
        for ids in self._segments.member_ids(request["segment_id"], ranking_of(request), steps):
            found = found or bool(ids)
            yield ids
        if not found:
            lacking = "members" if request.get("top") is None else "members with a prediction to rank them by"
            raise InvalidRequest.of("segment_id", f"the segment has no {lacking}: check its definition")


def _write_parquet(connection: duckdb.DuckDBPyConnection, ids: Sequence[str], path: Path) -> None:
    # Parquet, as it holds any id exactly: in CSV one could be taken for two columns, or for a number.
    rows = connection.sql(f"SELECT unnest($ids) AS {CUSTOMER_ID}", params={"ids": ids})
    rows.write_parquet(str(path), compression="zstd")


def _write_file(shares: Iterable[Sequence[str]], written: Format, path: Path) -> None:
    kind, compression = written
    text = path.with_name("text") if compression or kind == "parquet" else path
    with text.open("w", encoding="utf-8", newline="") as file:
        if kind == "jsonl":
            for ids in shares:
                file.writelines(f"{orjson.dumps({CUSTOMER_ID: customer_id}).decode()}\n" for customer_id in ids)
        else:
            # In quotes, an id is exactly what is between them. The second quoted field is there so that a line end in
            # an id is not taken for what a stray quote has swallowed.
            rows = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            rows.writerow([CUSTOMER_ID, ""])
            for ids in shares:
                rows.writerows([customer_id, ""] for customer_id in ids)
    if kind == "parquet":
        with duckdb.connect(config=_DUCKDB) as connection:
            columns = {CUSTOMER_ID: "VARCHAR", "": "VARCHAR"}
            members = connection.read_csv(str(text), header=True, delimiter=",", quotechar='"', columns=columns)
            members.select(CUSTOMER_ID).write_parquet(str(path), compression="zstd")
    elif compression:
        with text.open("rb") as content, path.open("wb") as packed:
            while block := content.read(_PACKED_BYTES):
                packed.write(CODECS[compression].compressed(block))


def _shares(ids: Iterable[Sequence[str]], size: int) -> Iterator[list[str]]:
    """The same ids in lists of `size`, of which the last may be shorter."""
    waiting: list[str] = []
    for some in ids:
        waiting += some
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]
    if waiting:
        yield waiting
