"""File jobs that are disturbed: whatever comes twice, dies or takes too long, each row is answered once."""

import gzip
import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.config import Config

from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.service import RESERVE_SECONDS, FileService, Ran
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of, type_of
from loyalty_ml.jobs.heartbeat import Timing
from loyalty_ml.jobs.lease import LEASE_SECONDS
from loyalty_ml.models.store import ModelStore
from tests import sample_set
from tests.files.test_files import CUSTOMERS, HEADER, Files, as_csv, files  # noqa: F401  a fixture
from tests.segments.test_segments import other_models, some_customers  # noqa: F401  a fixture
from tests.service import SNAPSHOT_FEATURES, Service
from training.registry import publish

pytestmark = pytest.mark.moto

BLOCK_BYTES = 1_600
PART_BYTES = 1_600
Row = list[Any]


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


@pytest.fixture(autouse=True)
def small(smallest_part: Callable[[int], None]) -> None:
    """moto takes parts as small as SMALL has them."""
    smallest_part(PART_BYTES)


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

    def undisturbed(self, job: FileJobRequest) -> dict[str, bytes]:
        """The results of a job that nothing happens to, after which it is forgotten."""
        ran = score(self.worker(), job)
        assert ran.summary is not None
        assert (ran.outcome, ran.summary["status"]) == ("finished", "succeeded"), ran
        assert ran.summary["rows"] == ran.summary["predictions"] + ran.summary["errors"]
        results = self.results(job)
        assert len(results) == 3
        self.forget(job)
        return results


@pytest.fixture
def jobs(files: Files, tmp_path: Path) -> Iterator[Jobs]:  # noqa: F811
    yield Jobs(files.service, tmp_path)
    publish(files.service.s3, files.service.model_bucket, sample_set.FOLDER)  # whatever the test has published


def score(
    worker: FileService, job: FileJobRequest, remaining: Callable[[], float] = lambda: 900.0, *, is_last: bool = False
) -> Ran:
    return worker.score(job, remaining=remaining, on_beat=lambda _: None, is_last=is_last)


def rows_with_features() -> list[Row]:
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


def as_jsonl(rows: Sequence[Row]) -> bytes:
    """A third of the rows: each is more than three times as long as in CSV."""
    return "".join(json.dumps(dict(zip(HEADER, row, strict=True))) + "\n" for row in rows[: len(rows) // 3]).encode()


def as_parquet(rows: Sequence[Row]) -> bytes:
    table = pa.table(dict(zip(HEADER, map(pa.array, zip(*rows, strict=True)), strict=True)))
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


FILES: dict[str, Callable[[list[Row]], bytes]] = {
    "customers.csv": as_csv,
    "utf-16.csv": lambda rows: as_csv(rows[: len(rows) // 2]).decode().encode("utf-16"),
    "customers.csv.gz": lambda rows: gzip.compress(as_csv(rows), mtime=0),
    "customers.jsonl": as_jsonl,
    "customers.jsonl.gz": lambda rows: gzip.compress(as_jsonl(rows), mtime=0),
    "customers.parquet": as_parquet,
}


class Blocks:
    """Time enough for so many blocks; `asked` counts them."""

    def __init__(self, blocks: int | None = None) -> None:
        self._blocks = blocks
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return RESERVE_SECONDS - 1 if self.asked == self._blocks else 900.0


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_takes_many_invocations_has_the_bytes_of_one(jobs: Jobs, name: str) -> None:
    job = jobs.put(f"incoming/all/{name}", FILES[name](rows_with_features()))
    expected = jobs.undisturbed(job)
    every = Blocks()
    score(jobs.worker(), job, every)
    assert every.asked > 3
    for blocks in range(1, every.asked + 1):
        jobs.forget(job)
        invocations = 1
        while (ran := score(jobs.worker(), job, Blocks(blocks))).outcome == "unfinished":
            invocations += 1
        assert ran.outcome == "finished"
        # The last finds nothing left where the blocks before were all.
        assert invocations == every.asked // blocks + 1
        assert jobs.results(job) == expected


@pytest.mark.parametrize("name", FILES)
def test_models_that_change_between_two_invocations_answer_for_the_whole_file(
    jobs: Jobs,
    other_models: Path,  # noqa: F811
    name: str,
) -> None:
    job = jobs.put(f"incoming/all/{name}", FILES[name](rows_with_features()))
    of_the_old = jobs.undisturbed(job)
    assert score(jobs.worker(), job, Blocks(3)).outcome == "unfinished"
    publish(jobs.service.s3, jobs.service.model_bucket, other_models)
    assert score(jobs.worker(), job, Blocks(2)).outcome == "unfinished"
    ran = score(jobs.worker(), job)
    assert ran.summary is not None
    assert ran.summary["models"]["churn"]["version"] == "v2"
    found = jobs.results(job)
    jobs.forget(job)
    assert found == jobs.undisturbed(job)
    assert found != of_the_old


@pytest.mark.usefixtures("whole_updates")
def test_the_same_event_ten_times_at_once_is_one_result(jobs: Jobs) -> None:
    job = jobs.put("incoming/churn/customers.csv", as_csv(rows_with_features()))
    expected = jobs.undisturbed(job)
    workers = [jobs.worker() for _ in range(10)]
    together = threading.Barrier(len(workers))

    def deliver(worker: FileService) -> Ran:
        together.wait()
        return score(worker, job)

    with ThreadPoolExecutor(len(workers)) as pool:
        ran = list(pool.map(deliver, workers))
    outcomes = Counter(each.outcome for each in ran)
    assert outcomes["finished"] >= 1
    assert outcomes["finished"] + outcomes["running"] == len(workers)
    assert jobs.versions(job) == dict.fromkeys(expected, 1)
    assert jobs.results(job) == expected
    assert {json.dumps(each.summary) for each in ran if each.outcome == "finished"} == {
        json.dumps(json.loads(expected["summary.json"]))
    }


def its_heart_is_told(clock: Clock) -> None:
    for heart in [thread for thread in threading.enumerate() if thread.name == "heartbeat"]:
        heart.join()


def its_own_clock_says_so(clock: Clock) -> None:
    clock.now += LEASE_SECONDS + 1


def it_does_not_notice(clock: Clock) -> None:
    """As if the whole instance was stopped between two of its steps."""


@pytest.mark.parametrize(
    ("after_blocks", "is_saved", "part_bytes"),
    [
        (1, False, PART_BYTES),
        (3, True, PART_BYTES),
        (5, False, PART_BYTES),
        (5, False, 1_000 * PART_BYTES),  # so that there are no uploads that the other can have aborted
        (5, True, 1_000 * PART_BYTES),
    ],
)
@pytest.mark.parametrize("notice", [its_heart_is_told, its_own_clock_says_so, it_does_not_notice])
def test_a_worker_that_was_given_up_for_dead_leaves_the_others_results_alone(
    jobs: Jobs,
    other_models: Path,  # noqa: F811
    notice: Callable[[Clock], None],
    after_blocks: int,
    part_bytes: int,
    *,
    is_saved: bool,
) -> None:
    """Models are new when the other takes over, so that it can be seen whose the results are."""
    sizes = replace(ALL_SAVED if is_saved else SMALL, part_bytes=part_bytes)
    own_clock = Clock()
    # The worker's heart beats often, or not at all.
    timing = Timing(own_clock, 0.01) if notice is its_heart_is_told else Timing(own_clock, wait=never)
    content = as_csv(rows_with_features())
    assert 4 * BLOCK_BYTES < len(content) <= 5 * BLOCK_BYTES
    job = jobs.put("incoming/churn/customers.csv", content)
    of_the_other: dict[str, bytes] = {}
    asked = count(1)

    def take_over() -> float:
        if next(asked) == after_blocks:
            publish(jobs.service.s3, jobs.service.model_bucket, other_models)
            ran = score(jobs.worker(jobs.after_the_lease(), sizes=sizes), job)
            assert ran.outcome == "finished"
            of_the_other.update(jobs.results(job))
            notice(own_clock)
        return 900

    worker = jobs.worker(sizes=sizes, timing=timing)
    # Of an upload that was aborted, which moto says so.
    with suppress(StoreUnavailable, KeyError):
        assert score(worker, job, take_over).outcome == "running"
    assert b'"v2"' in of_the_other["summary.json"]
    assert jobs.results(job) == of_the_other
    assert jobs.versions(job) == dict.fromkeys(of_the_other, 1)
    assert score(jobs.worker(), job).summary == json.loads(of_the_other["summary.json"])


def test_parts_of_a_parquet_file_by_a_worker_given_up_for_dead_are_not_mixed_with_the_others(
    jobs: Jobs,
    other_models: Path,  # noqa: F811
) -> None:
    job = jobs.put("incoming/churn/customers.parquet", as_parquet(rows_with_features()))
    asked = count(1)

    def take_over() -> float:
        if next(asked) == 1:
            publish(jobs.service.s3, jobs.service.model_bucket, other_models)
            other = jobs.worker(jobs.after_the_lease())
            assert score(other, job, Blocks(4)).outcome == "unfinished"
        return 900

    with suppress(StoreUnavailable):
        assert score(jobs.worker(), job, take_over).outcome == "running"
    assert next(asked) > 5
    assert score(jobs.worker(), job).outcome == "finished"
    found = jobs.results(job)
    jobs.forget(job)
    assert found == jobs.undisturbed(job)


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


@pytest.mark.parametrize("name", ["customers.csv", "customers.parquet"])
def test_a_worker_killed_at_any_call_is_followed_by_one_that_makes_the_same_bytes(jobs: Jobs, name: str) -> None:
    rows = rows_with_features()
    job = jobs.put(f"incoming/churn/{name}", FILES[name](rows[: len(rows) // 2]))
    expected = jobs.undisturbed(job)
    for calls in count(1):
        killed = Killed(calls)
        with suppress(KilledError):
            # Without beats: one would be a call as well, and end its own thread in the place of the worker.
            score(jobs.worker(afflict=killed.afflict, sizes=ALL_SAVED), job)
        if killed.made < calls:
            break
        ran = score(jobs.worker(jobs.after_the_lease()), job)
        assert ran.outcome == "finished"
        assert jobs.results(job) == expected
        jobs.forget(job)
    assert calls > 20
    assert jobs.results(job) == expected
