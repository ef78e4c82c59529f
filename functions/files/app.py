"""The worker of the file queue: what is put under incoming/ of the data bucket is scored, and so are datasets' files.

An event is one of:
- messages of the queue, each a notification of S3, or {"task": "file", ...}, by which a worker has another go on;
- a bare notification of S3, as `sam local invoke` brings it;
- {"task": "dataset_file", ...} or {"task": "dataset_summary", ...}, from the state machine of datasets;
- an event of EventBridge: an execution of that state machine has failed, timed out or was aborted.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

import orjson
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml import telemetry
from loyalty_ml.errors import InvalidFile
from loyalty_ml.files import object_versions
from loyalty_ml.files.heart import HIDDEN_SECONDS
from loyalty_ml.files.source import INCOMING, FileJobRequest, FileSource, format_of, type_of
from loyalty_ml.telemetry import logger
from loyalty_ml.wiring import file_runtime, runtime

MAX_RECEIVES = 5
"""As in the queue's redrive policy: what fails then goes to the dead-letter queue."""

RETRY_SECONDS = 60
SECONDS_AFTER_LEASE = 5

Beat = Callable[[float], object]
Remaining = Callable[[], float]


@telemetry.traced
def handler(event: Mapping[str, Any], context: LambdaContext) -> Mapping[str, Any] | None:
    """Messages: which of them failed and shall come again. A bare notification: nothing, or what went wrong is raised.

    The state machine's tasks: what it goes on with (loyalty_ml/datasets/tasks.py).
    """

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    match event:
        case {"task": "dataset_file"}:
            with _task("dataset_file", context.aws_request_id):
                return file_runtime.dataset_tasks().score_item(event, remaining)
        case {"task": "dataset_summary"}:
            with _task("dataset_summary", context.aws_request_id):
                return file_runtime.dataset_tasks().summarise(event)
        case {"detail-type": "Step Functions Execution Status Change"}:
            with _task("dataset_stopped", context.aws_request_id):
                file_runtime.dataset_tasks().stopped(event)
            return None
        case {"Records": [{"eventSource": "aws:s3"}, *_] as records}:
            with _task("file", context.aws_request_id):
                for record in records:
                    # Nothing brings it again that this function could count on: each try is the last.
                    _score_object(record, partial(_score, remaining=remaining, on_beat=_no_beat, receives=MAX_RECEIVES))
            return None
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
            work = partial(_work, remaining=remaining)
            return process_partial_response(dict(event), work, processor, context)
    raise ValueError("This function does not know the event: check who else invokes it.")


def _work(record: SQSRecord, remaining: Remaining) -> None:
    """Does what a message of the queue asks for; what it raises leaves the message in the queue."""
    with _task("file", record.message_id):
        hide = partial(_hide, record.receipt_handle)
        # The queue would hide it for the function's whole timeout. This way it soon comes back if the worker is killed.
        hide(HIDDEN_SECONDS)
        try:
            body = orjson.loads(record.body)
            receives = int(record.attributes.approximate_receive_count or 1)
            _take(body, partial(_score, remaining=remaining, on_beat=hide), receives)
        except Exception:
            hide(RETRY_SECONDS)
            raise


def _take(body: Any, score: Callable[..., None], receives: int) -> None:
    match body:
        case {"Event": "s3:TestEvent"}:
            logger.info("S3 has tried the queue")
        case {"Records": [{"eventSource": "aws:s3"}, *_] as records}:
            for record in records:
                _score_object(record, partial(score, receives=receives))
        case {"task": "file", "source": dict(source), "type": kind, "job_id": str(job_id), "attempts": int(attempts)}:
            score(FileJobRequest(FileSource(**source), kind, job_id), receives=attempts + receives)
        case _:
            raise ValueError(
                "The message is not a task of this queue: delete it, and check who else writes to the queue."
            )


def _score_object(record: Mapping[str, Any], score: Callable[[FileJobRequest], None]) -> None:
    source = _source_of(record)
    if source is None:
        return
    try:
        kind = type_of(source.key)
        format_of(source.key)
    except InvalidFile as error:
        telemetry.count_failure(error.code)
        file_runtime.refuse(source, error)
        return
    score(FileJobRequest(source, kind, runtime.file_job_store().job_id_for(source)))


def _source_of(record: Mapping[str, Any]) -> FileSource | None:
    """The version of an object that a notification is about, if it is one to score."""
    bucket, described = record["s3"]["bucket"]["name"], record["s3"]["object"]
    key = unquote_plus(described["key"])
    # The notification is set up for no others. Were it set up otherwise, results would be scored, and theirs, ...
    if not record["eventName"].startswith("ObjectCreated:") or not key.startswith(INCOMING):
        logger.warning("A notification that asks for nothing is dropped", key=key, event=record["eventName"])
        return None
    if key.endswith("/"):
        logger.info("A folder is no file to score", key=key)
        return None
    version_id = described.get("versionId", object_versions.NO_VERSION)
    if version_id != object_versions.NO_VERSION:
        return FileSource(bucket, key, version_id, described["eTag"], described["size"])
    source = object_versions.find_version(file_runtime.s3(), bucket, key, described["eTag"])
    if source is None:
        # So says the made-up ETag of an event that was not S3's too.
        logger.warning(
            "No version of the file has this ETag: it was deleted or replaced before it could be scored",
            key=key,
            etag=described["eTag"],
        )
    return source


def _score(job: FileJobRequest, *, remaining: Remaining, on_beat: Beat, receives: int) -> None:
    """receives: how often the queue has brought the job by this message, or by the one that it stands for."""
    if receives > MAX_RECEIVES:
        raise RuntimeError(f"{MAX_RECEIVES} attempts failed or were killed: the log has the cause of each.")
    ran = file_runtime.score(job, remaining=remaining, on_beat=on_beat, is_last=receives >= MAX_RECEIVES)
    match ran.outcome:
        case "finished":
            logger.info("The job is finished", job_id=job.job_id)
        case "unfinished":
            logger.info("The file goes on in another invocation", job_id=job.job_id)
            _send(job, attempts=0)
        case "running":
            # It may be a second notification; but also the message of the very worker that is believed to be at work,
            # and the last that there is. So it is kept until the job is finished. Left to come again by itself, it
            # would be a dead letter before a long file is done: the queue counts each receive. A copy is counted anew,
            # and knows of the attempts so far.
            logger.info("A file is at work already: looked at again later", job_id=job.job_id)
            _send(job, attempts=receives - 1, delay_seconds=math.ceil(ran.lease_left) + SECONDS_AFTER_LEASE)


def _send(job: FileJobRequest, *, attempts: int, delay_seconds: int = 0) -> None:
    """attempts: those that failed or were killed, without one that has handed over."""
    message = {
        "task": "file",
        "source": job.source._asdict(),
        "type": job.type,
        "job_id": job.job_id,
        "attempts": attempts,
    }
    runtime.sqs().send_message(
        QueueUrl=runtime.settings().file_queue_url,
        MessageBody=orjson.dumps(message).decode(),
        DelaySeconds=delay_seconds,
    )


def _hide(receipt_handle: str, seconds: float) -> None:
    try:
        runtime.sqs().change_message_visibility(
            QueueUrl=runtime.settings().file_queue_url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=math.ceil(seconds),
        )
    except (ClientError, BotoCoreError) as error:
        # It comes again sooner or later than meant: the lease keeps the job to one worker.
        logger.warning("The queue did not hide a message", cause=type(error).__name__)


def _no_beat(seconds: float) -> None:
    """Where there is no message to hide."""


@contextmanager
def _task(task: str, correlation_id: str) -> Iterator[None]:
    """Writes the line of log and metrics of what is done within it, whatever comes of it."""
    started = time.perf_counter()
    logger.set_correlation_id(correlation_id)
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except Exception as error:
        logger.exception("The task comes again")
        telemetry.count_failure(telemetry.described(error)[0])
        raise
    finally:
        telemetry.write_task(task, outcome, 1000 * (time.perf_counter() - started), correlation_id)


runtime.initialize(file_runtime.file_service)
