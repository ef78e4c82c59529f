"""Jobs: answers that take longer than a request may.

A job is a record in the jobs table, a message in the queue that has it run, and in the end its answer in S3. A queue
delivers at least once, so a job may be run twice: a success is final, and what comes after it changes nothing.
"""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import orjson

from loyalty_ml.contracts import JobStatus, rfc3339
from loyalty_ml.errors import FeatureStoreUnavailable, JobNotFound
from loyalty_ml.telemetry import logger
from loyalty_ml.unavailable import asking

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

# The template's lifecycle rule keeps answers for longer, so that a record never outlives its answer.
KEPT = timedelta(days=30)
SECONDS_BETWEEN_PROGRESS = 1.0

_JOB_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Job:
    """A job's record. created, updated: RFC 3339; total: None until it is known; error, code: of a failed one."""

    job_id: str
    status: JobStatus
    created: str
    updated: str
    request: Mapping[str, Any]
    processed: int = 0
    total: int | None = None
    error: str | None = None
    code: str | None = None


def answer_key(job_id: str) -> str:
    """Where a job's answer is in the data bucket."""
    return f"results/{job_id}/answer.json"


class JobStore:
    """The jobs of one table. Every method raises FeatureStoreUnavailable where AWS does not do its part.

    The clients' own retries must be on: none are made here.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        s3: "S3Client",
        sqs: "SQSClient",
        *,
        table: str,
        bucket: str,
        queue_url: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._s3 = s3
        self._bucket = bucket
        self._sqs = sqs
        self._queue_url = queue_url
        self._clock = clock
        self._next_progress = 0.0

    def start(self, request: Mapping[str, Any]) -> Job:
        """Records a job and has it run. `request` is what its worker needs to know, as JSON can hold it."""
        now = _now()
        job = Job(uuid.uuid4().hex, "queued", rfc3339(now), rfc3339(now), request)
        with asking("The job cannot be recorded in the jobs table"):
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    "job_id": {"S": job.job_id},
                    "status": {"S": job.status},
                    "created": {"S": job.created},
                    "updated": {"S": job.updated},
                    "request": {"S": orjson.dumps(request).decode()},
                    "processed": {"N": "0"},
                    "expires": {"N": str(int((now + KEPT).timestamp()))},
                },
            )
        message = {"task": "job", "job_id": job.job_id}
        try:
            with asking("The job cannot be put into the queue"):
                self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=orjson.dumps(message).decode())
        except FeatureStoreUnavailable as error:
            # The record says so too, or it would wait for ever. Where not even that can be written, it expires.
            with suppress(FeatureStoreUnavailable):
                self.fail(job.job_id, error.code, error.message)
            raise
        return job

    def get(self, job_id: str) -> Job:
        """The job as it stands. Raises JobNotFound."""
        if not _JOB_ID.fullmatch(job_id):
            raise JobNotFound
        with asking("The job cannot be read from the jobs table"):
            answer = self._dynamodb.get_item(TableName=self._table, Key={"job_id": {"S": job_id}}, ConsistentRead=True)
        item = answer.get("Item")
        if item is None:
            raise JobNotFound
        failed = item["status"]["S"] == "failed"  # the failure of an attempt before the last one stays in the item
        return Job(
            job_id=job_id,
            status=cast("JobStatus", item["status"]["S"]),
            created=item["created"]["S"],
            updated=item["updated"]["S"],
            request=orjson.loads(item["request"]["S"]),
            processed=int(item["processed"]["N"]),
            total=int(item["total"]["N"]) if "total" in item else None,
            error=item["error"]["S"] if failed else None,
            code=item["code"]["S"] if failed else None,
        )

    def running(self, job_id: str) -> None:
        self._next_progress = self._clock()
        self._update(job_id, status="running", processed=0)

    def progress(self, job_id: str, processed: int, total: int) -> None:
        """Records how far the job is: at most once a second, and always at its end."""
        now = self._clock()
        if now < self._next_progress and processed < total:
            return
        self._next_progress = now + SECONDS_BETWEEN_PROGRESS
        self._update(job_id, processed=processed, total=total)

    def requeued(self, job_id: str) -> None:
        """Records that an attempt has failed and the queue will bring the job again."""
        self._update(job_id, status="queued")

    def succeed(self, job_id: str, answer: Any) -> None:
        """Stores the answer, and then that there is one."""
        with asking("The job's answer cannot be stored in the data bucket"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=answer_key(job_id),
                Body=orjson.dumps(answer),
                ContentType="application/json",
            )
        self._update(job_id, status="succeeded")

    def fail(self, job_id: str, code: str, error: str) -> None:
        """error: the sentence for whoever asked."""
        self._update(job_id, status="failed", code=code, error=error)

    def answer(self, job_id: str) -> Any:
        """The answer of a job that succeeded."""
        with asking("The job's answer cannot be read from the data bucket"):
            text = self._s3.get_object(Bucket=self._bucket, Key=answer_key(job_id))["Body"].read()
        return orjson.loads(text)

    def _update(self, job_id: str, **values: str | int) -> None:
        values["updated"] = rfc3339(_now())
        assignments = ", ".join(f"#{name} = :{name}" for name in values)
        with asking("The job cannot be written to the jobs table"):
            try:
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key={"job_id": {"S": job_id}},
                    UpdateExpression=f"SET {assignments}",
                    ConditionExpression="attribute_exists(job_id) AND #status <> :final",
                    ExpressionAttributeNames={"#status": "status", **{f"#{name}": name for name in values}},
                    ExpressionAttributeValues={
                        ":final": {"S": "succeeded"},
                        **{
                            f":{name}": {"S": value} if isinstance(value, str) else {"N": str(value)}
                            for name, value in values.items()
                        },
                    },
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                logger.info("The job has succeeded or expired: its record stays as it is", job_id=job_id)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
