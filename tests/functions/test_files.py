"""The file queue and its worker's handler: what S3 and the queue bring, and what becomes of each message.

The scoring itself stands aside here: a test gives what comes of it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from functions.files import app as files
from local import events, template
from local.gateway import LambdaContext
from loyalty_ml.aws.queue import Queue as WorkersQueue
from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of
from loyalty_ml.jobs.attempt import MAX_LOOKS
from loyalty_ml.jobs.heartbeat import HIDDEN_SECONDS
from loyalty_ml.jobs.lease import LEASE_SECONDS
from tests.clients import answering
from tests.service import CONTEXT, Service, process, put_in_place

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

pytestmark = pytest.mark.moto

DESCRIBED = template.load()
(SOURCE,) = [source for source in template.queue_sources(DESCRIBED) if source.function == "FilesFunction"]
SUMMARY = {"job_id": "0" * 32, "status": "succeeded", "rows": 3, "predictions": 2, "errors": 1}
KEY = "incoming/churn/customers.csv"
UNAVAILABLE = StoreUnavailable("results", "S3 is away.")


@dataclass
class Scoring:
    """What stands in the place of the scoring: each call has the next outcome given, the last one for ever."""

    outcomes: list[Any] = field(default_factory=lambda: [finished()])
    jobs: list[FileJobRequest] = field(default_factory=list)
    is_last: list[bool] = field(default_factory=list)

    def __call__(self, job: FileJobRequest, *, remaining: Any, on_beat: Any, is_last: bool) -> Any:
        self.jobs.append(job)
        self.is_last.append(is_last)
        outcome = self.outcomes[min(len(self.jobs), len(self.outcomes)) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome(remaining, on_beat) if callable(outcome) else outcome


def finished(summary: Any = SUMMARY) -> Any:
    return SimpleNamespace(outcome="finished", summary=summary)


def unfinished() -> Any:
    return SimpleNamespace(outcome="unfinished")


def running(lease_left: float) -> Any:
    return SimpleNamespace(outcome="running", lease_left=lease_left)


@pytest.fixture
def scoring(empty_service: Service) -> Scoring:
    scoring = Scoring()
    put_in_place(process().files, files=SimpleNamespace(score=scoring))
    return scoring


@dataclass(frozen=True)
class Queue:
    """The data bucket and the queue that its notifications come to."""

    service: Service
    sqs: "SQSClient"

    @property
    def url(self) -> str:
        return self.service.ids["FileQueue"]

    def worker_has(self, **answers: Callable[..., Any]) -> None:
        """From here on the worker's client answers these calls so."""
        put_in_place(process().files, queue=WorkersQueue(answering(self.sqs, **answers), self.url, retry_seconds=0))

    def put(self, key: str, body: bytes = b"customer_id\n1\n") -> str:
        """Puts an object into the data bucket; gives its version."""
        bucket = self.service.ids["DataBucket"]
        return self.service.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]

    def deliver(self) -> bool:
        """Brings the worker one message: whether there was one."""
        return events.deliver(self.sqs, self.url, SOURCE, files.handler, wait_seconds=0)

    def deliver_all(self) -> int:
        delivered = 0
        while self.deliver():
            delivered += 1
        return delivered

    def send(self, body: Any) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(body))

    def redrive(self) -> None:
        """Sends the one dead letter back, as AWS does it: as a new message."""
        dead = self.service.ids["FileDeadLetterQueue"]
        (letter,) = self.sqs.receive_message(QueueUrl=dead)["Messages"]
        self.sqs.send_message(QueueUrl=self.url, MessageBody=letter["Body"])

    def left(self, name: str = "FileQueue") -> dict[str, int]:
        """How many messages wait, are hidden, and are delayed."""
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.service.ids[name], AttributeNames=["All"])
        return {
            "waiting": int(attributes["Attributes"]["ApproximateNumberOfMessages"]),
            "hidden": int(attributes["Attributes"]["ApproximateNumberOfMessagesNotVisible"]),
            "delayed": int(attributes["Attributes"]["ApproximateNumberOfMessagesDelayed"]),
        }


@pytest.fixture
def queue(empty_service: Service) -> Queue:
    """Without the message by which S3 tried the queue."""
    queue = Queue(empty_service, boto3.client("sqs"))
    put_in_place(process().files, queue=WorkersQueue(queue.sqs, queue.url, retry_seconds=0))
    assert queue.deliver_all() == 1
    return queue


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The lines of log and metrics that were written since the last call."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    return read


NOTHING = {"waiting": 0, "hidden": 0, "delayed": 0}


def message(body: Any, receives: int = 1) -> dict[str, Any]:
    """The event of one message, as the queue's mapping sends it."""
    return {
        "Records": [
            {
                "messageId": "message-1",
                "receiptHandle": "no such receipt",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": str(receives)},
                "eventSource": "aws:sqs",
            }
        ]
    }


def notification(key: str = KEY, name: str = "ObjectCreated:Put", **described: Any) -> dict[str, Any]:
    """A notification of S3; its object's version is "v1" unless the test says otherwise."""
    described = {"key": quote_plus(key), "size": 14, "eTag": "etag", "versionId": "v1", **described}
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": name,
                "s3": {"bucket": {"name": "data"}, "object": {k: v for k, v in described.items() if v is not None}},
            }
        ]
    }


FAILED = {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
DONE: dict[str, Any] = {"batchItemFailures": []}


@pytest.mark.smoke
def test_a_file_that_is_put_is_scored_as_its_folder_says(queue: Queue, scoring: Scoring) -> None:
    version = queue.put("incoming/nbo/customers.csv.gz")
    assert queue.deliver_all() == 1
    (job,) = scoring.jobs
    assert (job.type, job.source.key, job.source.version_id) == ("nbo", "incoming/nbo/customers.csv.gz", version)
    assert (job.job_id, job.dataset) == (job_id_of(job.source), None)
    assert scoring.is_last == [False]
    assert queue.left() == NOTHING


@pytest.mark.parametrize(
    "key", ["incoming/churn/a b+c.csv", "incoming/churn/Kundinnen & Köpfe.csv", "incoming/churn/../up.csv", KEY + ".gz"]
)
def test_a_key_arrives_as_it_was_put(queue: Queue, scoring: Scoring, key: str) -> None:
    queue.put(key)
    assert queue.deliver_all() == 1
    assert [job.source.key for job in scoring.jobs] == [key]


def test_two_versions_of_a_key_are_two_jobs_also_where_the_notifications_come_after_both(
    queue: Queue, scoring: Scoring
) -> None:
    versions = [queue.put(KEY, b"customer_id\n1\n"), queue.put(KEY, b"customer_id\n22\n")]
    queue.put(KEY + ".gz", b"a key of which the other is the beginning")
    assert queue.deliver_all() == 3
    scored = {job.source.version_id: job for job in scoring.jobs if job.source.key == KEY}
    assert scored.keys() == set(versions)
    assert [scored[version].source.size for version in versions] == [14, 15]
    assert len({job.job_id for job in scoring.jobs}) == 3


def test_a_notification_that_names_the_version_is_taken_at_its_word(empty_service: Service, scoring: Scoring) -> None:
    assert files.handler(message(notification()), CONTEXT) == DONE
    (job,) = scoring.jobs
    assert job.source == FileSource("data", KEY, "v1", "etag", 14)


def test_a_file_that_is_replaced_or_deleted_before_its_turn_in_a_bucket_without_versions_is_dropped(
    empty_service: Service, scoring: Scoring
) -> None:
    empty_service.s3.create_bucket(Bucket="no-versions", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    etag = empty_service.s3.put_object(Bucket="no-versions", Key=KEY, Body=b"customer_id\n1\n")["ETag"].strip('"')
    event = notification(versionId=None, eTag=etag)
    event["Records"][0]["s3"]["bucket"]["name"] = "no-versions"
    assert files.handler(message(event), CONTEXT) == DONE
    assert [job.source for job in scoring.jobs] == [FileSource("no-versions", KEY, None, etag, 14)]
    empty_service.s3.put_object(Bucket="no-versions", Key=KEY, Body=b"customer_id\n22\n")
    assert files.handler(message(event), CONTEXT) == DONE
    empty_service.s3.delete_object(Bucket="no-versions", Key=KEY)
    assert files.handler(message(event), CONTEXT) == DONE
    assert len(scoring.jobs) == 1


@pytest.mark.parametrize("key", ["results/1/predictions.csv", "jobs/1/checkpoint", "snapshots/x.parquet", "x.csv"])
def test_what_is_written_elsewhere_is_told_to_no_one_and_would_be_dropped(
    queue: Queue, scoring: Scoring, key: str
) -> None:
    queue.put(key)
    assert not queue.deliver()
    assert files.handler(message(notification(key)), CONTEXT) == DONE
    assert scoring.jobs == []


@pytest.mark.parametrize("name", ["_SUCCESS", "_temporary/0/part-0.csv", ".part-0.csv.crc", "unload_manifest"])
def test_what_is_known_to_be_no_data_is_no_job(queue: Queue, scoring: Scoring, name: str) -> None:
    queue.put(f"incoming/churn/2026-11/{name}")
    assert queue.deliver_all() == 1
    assert (scoring.jobs, queue.left()) == ([], NOTHING)
    assert process().batch.jobs.list(10) == ([], None)


def test_folders_and_other_events_are_dropped(queue: Queue, scoring: Scoring) -> None:
    queue.put("incoming/churn/", b"")
    assert queue.deliver_all() == 1
    assert files.handler(message(notification(name="ObjectRemoved:Delete")), CONTEXT) == DONE
    assert scoring.jobs == []
    assert queue.left() == NOTHING


@pytest.mark.parametrize("key", ["incoming/customers.csv", "incoming/sales/customers.csv"])
def test_a_key_that_says_no_type_is_a_failed_job_that_says_why(queue: Queue, scoring: Scoring, key: str) -> None:
    queue.put(key)
    assert queue.deliver_all() == 1
    assert scoring.jobs == []
    (job,) = queue.service.call("GET", "/ml/jobs").body["jobs"]
    assert (job["status"], job["request"]["key"]) == ("failed", key)
    answer = queue.service.call("GET", f"/ml/jobs/{job['job_id']}").body
    assert answer["code"] == "INVALID_FILE"
    assert "incoming/" in answer["error"]


def test_a_file_below_keep_keeps_its_columns_with_each_worker(queue: Queue, scoring: Scoring) -> None:
    scoring.outcomes = [unfinished(), finished()]
    queue.put("incoming/rfm/keep/000")
    queue.deliver_all()
    assert [job.keep for job in scoring.jobs] == [("*",), ("*",)]


def test_a_failed_attempt_comes_again_and_the_fifth_is_the_last(queue: Queue, scoring: Scoring) -> None:
    scoring.outcomes = [UNAVAILABLE]
    queue.put(KEY)
    assert queue.deliver_all() == files.MAX_ATTEMPTS + 1
    assert scoring.is_last == [False, False, False, False, True]
    assert (queue.left(), queue.left("FileDeadLetterQueue")["waiting"]) == (NOTHING, 1)


def test_a_dead_letter_that_is_sent_back_once_the_cause_is_mended_is_done(queue: Queue, scoring: Scoring) -> None:
    scoring.outcomes = [UNAVAILABLE] * files.MAX_ATTEMPTS + [finished()]
    queue.put(KEY)
    queue.deliver_all()
    queue.redrive()
    assert queue.deliver_all() == 1
    assert len({job.job_id for job in scoring.jobs}) == 1
    assert queue.left() == NOTHING


def test_of_several_messages_only_the_failed_ones_come_again(empty_service: Service, scoring: Scoring) -> None:
    scoring.outcomes = [UNAVAILABLE, finished()]
    (first,) = message(notification("incoming/churn/a.csv"))["Records"]
    second = {**message(notification("incoming/churn/b.csv"))["Records"][0], "messageId": "message-2"}
    assert files.handler({"Records": [first, second]}, CONTEXT) == FAILED
    assert [job.source.key for job in scoring.jobs] == ["incoming/churn/a.csv", "incoming/churn/b.csv"]


def test_what_is_no_message_of_this_queue_fails_with_a_reason(
    empty_service: Service, scoring: Scoring, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    bodies: list[Any] = ["not json", "[]", {"task": "file"}, {"Records": []}]
    for body in bodies:
        assert files.handler(message(body), CONTEXT) == FAILED
    assert scoring.jobs == []
    assert [line["outcome"] for line in lines() if "task" in line] == ["failed"] * 4
    with pytest.raises(ValueError, match="does not know the event"):
        files.handler({"detail": {}}, CONTEXT)


def test_a_message_at_work_is_hidden_for_little_longer_than_the_lease_and_with_each_beat_again(
    queue: Queue, scoring: Scoring
) -> None:
    hidden = []

    def note(**asked: Any) -> Any:
        hidden.append(asked["VisibilityTimeout"])
        return queue.sqs.change_message_visibility(**asked)

    queue.worker_has(change_message_visibility=note)

    def score(remaining: Any, on_beat: Callable[[float], object]) -> Any:
        on_beat(90.2)
        return finished()

    scoring.outcomes = [score]
    queue.put(KEY)
    assert queue.deliver_all() == 1
    assert hidden == [HIDDEN_SECONDS, 91]
    assert LEASE_SECONDS < HIDDEN_SECONDS <= 2 * LEASE_SECONDS


def test_a_queue_that_cannot_hide_a_message_stops_no_file(queue: Queue, scoring: Scoring) -> None:
    def refuse(**asked: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://queue")

    queue.worker_has(change_message_visibility=refuse)
    queue.put(KEY)
    assert queue.deliver_all() == 1
    assert (len(scoring.jobs), queue.left()) == (1, NOTHING)


def test_a_file_longer_than_an_invocation_is_handed_over_before_its_message_goes(
    queue: Queue, scoring: Scoring
) -> None:
    scoring.outcomes = [unfinished(), unfinished(), finished()]
    queue.put(KEY)
    assert queue.deliver_all() == 3
    assert scoring.jobs[1:] == scoring.jobs[:1] * 2
    assert scoring.is_last == [False] * 3
    assert queue.left() == NOTHING


def test_a_file_that_goes_on_and_on_is_given_up_and_says_so(queue: Queue, scoring: Scoring) -> None:
    """Lambda's own end of such a chain, after 16, is turned off: it would stop a file of four hours."""
    source = FileSource(queue.service.ids["DataBucket"], KEY, "v", "e", 1)
    job = FileJobRequest(source, "churn", "0" * 32)
    jobs = process().files.file_jobs
    jobs.claim(job, "the worker before")
    jobs.leases.release(job.job_id, "the worker before")
    task = {"task": "file", "source": source._asdict(), "type": "churn", "job_id": job.job_id, "attempts": 0}
    queue.send({**task, "hand_overs": files.MAX_HAND_OVERS - 1})
    scoring.outcomes = [unfinished()]
    assert queue.deliver_all() == 2, "one more is let go on, and then no other"
    body = queue.service.call("GET", f"/ml/jobs/{job.job_id}").body
    assert (body["status"], body["code"]) == ("failed", "INTERNAL")
    assert "in parts" in body["error"]
    assert queue.left() == queue.left("FileDeadLetterQueue") == NOTHING


def test_a_message_that_looks_again_and_again_ends_as_a_dead_letter(queue: Queue, scoring: Scoring) -> None:
    queue.worker_has(send_message=lambda **asked: queue.sqs.send_message(**{**asked, "DelaySeconds": 0}))
    source = FileSource("b", KEY, "v", "e", 1)._asdict()
    task = {"task": "file", "source": source, "type": "churn", "job_id": "0" * 32, "attempts": 0}
    queue.send({**task, "looks": MAX_LOOKS - 1, "hand_overs": 7})
    scoring.outcomes = [running(0)]
    queue.deliver_all()
    assert (queue.left(), queue.left("FileDeadLetterQueue")["waiting"]) == (NOTHING, 1)
    (letter,) = queue.sqs.receive_message(QueueUrl=queue.service.ids["FileDeadLetterQueue"])["Messages"]
    assert {name: json.loads(letter["Body"])[name] for name in files.COUNTERS} == {"looks": MAX_LOOKS, "hand_overs": 7}


def test_what_cannot_be_handed_over_stays_in_the_queue(queue: Queue, scoring: Scoring) -> None:
    def refuse(**asked: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://queue")

    queue.worker_has(send_message=refuse)
    scoring.outcomes = [unfinished(), finished()]
    queue.put(KEY)
    assert queue.deliver_all() == 2
    assert scoring.jobs[0] == scoring.jobs[1]


def test_the_worker_is_told_how_long_its_invocation_has_left(empty_service: Service, scoring: Scoring) -> None:
    left = []

    def score(remaining: Callable[[], float], on_beat: Any) -> Any:
        left.append(remaining())
        return finished()

    scoring.outcomes = [score]
    context: Any = LambdaContext("FilesFunction", SOURCE.timeout_seconds)
    files.handler(message(notification()), context)
    assert 0 < left[0] <= SOURCE.timeout_seconds == 900


def test_a_message_that_finds_its_file_at_work_comes_back_when_the_lease_has_ended(
    queue: Queue, scoring: Scoring
) -> None:
    scoring.outcomes = [running(40.5)]
    queue.put(KEY)
    assert queue.deliver_all() == 1
    assert queue.left() == {"waiting": 0, "hidden": 0, "delayed": 1}


def test_it_is_kept_until_the_file_is_finished(queue: Queue, scoring: Scoring) -> None:
    """However often it finds the file at work, it is no dead letter for that; the attempts that failed stay counted."""
    queue.worker_has(send_message=lambda **asked: queue.sqs.send_message(**{**asked, "DelaySeconds": 0}))
    at_work = [running(0)] * 3 * files.MAX_ATTEMPTS
    scoring.outcomes = [UNAVAILABLE, *at_work, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]
    queue.put(KEY)
    queue.deliver_all()
    assert len(scoring.jobs) == len(scoring.outcomes)
    assert [place for place, last in enumerate(scoring.is_last) if last] == [len(scoring.outcomes) - 1]
    assert (queue.left(), queue.left("FileDeadLetterQueue")["waiting"]) == (NOTHING, 1)


def test_a_file_whose_last_worker_was_killed_is_recorded_as_failed(queue: Queue, scoring: Scoring) -> None:
    source = FileSource(queue.service.ids["DataBucket"], KEY, "v", "e", 1)
    job = FileJobRequest(source, "churn", "0" * 32)
    an_hour_ago = time.time() - 3600
    jobs = FileJobStore(queue.service.dynamodb, queue.service.ids["JobsTable"], clock=lambda: an_hour_ago)
    assert jobs.claim(job, "killed").outcome == "claimed"
    task = {"task": "file", "source": source._asdict(), "type": "churn", "job_id": job.job_id}
    queue.send({**task, "attempts": files.MAX_ATTEMPTS})
    queue.deliver()
    body = queue.service.call("GET", f"/ml/jobs/{job.job_id}").body
    assert (body["status"], body["code"], scoring.jobs) == ("failed", "INTERNAL", [])
    assert "killed" in body["error"]


def test_a_file_whose_workers_are_all_killed_ends_as_a_dead_letter(queue: Queue, scoring: Scoring) -> None:
    """Also where its message is a copy, whose receives the queue counts anew; and sent back it is tried again."""
    queue.send({"task": "file", "source": FileSource("b", KEY, "v", "e", 1)._asdict(), "type": "churn",
                "job_id": "0" * 32, "attempts": files.MAX_ATTEMPTS - 1})  # fmt: skip
    scoring.outcomes = [UNAVAILABLE, finished()]
    assert queue.deliver_all() == files.MAX_ATTEMPTS + 1
    assert scoring.is_last == [True]
    queue.redrive()
    assert queue.deliver_all() == 1
    assert (len(scoring.jobs), queue.left()) == (2, NOTHING)


def test_a_bare_notification_is_scored_and_raises_where_a_message_would_come_again(
    empty_service: Service, scoring: Scoring
) -> None:
    event = json.loads(Path("events/s3-put.json").read_text())
    described = event["Records"][0]["s3"]
    put = empty_service.s3.put_object(Bucket=empty_service.ids["DataBucket"], Key=KEY, Body=b"customer_id\n1\n")
    described["bucket"]["name"] = empty_service.ids["DataBucket"]
    described["object"]["eTag"] = put["ETag"].strip('"')
    scoring.outcomes = [finished(), UNAVAILABLE]
    assert files.handler(event, CONTEXT) is None
    assert [job.source.version_id for job in scoring.jobs] == [put["VersionId"]]
    with pytest.raises(StoreUnavailable):
        files.handler(event, CONTEXT)
    assert scoring.is_last == [True, True]


def test_the_state_machines_tasks_go_to_the_datasets_room(empty_service: Service) -> None:
    tasks = SimpleNamespace(
        score_item=lambda event, _: {"key": event["item"]["Key"]}, summarise=lambda _: {"file_count": 2}
    )
    put_in_place(process().files, dataset_tasks=tasks)
    assert files.handler({"task": "dataset_file", "item": {"Key": "x"}}, CONTEXT) == {"key": "x"}
    assert files.handler({"task": "dataset_summary"}, CONTEXT) == {"file_count": 2}


def test_each_message_writes_its_line(
    empty_service: Service, scoring: Scoring, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    scoring.outcomes = [finished(), UNAVAILABLE]
    for _ in scoring.outcomes:
        files.handler(message(notification()), CONTEXT)
    written = [line for line in lines() if "_aws" in line]
    assert [line["correlation_id"] for line in written] == ["message-1"] * 2
    assert [line["outcome"] for line in written] == ["done", "failed"]
    assert written[-1]["STORE_UNAVAILABLE"] == 1
