"""Lambda's event source mappings on this machine: what is in a queue goes to the function that template.yaml names.

What happens in S3 comes to the queue by moto's own EventBridge.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.gateway import LambdaContext
from local.template import QueueSource

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

WAIT_SECONDS = 1
"""Of a poll. One whose process has ended goes on in moto, and would take a message with it."""

VISIBILITY_SECONDS = 30
"""How long a message is hidden once received, in place of the queue's own hour and a half."""

QueueHandler = Callable[[dict[str, Any], Any], Any]


def start(
    sources: Iterable[QueueSource],
    physical_ids: Mapping[str, str],
    handlers: Mapping[str, QueueHandler],
    one_at_a_time: threading.Lock,
) -> None:
    """Delivers each queue's messages from a thread of its own, for as long as the process runs."""
    for source in sources:
        arguments = (physical_ids[source.queue], source, handlers[source.function], one_at_a_time)
        threading.Thread(target=_deliver_for_ever, args=arguments, daemon=True).start()


def deliver(
    sqs: "SQSClient",
    queue_url: str,
    source: QueueSource,
    handler: QueueHandler,
    one_at_a_time: threading.Lock,
    *,
    wait_seconds: int = WAIT_SECONDS,
) -> bool:
    """Brings the function what is in the queue, at most its batch: whether there was anything.

    The messages are deleted where the function returns, and left to come again where it raises.
    """
    messages = sqs.receive_message(
        QueueUrl=queue_url,
        AttributeNames=["All"],
        MaxNumberOfMessages=source.batch_size,
        WaitTimeSeconds=wait_seconds,
        VisibilityTimeout=VISIBILITY_SECONDS,
    ).get("Messages", [])
    if not messages:
        return False
    try:
        with one_at_a_time:
            handler(queue_event(messages, source.queue, sqs.meta.region_name), LambdaContext(source.function))
    except Exception:
        traceback.print_exc(file=sys.stdout)  # to the functions' log, where Lambda writes it too
    else:
        for message in messages:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return True


def queue_event(messages: "Iterable[MessageTypeDef]", queue: str, region: str) -> dict[str, Any]:
    """The event that Lambda sends a function for these messages."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{region}:000000000000:{queue}",
                "awsRegion": region,
            }
            for message in messages
        ]
    }


def _deliver_for_ever(
    queue_url: str, source: QueueSource, handler: QueueHandler, one_at_a_time: threading.Lock
) -> None:
    sqs = boto3.client("sqs")
    while True:
        try:
            deliver(sqs, queue_url, source, handler, one_at_a_time)
        except (ClientError, BotoCoreError):
            traceback.print_exc(file=sys.stdout)
            time.sleep(WAIT_SECONDS)  # a store that is not there answers at once, over and over
