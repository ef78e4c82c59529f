"""Who is at work on a job: one worker at a time, whoever is killed, late, or told the same thing twice.

A queue brings a job's message at least once, and a worker can be killed at any point. So whoever works on a job holds
its lease: a name and a moment in the job's record, which the worker moves on while it lives. A lease that has passed is
free to be taken. A worker whose lease was taken is told so at its next word, and ends nothing any more.

Beside what jobs/record.py says, an item has
- `lease_owner`, `lease_until`: the last one who had the lease, and until when (epoch seconds) while it is held;
- `begun`: when the lease was taken for the first time (epoch seconds);
- `claimed`, `claimed_rows`, `counted`: when the lease was taken (epoch seconds), at how many rows, and when rows were
  last counted: what the rate is computed from;
- `final`: there once the job has succeeded, or failed in a way that no other attempt would change.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from loyalty_ml.aws.dynamodb import Item, Value, attribute, attributes, conditional_update
from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import JobNotFound
from loyalty_ml.jobs.record import Job, job_of, timestamp

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE_SECONDS = 60.0
SECONDS_AFTER_LEASE = 5
"""How long after another worker's lease a message looks at its job again."""

# Still held by this owner: one that has passed counts too, because nobody has taken it since. A dataset's record is the
# state machine's from when that is started, which may end it.
_HELD = "#lease_owner = :owner AND attribute_exists(#lease_until) AND #status = :running"


class LeaseLost(Exception):
    """Another worker has taken the job up, or its record is gone: what this one does counts no more."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"The lease of job {job_id} is no longer this worker's: stop, another one goes on.")


class Claim(NamedTuple):
    """What came of claiming a job.

    outcome:     claimed: the lease is the owner's; running: it is another's; finished: the job has ended for good.
    lease_left:  seconds of the other's, if running.
    job:         its record as it was before; None if there was none.
    was_killed:  the worker that had it last was killed: it has neither ended the job nor given it back.
    """

    outcome: Literal["claimed", "running", "finished"]
    lease_left: float = 0.0
    job: Job | None = None
    was_killed: bool = False


class Leases:
    """The leases of one table's jobs. Every method raises StoreUnavailable if DynamoDB does not do its part.

    The client's own retries must be on: none are made here. A write that was done though its answer was lost, and that
    the client then sends again, counts as done. An owner is a text of its own for each attempt.
    """

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        clock: Callable[[], float] = time.time,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        """clock: epoch seconds; seconds: how long a lease is held without a beat."""
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self.seconds = seconds

    def claim(self, job_id: str, owner: str, new: Item | None = None) -> Claim:
        """Takes the job's lease if it is free or the owner's.

        new:  the record of a job that has none yet. Without it, raises JobNotFound if there is no record.
        """
        now = self._clock()
        made = {name: value for name, value in (new or {}).items() if name not in ("job_id", "status", "updated")}
        assignments = "".join(f", #{name} = if_not_exists(#{name}, :{name})" for name in made)
        if not new:  # what has a record already begins anew; a file goes on from where it was
            assignments = ", #processed = :none"
        there = "" if new else "attribute_exists(#job_id) AND "
        before, is_written = self._update(
            job_id,
            "SET #status = :running, #updated = :updated, #lease_owner = :owner, #lease_until = :until, "
            "#claimed = :now, #begun = if_not_exists(#begun, :now), "
            f"#claimed_rows = if_not_exists(#processed, :none){assignments}",
            # Of a segment's job that succeeded before there were leases the status alone says so.
            f"{there}attribute_not_exists(#final) AND (attribute_not_exists(#status) OR #status <> :succeeded) AND "
            "(attribute_not_exists(#lease_until) OR #lease_until <= :now OR #lease_owner = :owner)",
            {
                "running": "running",
                "succeeded": "succeeded",
                "owner": owner,
                "until": now + self.seconds,
                "now": now,
                "none": 0,
            },
            made,
        )
        if not before and not is_written:
            raise JobNotFound
        job = job_of(before) if "status" in before else None
        if is_written:
            # A worker that ends in any other way changes the status.
            was_running = job is not None and job.status == "running"
            return Claim("claimed", job=job, was_killed=was_running and before.get("lease_owner") != attribute(owner))
        if "final" in before or (job is not None and job.status == "succeeded"):
            return Claim("finished", job=job)
        return Claim("running", max(0.0, float(before["lease_until"]["N"]) - now), job)

    def beat(self, job_id: str, owner: str, progress: Mapping[str, float] | None = None) -> None:
        """Holds the lease for another while, and records how far the job is. Raises LeaseLost.

        progress: `processed`, and what else the record says of it: `total`, or `errors` and `share` of a file.
        """
        now = self._clock()
        values: dict[str, Value] = dict(progress or {})
        if "share" in values:  # of a file, whose rate is told
            values["counted"] = now
        assignments = "".join(f", #{name} = :{name}" for name in values)
        _, is_written = self._update(
            job_id,
            f"SET #lease_until = :until, #updated = :updated{assignments}",
            _HELD,
            {**values, "owner": owner, "until": now + self.seconds, "running": "running"},
        )
        if not is_written:
            raise LeaseLost(job_id)

    def release(self, job_id: str, owner: str, error: str | None = None, code: str | None = None) -> None:
        """Gives the lease back, for another worker to go on. error, code: why this attempt failed. Raises LeaseLost."""
        reason = {"error": error, "code": code} if error is not None and code is not None else {}
        self._end(job_id, owner, {"status": "queued", **reason}, is_final=False)

    def hand_over(self, job_id: str, owner: str) -> None:
        """Gives the lease up while the job goes on elsewhere, where no lease is needed. Raises LeaseLost."""
        self._end(job_id, owner, {"status": "running"}, is_final=False)

    def succeed(self, job_id: str, owner: str, outcome: Mapping[str, Value] | None = None) -> None:
        """Records the success, for good, with what else the record says of it. Raises LeaseLost."""
        self.finish(job_id, owner, {**(outcome or {}), "status": "succeeded"})

    def finish(self, job_id: str, owner: str, outcome: Mapping[str, Value]) -> None:
        """Records the end, for good: its `status`, and what else the record says of it. Raises LeaseLost."""
        self._end(job_id, owner, outcome, is_final=True)

    def fail(self, job_id: str, owner: str, code: str, error: str, *, final: bool) -> None:
        """Records a failure: for good, or until the job is claimed once more. error: a sentence. Raises LeaseLost."""
        self._end(job_id, owner, {"status": "failed", "code": code, "error": error}, is_final=final)

    def give_up(self, job_id: str, code: str, error: str) -> float:
        """Records the failure of a job whose last worker was killed, as no other comes: until someone sends it again.

        Gives the seconds that its lease is held still; 0 where it is not, also where the job has ended or is gone.
        """
        now = self._clock()
        before, is_written = self._update(
            job_id,
            "SET #status = :failed, #code = :code, #error = :error, #updated = :updated REMOVE #lease_until",
            "#status = :running AND #lease_until <= :now",
            {"failed": "failed", "code": code, "error": error, "running": "running", "now": now},
        )
        if is_written or "lease_until" not in before:
            return 0.0
        return max(0.0, float(before["lease_until"]["N"]) - now)

    def _end(self, job_id: str, owner: str, values: Mapping[str, Value], *, is_final: bool) -> None:
        assignments = "".join(f", #{name} = :new_{name}" for name in values)
        before, is_written = self._update(
            job_id,
            f"SET #updated = :updated{assignments}{', #final = :final' if is_final else ''} REMOVE #lease_until",
            _HELD,
            {
                **{f"new_{name}": value for name, value in values.items()},
                "owner": owner,
                "running": "running",
                **({"final": True} if is_final else {}),
            },
        )
        is_done_already = (
            before.get("lease_owner") == attribute(owner)
            and "lease_until" not in before
            and before["status"] == attribute(values["status"])
            and ("final" in before) == is_final
        )
        if not is_written and not is_done_already:
            raise LeaseLost(job_id)

    def _update(
        self, job_id: str, update: str, condition: str, values: Mapping[str, Value], made: Item | None = None
    ) -> tuple[Item, bool]:
        given = attributes({**values, "updated": timestamp(datetime.fromtimestamp(self._clock(), UTC))})
        with asking("jobs", "The job cannot be written to the jobs table"):
            return conditional_update(
                self._dynamodb,
                self._table,
                {"job_id": job_id},
                update=update,
                condition=condition,
                values={**given, **(made or {})},
            )
