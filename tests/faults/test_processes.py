"""Faults of an instance: its disk, its memory, the time that it is frozen, and a manifest that changes under it."""

import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.predict import app as predict_function
from loyalty_ml.api.http import entrypoint
from loyalty_ml.models.store import ModelStore
from tests import sample_set
from tests.faults.page import shown
from tests.faults.world import PATIENT, World, seen
from tests.files.test_killed import Bucket, work
from tests.service import SNAPSHOT_FEATURES, Answer, process, put_in_place
from training.registry import publish

pytestmark = [pytest.mark.moto, pytest.mark.long]

PROCESSES = multiprocessing.get_context("forkserver")
HOUR = 3600.0


def test_a_full_disk_is_named_with_its_remedy_and_predictions_go_on(world: World, tmp_path: Path) -> None:
    """On a real file system of 64 kB, in a process of its own."""
    run = (
        "import json, os\n"
        "from tests.service import Service, new_process\n"  # which takes AWS's variables out of the environment
        "import boto3\n"
        "os.environ.update(json.loads(os.environ['OF_AWS']))\n"
        "new_process()\n"
        "service = Service(boto3.client('s3'), boto3.client('dynamodb'), {})\n"
        "full = service.call('POST', '/segments/everyone/ml/predict', {'type': 'churn'})\n"
        "one = service.predict('c-1')\n"
        "print('ANSWERS', json.dumps([[each.status, each.body] for each in (full, one)]))\n"
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f"mount -t tmpfs -o size=64k tmpfs {disk} && dd if=/dev/zero of={disk}/fill bs=1k count=56 2>/dev/null"
    shell = f'{mounted} && exec "{sys.executable}" -c "$RUN"'
    of_aws = json.dumps({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
    environment = {**os.environ, "RUN": run, "OF_AWS": of_aws, "SNAPSHOT_CACHE": str(disk), "MODEL_CACHE": str(disk)}
    if subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("This machine lets nobody mount a file system of his own, and a disk cannot be filled otherwise.")
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", shell], env=environment, capture_output=True, text=True, check=False
    )
    found = re.search("^ANSWERS (.*)$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    answers = [Answer(status, body, {}) for status, body in json.loads(found[1])]
    assert {seen(each) for each in answers} == shown("/tmp is full")
    assert "SegmentStorage" in answers[0].body["error"]


# Of processes that end or stop: a file is the longest work that there is.


def limited_memory(environment: Mapping[str, str], message: dict[str, Any], ahead: float, told: Any) -> None:
    """A worker that has 20 MB more than it takes to start."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + 20 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    work(environment, message, ahead, told)


@pytest.fixture
def bucket(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A file of 0.8 MB, and the message that brings it."""
    ids, service = world.service.ids, world.service
    key = f"incoming/nbo/{tmp_path.name}.csv"
    rows = [",".join(["customer_id", *SNAPSHOT_FEATURES])]
    for number in range(20_000):
        values = [str((number * 37 + place * 101) % 97) for place in range(len(SNAPSHOT_FEATURES))]
        rows.append(",".join(["" if number % 1000 == 7 else f"c-{number}", *values]))
    put = service.s3.put_object(Bucket=ids["DataBucket"], Key=key, Body="\n".join(rows).encode())
    size = len("\n".join(rows).encode())
    described = {"key": key, "eTag": put["ETag"].strip('"'), "size": size, "versionId": put["VersionId"]}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    notification = {"Records": [{**record, "s3": {"bucket": {"name": ids["DataBucket"]}, "object": described}}]}
    message = {
        "eventSource": "aws:sqs",
        "messageId": "m",
        "receiptHandle": "r",
        "body": json.dumps(notification),
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    return Bucket(ids, tmp_path, {"Records": [message]})


def test_an_instance_that_is_frozen_for_an_hour_changes_nothing_when_it_thaws(world: World, bucket: Bucket) -> None:
    bucket.attempt()
    expected = bucket.results()
    bucket.forget()
    receiver, sender = PROCESSES.Pipe(duplex=False)
    folder = {name: str(bucket.folder / "frozen" / name) for name in ("MODEL_CACHE", "SNAPSHOT_CACHE", "FILE_WORK")}
    frozen = PROCESSES.Process(target=work, args=(dict(os.environ) | folder, bucket.message, 0.0, sender))
    frozen.start()
    assert frozen.pid is not None
    sender.close()
    for _ in range(3):  # it begins, knows where from, and has done a block
        receiver.recv()
    os.kill(frozen.pid, signal.SIGSTOP)
    bucket.workers = int(HOUR)  # so far ahead is the clock of the next
    other = bucket.attempt()
    assert not other.was_killed
    assert bucket.results() == expected
    os.kill(frozen.pid, signal.SIGCONT)
    while True:
        try:
            receiver.recv()
        except EOFError:
            break
    frozen.join()
    assert bucket.results() == expected
    (job,) = [each for each in world.service.call("GET", "/ml/jobs").body["jobs"] if each["kind"] == "file"]
    bucket.forget()
    assert {job["status"]} == shown("an instance is frozen for an hour")


def test_a_worker_that_is_out_of_memory_leaves_its_file_to_the_next(world: World, bucket: Bucket) -> None:
    bucket.attempt()
    expected = bucket.results()
    bucket.forget()
    receiver, sender = PROCESSES.Pipe(duplex=False)
    folder = {name: str(bucket.folder / "small" / name) for name in ("MODEL_CACHE", "SNAPSHOT_CACHE", "FILE_WORK")}
    small = PROCESSES.Process(target=limited_memory, args=(dict(os.environ) | folder, bucket.message, 0.0, sender))
    small.start()
    sender.close()
    while True:
        try:
            receiver.recv()
        except EOFError:
            break
    small.join()
    assert small.exitcode != 0
    between = [each["status"] for each in world.service.call("GET", "/ml/jobs").body["jobs"] if each["kind"] == "file"]
    assert "succeeded" not in between
    bucket.attempt()
    assert bucket.results() == expected
    (job,) = [each for each in world.service.call("GET", "/ml/jobs").body["jobs"] if each["kind"] == "file"]
    bucket.forget()
    assert {job["status"]} == shown("a worker is out of memory")


def test_under_load_each_answer_is_of_one_whole_set_while_the_manifest_is_switched_a_hundred_times(
    world: World, other_models: Path
) -> None:
    world.new_instance()
    service, parts = world.service, process().predict
    put_in_place(
        parts,
        models=ModelStore(parts.s3, service.model_bucket, parts.settings.model_cache, refresh_seconds=0),
    )
    process().handlers["predict"] = entrypoint(predict_function.make_app(lambda: parts), PATIENT)
    answers: dict[str, dict[str, Any]] = {}
    for folder in (other_models, sample_set.FOLDER):
        publish(service.s3, service.model_bucket, folder)
        body = service.predict("c-1").body
        answers[body["model"]["version"]] = body
    assert len(answers) == 2
    switched = threading.Event()

    def switch() -> None:
        for number in range(100):
            publish(service.s3, service.model_bucket, (other_models, sample_set.FOLDER)[number % 2])
        switched.set()

    switching = threading.Thread(target=switch)
    switching.start()
    count, versions = 0, set()
    while not switched.is_set():
        answer = service.predict("c-1")
        assert answer.status == 200, answer.body
        assert answer.body == answers[answer.body["model"]["version"]]
        versions.add(answer.body["model"]["version"])
        count += 1
    switching.join()
    assert versions == answers.keys()
    assert count > 20
    assert {"200"} == shown("the manifest is switched 100 times under load")
