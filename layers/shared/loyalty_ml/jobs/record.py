"""A job's record: what the item in the jobs table says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from loyalty_ml.aws.dynamodb import Item, attribute, attributes
from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import moment_of

JobKind = Literal["segment", "file", "dataset"]
JobStatus = Literal["awaiting_upload", "queued", "running", "succeeded", "partly_failed", "failed"]
"""`partly_failed` is a dataset of which some files are scored and others could not be."""

# The template's lifecycle rule keeps answers for longer, so that a record never outlives its answer.
KEPT = timedelta(days=30)
REMOVAL_SECONDS = 10
"""Until what a deleted job made is removed: whoever works on it knows of it by the next beat, in three seconds."""
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
    """The job of a record. Raises StoreUnavailable if the record is not of the shape that this service writes."""
    try:
        record = _Record.model_validate({name: _plain(value) for name, value in item.items()})
    except ValidationError as error:
        job_id = item["job_id"]["S"]
        parts = sorted({str(problem["loc"][0]) for problem in error.errors(include_url=False, include_input=False)})
        logger.error("A job's record is damaged", job_id=job_id, parts=parts)
        raise StoreUnavailable(
            "jobs",
            f"The record of job {job_id} in the jobs table is damaged ({', '.join(parts)}): start the job again.",
            retry=False,
        ) from error
    # The failure of an attempt before the last one stays in the item.
    failed = record.status in ("failed", "partly_failed")
    rate = None
    if record.summary is not None:
        began = _seconds(record.created) if record.begun is None else record.begun
        ended = _seconds(record.updated) if record.counted is None else record.counted
        rate = record.processed / (ended - began) if ended > began else None
    elif record.counted is not None:
        seconds = record.counted - record.claimed
        # Of a worker that has counted nothing yet, the last count is from before it took the job. And it goes on from a
        # checkpoint, which may be a little before what the one before it had counted.
        rate = max(0, record.processed - record.claimed_rows) / seconds if seconds > 0 else None
    return Job(
        job_id=record.job_id,
        kind=record.kind,
        status=record.status,
        created=record.created,
        updated=record.updated,
        request=record.request,
        processed=record.processed,
        total=record.total,
        errors=record.errors,
        share=record.share,
        rate=rate,
        summary=record.summary,
        error=record.error if failed else None,
        code=record.code if failed else None,
    )


def _moment(text: str) -> str:
    moment_of(text)
    return text


def _object(text: Any) -> dict[str, Any]:
    parsed = orjson.loads(text if isinstance(text, str) else b"")
    if not isinstance(parsed, dict):
        raise ValueError("must be an object")  # noqa: TRY004  pydantic counts no TypeError as a problem of a field
    try:
        orjson.dumps([[[[parsed]]]])  # as deep as an answer has it
    except TypeError as error:
        raise ValueError("must be an object that can be written") from error
    return parsed


def _summary(parsed: dict[str, Any]) -> dict[str, Any]:
    match parsed:
        case {"files": dict(files)} if all(isinstance(key, str) for key in files.values()):
            return parsed
    raise ValueError("must name its files")


_Moment = Annotated[str, AfterValidator(_moment)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Object = Annotated[dict[str, Any], BeforeValidator(_object)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Record(BaseModel):
    """What an item must be: whoever may write to the table may have written anything."""

    job_id: str
    kind: JobKind = "segment"  # all were, before there were kinds
    status: JobStatus
    created: _Moment
    updated: _Moment
    request: _Object
    processed: _Count
    total: _Count | None = None
    errors: _Count = 0
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    begun: _Number | None = None
    counted: _Number | None = None
    claimed: _Number = 0
    claimed_rows: _Count = 0
    summary: Annotated[_Object, AfterValidator(_summary)] | None = None
    error: str | None = None
    code: str | None = None


def _plain(attribute: Any) -> Any:
    """A text or a number's text; what is neither stays as it is, and is refused."""
    match attribute:
        case {"S": str(text)} | {"N": str(text)}:
            return text
    return attribute


def is_deleted(item: Item) -> bool:
    """Whether the record only says that there was a job, so that nobody works on it or makes it again."""
    return "deleted" in item


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
