"""File jobs that are disturbed: workers with clocks and deaths of their own, and what they leave of a job."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.service import RESERVE_SECONDS, FileService, Ran
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of, type_of
from loyalty_ml.jobs.heartbeat import Timing
from loyalty_ml.jobs.lease import LEASE_SECONDS
from loyalty_ml.models.store import ModelStore
from tests.files.deployed import CUSTOMERS
from tests.files.writings import as_csv
from tests.segments.test_segments import some_customers
from tests.service import SNAPSHOT_FEATURES, Service

BLOCK_BYTES = 1_700
PART_BYTES = 1_700

SMALL = Sizes(block_bytes=BLOCK_BYTES, parquet_rows=25, part_bytes=PART_BYTES)
"""With them a file of some kilobytes has several blocks, and its results several parts."""
ALL_SAVED = replace(SMALL, checkpoint_seconds=0)
"""The same, with a checkpoint after each block."""


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def never(stop: threading.Event, _: float) -> bool:
    """Waits for the end: no beat comes in between, however slow the machine is."""
    return stop.wait()


NO_BEATS = Timing(clock=Clock(), wait=never)


class Jobs:
    """Files of a deployment, what workers make of them, and whether they have done it before."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.bucket = service.ids["DataBucket"]
        self.clock = Clock()
        self._folder = folder
        self._workers = count()
        self._data: Any = boto3.resource("s3").Bucket(self.bucket)

    def put(self, key: str, content: bytes) -> FileJobRequest:
        answer = self.service.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        source = FileSource(self.bucket, key, answer["VersionId"], answer["ETag"], len(content))
        return FileJobRequest(source, type_of(key), job_id_of(source))

    def after_the_lease(self) -> Clock:
        """The clock of a worker that comes when the lease is over that another has now."""
        return Clock(self.clock.now + LEASE_SECONDS + 1)

    def worker(
        self,
        clock: Clock | None = None,
        afflict: Callable[[Any], object] | None = None,
        sizes: Sizes = SMALL,
        timing: Timing = NO_BEATS,
    ) -> FileService:
        """A new instance, with models and customers of its own; afflict: what is done to its clients."""
        folder = self._folder / f"worker-{next(self._workers)}"
        s3, dynamodb, ids = self.service.s3, self.service.dynamodb, self.service.ids
        if afflict:
            config = Config(retries={"mode": "standard", "total_max_attempts": 8})
            s3, dynamodb = boto3.client("s3", config=config), boto3.client("dynamodb", config=config)
            afflict(s3)
            afflict(dynamodb)
        return FileService(
            s3,
            FileJobStore(dynamodb, ids["JobsTable"], clock or self.clock),
            ModelStore(s3, ids["ModelBucket"], folder / "models"),
            SnapshotStore(s3, self.bucket, folder / "snapshots"),
            bucket=self.bucket,
            mock_mode="false",
            work=folder / "files",
            sizes=sizes,
            clock=self.clock,
            timing=timing,
        )

    def results(self, job: FileJobRequest) -> dict[str, bytes]:
        """By file name."""
        found = self._data.objects.filter(Prefix=f"results/{job.job_id}/")
        return {each.key.rpartition("/")[2]: each.get()["Body"].read() for each in found}

    def versions(self, job: FileJobRequest) -> Counter[str]:
        """How often each result was written, by file name."""
        found = self._data.object_versions.filter(Prefix=f"results/{job.job_id}/")
        return Counter(each.key.rpartition("/")[2] for each in found)

    def forget(self, job: FileJobRequest) -> None:
        """Makes it as if the file had never been scored."""
        for folder in ("results", "jobs"):
            self._data.object_versions.filter(Prefix=f"{folder}/{job.job_id}/").delete()
        self.service.dynamodb.delete_item(TableName=self.service.ids["JobsTable"], Key={"job_id": {"S": job.job_id}})

    def undisturbed(self, job: FileJobRequest, sizes: Sizes = SMALL) -> dict[str, bytes]:
        """The results of a job that nothing happens to, after which it is forgotten."""
        ran = score(self.worker(sizes=sizes), job)
        assert ran.summary is not None
        assert (ran.outcome, ran.summary["status"]) == ("finished", "succeeded"), ran
        assert ran.summary["rows"] == ran.summary["predictions"] + ran.summary["errors"]
        results = self.results(job)
        assert len(results) == 3
        self.forget(job)
        return results


def score(
    worker: FileService, job: FileJobRequest, remaining: Callable[[], float] = lambda: 900.0, *, is_last: bool = False
) -> Ran:
    return worker.score(job, remaining=remaining, on_beat=lambda _: None, is_last=is_last)


def rows_with_features() -> list[list[Any]]:
    """Customers, some without a value, one too large for a network, and one without an id."""
    rows = [
        [customer_id, *(row[name] for name in SNAPSHOT_FEATURES)]
        for customer_id, row in some_customers(customers=CUSTOMERS).items()
    ]
    rows[20][0] = ""
    return rows


def ids_only() -> bytes:
    """Ids of customers, and one of nobody."""
    return as_csv([[f"c-{number}"] for number in range(CUSTOMERS)] + [["nobody"]], ["customer_id"])


class Blocks:
    """Time enough for so many blocks; `asked` counts them."""

    def __init__(self, blocks: int | None = None) -> None:
        self._blocks = blocks
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return RESERVE_SECONDS - 1 if self.asked == self._blocks else 900.0


class KilledError(BaseException):
    """A worker ends here."""


class Killed:
    """Ends a worker before so many calls of S3 and DynamoDB: what it leaves is what the call before has done."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self.made = 0

    def afflict(self, client: Any) -> None:
        client.meta.events.register_first("before-send", self._count)

    def _count(self, **_: Any) -> None:
        self.made += 1
        if self.made >= self._calls:
            raise KilledError
