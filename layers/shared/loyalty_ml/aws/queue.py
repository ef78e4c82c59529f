"""A queue's messages as their worker has them: hidden while it works, and back in the queue if it fails.

The queue counts how often it brings a message (receives), and makes it a dead letter after the most that its redrive
policy says. A message that only waits for something must not be used up by that: it is replaced by a copy, which the
queue counts anew and which carries in `attempts` how many there have been.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml import telemetry
from loyalty_ml.aws.errors import asking
from loyalty_ml.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

RETRY_SECONDS = 60
TROUBLING_ATTEMPTS = 3
"""A task that has failed so often does not mend itself."""
SEND_BATCH = 10
"""What SQS takes at once."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was received.

    body:      what was sent, from its JSON; None if it is not JSON.
    attempts:  how often it was received, this time included, together with those that it stands for.
    """

    message_id: str
    receipt_handle: str
    body: Any
    attempts: int


class Queue:
    """One queue. Its methods raise StoreUnavailable if SQS does not do its part, but for `hide`."""

    def __init__(self, sqs: "SQSClient", url: str, *, retry_seconds: float = RETRY_SECONDS) -> None:
        """retry_seconds: when a message comes again whose work has failed."""
        self._sqs = sqs
        self._url = url
        self._retry_seconds = retry_seconds

    @contextmanager
    def work(self, message: Message, task: str, hidden_seconds: float | None = None) -> Iterator[None]:
        """A message's work: its line of log and metrics, under the message's id. What fails comes again soon.

        hidden_seconds:  how long the message is hidden; the queue's own time, if not given, is many times the
                         function's timeout. With it, the message soon comes again if the worker is killed.
        """
        with telemetry.task(task, message.message_id):
            if hidden_seconds is not None:
                self.hide(message, hidden_seconds)
            try:
                yield
            except Exception:
                if message.attempts >= TROUBLING_ATTEMPTS:
                    telemetry.write_trouble("task", task=task, attempts=message.attempts)
                self.hide(message, self._retry_seconds)
                raise

    def hide(self, message: Message, seconds: float) -> None:
        """Has the message come again in so many seconds from now, unless it is done by then."""
        try:
            self._sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=math.ceil(seconds)
            )
        except (ClientError, BotoCoreError) as error:
            # It comes again sooner or later than meant: a job's lease keeps it to one worker.
            logger.warning("The queue did not hide a message", cause=type(error).__name__)

    def send(self, body: Mapping[str, Any], *, attempts: int = 0, delay_seconds: float = 0) -> None:
        """Sends a task; attempts: those that have failed or were killed so far."""
        with asking("queue", "A task cannot be put into the queue"):
            self._sqs.send_message(
                QueueUrl=self._url,
                MessageBody=orjson.dumps({**body, "attempts": attempts}).decode(),
                DelaySeconds=math.ceil(delay_seconds),
            )

    def send_all(self, bodies: Sequence[Mapping[str, Any]], *, delay_seconds: int = 0) -> None:
        """Sends tasks. If this raises, some of them may have been sent."""
        for first in range(0, len(bodies), SEND_BATCH):
            with asking("queue", "Tasks cannot be put into the queue"):
                answer = self._sqs.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(place), "MessageBody": orjson.dumps(body).decode(), "DelaySeconds": delay_seconds}
                        for place, body in enumerate(bodies[first : first + SEND_BATCH])
                    ],
                )
            if refused := answer.get("Failed"):
                raise RuntimeError(f"SQS refused {len(refused)} tasks ({refused[0]['Code']}): all are sent again.")


def message_of(record: Mapping[str, Any]) -> Message:
    """The message of a record of Lambda's event."""
    try:
        body = orjson.loads(record["body"])
    except orjson.JSONDecodeError:
        body = None
    before = body.get("attempts", 0) if isinstance(body, dict) else 0
    receives = int(record["attributes"]["ApproximateReceiveCount"])
    return Message(
        record["messageId"], record["receiptHandle"], body, receives + (before if type(before) is int else 0)
    )
