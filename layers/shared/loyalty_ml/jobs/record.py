"""A job's record: what the item in the jobs table says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

import orjson

from loyalty_ml.aws.dynamodb import Item, attribute, attributes

JobKind = Literal["segment", "file", "dataset"]
JobStatus = Literal["awaiting_upload", "queued", "running", "succeeded", "partly_failed", "failed"]
"""`partly_failed` is a dataset of which some files are scored and others could not be."""

# The template's lifecycle rule keeps answers for longer, so that a record never outlives its answer.
KEPT = timedelta(days=30)
# All in one partition, which takes 1,000 writes a second. The files of a dataset are not listed and so not in it.
LISTED = attribute("all")


@dataclass(frozen=True, slots=True)
class Job:
    """A job's record.

    created, updated:   RFC 3339, to the millisecond.
    processed:          of a segment the customers, of a file or dataset the rows that are done.
    total:              what there is of them in all; None until it is known.
    errors:             of `processed`, the rows that could not be answered.
    share:              of a file, how much of the work is done, 0 to 1; None until it is known.
    rate:               rows a second: while a file is at work since its present worker took it, and of a job of files
                        that was scored to its end, of all of it. None until it is known.
    summary:            of a file or dataset that was scored to its end.
    error, code:        of a job that failed, or partly.
    """

    job_id: str
    kind: JobKind
    status: JobStatus
    created: str
    updated: str
    request: Mapping[str, Any]
    processed: int = 0
    total: int | None = None
    errors: int = 0
    share: float | None = None
    rate: float | None = None
    summary: Mapping[str, Any] | None = None
    error: str | None = None
    code: str | None = None


def new_item(
    job_id: str, kind: JobKind, status: JobStatus, request: Mapping[str, Any], now: datetime, *, listed: bool = True
) -> Item:
    """The record of a job of which nothing is done yet; with `listed` False it is found by its id alone."""
    return {
        **attributes(
            {
                "job_id": job_id,
                "kind": kind,
                "status": status,
                "created": timestamp(now),
                "updated": timestamp(now),
                "request": orjson.dumps(request).decode(),
                "processed": 0,
                "expires": int((now + KEPT).timestamp()),
            }
        ),
        **({"listed": LISTED} if listed else {}),
    }


def job_of(item: Item) -> Job:
    """The job of a record."""
    # The failure of an attempt before the last one stays in the item.
    failed = item["status"]["S"] in ("failed", "partly_failed")
    processed = int(item["processed"]["N"])
    rate = None
    if "summary" in item:
        began = float(item["begun"]["N"]) if "begun" in item else _seconds(item["created"]["S"])
        ended = float(item["counted"]["N"]) if "counted" in item else _seconds(item["updated"]["S"])
        rate = processed / (ended - began) if ended > began else None
    elif "counted" in item:
        seconds = float(item["counted"]["N"]) - float(item["claimed"]["N"])
        # Of a worker that has counted nothing yet, the last count is from before it took the job. And it goes on from a
        # checkpoint, which may be a little before what the one before it had counted.
        rate = max(0, processed - int(item["claimed_rows"]["N"])) / seconds if seconds > 0 else None
    return Job(
        job_id=item["job_id"]["S"],
        kind=cast("JobKind", item["kind"]["S"]) if "kind" in item else "segment",  # all were, before there were kinds
        status=cast("JobStatus", item["status"]["S"]),
        created=item["created"]["S"],
        updated=item["updated"]["S"],
        request=orjson.loads(item["request"]["S"]),
        processed=processed,
        total=int(item["total"]["N"]) if "total" in item else None,
        errors=int(item["errors"]["N"]) if "errors" in item else 0,
        share=float(item["share"]["N"]) if "share" in item else None,
        rate=rate,
        summary=orjson.loads(item["summary"]["S"]) if "summary" in item else None,
        error=item["error"]["S"] if failed else None,
        code=item["code"]["S"] if failed else None,
    )


def outcome_of(summary: Mapping[str, Any]) -> dict[str, str | int | float]:
    """What the record of a job says that came to its end and whose results are files, from its summary."""
    return {
        "status": summary["status"],
        **{name: summary[name] for name in ("code", "error") if name in summary},
        "summary": orjson.dumps(summary).decode(),
        "processed": summary["rows"],
        "total": summary["rows"],
        "errors": summary["errors"],
        "share": 1,
    }


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def timestamp(moment: datetime) -> str:
    """RFC 3339, always with milliseconds, so that texts sort as moments."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer_key(job_id: str) -> str:
    """Where a job's answer is in the data bucket."""
    return f"results/{job_id}/answer.json"
