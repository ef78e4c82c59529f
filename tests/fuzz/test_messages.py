"""Messages of the queues: whatever is in one, it is done, or it comes again; and the next is done all the same."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.files import app as files
from functions.segment_worker import app as segment_worker
from loyalty_ml.errors import LoyaltyError
from tests.examples import examples
from tests.functions.test_files import notification
from tests.fuzz.mutations import json_values, mutated
from tests.service import CONTEXT, Service

pytestmark = [pytest.mark.moto, pytest.mark.long]

JOB = "0" * 32
each_in_turn = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(15))

FILE_TASKS = [
    notification("incoming/churn/a.csv", size=17),
    {
        "task": "file",
        "source": ["b", "incoming/churn/a.csv", None, "e", 3],
        "type": "churn",
        "job_id": JOB,
        "attempts": 0,
    },
    {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"},
]
SEGMENT_TASKS = [
    {"task": "statistics", "segment_id": "vip"},
    {"task": "job", "job_id": JOB},
    {"task": "segment_dataset", "job_id": JOB},
    {"task": "segment_file", "job_id": JOB},
    {"task": "remove", "job_id": JOB, "kind": "dataset", "request": {"prefix": "datasets/none/"}},
    {"detail-type": "Object Created", "detail": {"object": {"key": "models/manifest.json"}}},
]


def bodies(tasks: list[Any]) -> st.SearchStrategy[str]:
    """Texts of messages: tasks with some of their parts changed, any JSON, and any text."""
    changed = st.sampled_from(tasks).flatmap(mutated) | json_values
    return changed.map(json.dumps) | st.text(max_size=20)


def record(body: str, receives: int) -> dict[str, Any]:
    return {
        "messageId": "message-1",
        "receiptHandle": "handle",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(receives), "SentTimestamp": "1795000000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:queue",
        "awsRegion": "eu-west-1",
    }


@each_in_turn
@given(body=bodies(FILE_TASKS), receives=st.integers(1, 7))
def test_a_message_of_the_file_queue_is_done_or_comes_again(empty_service: Service, body: str, receives: int) -> None:
    answer = files.handler({"Records": [record(body, receives)]}, CONTEXT)
    assert answer in ({"batchItemFailures": []}, {"batchItemFailures": [{"itemIdentifier": "message-1"}]})
    test = json.dumps({"Event": "s3:TestEvent"})
    assert files.handler({"Records": [record(test, 1)]}, CONTEXT) == {"batchItemFailures": []}
    assert empty_service.call("GET", "/ml/jobs").status == 200


@each_in_turn
@given(body=bodies(SEGMENT_TASKS), receives=st.integers(1, 5))
def test_a_message_of_the_segment_queue_is_done_or_is_raised_in_a_sentence(
    empty_service: Service, body: str, receives: int
) -> None:
    # Each says in a sentence why the message stays; any other error is a fault of the code.
    with suppress(LoyaltyError, ValueError, RuntimeError):
        segment_worker.handler({"Records": [record(body, receives)]}, CONTEXT)
    unknown = json.dumps({"task": "job", "job_id": "f" * 32})
    segment_worker.handler({"Records": [record(unknown, 1)]}, CONTEXT)
    assert empty_service.call("GET", "/ml/jobs").status == 200
