"""Faults injected for real: what the caller sees, that the service recovers, and that counts still add up.

Each is a row of docs/faults.md, which has in its second column just the answers that are seen here.
"""

import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.files import app as files_function
from functions.predict import app as predict_function
from loyalty_ml.api.http import entrypoint
from loyalty_ml.models.store import ModelStore
from tests import sample_set
from tests.faults.page import rows, shown
from tests.faults.transport import Fault, Faults, away, cut_off, half_unprocessed, proxy, refused, slow
from tests.files.test_killed import Bucket, served_stores, work
from tests.segments.test_segments import Deployment, some_customers
from tests.service import CONTEXT, SNAPSHOT_FEATURES, Answer, Service, new_process, process, put_in_place
from training.registry import publish

pytestmark = [pytest.mark.moto, pytest.mark.long]

CUSTOMERS = 120
IDS = [f"c-{number}" for number in range(10)]
LISTED = [*(f"c-{number}" for number in range(100)), "nobody"]
PATIENT, HURRIED = 60.0, 1.0
"""Budgets of a request: enough on any machine, and one whose end is soon waited for."""
MACHINE = "loyalty-ml-score-dataset"
PROCESSES = multiprocessing.get_context("forkserver")
HOUR = 3600.0


@dataclass
class World:
    """A deployment whose every call of AWS goes through a transport with faults."""

    service: Service
    faults: Faults
    folder: Path
    instances: int = 0

    def new_instance(self) -> None:
        """Of all functions: it has kept nothing."""
        self.instances += 1
        for name in ("MODEL_CACHE", "SNAPSHOT_CACHE", "FILE_WORK"):
            os.environ[name] = str(self.folder / f"instance-{self.instances}" / name)
        new_process()
        self.wait(PATIENT)

    def wait(self, seconds: float) -> None:
        """From now on a request has so many seconds for its stores."""
        for name, app in process().apps().items():
            process().handlers[name] = entrypoint(app, seconds)

    @contextmanager
    def lasting(self, service: str, fault: Fault) -> Iterator[None]:
        """A fault that lasts longer than a request."""
        self.wait(HURRIED)
        with self.faults.of(service, fault):
            yield
        self.wait(PATIENT)

    def batch(self) -> Answer:
        return self.service.predict_batch(IDS)

    def segment(self) -> Answer:
        return self.service.call("POST", "/segments/everyone/ml/predict", {"type": "churn"})

    def start_job(self, **request: Any) -> Answer:
        return self.service.call("POST", "/ml/jobs", request)

    def score_file(self) -> tuple[str, dict[str, bytes]]:
        """Brings the files function the notification of a file; its job's status, and its results by name."""
        bucket, key = self.service.ids["DataBucket"], "incoming/churn/ids.csv"
        found = self.service.s3.head_object(Bucket=bucket, Key=key)
        named = {"eTag": found["ETag"].strip('"'), "size": found["ContentLength"], "versionId": found["VersionId"]}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
        described = {"bucket": {"name": bucket}, "object": {"key": key, **named}}
        context: Any = CONTEXT
        files_function.handler({"Records": [{**record, "s3": described}]}, context)
        (job,) = [each for each in self.service.call("GET", "/ml/jobs").body["jobs"] if each["kind"] == "file"]
        data = boto3.resource("s3").Bucket(bucket)
        found_results = data.objects.filter(Prefix=f"results/{job['job_id']}/")
        results = {each.key.rpartition("/")[2]: each.get()["Body"].read() for each in found_results}
        data.object_versions.filter(Prefix="results/").delete()
        data.object_versions.filter(Prefix="jobs/").delete()
        jobs = boto3.resource("dynamodb").Table(self.service.ids["JobsTable"])
        jobs.delete_item(Key={"job_id": job["job_id"]})
        return job["status"], results


def seen(answer: Answer) -> str:
    if answer.status < 400:
        return str(answer.status)
    store = (answer.body.get("details") or {}).get("store")
    return f"{answer.status} {answer.body['code']}" + (f" ({store})" if store else "")


def adds_up(answer: Answer) -> bool:
    body = answer.body
    total = body.get("total", body.get("total_customers"))
    return bool(total == body["successful"] + body["failed"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        for name in ("MODEL_CACHE", "SNAPSHOT_CACHE", "FILE_WORK"):
            patch.setenv(name, str(folder / name))
        with served_stores(patch) as ids:
            moto = os.environ["AWS_ENDPOINT_URL"]
            own: Any = {"endpoint_url": moto}
            service = Service(boto3.client("s3", **own), boto3.client("dynamodb", **own), ids)
            publish(service.s3, service.model_bucket, sample_set.FOLDER)
            Deployment(service, folder / "warehouse").write_customers(some_customers(customers=CUSTOMERS))
            service.s3.put_object(
                Bucket=ids["DataBucket"],
                Key="incoming/churn/ids.csv",
                Body="\n".join(["customer_id", *LISTED]).encode(),
            )
            service.s3.put_object(Bucket=ids["DataBucket"], Key="datasets/x/ids.csv", Body=b"customer_id\nc-1\n")
            boto3.client("stepfunctions", **own).create_state_machine(
                name=MACHINE,
                definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
                roleArn="arn:aws:iam::123456789012:role/machine",
            )
            faults = Faults()
            with proxy(moto.removeprefix("http://"), faults) as address:
                patch.setenv("AWS_ENDPOINT_URL", address)
                found = World(service, faults, folder)
                found.new_instance()
                defined = {"segment_name": "Everyone", "rule": {}}
                assert service.call("PUT", "/segments/everyone", defined).status == 201
                yield found
                new_process()


def dynamodb_throttled(world: World) -> set[str]:
    with world.faults.of("dynamodb", THROTTLED, times=2):
        passing = world.batch()
    with world.lasting("dynamodb", THROTTLED):
        lasting = world.batch()
    return {seen(passing), seen(lasting)}


def dynamodb_slow(world: World) -> set[str]:
    with world.faults.of("dynamodb", slow(0.3)):
        slowed = world.batch()
    with world.lasting("dynamodb", slow(5)):
        hanging = world.batch()
    return {seen(slowed), seen(hanging)}


def dynamodb_partly_unprocessed(world: World) -> set[str]:
    undisturbed = world.batch()
    with world.faults.of("dynamodb", half_unprocessed, operation="BatchGetItem"):
        parted = world.batch()
        assert len(world.faults.calls) > 3
    assert parted.body == undisturbed.body
    assert adds_up(parted)
    return {seen(parted)}


def s3_slow(world: World) -> set[str]:
    with world.faults.of("s3", slow(0.1)):
        slowed = world.batch()
    return {seen(slowed)}


def s3_refuses(world: World) -> set[str]:
    with world.lasting("s3", refused(503, "SlowDown")):
        lasting = world.batch()
    world.new_instance()
    with world.faults.of("s3", refused(503, "SlowDown"), times=1):
        passing = world.batch()
    return {seen(passing), seen(lasting)}


def s3_cut_off_at_a_model(world: World) -> set[str]:
    with world.faults.of("s3", cut_off(100), path="tflite"):
        cut = world.batch()
    return {seen(cut)}


def s3_cut_off_at_the_snapshot(world: World) -> set[str]:
    undisturbed = world.segment()
    world.new_instance()
    with world.faults.of("s3", cut_off(500), path="parquet", times=2):
        cut = world.segment()
        assert world.faults.calls
    assert cut.body == undisturbed.body
    assert adds_up(cut)
    return {seen(cut)}


def s3_cut_off_at_a_file(world: World) -> set[str]:
    _, undisturbed = world.score_file()
    with world.faults.of("s3", cut_off(100), path="incoming", operation="GET", times=2):
        status, results = world.score_file()
        assert world.faults.calls
    assert results == undisturbed
    summary = json.loads(results["summary.json"])
    assert summary["rows"] == summary["predictions"] + summary["errors"] == len(LISTED)
    return {status}


def queue_away(world: World) -> set[str]:
    with world.lasting("sqs", away):
        refused_job = world.start_job(segment_id="everyone", type="churn")
    failed = world.service.call("GET", "/ml/jobs", queryStringParameters={"limit": "1"}).body["jobs"][0]
    assert (failed["status"], failed["code"]) == ("failed", "STORE_UNAVAILABLE"), "no job waits for ever"
    again = world.start_job(segment_id="everyone", type="churn")
    return {seen(refused_job), seen(again)}


def state_machine_away(world: World) -> set[str]:
    with world.lasting("states", away):
        refused_job = world.start_job(prefix="datasets/x/")
    again = world.start_job(prefix="datasets/x/")
    return {seen(refused_job), seen(again)}


def clock_skew(world: World) -> set[str]:
    """AWS refuses what is signed with a clock that is over 5 (S3: 15) minutes off."""
    with world.lasting("dynamodb", refused(400, "InvalidSignatureException")):
        table = world.batch()
    world.new_instance()
    with world.lasting("s3", refused(403, "RequestTimeTooSkewed")):
        models = world.batch()
    return {seen(table), seen(models)}


def dead_connections(world: World) -> set[str]:
    world.batch()
    process().batch.models.look_again()  # as after any half minute
    with world.faults.of("s3", away, times=1):
        first = world.batch()
        assert world.faults.calls
    with world.faults.of("dynamodb", away, times=1):
        second = world.batch()
        assert world.faults.calls
    assert first.body == second.body
    return {seen(first), seen(second)}


THROTTLED: Fault = refused(400, "ProvisionedThroughputExceededException")
FAULTS: Mapping[str, Callable[[World], set[str]]] = {
    "DynamoDB throttles": dynamodb_throttled,
    "DynamoDB is slow": dynamodb_slow,
    "DynamoDB leaves keys unprocessed": dynamodb_partly_unprocessed,
    "S3 is slow": s3_slow,
    "S3 answers 503": s3_refuses,
    "S3 breaks off in a model": s3_cut_off_at_a_model,
    "S3 breaks off in the snapshot": s3_cut_off_at_the_snapshot,
    "S3 breaks off in a file": s3_cut_off_at_a_file,
    "the queue is away": queue_away,
    "the state machine is away": state_machine_away,
    "an instance's clock is an hour off": clock_skew,
    "connections have died while an instance was frozen": dead_connections,
}


@pytest.mark.parametrize("title", FAULTS)
def test_a_fault_of_a_store_is_seen_as_the_page_says_and_passes(world: World, title: str) -> None:
    world.new_instance()
    assert FAULTS[title](world) == shown(title)
    after = world.batch()  # of the same instance
    assert (after.status, adds_up(after)) == (200, True)
    assert after.body["successful"] > len(IDS) / 2


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


# Of processes that end or stop, a file is the longest work that there is.


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


def test_the_page_has_just_these_faults() -> None:
    of_processes = {
        "/tmp is full",
        "an instance is frozen for an hour",
        "a worker is out of memory",
        "the manifest is switched 100 times under load",
        "every store hangs",
    }
    assert rows().keys() == FAULTS.keys() | of_processes
