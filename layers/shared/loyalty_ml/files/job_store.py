"""The records of file jobs: who is at work on a file, how far it is, and how it ended.

A queue brings a file's message at least once, and a worker can be killed at any point. So whoever works on a file holds
its lease: a name and a moment in the record, which the worker moves on while it lives. A lease that has passed is free
to be taken. A worker whose lease was taken is told so at its next word, and ends nothing any more.

Beside what a record of job_store.py has, an item has
- `key`, `version`: of an announced upload, where it goes, and the version (or ETag) that came first;
- `lease_owner`, `lease_until`: the last one who had the lease, and until when (epoch seconds) while it is held;
- `claimed`, `claimed_rows`, `counted`: when the lease was taken (epoch seconds), at how many rows, and when rows were
  last counted: what the rate is computed from;
- `final`: there once the job has succeeded, or failed in a way that no other attempt would change.
"""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.files.source import FileJobRequest, FileSource, announced_job_id, job_id_of
from loyalty_ml.jobs.record import Item, Job, attribute, job_of, new_item, outcome_of, timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE_SECONDS = 60.0

# Still held by this owner: one that has passed counts too, as nobody has taken it since.
_HELD = "#lease_owner = :owner AND attribute_exists(#lease_until)"


class LeaseLost(Exception):
    """Another worker has taken the job up, or its record is gone: what this one does counts no more."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"The lease of job {job_id} is no longer this worker's: stop, another one goes on.")


class Claim(NamedTuple):
    """What came of claiming a job.

    outcome:     claimed: the lease is the owner's; running: it is another's; finished: the job has ended for good.
    lease_left:  seconds of the other's, where running.
    job:         its record, where finished.
    was_killed:  the worker that had it last was killed: it has neither ended the job nor given it back.
    """

    outcome: Literal["claimed", "running", "finished"]
    lease_left: float = 0.0
    job: Job | None = None
    was_killed: bool = False


class FileJobStore:
    """The file jobs of one table. Every method raises StoreUnavailable where DynamoDB does not do its part.

    The client's own retries must be on: none are made here. A write that was done though its answer was lost, and that
    the client then sends again, counts as done. An owner is a text of its own for each attempt.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Callable[[], float] = time.time) -> None:
        """clock: epoch seconds."""
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def announce(self, job_id: str, request: Mapping[str, Any]) -> Job:
        """Records the job of an upload that is to come; request: its `type`, `format` and `key`."""
        item = new_item(job_id, "file", "awaiting_upload", request, self._moment()) | {"key": {"S": request["key"]}}
        with asking("jobs", "The job cannot be recorded in the jobs table"):
            self._dynamodb.put_item(TableName=self._table, Item=item)
        return job_of(item)

    def job_id_for(self, source: FileSource) -> str:
        """The job that scores this version of an object: the announced one, if the version is the first of its key."""
        announced = announced_job_id(source.key)
        if announced is None:
            return job_id_of(source)
        version = source.version_id or source.etag
        before, written = self._update(
            announced,
            "SET #version = :version, #status = :status, #updated = :updated",
            "#key = :key AND attribute_not_exists(#version)",
            {"version": version, "status": "queued", "key": source.key},
        )
        is_first = before.get("key") == {"S": source.key} and before.get("version") == {"S": version}
        return announced if written or is_first else job_id_of(source)

    def refuse(self, source: FileSource, error: LoyaltyError) -> str:
        """Records a job that failed before it began, as its key says no type or format; gives its id."""
        job_id = job_id_of(source)
        item = new_item(job_id, "file", "failed", _named(source), self._moment()) | {
            "code": {"S": error.code},
            "error": {"S": error.message},
            "final": {"BOOL": True},
        }
        with asking("jobs", "The job cannot be recorded in the jobs table"):
            self._dynamodb.put_item(TableName=self._table, Item=item)
        return job_id

    def claim(self, job: FileJobRequest, owner: str) -> Claim:
        """Takes the job's lease for LEASE_SECONDS, if it is free or the owner's; makes the record if there is none."""
        now = self._clock()
        request = {"type": job.type, **_named(job.source)}
        # One dataset may have more files than a listing has use for: they are listed in its own results.
        record = new_item(job.job_id, "file", "running", request, self._moment(), listed=job.dataset is None)
        new = {name: value for name, value in record.items() if name not in ("job_id", "status", "updated")}
        assignments = "".join(f", #{name} = if_not_exists(#{name}, :{name})" for name in new)
        before, written = self._update(
            job.job_id,
            "SET #status = :status, #updated = :updated, #lease_owner = :owner, #lease_until = :until, "
            f"#claimed = :now, #claimed_rows = if_not_exists(#processed, :none){assignments}",
            "attribute_not_exists(#final) AND "
            "(attribute_not_exists(#lease_until) OR #lease_until <= :now OR #lease_owner = :owner)",
            {"status": "running", "owner": owner, "until": now + LEASE_SECONDS, "now": now, "none": 0},
            new,
        )
        if written:
            was_held = "lease_until" in before and before.get("lease_owner") != {"S": owner}
            return Claim("claimed", was_killed=was_held)
        if "final" in before:
            return Claim("finished", job=job_of(before))
        return Claim("running", lease_left=max(0.0, float(before["lease_until"]["N"]) - now))

    def beat(self, job_id: str, owner: str, *, rows: int, errors: int, share: float) -> None:
        """Holds the lease for another LEASE_SECONDS and records how far the job is. Raises LeaseLost.

        rows: done so far, by all workers; errors: those of them without a prediction; share: of the input read, 0..1.
        """
        now = self._clock()
        _, written = self._update(
            job_id,
            "SET #lease_until = :until, #updated = :updated, "
            "#processed = :rows, #errors = :errors, #share = :share, #counted = :now",
            _HELD,
            {
                "owner": owner,
                "until": now + LEASE_SECONDS,
                "now": now,
                "rows": rows,
                "errors": errors,
                "share": share,
            },
        )
        if not written:
            raise LeaseLost(job_id)

    def release(self, job_id: str, owner: str, error: str | None = None, code: str | None = None) -> None:
        """Gives the lease back, for another worker to go on. error, code: why this attempt failed. Raises LeaseLost."""
        reason = {"error": error, "code": code} if error is not None and code is not None else {}
        self._end(job_id, owner, {"status": "queued", **reason}, final=False)

    def succeed(self, job_id: str, owner: str, summary: Mapping[str, Any]) -> None:
        """Records the end; summary has `rows` and `errors`, and in `files` where its results are. Raises LeaseLost."""
        self._end(job_id, owner, {**outcome_of(summary), "counted": self._clock()}, final=True)

    def fail(self, job_id: str, owner: str, code: str, error: str, *, final: bool) -> None:
        """Records a failure: for good, or until the job is claimed once more. error: a sentence. Raises LeaseLost."""
        self._end(job_id, owner, {"status": "failed", "code": code, "error": error}, final=final)

    def _end(self, job_id: str, owner: str, values: Mapping[str, str | float], *, final: bool) -> None:
        assignments = "".join(f", #{name} = :{name}" for name in values)
        before, written = self._update(
            job_id,
            f"SET #updated = :updated{assignments}{', #final = :final' if final else ''} REMOVE #lease_until",
            _HELD,
            {**values, "owner": owner},
            {"final": {"BOOL": True}} if final else {},
        )
        is_done_already = (
            before.get("lease_owner") == {"S": owner}
            and "lease_until" not in before
            and before["status"] == {"S": values["status"]}
            and ("final" in before) == final
        )
        if not written and not is_done_already:
            raise LeaseLost(job_id)

    def _update(
        self,
        job_id: str,
        update: str,
        condition: str,
        values: Mapping[str, str | float],
        attributes: Mapping[str, Any] | None = None,
    ) -> tuple[Item, bool]:
        """The item as it was before, empty where there was none, and whether the condition let it be written.

        values, attributes: what the expressions name :so, the latter as DynamoDB's client wants it.
        """
        given = {name: attribute(value) for name, value in values.items()} | dict(attributes or {})
        given["updated"] = attribute(timestamp(self._moment()))
        with asking("jobs", "The job cannot be written to the jobs table"):
            try:
                answer = self._dynamodb.update_item(
                    TableName=self._table,
                    Key={"job_id": {"S": job_id}},
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={name: name[1:] for name in re.findall(r"#\w+", f"{update} {condition}")},
                    ExpressionAttributeValues={f":{name}": value for name, value in given.items()},
                    ReturnValues="ALL_OLD",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
                return cast("Item", refused.response.get("Item", {})), False
        return cast("Item", answer.get("Attributes", {})), True

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _named(source: FileSource) -> dict[str, Any]:
    return {"key": source.key, "version_id": source.version_id, "size": source.size}
