"""What goes in and out of the jobs' routes over HTTP."""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import ConfigDict, Field, field_validator, model_validator
from typing_extensions import TypedDict

from loyalty_ml.jobs.record import JobKind, JobStatus
from loyalty_ml.vocabulary import FileFormat, FileType, Request

DATASETS = "datasets/"
"""Prefixes of the data bucket below it are scored when someone asks."""
MAX_PREFIX = 512


class JobRequest(Request):
    """Files to be scored: one that is to be uploaded, all below a prefix, or a segment's members as files."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [name]} for name in ("format", "prefix", "segment_id")]}
    )

    type: Annotated[FileType, Field(description="Which question to answer; `all`: the three side by side")] = "churn"
    format: FileFormat | None = Field(None, description="Of the file to be uploaded: it is its name's extension")
    prefix: str | None = Field(
        None,
        max_length=MAX_PREFIX,
        json_schema_extra={"pattern": f"^{DATASETS}"},  # checked below, with a sentence of its own
        description="Of the data bucket: every file whose key begins with it is scored",
        examples=["datasets/2026-11/"],
    )
    segment_id: str | None = Field(None, min_length=1, max_length=64, description="Every member of it is scored")

    @field_validator("prefix")
    @classmethod
    def _is_below_the_datasets(cls, prefix: str | None) -> str | None:
        if prefix is not None and not prefix.startswith(DATASETS):
            raise ValueError(f"must begin with {DATASETS}")
        if prefix is not None and ".." in prefix.split("/"):
            raise ValueError("must have no .. between its slashes")
        return prefix

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(given is not None for given in (self.format, self.prefix, self.segment_id)) != 1:
            raise ValueError("give exactly one of format, prefix and segment_id")
        return self


class JobStarted(TypedDict):
    job_id: str
    status: JobStatus
    location: Annotated[str, Field(description="GET it for progress and the answer; also in the Location header")]


class UploadAddress(TypedDict):
    """Where the file goes: a form (multipart/form-data) of all `fields`, and last the file, as the field `file`."""

    method: Literal["POST"]
    url: str
    fields: dict[str, str]
    max_bytes: Annotated[int, Field(description="S3 refuses a larger file, and an empty one")]
    expires: Annotated[str, Field(description="Until when the upload can begin (RFC 3339)")]


class UploadAwaited(JobStarted):
    upload: UploadAddress


class JobProgress(TypedDict):
    processed: Annotated[int, Field(description="The customers or, of files, the rows that are done")]
    total: Annotated[int | None, Field(description="Null until it is known")]
    errors: NotRequired[Annotated[int, Field(description="Of files: the rows of `processed` that have no prediction")]]
    share: NotRequired[Annotated[float | None, Field(description="Of files: how much of the input is read, 0 to 1")]]
    rate: NotRequired[Annotated[float | None, Field(description="Of files: rows a second")]]


class JobListed(TypedDict):
    job_id: str
    kind: JobKind
    status: JobStatus
    created: Annotated[str, Field(description="RFC 3339, to the millisecond")]
    updated: Annotated[str, Field(description="RFC 3339, to the millisecond")]
    progress: JobProgress
    request: Annotated[dict[str, object], Field(description="What was asked")]


class JobListAnswer(TypedDict):
    jobs: Annotated[list[JobListed], Field(description="The newest first; a dataset's files are not among them")]
    next: Annotated[str | None, Field(description="The `next` of the request for the page after this; null at the end")]


class ResultFile(TypedDict):
    key: Annotated[str, Field(description="In the data bucket")]
    url: Annotated[str, Field(description="Where it can be had for 15 minutes; GET the job again for another")]


class JobAnswer(JobListed):
    answer: NotRequired[
        Annotated[dict[str, object], Field(description="Of a segment, once succeeded: what a request had given")]
    ]
    summary: NotRequired[
        Annotated[dict[str, object], Field(description="Of files, once succeeded: rows = predictions + errors")]
    ]
    results: NotRequired[Annotated[dict[str, ResultFile], Field(description="Of files, once succeeded")]]
    error: NotRequired[Annotated[str, Field(description="Once failed: a sentence that a person can act on")]]
    code: NotRequired[Annotated[str, Field(description="Once failed: for programs")]]
