"""Answers too slow for a request, and what sets statistics going: from the request or the event to what is stored."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.sqs.models import sqs_backends

from functions.segment_worker import app as refresh
from local import events, template
from loyalty_ml import errors
from loyalty_ml.aws.queue import Queue as WorkersQueue
from loyalty_ml.jobs.attempt import WorkerKilled
from loyalty_ml.jobs.heartbeat import HIDDEN_SECONDS
from loyalty_ml.jobs.lease import LEASE_SECONDS, Leases
from loyalty_ml.jobs.record import answer_key
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.segments.definition import SegmentDefinition
from tests.clients import answering
from tests.service import CONTEXT, Answer, Service, process, put_in_place

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

pytestmark = pytest.mark.moto

DESCRIBED = template.load()
SOURCES = {source.queue: source for source in template.queue_sources(DESCRIBED)}
REQUEST = {"segment_id": "vip", "answer": "predict", "type": "churn", "top": None, "offer": None}
ANSWER = {"segment_id": "vip", "total_customers": 3, "aggregated_stats": {"avg_probability": 0.1097012534737587}}
CURRENT = "snapshots/current.json"


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


class AtOnce(WorkersQueue):
    """The worker's queue, where a plan's tasks show at once."""

    def send_all(self, bodies: Sequence[Mapping[str, Any]], *, delay_seconds: int = 0) -> None:
        super().send_all(bodies)


@dataclass(frozen=True)
class Queue:
    """The segment queue and its worker, as Lambda has them work."""

    sqs: "SQSClient"
    name: str
    url: str
    dead_letters_url: str

    def deliver(self) -> bool:
        """Brings the worker one message: whether there was one."""
        return events.deliver(self.sqs, self.url, SOURCES[self.name], refresh.handler, wait_seconds=0)

    def deliver_all(self) -> int:
        delivered = 0
        while self.deliver():
            delivered += 1
        return delivered

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def receive_all(self) -> list[Any]:
        """Takes every message that waits."""
        bodies = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in messages]
        return bodies

    def delayed(self) -> list[Any]:
        """The tasks that are in the queue and do not show yet."""
        backend: Any = sqs_backends["123456789012"]["eu-west-1"]
        name = self.url.rpartition("/")[2]
        return [json.loads(message.body) for message in backend.queues[name]._messages if message.delayed]

    def dead_letters(self) -> list[str]:
        messages = self.sqs.receive_message(QueueUrl=self.dead_letters_url, MaxNumberOfMessages=10).get("Messages", [])
        return [message["Body"] for message in messages]


@pytest.fixture
def queue(empty_service: Service) -> Queue:
    ids = empty_service.ids
    sqs = boto3.client("sqs")
    put_in_place(
        process().worker,
        queue=AtOnce(sqs, ids["SegmentQueue"], retry_seconds=0),
        statistics_queue=AtOnce(sqs, ids["StatisticsQueue"], retry_seconds=0),
    )
    return Queue(sqs, "SegmentQueue", ids["SegmentQueue"], ids["SegmentDeadLetterQueue"])


@pytest.fixture
def statistics_queue(empty_service: Service, queue: Queue) -> Queue:
    return replace(queue, name="StatisticsQueue", url=empty_service.ids["StatisticsQueue"])


@pytest.fixture
def clock(empty_service: Service) -> Clock:
    """The leases' clock."""
    clock = Clock()
    leases = Leases(empty_service.dynamodb, empty_service.ids["JobsTable"], clock)
    put_in_place(process().worker, leases=leases)
    return clock


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Puts what a test gives in the place of the scoring of segments, call by call, the last one for ever."""

    def put(*outcomes: Any) -> list[Any]:
        calls: list[Any] = []

        def answer(request: Any, on_progress: Callable[[int, int], None]) -> Any:
            calls.append(request)
            outcome = outcomes[min(len(calls), len(outcomes)) - 1]
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome(on_progress) if callable(outcome) else outcome

        put_in_place(process().worker, service=SimpleNamespace(answer=answer))
        return calls

    return put


@pytest.fixture
def refreshed(empty_service: Service) -> list[str | None]:
    """The segments whose statistics were asked for."""
    calls: list[str | None] = []
    refreshing(calls.append)
    return calls


def refreshing(refresh: Callable[[str | None], None]) -> None:
    """Puts this in the place of what measures a segment, which finds no drift, and nobody to compare."""

    def measure(segment_id: str | None) -> Any:
        refresh(segment_id)
        return SimpleNamespace(drift={})

    nobody = SimpleNamespace(customers=0)
    put_in_place(process().worker, service=SimpleNamespace(refresh=measure, customers=lambda: nobody))


def start() -> str:
    return process().segment.queued_jobs.start("segment", "job", REQUEST).job_id


def status(service: Service, job_id: str) -> Answer:
    return service.call("GET", f"/ml/jobs/{job_id}")


def event(message: Any, receives: int = 1) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": "message-1",
                "receiptHandle": "no such receipt",
                "body": json.dumps(message),
                "attributes": {"ApproximateReceiveCount": str(receives)},
            }
        ]
    }


@pytest.mark.smoke
def test_a_job_waits_runs_and_answers(empty_service: Service, queue: Queue, answers: Callable[..., list[Any]]) -> None:
    seen = []

    def slow(on_progress: Callable[[int, int], None]) -> Any:
        on_progress(50, 100)
        seen.append(status(empty_service, job_id).body)
        return ANSWER

    calls = answers(slow)
    job_id = start()
    waiting = status(empty_service, job_id)
    assert waiting.status == 200
    assert waiting.body.pop("created") <= waiting.body.pop("updated")
    assert waiting.body == {
        "job_id": job_id,
        "kind": "segment",
        "status": "queued",
        "progress": {"processed": 0, "total": None},
        "request": REQUEST,
    }
    assert queue.deliver_all() == 1
    assert calls == [REQUEST]
    assert (seen[0]["status"], seen[0]["progress"]) == ("running", {"processed": 50, "total": 100})
    for slash in ("", "/"):
        done = empty_service.call("GET", f"/ml/jobs/{job_id}{slash}").body
        assert (done["status"], done["answer"]) == ("succeeded", ANSWER)
        assert done.keys().isdisjoint({"error", "code"})


@pytest.mark.parametrize("job_id", ["0" * 32, "not-a-job", "x" * 5000, "results%2F..%2F", "顧客"])
def test_an_unknown_job_is_404(empty_service: Service, job_id: str) -> None:
    answer = status(empty_service, job_id)
    assert (answer.status, answer.body["code"]) == (404, "JOB_NOT_FOUND")
    assert "start it again" in answer.body["error"]


@pytest.mark.parametrize("error", [errors.InvalidRequest.of("rule", "there is no column x"), errors.CustomerNotFound()])
def test_what_the_caller_must_mend_fails_the_job_at_once(
    empty_service: Service, queue: Queue, answers: Callable[..., list[Any]], error: errors.LoyaltyError
) -> None:
    calls = answers(error)
    job_id = start()
    assert queue.deliver_all() == 1
    body = status(empty_service, job_id).body
    assert (body["status"], body["code"], body["error"]) == ("failed", error.code, error.message)
    assert "answer" not in body
    assert (len(calls), queue.dead_letters()) == (1, [])


def test_what_may_work_later_is_tried_again(
    empty_service: Service, queue: Queue, answers: Callable[..., list[Any]]
) -> None:
    answers(errors.StoreUnavailable("results", "S3 is not there."), RuntimeError("a bug"), ANSWER)
    job_id = start()
    for _ in range(2):
        assert queue.deliver()
        assert status(empty_service, job_id).body["status"] == "queued"
    assert queue.deliver_all() == 1
    body = status(empty_service, job_id).body
    assert (body["status"], body["answer"]) == ("succeeded", ANSWER)
    assert body.keys().isdisjoint({"error", "code"})


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (errors.ModelUnavailable("churn cannot be served."), "MODEL_UNAVAILABLE", "churn cannot be served."),
        (RuntimeError("a secret"), "INTERNAL", "which is in its log too"),
    ],
)
def test_what_fails_three_times_fails_the_job_and_is_kept_as_a_dead_letter(
    empty_service: Service,
    queue: Queue,
    answers: Callable[..., list[Any]],
    error: Exception,
    code: str,
    sentence: str,
) -> None:
    calls = answers(error)
    job_id = start()
    assert queue.deliver_all() == refresh.MAX_ATTEMPTS + 1
    body = status(empty_service, job_id).body
    assert (body["status"], body["code"]) == ("failed", code)
    assert sentence in body["error"]
    assert "secret" not in body["error"]
    assert len(calls) == 3
    assert [json.loads(letter) for letter in queue.dead_letters()] == [{"task": "job", "job_id": job_id}]


def test_a_dead_letter_that_is_sent_again_once_mended_succeeds(
    empty_service: Service, queue: Queue, answers: Callable[..., list[Any]]
) -> None:
    answers(RuntimeError(), RuntimeError(), RuntimeError(), ANSWER)
    job_id = start()
    queue.deliver_all()
    (letter,) = queue.dead_letters()
    queue.send(letter)
    assert queue.deliver()
    body = status(empty_service, job_id).body
    assert (body["status"], body["answer"]) == ("succeeded", ANSWER)


class Killed(BaseException):
    """As when Lambda stops a process: no line of the worker runs any more."""


def test_a_job_whose_worker_is_killed_each_time_fails_at_the_last(
    empty_service: Service, queue: Queue, clock: Clock, answers: Callable[..., list[Any]]
) -> None:
    calls = answers(Killed())
    job_id = start()
    message = {"task": "job", "job_id": job_id}
    for receives in (1, 2):
        with pytest.raises(Killed):
            refresh.handler(event(message, receives), CONTEXT)
        assert status(empty_service, job_id).body["status"] == "running"
        clock.now += HIDDEN_SECONDS
    with pytest.raises(WorkerKilled, match="killed"):
        refresh.handler(event(message, 3), CONTEXT)
    body = status(empty_service, job_id).body
    assert (body["status"], body["code"], len(calls)) == ("failed", "INTERNAL", 2)
    assert "time or memory" in body["error"]


class Failure(Exception):
    """As when a store does not answer: another attempt may succeed."""


def test_a_job_whose_last_worker_is_killed_fails_as_soon_as_its_lease_has_passed(
    empty_service: Service, queue: Queue, clock: Clock, answers: Callable[..., list[Any]]
) -> None:
    calls = answers(Failure(), Failure(), Killed(), ANSWER)
    job_id = start()
    message = {"task": "job", "job_id": job_id}
    for receives in (1, 2):
        with pytest.raises(Failure):
            refresh.handler(event(message, receives), CONTEXT)
    with pytest.raises(Killed):
        refresh.handler(event(message, 3), CONTEXT)
    queue.receive_all()
    refresh.handler(event(message, 4), CONTEXT)
    assert status(empty_service, job_id).body["status"] == "running"
    assert [task["attempts"] for task in queue.delayed()] == [3]
    clock.now += HIDDEN_SECONDS
    with pytest.raises(RuntimeError, match="3 attempts"):
        refresh.handler(event(message, 4), CONTEXT)
    body = status(empty_service, job_id).body
    assert (body["status"], body["code"], len(calls)) == ("failed", "INTERNAL", 3)
    assert "time or memory" in body["error"]
    refresh.handler(event(message), CONTEXT)  # as a dead letter that is sent back
    assert (status(empty_service, job_id).body["status"], len(calls)) == ("succeeded", 4)


def test_a_job_whose_worker_was_killed_is_taken_up_within_a_minute_and_a_half(
    empty_service: Service,
    queue: Queue,
    clock: Clock,
    answers: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The queue alone would bring its message again after six times the function's timeout: 90 minutes."""
    hidden_until = 0.0

    def hide(**asked: Any) -> Any:
        nonlocal hidden_until
        hidden_until = clock.now + asked["VisibilityTimeout"]

    sqs = answering(boto3.client("sqs"), change_message_visibility=hide)
    put_in_place(process().worker, queue=WorkersQueue(sqs, empty_service.ids["SegmentQueue"]))

    def work_and_be_killed(on_progress: Callable[[int, int], None]) -> Any:
        clock.now += 20
        on_progress(50, 100)
        raise Killed

    calls = answers(work_and_be_killed, ANSWER)
    job_id = start()
    message = {"task": "job", "job_id": job_id}
    with pytest.raises(Killed):
        refresh.handler(event(message), CONTEXT)
    killed_at = clock.now
    assert status(empty_service, job_id).body["progress"] == {"processed": 50, "total": 100}
    assert hidden_until - killed_at <= 90
    clock.now = max(hidden_until, killed_at + LEASE_SECONDS)
    assert clock.now - killed_at <= 90
    refresh.handler(event(message, 2), CONTEXT)
    body = status(empty_service, job_id).body
    assert (body["status"], body["answer"], len(calls)) == ("succeeded", ANSWER, 2)


def test_a_job_that_older_code_left_running_is_taken_up(
    empty_service: Service, queue: Queue, answers: Callable[..., list[Any]]
) -> None:
    """Its record has no lease: its worker was killed, or is at work still and changes nothing after a success."""
    answers(ANSWER)
    job_id = start()
    process().worker.jobs.running(job_id)
    assert queue.deliver_all() == 1
    assert status(empty_service, job_id).body["answer"] == ANSWER


def test_a_job_delivered_twice_is_done_once(
    empty_service: Service, queue: Queue, answers: Callable[..., list[Any]]
) -> None:
    calls = answers(ANSWER, errors.ModelUnavailable("not again"))
    job_id = start()
    queue.send(json.dumps({"task": "job", "job_id": job_id}))
    assert queue.deliver()
    first = status(empty_service, job_id).body
    assert queue.deliver_all() == 1
    assert (status(empty_service, job_id).body, len(calls)) == (first, 1)


def test_of_two_deliveries_at_once_the_second_comes_again_when_the_lease_has_ended(
    empty_service: Service, queue: Queue, clock: Clock, answers: Callable[..., list[Any]]
) -> None:
    """As a copy, which the queue counts anew: waiting never makes it a dead letter, and uses up no attempt."""
    message = {"task": "job", "job_id": start()}

    def meanwhile_again(on_progress: Callable[[int, int], None]) -> Any:
        refresh.handler(event(message, 3), CONTEXT)
        assert status(empty_service, message["job_id"]).body["status"] == "running"
        return ANSWER

    calls = answers(meanwhile_again)
    assert queue.deliver()
    body = status(empty_service, message["job_id"]).body
    assert (body["status"], body["answer"], len(calls)) == ("succeeded", ANSWER, 1)
    (copy,) = queue.delayed()
    assert copy == {**message, "attempts": 2, "looks": 1}
    refresh.handler(event(copy), CONTEXT)
    assert (status(empty_service, message["job_id"]).body, len(calls)) == (body, 1)


def test_a_worker_that_was_given_up_for_dead_changes_nothing_any_more(
    empty_service: Service, queue: Queue, clock: Clock, answers: Callable[..., list[Any]]
) -> None:
    seen: list[Any] = []

    def given_up(on_progress: Callable[[int, int], None]) -> Any:
        clock.now += LEASE_SECONDS
        refresh.handler(event({"task": "job", "job_id": job_id}, 2), CONTEXT)
        seen.append(status(empty_service, job_id).body)
        on_progress(100, 100)
        return {"too late": "to matter"}

    answers(given_up, ANSWER)
    job_id = start()
    assert queue.deliver()
    assert (seen[0]["status"], seen[0]["answer"]) == ("succeeded", ANSWER)
    assert status(empty_service, job_id).body == seen[0]
    copy = {"task": "job", "job_id": job_id, "attempts": 0, "looks": 1}
    assert queue.delayed() == [copy], "it looks whether the other is done"


@pytest.mark.parametrize("attempts", [3, 7])
def test_a_copy_that_has_no_attempt_left_becomes_a_dead_letter(
    empty_service: Service, queue: Queue, answers: Callable[..., list[Any]], attempts: int
) -> None:
    calls = answers(ANSWER)
    job_id = start()
    queue.receive_all()
    queue.send(json.dumps({"task": "job", "job_id": job_id, "attempts": attempts}))
    assert queue.deliver_all() == refresh.MAX_ATTEMPTS + 1
    assert (calls, len(queue.dead_letters())) == ([], 1)


def test_the_message_of_a_job_that_is_no_longer_kept_is_dropped(
    queue: Queue, answers: Callable[..., list[Any]]
) -> None:
    calls = answers(ANSWER)
    queue.send(json.dumps({"task": "job", "job_id": "0" * 32}))
    assert queue.deliver_all() == 1
    assert (calls, queue.dead_letters()) == ([], [])


def test_a_job_that_cannot_be_queued_is_an_error_and_does_not_wait_for_ever(
    empty_service: Service, queue: Queue
) -> None:
    queue.sqs.delete_queue(QueueUrl=queue.url)
    with pytest.raises(errors.StoreUnavailable, match=r"cannot be put into the queue .*\. Check the function"):
        start()
    (item,) = empty_service.dynamodb.scan(TableName=empty_service.ids["JobsTable"])["Items"]
    body = status(empty_service, item["job_id"]["S"]).body
    assert (body["status"], body["code"]) == ("failed", "STORE_UNAVAILABLE")


def test_a_jobs_table_that_does_not_answer_is_503(empty_service: Service, queue: Queue) -> None:
    empty_service.dynamodb.delete_table(TableName=empty_service.ids["JobsTable"])
    answer = status(empty_service, "0" * 32)
    assert (answer.status, answer.body["code"]) == (503, "STORE_UNAVAILABLE")
    assert "jobs table (ResourceNotFoundException)" in answer.body["error"]
    with pytest.raises(errors.StoreUnavailable, match="cannot be recorded"):
        start()
    assert queue.receive_all() == [], "no message without a record"


def test_an_answer_that_s3_does_not_take_is_made_again(
    empty_service: Service, queue: Queue, answers: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(ANSWER)
    job_id = start()
    own = process().worker.jobs
    put_in_place(
        process().worker,
        jobs=JobStore(
            empty_service.dynamodb, empty_service.s3, table=empty_service.ids["JobsTable"], bucket="no-such-bucket"
        ),
    )
    assert queue.deliver()
    assert status(empty_service, job_id).body["status"] == "queued"
    put_in_place(process().worker, jobs=own)
    assert queue.deliver()
    assert status(empty_service, job_id).body["answer"] == ANSWER
    kept = empty_service.s3.get_object(Bucket=empty_service.ids["DataBucket"], Key=answer_key(job_id))
    assert json.loads(kept["Body"].read()) == ANSWER


def test_a_job_expires(empty_service: Service, queue: Queue) -> None:
    start()
    (item,) = empty_service.dynamodb.scan(TableName=empty_service.ids["JobsTable"])["Items"]
    properties = DESCRIBED["Resources"]["JobsTable"]["Properties"]
    expires = int(item[properties["TimeToLiveSpecification"]["AttributeName"]]["N"])
    assert expires - int(datetime.fromisoformat(item["created"]["S"]).timestamp()) == 30 * 86400


def test_a_new_snapshot_or_model_set_asks_for_every_segments_statistics(
    empty_service: Service, statistics_queue: Queue, refreshed: list[str | None]
) -> None:
    segment_ids = [f"segment-{number:02}" for number in range(23)]
    put_segments(segment_ids)
    for bucket, key in (("DataBucket", CURRENT), ("ModelBucket", "models/manifest.json")):
        empty_service.s3.put_object(Bucket=empty_service.ids[bucket], Key=key, Body=b"{}")
        assert statistics_queue.deliver_all() == 1 + 1 + len(segment_ids)
        assert sorted(refreshed, key=str) == sorted([None, *segment_ids], key=str)
        refreshed.clear()


def test_other_objects_ask_for_nothing(empty_service: Service, statistics_queue: Queue) -> None:
    bucket = empty_service.ids["DataBucket"]
    for key in ("snapshots/20180102T000000Z-ab/part-00000.parquet", "results/x/answer.json", "incoming/churn/a.csv"):
        empty_service.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    empty_service.s3.delete_object(Bucket=bucket, Key=CURRENT)
    assert statistics_queue.receive_all() == []


def test_the_schedule_asks_for_every_segments_statistics(statistics_queue: Queue) -> None:
    put_segments(["vip"])
    statistics_queue.send(json.dumps({"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}))
    assert statistics_queue.deliver()
    assert statistics_queue.receive_all() == [
        {"task": "statistics", "segment_id": None},
        {"task": "statistics", "segment_id": "vip"},
    ]


def test_a_plan_waits_until_every_instance_has_looked_for_what_is_new(statistics_queue: Queue) -> None:
    put_in_place(process().worker, statistics_queue=WorkersQueue(statistics_queue.sqs, statistics_queue.url))
    refresh.handler(event({"detail-type": "Scheduled Event"}), CONTEXT)
    assert statistics_queue.receive_all() == []
    waiting = statistics_queue.sqs.get_queue_attributes(QueueUrl=statistics_queue.url, AttributeNames=["All"])
    assert waiting["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"


def test_a_plan_of_which_sqs_refuses_a_part_is_made_again(statistics_queue: Queue) -> None:
    refused = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}
    sqs = answering(statistics_queue.sqs, send_message_batch=lambda **_: refused)
    put_in_place(process().worker, statistics_queue=WorkersQueue(sqs, statistics_queue.url))
    with pytest.raises(RuntimeError, match=r"refused 1 tasks \(InternalError\)"):
        refresh.handler(event({"detail-type": "Scheduled Event"}), CONTEXT)


@pytest.mark.parametrize("error", [errors.CustomerNotFound(), errors.InvalidRequest.of("rule", "there is no column x")])
def test_a_segment_without_statistics_stops_no_other(
    statistics_queue: Queue, monkeypatch: pytest.MonkeyPatch, error: errors.LoyaltyError
) -> None:
    refreshed = []

    def refresh_segment(segment_id: str | None) -> None:
        refreshed.append(segment_id)
        if segment_id == "deleted":
            raise error

    refreshing(refresh_segment)
    for segment_id in ("deleted", "vip"):
        statistics_queue.send(json.dumps({"task": "statistics", "segment_id": segment_id}))
    assert statistics_queue.deliver_all() == 2
    assert (refreshed, statistics_queue.dead_letters()) == (["deleted", "vip"], [])


def test_statistics_that_cannot_be_had_now_are_tried_again(
    statistics_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter([errors.StoreUnavailable("results", "S3 is not there."), None])

    def refresh_segment(segment_id: str | None) -> None:
        if error := next(outcomes):
            raise error

    refreshing(refresh_segment)
    statistics_queue.send(json.dumps({"task": "statistics", "segment_id": None}))
    assert statistics_queue.deliver_all() == 2
    assert (next(outcomes, "none left"), statistics_queue.dead_letters()) == ("none left", [])


@pytest.mark.parametrize(
    "body",
    [
        "not JSON",
        "[]",
        "null",
        '"job"',
        "{}",
        '{"task": "job"}',
        '{"task": "job", "job_id": 7}',
        '{"task": "statistics"}',
        '{"task": "statistics", "segment_id": ["vip"]}',
        '{"task": "delete everything"}',
        '{"Service": "Amazon S3", "Event": "s3:TestEvent"}',
        '{"detail-type": "Object Created", "detail": {"object": {"key": "incoming/churn/a.csv"}}}',
    ],
)
def test_a_message_that_is_no_task_becomes_a_dead_letter_and_stops_no_other(
    queue: Queue, statistics_queue: Queue, refreshed: list[str | None], body: str
) -> None:
    queue.send(body)
    statistics_queue.send(json.dumps({"task": "statistics", "segment_id": "vip"}))
    assert queue.deliver_all() == refresh.MAX_ATTEMPTS + 1
    assert statistics_queue.deliver_all() == 1
    assert refreshed == ["vip"]
    assert queue.dead_letters() == [body]


def test_a_message_writes_one_line_of_metrics(
    statistics_queue: Queue, refreshed: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    statistics_queue.send(json.dumps({"task": "statistics", "segment_id": "vip"}))
    statistics_queue.deliver()
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    (metrics,) = record["_aws"]["CloudWatchMetrics"]
    assert set(metrics["Dimensions"][0]) == {"service", "task"}
    assert [metric["Name"] for metric in metrics["Metrics"]] == ["Duration"]
    assert (record["task"], record["outcome"]) == ("statistics", "done")


def test_a_failure_is_counted_by_its_code(capsys: pytest.CaptureFixture[str], queue: Queue) -> None:
    with pytest.raises(ValueError, match="not a task of this queue"):
        refresh.handler(event({}), CONTEXT)
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (record["task"], record["outcome"], record["INTERNAL"]) == ("unknown", "failed", 1)
    assert record["correlation_id"] == "message-1"


def test_the_worker_and_the_template_agree() -> None:
    queue = DESCRIBED["Resources"]["SegmentQueue"]["Properties"]
    function = DESCRIBED["Resources"]["RefreshFunction"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == refresh.MAX_ATTEMPTS + 1
    assert queue["VisibilityTimeout"] == function["Properties"]["Timeout"]
    assert template.handler_of(function) == ("functions.segment_worker.app", "handler")


def put_segments(segment_ids: list[str]) -> None:
    for segment_id in segment_ids:
        process().segment.segments.put(segment_id, SegmentDefinition(segment_name=segment_id, rule={}))
