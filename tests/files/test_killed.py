"""Workers that are killed, at any moment: whoever goes on with their file ends with the same bytes."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import duckdb
import pytest

from functions.files import app as files
from local import events, stores, template
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.files import service
from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.results import Results, open_results
from loyalty_ml.files.service import FileService
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.jobs.lease import LEASE_SECONDS
from loyalty_ml.models.domain import DEFAULT_DOMAINS
from tests import sample_set
from tests.service import SNAPSHOT_FEATURES, new_process, process, put_in_place
from training.registry import publish

pytestmark = pytest.mark.moto

ROWS = 200_000
KILLS = 20
MOST_ATTEMPTS = 10 * KILLS
BLOCK_BYTES = 2**20
KEY = "incoming/nbo/customers.csv"

# Workers are forked from a process that has imported all this, and has no threads: it takes them a second otherwise.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.files.test_killed"])


class Steps:
    """An invocation that tells of each block, after which the worker asks how much time it has."""

    aws_request_id = "request-1"

    def __init__(self, told: Connection) -> None:
        self._told = told

    def get_remaining_time_in_millis(self) -> int:
        self._told.send(None)
        return 900_000


def work(environment: Mapping[str, str], message: dict[str, Any], clock_ahead: float, told: Connection) -> None:
    """A new instance of the function, to which the queue brings the message: all that its process does.

    Tells that it begins, the share of the file that it goes on from once it knows, and each block. A block is small and
    each is saved, so that most of what a worker does can be gone on from. clock_ahead: seconds that have passed without
    having been waited for.
    """
    patch = pytest.MonkeyPatch()
    for name, value in environment.items():
        patch.setenv(name, value)
    new_process()
    parts = process().files
    settings = parts.settings
    jobs = FileJobStore(parts.dynamodb, settings.jobs_table, lambda: time.time() + clock_ahead)
    worker = FileService(
        parts.data_s3,
        jobs,
        parts.models,
        SnapshotStore(parts.data_s3, settings.data_bucket, settings.snapshot_cache),
        bucket=settings.data_bucket,
        mock_mode=settings.ml_mock_mode,
        work=settings.file_work,
        sizes=Sizes(block_bytes=BLOCK_BYTES, checkpoint_seconds=0),
    )
    put_in_place(parts, file_jobs=jobs, files=worker)

    def tell(*arguments: Any, **named: Any) -> Results:
        results = open_results(*arguments, **named)
        told.send(1.0 if results.completing else results.position["done"]["share"] if results.position else 0.0)
        return results

    # The position from which an attempt goes on shows nowhere else, and the attempt may be killed at any step.
    patch.setattr(service, "open_results", tell)
    told.send(None)
    context: Any = Steps(told)
    answer = files.handler(message, context)
    sys.exit(str(answer) if answer != {"batchItemFailures": []} else 0)


@dataclass
class Attempt:
    """What a worker did: its steps, whether it was killed, and the share that it began after, if it came so far."""

    steps: int = 0
    was_killed: bool = False
    went_on_from: float | None = None


@dataclass
class Bucket:
    """The data bucket with one file in it, and the message that says so."""

    ids: Mapping[str, str]
    folder: Path
    message: dict[str, Any]
    workers: int = 0

    def attempt(self, steps: int | None = None) -> Attempt:
        """Has a new worker do the job, and kills it after so many steps, in the midst of what it does next."""
        self.workers += 1
        folder = self.folder / str(self.workers)
        folders = {name: str(folder / name) for name in ("MODEL_CACHE", "SNAPSHOT_CACHE", "FILE_WORK")}
        receiver, sender = PROCESSES.Pipe(duplex=False)
        clock_ahead = self.workers * (LEASE_SECONDS + 1)
        environment = dict(os.environ) | folders
        worker = PROCESSES.Process(target=work, args=(environment, self.message, clock_ahead, sender))
        worker.start()
        sender.close()
        attempt = Attempt()
        with receiver, suppress(EOFError):
            while steps is None or attempt.steps < steps:
                share = receiver.recv()
                attempt.steps += 1
                if share is not None and attempt.went_on_from is None:
                    attempt.went_on_from = share
            worker.kill()
        worker.join()
        assert worker.exitcode in (0, -signal.SIGKILL)
        attempt.was_killed = worker.exitcode != 0
        return attempt

    def results(self) -> dict[str, bytes]:
        """By file name."""
        data = boto3.resource("s3").Bucket(self.ids["DataBucket"])
        found = data.objects.filter(Prefix="results/")
        return {each.key.rpartition("/")[2]: each.get()["Body"].read() for each in found}

    def forget(self) -> None:
        """Makes it as if the file had never been scored."""
        data = boto3.resource("s3").Bucket(self.ids["DataBucket"])
        for prefix in ("results/", "jobs/"):
            data.object_versions.filter(Prefix=prefix).delete()
        jobs = boto3.resource("dynamodb").Table(self.ids["JobsTable"])
        for item in jobs.scan()["Items"]:
            jobs.delete_item(Key={"job_id": item["job_id"]})


@contextmanager
def served_stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, str]]:
    """The template's stores, empty, in a server that other processes reach too; their physical ids."""
    server = stores.start_moto()
    try:
        for name, value in stores.aws_environment(server).items():
            monkeypatch.setenv(name, value)
        urlopen(Request(os.environ["AWS_ENDPOINT_URL"] + "/moto-api/reset", method="POST")).close()
        described = template.load()
        ids = stores.create(template.stores(described))
        for name, value in template.environment(described, ids).items():
            monkeypatch.setenv(name, value)
        yield ids
    finally:
        server.stop()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    with served_stores(monkeypatch) as ids:
        s3, sqs = boto3.client("s3"), boto3.client("sqs")
        publish(s3, ids["ModelBucket"], sample_set.FOLDER)
        queue: Any = {"QueueUrl": ids["FileQueue"], "AttributeNames": ["All"]}
        sqs.receive_message(**queue)  # by which S3 tried the queue
        s3.put_object(Bucket=ids["DataBucket"], Key=KEY, Body=customers(tmp_path / "customers.csv"))
        messages = sqs.receive_message(**queue)["Messages"]
        yield Bucket(ids, tmp_path, events.queue_event(messages, "FileQueue", sqs.meta.region_name))


def customers(path: Path) -> bytes:
    """Customers in CSV, some of whom cannot be scored."""
    features = ", ".join(
        f"hash(number + {place}) % 1000 AS {name}"
        if name in DEFAULT_DOMAINS and DEFAULT_DOMAINS[name].whole
        else f"round(hash(number + {place}) % 10000 / 100.0, 2) AS {name}"
        for place, name in enumerate(SNAPSHOT_FEATURES)
    )
    duckdb.execute(
        f"COPY (SELECT CASE WHEN number % 1000 = 7 THEN NULL ELSE 'c-' || number END AS customer_id, {features} "
        f"FROM range({ROWS}) numbers(number) ORDER BY number) TO '{path}' (HEADER)"
    )
    return path.read_bytes()


@pytest.mark.long
def test_a_job_that_is_killed_twenty_times_ends_with_the_same_bytes(bucket: Bucket) -> None:
    undisturbed = bucket.attempt()
    expected = bucket.results()
    assert list(expected) == ["errors.csv", "predictions.csv", "summary.json"]
    assert len(expected["predictions.csv"]) > 2 * DEPLOYED.part_bytes
    assert expected["predictions.csv"].count(b"\n") - 1 == ROWS - ROWS // 1000
    assert expected["errors.csv"].count(b"\n") - 1 == ROWS // 1000

    draw = random.Random(5)
    attempts: list[Attempt] = []
    kills = 0
    bucket.forget()
    while len(attempts) < MOST_ATTEMPTS:
        is_last = kills == KILLS
        attempts.append(bucket.attempt(None if is_last else draw.randint(0, undisturbed.steps)))
        if attempts[-1].was_killed:
            kills += 1
            continue
        assert bucket.results() == expected
        if is_last:
            break
        bucket.forget()
    assert kills == KILLS
    assert any(after.went_on_from for before, after in pairwise(attempts) if before.was_killed)
    print(as_text(attempts, undisturbed.steps))  # noqa: T201  for who runs it with -s


def as_text(attempts: list[Attempt], undisturbed: int) -> str:
    lines = ["", f"One worker alone takes {undisturbed} steps for {ROWS:,} rows."]
    kills = 0
    for attempt, after in zip(attempts, [*attempts[1:], None], strict=True):
        if after is None or not attempt.was_killed:
            lines.append(f"         done after {attempt.steps} steps: the same bytes")
            continue
        kills += 1
        if after.went_on_from is None:
            found = "was killed before it could see" if after.was_killed else "found it done"
        else:
            found = f"went on from {after.went_on_from:.0%}" if after.went_on_from else "began at the beginning"
        lines.append(f"kill {kills:2}: after {attempt.steps} steps; the next worker {found}")
    return "\n".join(lines)
