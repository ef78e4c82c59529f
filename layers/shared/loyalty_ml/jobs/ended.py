"""The end of a job, as whoever waits for it is told."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from loyalty_ml.aws.dynamodb import Item, Value

ENDED = ("succeeded", "partly_failed", "failed")
"""The statuses of a job that has ended."""


class EndedJob(NamedTuple):
    """A job that has ended. listed: whether it is a job of its own, and not one file of a dataset.

    code: of a job that failed. request: as GET /ml/jobs shows it.
    """

    job_id: str
    kind: str
    status: str
    request: Mapping[str, Any]
    listed: bool
    code: str | None = None


OnEnd = Callable[[EndedJob], object]


def nobody_is_told(_: EndedJob) -> None:
    """For where nobody waits."""


def ended_job(before: Item, values: Mapping[str, Value]) -> EndedJob:
    """before: the record as it was before its end; values: what the end wrote into it."""
    try:
        request = orjson.loads(before["request"]["S"])
    except (KeyError, ValueError):
        request = None
    code = values.get("code")
    return EndedJob(
        job_id=before["job_id"]["S"],
        kind=before.get("kind", {}).get("S", "segment"),
        status=str(values["status"]),
        request=request if isinstance(request, dict) else {},
        listed="listed" in before,
        code=str(code) if code is not None else None,
    )
