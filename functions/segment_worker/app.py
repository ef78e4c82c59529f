"""The worker of the segment queue: statistics where customers or models are new, and answers too slow for a request.

A message is one of:
- an event of EventBridge: a new feature snapshot, a new model set, or the daily schedule. It becomes a task for each
  segment, sent to the same queue;
- {"task": "statistics", "segment_id": "..."}, null for the whole base;
- {"task": "job", "job_id": "..."};
- {"task": "segment_dataset", "job_id": "..."}: the members as files, which a state machine then has scored.
"""

import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml import telemetry
from loyalty_ml.customers import snapshot_store
from loyalty_ml.customers.snapshot import CURRENT_KEY
from loyalty_ml.errors import JobNotFound, NotFound, RequestError
from loyalty_ml.jobs.record import Job
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.models import store
from loyalty_ml.models.manifest import MANIFEST_KEY
from loyalty_ml.telemetry import logger
from loyalty_ml.wiring import runtime, segment_runtime

MAX_RECEIVES = 3
"""As in the queue's redrive policy: what fails then goes to the dead-letter queue."""

# The queue would hide a message for six times the function's timeout, as it must for one that is at work.
RETRY_SECONDS = 60

# An instance may have looked for models and snapshots a moment ago, and would store the old ones' statistics again.
PLAN_DELAY_SECONDS = 5 + math.ceil(max(store.REFRESH_SECONDS, snapshot_store.REFRESH_SECONDS))

PUBLISHED_KEYS = (CURRENT_KEY, MANIFEST_KEY)

SEND_BATCH = 10
"""What SQS takes at once."""

Message = Mapping[str, Any]


@telemetry.traced
def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Does the task of each message; what it raises leaves them in the queue. Each may be done twice without harm."""
    for record in event["Records"]:
        _work(record)


def _work(record: Mapping[str, Any]) -> None:
    started = time.perf_counter()
    logger.set_correlation_id(record["messageId"])
    receives = int(record["attributes"]["ApproximateReceiveCount"])
    task, outcome = "unknown", "failed"
    try:
        message = orjson.loads(record["body"])
        task = _task(message)
        _TASKS[task](message, receives)
        outcome = "done"
    except Exception as error:
        logger.exception("The message stays in the queue", receives=receives)
        telemetry.count_failure(telemetry.described(error)[0])
        _retry_soon(record["receiptHandle"])
        raise
    finally:
        telemetry.write_task(task, outcome, 1000 * (time.perf_counter() - started), record["messageId"])


def _task(message: Any) -> str:
    match message:
        case {"detail-type": "Scheduled Event"}:
            return "plan"
        case {"detail-type": "Object Created", "detail": {"object": {"key": key}}} if key in PUBLISHED_KEYS:
            return "plan"
        case {"task": "statistics", "segment_id": None | str()}:
            return "statistics"
        case {"task": "job" | "segment_dataset" as task, "job_id": str()}:
            return str(task)
    raise ValueError("The message is not a task of this queue: delete it, and check who else writes to the queue.")


def _plan(message: Message, receives: int) -> None:
    segment_ids = [None, *(summary.segment_id for summary in segment_runtime.segment_store().list())]
    tasks = [orjson.dumps({"task": "statistics", "segment_id": segment_id}).decode() for segment_id in segment_ids]
    for first in range(0, len(tasks), SEND_BATCH):
        answer = runtime.sqs().send_message_batch(
            QueueUrl=runtime.settings().segment_queue_url,
            Entries=[
                {"Id": str(place), "MessageBody": body, "DelaySeconds": PLAN_DELAY_SECONDS}
                for place, body in enumerate(tasks[first : first + SEND_BATCH])
            ],
        )
        if refused := answer.get("Failed"):
            raise RuntimeError(f"SQS refused {len(refused)} tasks ({refused[0]['Code']}): all are sent again.")


def _refresh(message: Message, receives: int) -> None:
    try:
        segment_runtime.refresh(message["segment_id"])
    except (RequestError, NotFound) as error:
        # Deleted meanwhile, or its rule names what the new snapshot lacks: it says so to whoever asks about it.
        logger.warning("No statistics of a segment", segment_id=message["segment_id"], reason=error.message)
        telemetry.count_failure(error.code)


def _run_job(message: Message, receives: int) -> None:
    def work(jobs: JobStore, job: Job) -> None:
        jobs.succeed(job.job_id, segment_runtime.answer(job.request, functools.partial(jobs.progress, job.job_id)))

    _attempt(message["job_id"], receives, work)


def _start_dataset(message: Message, receives: int) -> None:
    def work(jobs: JobStore, job: Job) -> None:
        segment_runtime.start_dataset(job.job_id, job.request, functools.partial(jobs.progress, job.job_id))

    if runtime.dataset_jobs().is_started(message["job_id"]):
        return  # its record is the state machine's by now
    _attempt(message["job_id"], receives, work)


def _attempt(job_id: str, receives: int, work: Callable[[JobStore, Job], None]) -> None:
    """Does a job's work, and records where it fails: for good, or until the queue brings it again."""
    jobs = runtime.job_store()
    try:
        job = jobs.get(job_id)
    except JobNotFound:
        logger.warning("The job is no longer kept: its message is dropped", job_id=job_id)
        return
    if job.status == "succeeded":
        return
    is_last = receives >= MAX_RECEIVES
    if is_last and job.status == "running":
        # An attempt that raises says that it did. This one was killed, as the next one would be.
        sentence = "The answer could not be made: its worker was stopped for want of time or memory. Ask for less."
        jobs.fail(job_id, "INTERNAL", sentence)
        raise RuntimeError("The job's worker was killed: check the log for a timeout or too little memory.")
    jobs.running(job_id)
    try:
        work(jobs, job)
    except (RequestError, NotFound) as error:
        jobs.fail(job_id, error.code, error.message)
        telemetry.count_failure(error.code)
    except Exception as error:
        if is_last:
            jobs.fail(job_id, *telemetry.described(error))
        else:
            jobs.requeued(job_id)
        raise


_TASKS: Mapping[str, Callable[[Message, int], None]] = {
    "plan": _plan,
    "statistics": _refresh,
    "job": _run_job,
    "segment_dataset": _start_dataset,
}


def _retry_soon(receipt_handle: str) -> None:
    try:
        runtime.sqs().change_message_visibility(
            QueueUrl=runtime.settings().segment_queue_url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=RETRY_SECONDS,
        )
    except (ClientError, BotoCoreError) as error:
        logger.warning("The message comes again only after the queue's own timeout", cause=type(error).__name__)


runtime.initialize(segment_runtime.service)
