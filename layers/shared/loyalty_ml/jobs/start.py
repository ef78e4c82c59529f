"""Jobs that a queue's worker does: recorded first, then sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import orjson

from loyalty_ml.aws.errors import asking
from loyalty_ml.jobs.record import Job, JobKind
from loyalty_ml.jobs.store import JobStore

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Task = Literal["job", "segment_dataset", "segment_file"]
"""What the worker (functions/segment_worker) is asked for: a segment's answer, or its members as a dataset or file."""


class QueuedJobs:
    """Starts jobs of one queue."""

    def __init__(self, jobs: JobStore, sqs: "SQSClient", queue_url: str) -> None:
        self._jobs = jobs
        self._sqs = sqs
        self._queue_url = queue_url

    def start(self, kind: JobKind, task: Task, request: Mapping[str, Any], job_id: str | None = None) -> Job:
        """Records a job and has it run. `request` is what its worker needs to know, as JSON can hold it.

        job_id: of a job that may have been started already: then it is not started again.
        Raises StoreUnavailable. A job that cannot be sent is recorded as failed, or it would wait for ever.
        """
        job = self._jobs.record(kind, request, job_id)
        self.send(task, job)
        return job

    def send(self, task: Task, job: Job) -> None:
        """Has a recorded job run, unless it has begun. Raises as `start` does."""
        if job.status != "queued":
            return
        message = orjson.dumps({"task": task, "job_id": job.job_id}).decode()
        with self._jobs.failing(job.job_id), asking("queue", "The job cannot be put into the queue"):
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=message)
