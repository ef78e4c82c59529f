"""Lambda's event source mappings on this machine: what is in a queue goes to the function that template.yaml names.

What happens in S3 comes to the queues by moto's own notifications and EventBridge.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
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
"""How long a message is hidden once received, in place of the queue's own quarter of an hour or more."""

QueueHandler = Callable[[dict[str, Any], Any], Any]


def start(
    sources: Iterable[QueueSource], physical_ids: Mapping[str, str], aws: Mapping[str, str], folder: Path, log: Path
) -> None:
    """Has each queue's messages delivered for as long as this process runs, in a process for each.

    On Lambda they are instances of their own too: what takes minutes keeps no request waiting, and what is killed, for
    want of memory or by hand, is replaced. What they print goes to `log`, and what they keep into `folder`.
    """
    for source in sources:
        told = {
            "aws": dict(aws),
            "function": source.function,
            "queue": source.queue,
            "queue_url": physical_ids[source.queue],
        }
        arguments = (told, folder / f"{source.function}-of-{source.queue}", log)
        threading.Thread(target=keep_one_working, args=arguments, daemon=True).start()


def deliver(
    sqs: "SQSClient",
    queue_url: str,
    source: QueueSource,
    handler: QueueHandler,
    *,
    wait_seconds: int = WAIT_SECONDS,
) -> bool:
    """Brings the function what is in the queue, at most its batch: whether there was anything.

    The messages are deleted where the function returns, but for those of which it says that they have failed; where it
    raises, all are left to come again.
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
        event = queue_event(messages, queue_url.rpartition("/")[2], sqs.meta.region_name)
        answer = handler(event, LambdaContext(source.function, source.timeout_seconds))
    except Exception:
        traceback.print_exc(file=sys.stdout)  # to the functions' log, where Lambda writes it too
    else:
        failed = set()
        if source.reports_failures and answer:
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return True


def queue_event(messages: "Iterable[MessageTypeDef]", queue: str, region: str) -> dict[str, Any]:
    """The event that Lambda sends a function for these messages. queue: its name, as at the end of its address."""
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


def deliver_for_ever(queue_url: str, source: QueueSource, handler: QueueHandler) -> None:
    sqs = boto3.client("sqs")
    while True:
        try:
            deliver(sqs, queue_url, source, handler)
        except (ClientError, BotoCoreError):
            traceback.print_exc(file=sys.stdout)
            time.sleep(WAIT_SECONDS)  # a store that is not there answers at once, over and over


def keep_one_working(told: Mapping[str, Any], folder: Path, log: Path) -> None:
    """Runs an instance of a function (local/worker.py), and another one whenever that ends, for ever.

    folder: its own, as an instance on Lambda shares its /tmp with no other.
    """
    folders = {"MODEL_CACHE": "model-cache", "SNAPSHOT_CACHE": "snapshot-cache", "FILE_WORK": "files"}
    environment = os.environ | {variable: str(folder / name) for variable, name in folders.items()}
    while True:
        with log.open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "local.worker"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                text=True,
            )
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(told), file=process.stdin, flush=True)
        process.wait()
        print(
            f"An instance of {told['function']} has ended ({process.returncode}): another takes its place.", flush=True
        )
        time.sleep(WAIT_SECONDS)  # one that cannot even start ends at once, over and over
