"""A segment's members as files, so that a dataset job scores each of them."""

import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from loyalty_ml import arrow
from loyalty_ml.aws.errors import asking
from loyalty_ml.customers.population import Block, Population
from loyalty_ml.datasets.start import SEGMENT_COPIES, DatasetJobs
from loyalty_ml.errors import InvalidRequest
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.segments.membership import Selection
from loyalty_ml.segments.service import SegmentService

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILE_ROWS = 100_000
"""A worker's share: some seconds of work, and many workers for a large segment."""

_DUCKDB: dict[str, Any] = {**arrow.NO_EXTENSIONS, "threads": 1, "memory_limit": "256MB"}


class SegmentDatasets:
    """Dataset jobs whose files are a segment's members."""

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

        request: {"type", "segment_id"}; on_progress is told of customers looked at and in all; before_start is called
        when all is written: what it raises keeps the job from being started. Raises InvalidRequest for a segment
        without members, and what SegmentService does.
        """

        def steps(step: str) -> Progress:
            return on_progress if step == "score" else no_progress

        population, selection = self._segments.members(request["segment_id"], steps)
        # A folder for each attempt: what a killed one has left behind, maybe of an older snapshot, is no part of this.
        prefix = f"{SEGMENT_COPIES}{job_id}/{uuid.uuid4().hex}/"
        if not write_members(
            population,
            selection,
            self._s3,
            bucket=self._bucket,
            prefix=prefix,
            file_rows=self._file_rows,
            progress=on_progress,
        ):
            raise InvalidRequest.of("segment_id", "the segment has no members: check its definition")
        before_start()
        self._datasets.execute(job_id, request["type"], prefix)


def write_members(
    population: Population,
    selection: Selection,
    s3: "S3Client",
    *,
    bucket: str,
    prefix: str,
    file_rows: int = FILE_ROWS,
    progress: Progress = no_progress,
) -> int:
    """Writes the members' ids to `prefix` as Parquet files of at most `file_rows`; gives the number of files.

    The members are in order of customer_id. After them come the ids of a list that are no customers: scored, each is an
    error of its own. Raises StoreUnavailable, and what membership and `progress` raise.
    """
    files = 0
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=_DUCKDB) as connection:
        path = Path(folder, "part.parquet")
        for ids in _shares(_ids(population, selection, progress), file_rows):
            # Parquet, as it holds any id exactly: in CSV one could be taken for two columns, or for a number.
            rows = connection.sql("SELECT unnest($ids) AS customer_id", params={"ids": ids})
            rows.write_parquet(str(path), compression="zstd")
            with asking("results", "The segment's members cannot be written to the data bucket"):
                s3.put_object(Bucket=bucket, Key=f"{prefix}part-{files:05}.parquet", Body=path.read_bytes())
            files += 1
    return files


def _ids(population: Population, selection: Selection, progress: Progress) -> Iterator[Sequence[str]]:
    def numbers(block: Block) -> NDArray[np.int64]:
        return selection.keep(block).numbers.copy()

    for members in selection.members.measure(numbers, progress):
        yield population.ids(members.tolist())
    yield selection.unknown


def _shares(ids: Iterator[Sequence[str]], size: int) -> Iterator[list[str]]:
    """The same ids in lists of `size`, of which the last may be shorter."""
    waiting: list[str] = []
    for some in ids:
        waiting += some
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]
    if waiting:
        yield waiting
