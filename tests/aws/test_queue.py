"""A message's work: hidden while it lasts, back soon if it fails, counted across copies, and one line of metrics."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from loyalty_ml.aws.queue import RETRY_SECONDS, Message, Queue, message_of
from loyalty_ml.errors import StoreUnavailable

pytestmark = pytest.mark.unit


class Sqs:
    """Notes what it is asked; raises or answers what a test says."""

    def __init__(self, trouble: Exception | None = None, answer: Any = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self._trouble = trouble
        self._answer = answer or {}

    def _call(self, **asked: Any) -> Any:
        self.calls.append(asked)
        if self._trouble:
            raise self._trouble
        return self._answer

    change_message_visibility = send_message = send_message_batch = _call

    def hidden(self) -> list[int]:
        return [call["VisibilityTimeout"] for call in self.calls]


AWAY = EndpointConnectionError(endpoint_url="https://queue")
MESSAGE = Message("message-1", "receipt-1", {"task": "job"}, 1)


def queue(sqs: Any) -> Queue:
    return Queue(sqs, "https://queue/1")


def record(body: str, receives: int) -> dict[str, Any]:
    return {
        "messageId": "message-1",
        "receiptHandle": "receipt-1",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }


@pytest.mark.parametrize(
    ("body", "receives", "attempts"),
    [
        ('{"task": "job"}', 2, 2),
        ('{"task": "job", "attempts": 3}', 2, 5),
        ('{"task": "job", "attempts": "3"}', 2, 2),
        ("[3]", 1, 1),
        ("null", 1, 1),
    ],
)
def test_a_copy_counts_the_attempts_of_what_it_stands_for(body: str, receives: int, attempts: int) -> None:
    assert message_of(record(body, receives)) == Message("message-1", "receipt-1", json.loads(body), attempts)


def test_what_is_not_json_has_no_body() -> None:
    assert message_of(record("not json", 1)).body is None


def test_work_that_is_done_is_hidden_as_long_as_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    sqs = Sqs()
    with queue(sqs).work(MESSAGE, "job", 90.2):
        pass
    assert sqs.hidden() == [91]
    line = json.loads(capsys.readouterr().out)
    assert (line["task"], line["outcome"], line["correlation_id"]) == ("job", "done", "message-1")


def test_work_that_fails_comes_again_soon(capsys: pytest.CaptureFixture[str]) -> None:
    sqs = Sqs()
    with pytest.raises(StoreUnavailable), queue(sqs).work(MESSAGE, "statistics"):
        raise StoreUnavailable("jobs", "DynamoDB is away.")
    assert sqs.hidden() == [RETRY_SECONDS]
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["task"], line["outcome"], line["STORE_UNAVAILABLE"]) == ("statistics", "failed", 1)


def test_a_queue_that_cannot_hide_a_message_stops_no_work() -> None:
    done = []
    with queue(Sqs(AWAY)).work(MESSAGE, "job", 90):
        done.append("worked")
    assert done == ["worked"]


def test_a_task_is_sent_with_its_attempts_and_not_before_its_time() -> None:
    sqs = Sqs()
    queue(sqs).send({"task": "job", "attempts": 9}, attempts=2, delay_seconds=40.5)
    (call,) = sqs.calls
    assert (json.loads(call["MessageBody"]), call["DelaySeconds"]) == ({"task": "job", "attempts": 2}, 41)


def test_many_tasks_go_ten_at_a_time() -> None:
    sqs = Sqs()
    queue(sqs).send_all([{"number": number} for number in range(23)], delay_seconds=5)
    assert [len(call["Entries"]) for call in sqs.calls] == [10, 10, 3]
    sent = [json.loads(entry["MessageBody"])["number"] for call in sqs.calls for entry in call["Entries"]]
    assert sent == list(range(23))


SENDS: dict[str, Callable[[Queue], object]] = {
    "one": lambda queue: queue.send({"task": "job"}),
    "many": lambda queue: queue.send_all([{"task": "job"}]),
}


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_a_queue_that_takes_no_task_is_named(send: Callable[[Queue], object]) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        send(queue(Sqs(AWAY)))
    assert caught.value.store == "queue"


def test_a_task_that_the_queue_refuses_is_an_error() -> None:
    refusing = Sqs(answer={"Failed": [{"Id": "0", "Code": "InternalError"}]})
    with pytest.raises(RuntimeError, match=r"refused 1 tasks \(InternalError\)"):
        queue(refusing).send_all([{"task": "job"}])
