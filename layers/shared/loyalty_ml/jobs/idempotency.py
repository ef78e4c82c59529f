"""Which job an Idempotency-Key started: the same key and body mean the same job, for a day.

An item of the jobs table is {job_id: "key:" and a hash, body: a hash of the request, job: the job's id, expires: N}.
The key is of one caller: two who choose the same one do not meet.
"""

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loyalty_ml.aws.dynamodb import attributes, conditional_update
from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import IdempotencyKeyReused

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = timedelta(days=1)
MAX_KEY_CHARACTERS = 255


class IdempotencyKeys:
    """The keys of one jobs table. Every method raises StoreUnavailable if DynamoDB does not do its part."""

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._now = now

    def job_for(self, caller: str, key: str, body: str, instead_of: str | None = None) -> str:
        """The id of the key's job: a new one, or the one that it was first used for.

        caller:      whose key it is.
        body:        the request, the same text for the same request.
        instead_of:  the key's job, if that is gone: then a new one takes its place.
        Raises IdempotencyKeyReused.
        """
        now, job_id = self._now(), uuid.uuid4().hex
        with asking("jobs", "The idempotency key cannot be written to the jobs table"):
            before, is_written = conditional_update(
                self._dynamodb,
                self._table,
                {"job_id": _place(caller, key)},
                update="SET #body = :body, #job = :job, #expires = :expires",
                condition="attribute_not_exists(#job_id) OR #expires <= :now OR #job = :gone",
                values=attributes(
                    {
                        "body": hashlib.sha256(body.encode()).hexdigest(),
                        "job": job_id,
                        "expires": int((now + KEPT).timestamp()),
                        "now": int(now.timestamp()),
                        "gone": instead_of or job_id,
                    }
                ),
            )
        if is_written:
            return job_id
        if before["body"]["S"] != hashlib.sha256(body.encode()).hexdigest():
            raise IdempotencyKeyReused
        first: str = before["job"]["S"]
        return first

    def release(self, caller: str, key: str, job_id: str) -> None:
        """Forgets the key of a job that could not be started, so that the same request may be tried again."""
        with asking("jobs", "The idempotency key cannot be written to the jobs table"):
            conditional_update(
                self._dynamodb,
                self._table,
                {"job_id": _place(caller, key)},
                update="SET #expires = :never",
                condition="#job = :job",
                values=attributes({"never": 0, "job": job_id}),
            )


def _place(caller: str, key: str) -> str:
    return "key:" + hashlib.sha256(f"{caller}\0{key}".encode()).hexdigest()
