"""The worker of the file queue: what is put under incoming/ of the data bucket is scored, and so are datasets' files.

An event is one of:
- messages of the queue, each a notification of S3, or {"task": "file", ...}, by which a worker has another go on;
- a bare notification of S3, as `sam local invoke` brings it;
- {"task": "dataset_file", ...} or {"task": "dataset_summary", ...}, from the state machine of datasets;
- an event of EventBridge: an execution of that state machine has failed, timed out or was aborted.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from loyalty_ml import telemetry
from loyalty_ml.aws.queue import message_of
from loyalty_ml.errors import InvalidFile
from loyalty_ml.files import object_versions
from loyalty_ml.files.service import KILLED
from loyalty_ml.files.source import INCOMING, FileJobRequest, FileSource, no_data, options_of, type_of
from loyalty_ml.jobs.attempt import end_after_last, look_again, new_owner
from loyalty_ml.jobs.heartbeat import HIDDEN_SECONDS
from loyalty_ml.telemetry import logger
from loyalty_ml.wiring import start
from loyalty_ml.wiring.files import FilesParts
from loyalty_ml.wiring.settings import FilesSettings

MAX_ATTEMPTS = 5
"""How often a job is tried. The queue brings it once more: a last worker that was killed could record no end."""

MAX_HAND_OVERS = 200
"""How often a file goes on in another invocation: 50 hours of work, in which any file that S3 takes is scored."""
COUNTERS = ("hand_overs", "looks")
"""What a message of the worker's own counts, and its successor goes on counting."""

Beat = Callable[[float], object]
Remaining = Callable[[], float]

Handler = Callable[[Mapping[str, Any], LambdaContext], Mapping[str, Any] | None]
"""Messages: which of them failed and shall come again. A bare notification: nothing, or what went wrong is raised.

The state machine's tasks: what it goes on with (loyalty_ml/datasets/tasks.py).
"""


def make_handler(parts: Callable[[], FilesParts]) -> Handler:
    """The handler, over the parts of one deployment."""
    return telemetry.traced(lambda event, context: _handle(parts(), event, context))


def _handle(parts: FilesParts, event: Mapping[str, Any], context: LambdaContext) -> Mapping[str, Any] | None:
    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    match event:
        case {"task": "dataset_file"}:
            with telemetry.task("dataset_file", context.aws_request_id):
                return parts.dataset_tasks.score_item(event, remaining)
        case {"task": "dataset_summary"}:
            with telemetry.task("dataset_summary", context.aws_request_id):
                return parts.dataset_tasks.summarise(event)
        case {"detail-type": "Step Functions Execution Status Change"}:
            with telemetry.task("dataset_stopped", context.aws_request_id):
                parts.dataset_tasks.stopped(event)
            return None
        case {"Records": [{"eventSource": "aws:s3"}, *_] as records}:
            with telemetry.task("file", context.aws_request_id):
                for record in records:
                    # Nothing brings it again that this function could count on: each try is the last.
                    _score_object(
                        parts,
                        record,
                        partial(_score, parts, remaining=remaining, on_beat=_no_beat, attempts=MAX_ATTEMPTS),
                    )
            return None
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
            work = partial(_work, parts, remaining=remaining)
            return process_partial_response(dict(event), work, processor, context)
    raise ValueError("This function does not know the event: check who else invokes it.")


def _work(parts: FilesParts, record: SQSRecord, remaining: Remaining) -> None:
    """Does what a message of the queue asks for; what it raises leaves the message in the queue."""
    message, queue = message_of(record.raw_event), parts.queue
    # The queue would hide it for the function's whole timeout. This way it soon comes back if the worker is killed.
    with queue.work(message, "file", HIDDEN_SECONDS):
        _take(
            parts,
            message.body,
            partial(
                _score,
                parts,
                remaining=remaining,
                on_beat=partial(queue.hide, message),
                attempts=message.attempts,
                counted=_counted(message.body),
            ),
        )


def _counted(body: Any) -> dict[str, int]:
    return {name: body[name] for name in COUNTERS if isinstance(body, dict) and type(body.get(name)) is int}


def _take(parts: FilesParts, body: Any, score: Callable[[FileJobRequest], None]) -> None:
    match body:
        case {"Event": "s3:TestEvent"}:
            logger.info("S3 has tried the queue")
        case {"Records": [{"eventSource": "aws:s3"}, *_] as records}:
            for record in records:
                _score_object(parts, record, score)
        case {"task": "file", "source": dict(source), "type": kind, "job_id": str(job_id), "attempts": int()}:
            keep, explain = tuple(body.get("keep", ())), body.get("explain", False)
            score(FileJobRequest(FileSource(**source), kind, job_id, keep=keep, explain=explain))
        case _:
            raise ValueError(
                "The message is not a task of this queue: delete it, and check who else writes to the queue."
            )


def _score_object(parts: FilesParts, record: Mapping[str, Any], score: Callable[[FileJobRequest], None]) -> None:
    source = _source_of(parts, record)
    if source is None:
        return
    try:
        kind = type_of(source.key)
    except InvalidFile as error:
        telemetry.count_failure(error.code)
        parts.file_jobs.refuse(source, error)
        return
    job_id, keep, explain = parts.file_jobs.job_for(source)
    score(FileJobRequest(source, kind, job_id, keep=keep, explain=explain))


def _source_of(parts: FilesParts, record: Mapping[str, Any]) -> FileSource | None:
    """The version of an object that a notification is about, if it is one to score."""
    bucket, described = record["s3"]["bucket"]["name"], record["s3"]["object"]
    key = unquote_plus(described["key"])
    # The notification is set up for no others. Were it set up otherwise, results would be scored, and theirs, ...
    if not record["eventName"].startswith("ObjectCreated:") or not key.startswith(INCOMING):
        logger.warning("A notification that asks for nothing is dropped", key=key, event=record["eventName"])
        return None
    if reason := no_data(key):
        logger.info("An object that is no file to score is passed over", key=key, reason=reason)
        return None
    version_id = described.get("versionId", object_versions.NO_VERSION)
    if version_id != object_versions.NO_VERSION:
        return FileSource(bucket, key, version_id, described["eTag"], described["size"])
    source = object_versions.find_version(parts.data_s3, bucket, key, described["eTag"])
    if source is None:
        # So says the made-up ETag of an event that was not S3's too.
        logger.warning(
            "No version of the file has this ETag: it was deleted or replaced before it could be scored",
            key=key,
            etag=described["eTag"],
        )
    return source


def _score(
    parts: FilesParts,
    job: FileJobRequest,
    *,
    remaining: Remaining,
    on_beat: Beat,
    attempts: int,
    counted: Mapping[str, int] = {},
) -> None:
    """attempts: how often the queue has brought the job by this message, or by the one that it stands for."""
    task: dict[str, Any] = {"task": "file", "source": job.source._asdict(), "type": job.type, "job_id": job.job_id}
    task |= counted
    task |= options_of(job.keep, explain=job.explain)
    if attempts > MAX_ATTEMPTS:
        leases, queue = parts.file_jobs.leases, parts.queue
        end_after_last(leases, queue, task, attempts=attempts, most=MAX_ATTEMPTS, killed=KILLED)
        return
    ran = parts.files.score(job, remaining=remaining, on_beat=on_beat, is_last=attempts >= MAX_ATTEMPTS)
    match ran.outcome:
        case "finished":
            ended = ran.summary or {}
            logger.info("The job is finished", job_id=job.job_id, status=ended.get("status"), error=ended.get("error"))
        case "unfinished":
            hand_overs = counted.get("hand_overs", 0) + 1
            if hand_overs > MAX_HAND_OVERS:
                _end_endless(parts, job.job_id)
                return
            logger.info("The file goes on in another invocation", job_id=job.job_id)
            parts.queue.send({**task, "hand_overs": hand_overs})
        case "running":
            look_again(parts.queue, task, attempts=attempts, lease_left=ran.lease_left)


def _end_endless(parts: FilesParts, job_id: str) -> None:
    """Records the failure of a job that would go on for ever."""
    logger.error("A file is given up that goes on and on", job_id=job_id, hand_overs=MAX_HAND_OVERS)
    telemetry.count_failure("INTERNAL")
    leases, owner = parts.file_jobs.leases, new_owner()
    if leases.claim(job_id, owner).outcome == "claimed":
        sentence = f"The file was not scored by {MAX_HAND_OVERS} workers, a quarter of an hour each: send it in parts."
        leases.fail(job_id, owner, "INTERNAL", sentence, final=True)


def _no_beat(seconds: float) -> None:
    """For work that no message asked for, so that there is none to hide."""


_parts = start.once(FilesParts, FilesSettings)
start.initialize(_parts, lambda parts: (parts.files,))
handler = start.answering_golden(_parts, make_handler(_parts))
