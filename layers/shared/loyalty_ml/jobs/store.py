"""Jobs: what takes longer than a request may.

A job is a record in the jobs table, of one of three kinds: a segment's answer, a file, or a dataset of many files. A
segment's has a message in the queue that has it run, and in the end its answer in S3. Who is at work on a job is in
lease.py. A success is final, and what comes after it changes nothing. What files need besides is in files/job_store.py.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import orjson

from loyalty_ml.aws.dynamodb import Item, Value, attributes, conditional_update
from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import InvalidRequest, JobNotFound, StoreUnavailable
from loyalty_ml.jobs.record import (
    LISTED,
    Job,
    JobKind,
    JobStatus,
    answer_key,
    job_of,
    new_item,
    outcome_of,
    timestamp,
)
from loyalty_ml.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

INDEX = "by-created"
"""The index of the jobs table that lists jobs in the order in which they were made."""
QUERIES_PER_PAGE = 10
"""Of 1 MB each: how far one page looks for jobs of one status."""
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_TOKEN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)\.([0-9a-f]{32})")


class JobStore:
    """The jobs of one table. Every method raises StoreUnavailable where AWS does not do its part.

    The clients' own retries must be on: none are made here.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        s3: "S3Client",
        *,
        table: str,
        bucket: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        queries_per_page: int = QUERIES_PER_PAGE,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._s3 = s3
        self._bucket = bucket
        self._now = now
        self._queries_per_page = queries_per_page

    @contextmanager
    def failing(self, job_id: str) -> Iterator[None]:
        """For what has a recorded job run: where it raises StoreUnavailable, the record says so too."""
        try:
            yield
        except StoreUnavailable as error:
            with suppress(StoreUnavailable):  # where not even that can be written, it expires
                self.fail(job_id, error.code, error.message)
            raise

    def record(
        self, kind: JobKind, request: Mapping[str, Any], job_id: str | None = None, status: JobStatus = "queued"
    ) -> Job:
        """Records a job, under an id of its own where none is given; whoever calls has it run."""
        item = new_item(job_id or uuid.uuid4().hex, kind, status, request, self._now())
        with asking("jobs", "The job cannot be recorded in the jobs table"):
            self._dynamodb.put_item(TableName=self._table, Item=item)
        return job_of(item)

    def get(self, job_id: str) -> Job:
        """The job as it stands. Raises JobNotFound."""
        if not _JOB_ID.fullmatch(job_id):
            raise JobNotFound
        with asking("jobs", "The job cannot be read from the jobs table"):
            answer = self._dynamodb.get_item(TableName=self._table, Key={"job_id": {"S": job_id}}, ConsistentRead=True)
        if "Item" not in answer:
            raise JobNotFound
        return job_of(cast("Item", answer["Item"]))

    def list(
        self, limit: int, status: JobStatus | None = None, token: str | None = None
    ) -> tuple[Sequence[Job], str | None]:
        """A page of jobs, the newest first, and the token of the page after it, None where there is none.

        With `status` only the jobs that have it. Then a page looks so far and no further: it may hold fewer than
        `limit`, even none, and yet have a next one. A job may show here a moment later than it does by its id.
        Raises InvalidRequest for a token that this did not give.
        """
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": "listed = :listed",
            "ExpressionAttributeValues": {":listed": LISTED},
            "ScanIndexForward": False,
        }
        if status is None:
            query["Limit"] = limit
        else:
            query["FilterExpression"] = "#status = :status"
            query["ExpressionAttributeNames"] = {"#status": "status"}
            query["ExpressionAttributeValues"] = {":listed": LISTED, ":status": {"S": status}}
        if token is not None:
            query["ExclusiveStartKey"] = _key_of(token)
        items: list[Item] = []
        for _ in range(self._queries_per_page):
            with asking("jobs", "The jobs cannot be read from the jobs table"):
                answer: Mapping[str, Any] = self._dynamodb.query(**query)
            items += answer["Items"]
            last: Item | None = answer.get("LastEvaluatedKey")
            if len(items) >= limit or not last:
                break
            query["ExclusiveStartKey"] = last
        if len(items) > limit:
            items = items[:limit]
            last = items[-1]
        return [job_of(item) for item in items], f"{last['created']['S']}.{last['job_id']['S']}" if last else None

    def running(self, job_id: str) -> None:
        """Records that a job is at work that no lease is needed for."""
        self._update(job_id, status="running", processed=0)

    def put_answer(self, job_id: str, answer: Any) -> None:
        """Stores the answer of a job that is about to succeed."""
        with asking("results", "The job's answer cannot be stored in the data bucket"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=answer_key(job_id),
                Body=orjson.dumps(answer),
                ContentType="application/json",
            )

    def finish(self, job_id: str, summary: Mapping[str, Any]) -> None:
        """Records that a dataset is done, as FileJobStore.finish does of a file."""
        self._update(job_id, **outcome_of(summary))

    def fail(self, job_id: str, code: str, error: str) -> None:
        """error: the sentence for whoever asked."""
        self._update(job_id, status="failed", code=code, error=error)

    def answer(self, job_id: str) -> Any:
        """The answer of a job that succeeded."""
        with asking("results", "The job's answer cannot be read from the data bucket"):
            text = self._s3.get_object(Bucket=self._bucket, Key=answer_key(job_id))["Body"].read()
        return orjson.loads(text)

    def _update(self, job_id: str, **values: Value) -> None:
        values["updated"] = timestamp(self._now())
        assignments = ", ".join(f"#{name} = :{name}" for name in values)
        with asking("jobs", "The job cannot be written to the jobs table"):
            _, is_written = conditional_update(
                self._dynamodb,
                self._table,
                {"job_id": job_id},
                update=f"SET {assignments}",
                condition="attribute_exists(#job_id) AND #status <> :final",
                values=attributes({**values, "final": "succeeded"}),
            )
        if not is_written:
            logger.info("The job has succeeded or expired: its record stays as it is", job_id=job_id)


def _key_of(token: str) -> Item:
    """The key of the index that a page ended with. Raises InvalidRequest."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise InvalidRequest.of("next", "this is not a page token: send `next` of the answer before, unchanged")
    return {"listed": LISTED, "created": {"S": found[1]}, "job_id": {"S": found[2]}}
