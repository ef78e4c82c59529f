"""The records of file jobs: which job a file is, and how it began and ended. Who is at work on one: jobs/lease.py.

Of an announced upload, an item has `key`, where it goes, and `version`, the version (or ETag) that came first.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from loyalty_ml.aws.dynamodb import attribute, attributes, conditional_update
from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.files.source import (
    FileJobRequest,
    FileSource,
    announced_job_id,
    job_id_of,
    keep_of,
    options_of,
)
from loyalty_ml.jobs.ended import OnEnd, ended_job, nobody_is_told
from loyalty_ml.jobs.lease import Claim, Leases
from loyalty_ml.jobs.record import Job, is_deleted, new_item, outcome_of, timestamp
from loyalty_ml.jobs.store import put_new

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Asked(NamedTuple):
    """The job that scores a file, and what its predictions have beside the answer, as of FileJobRequest."""

    job_id: str
    keep: tuple[str, ...] = ()
    explain: bool = False


class FileJobStore:
    """The file jobs of one table, and their leases.

    Every method raises StoreUnavailable if DynamoDB does not do its part. The client's own retries must be on: none are
    made here. A write that was done though its answer was lost, and that the client then sends again, counts as done.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        clock: Callable[[], float] = time.time,
        on_end: OnEnd = nobody_is_told,
    ) -> None:
        """clock: epoch seconds; on_end: is told of jobs that end."""
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self._on_end = on_end
        self.leases = Leases(dynamodb, table, clock, on_end=on_end)

    def announce(
        self, job_id: str, request: Mapping[str, Any], status: Literal["awaiting_upload", "queued"] = "awaiting_upload"
    ) -> Job:
        """Records the job of a file that is to come, unless it is recorded; request: its `type`, `format` and `key`.

        status: queued, where the service writes the file itself.
        """
        item = new_item(job_id, "file", status, request, self._moment()) | {"key": attribute(request["key"])}
        return put_new(self._dynamodb, self._table, item)

    def job_id_for(self, source: FileSource) -> str:
        """The job that scores this version of an object: the announced one, if the version is the first of its key."""
        return self.job_for(source).job_id

    def job_for(self, source: FileSource) -> Asked:
        """The same job, and what is asked of it: what was announced, or what the key says."""
        announced = announced_job_id(source.key)
        if announced is None:
            return Asked(job_id_of(source), keep_of(source.key))
        version = source.version_id or source.etag
        with asking("jobs", "The job cannot be written to the jobs table"):
            before, written = conditional_update(
                self._dynamodb,
                self._table,
                {"job_id": announced},
                update="SET #version = :version, #status = :status, #updated = :updated",
                condition="#key = :key AND attribute_not_exists(#version) AND attribute_not_exists(#deleted)",
                values=attributes(
                    {"version": version, "status": "queued", "key": source.key, "updated": timestamp(self._moment())}
                ),
            )
        is_first = before.get("key") == attribute(source.key) and before.get("version") == attribute(version)
        # The upload of a deleted job is that job's still, which nobody works on any more.
        is_deleted_ones = before.get("key") == attribute(source.key) and is_deleted(before)
        if not (written or is_first or is_deleted_ones):
            return Asked(job_id_of(source))
        request = orjson.loads(before.get("request", {}).get("S", "{}"))
        return Asked(announced, tuple(request.get("keep", ())), request.get("explain", False))

    def refuse(self, source: FileSource, error: LoyaltyError) -> str:
        """Records a job that failed before it began, as its key says no type or format; gives its id."""
        job_id = job_id_of(source)
        failure = attributes({"code": error.code, "error": error.message, "final": True})
        item = new_item(job_id, "file", "failed", _named(source), self._moment()) | failure
        with asking("jobs", "The job cannot be recorded in the jobs table"):
            self._dynamodb.put_item(TableName=self._table, Item=item)
        self._on_end(ended_job(item, {"status": "failed", "code": error.code}))
        return job_id

    def claim(self, job: FileJobRequest, owner: str) -> Claim:
        """Takes the job's lease, if it is free or the owner's; makes the record if there is none."""
        request = {"type": job.type, **options_of(job.keep, explain=job.explain), **_named(job.source)}
        # One dataset may have more files than a listing has use for: they are listed in its own results.
        new = new_item(job.job_id, "file", "running", request, self._moment(), listed=job.dataset is None)
        return self.leases.claim(job.job_id, owner, new)

    def finish(self, job_id: str, owner: str, summary: Mapping[str, Any]) -> None:
        """Records the end of a file that is scored to its end. Raises LeaseLost.

        summary: has `status`, `rows` and `errors`, in `files` where its results are, and `code` and `error` if failed.
        """
        self.leases.finish(job_id, owner, {**outcome_of(summary), "counted": self._clock()})

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _named(source: FileSource) -> dict[str, Any]:
    return {"key": source.key, "version_id": source.version_id, "size": source.size}
