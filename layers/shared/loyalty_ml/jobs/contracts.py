"""What goes in and out of the jobs' routes over HTTP."""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, field_validator, model_validator
from typing_extensions import TypedDict

from loyalty_ml.jobs.record import JobKind, JobStatus
from loyalty_ml.models.card import MAX_CODE_CHARACTERS, ModelInfo
from loyalty_ml.vocabulary import FileFormat, FileType, Include, Request

DATASETS = "datasets/"
"""Prefixes of the data bucket below it are scored when someone asks."""
MAX_PREFIX = 512
MAX_EXPORTED = 1_000_000
"""Of a segment's best members."""


def prefix_problem(prefix: str) -> str | None:
    """What is wrong with the prefix of a dataset, a clause; None for a good one."""
    if not prefix.startswith(DATASETS):
        return f"must begin with {DATASETS}"
    if ".." in prefix.split("/"):
        return "must not have .. between its slashes"
    if hidden := next((each for each in prefix.split("/") if each.startswith(("_", "."))), None):
        return f"{hidden} begins with {hidden[0]}, and what is below such a name is no data: name a folder of files"
    return None


def _names(keep: object) -> object:
    # Not a union of pydantic's: its problems would name the union's parts, as no request does.
    if keep == "*":
        return ["*"]
    if not isinstance(keep, list):
        raise ValueError("must be a list of columns' names, or '*' for all")  # noqa: TRY004  pydantic's own
    if "*" in keep and len(keep) > 1:
        raise ValueError("has '*' beside names: send '*' for all columns, or the names alone")
    return keep


KeptName = Annotated[str, Field(min_length=1, max_length=256)]
KeptNames = Annotated[list[KeptName], Field(min_length=1, max_length=100)]
Keep = Annotated[
    KeptNames,
    BeforeValidator(_names),
    WithJsonSchema(
        {"anyOf": [TypeAdapter(KeptNames).json_schema(), {"type": "string", "const": "*"}]}, mode="validation"
    ),
]


class JobRequest(Request):
    """What to score: a file to upload, all files with a prefix, or the members of a segment."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["format"], "x-with": ["keep"]},
                {"required": ["prefix"], "x-with": ["keep"]},
                {"required": ["segment_id"], "x-with": ["format", "top", "offer", "include"]},
            ]
        }
    )

    type: Annotated[FileType, Field(description="The question to answer; `all` answers the three side by side")] = (
        "churn"
    )
    format: FileFormat | None = Field(
        None,
        description="The format of the file to upload, which is the extension of its name; with `segment_id`, of the "
        "one file that all its members become",
    )
    prefix: str | None = Field(
        None,
        max_length=MAX_PREFIX,
        json_schema_extra={"pattern": f"^{DATASETS}"},  # checked below, with a sentence of its own
        description="A prefix of keys in the data bucket: every file whose key begins with it is scored",
        examples=["datasets/2026-11/"],
    )
    keep: Keep | None = Field(
        None,
        description="The files' own columns that their predictions have after the answer: names, or `*` for all; with "
        "`format` or `prefix`",
        examples=[["name", "city"]],
    )
    explain: bool = Field(
        False,
        strict=True,
        description="Whether each prediction has the columns `reason_1`, `reason_2` and `reason_3`, the largest first",
    )
    segment_id: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="The segment whose members are scored: as a dataset of Parquet files, or with `format` as one file",
    )
    top: int | None = Field(
        None,
        strict=True,
        ge=1,
        le=MAX_EXPORTED,
        description="Of the segment, only so many members: those with the highest probability of leaving, of those who "
        "have not lapsed, or of taking `offer`, the best first",
    )
    offer: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_CODE_CHARACTERS,
        description="The code of the offer that `top` orders by; a number that is no code is taken as an `offer_id`",
    )
    include: Include | None = Field(
        None, description="`lapsed`: `top` ranks those too who have lapsed; without it, it leaves them out"
    )

    @field_validator("prefix")
    @classmethod
    def _is_below_the_datasets(cls, prefix: str | None) -> str | None:
        if prefix is not None and (problem := prefix_problem(prefix)):
            raise ValueError(problem)
        return prefix

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        of_segment = self.format is not None and self.segment_id is not None and self.prefix is None
        if not of_segment and sum(given is not None for given in (self.format, self.prefix, self.segment_id)) != 1:
            raise ValueError("give exactly one of format, prefix and segment_id; format may go with segment_id")
        if self.top is not None and self.segment_id is None:
            raise ValueError("top works only with segment_id: name the segment whose members it chooses")
        if self.top is None and (self.offer is not None or self.include is not None):
            raise ValueError("offer and include work only with top: add top, the number of members to score")
        if self.offer is not None and self.include is not None:
            raise ValueError("include works only without offer: a ranking by an offer leaves nobody out")
        if self.segment_id is not None and self.keep is not None:
            raise ValueError("give keep with format or prefix: the members of a segment have no columns of their own")
        return self

    @property
    def kept(self) -> tuple[str, ...]:
        """As of FileJobRequest."""
        return tuple(self.keep or ())


class JobStarted(TypedDict):
    job_id: str
    status: JobStatus
    location: Annotated[
        str, Field(description="The job's address, also in the header Location: GET it for progress and the answer")
    ]


class UploadAddress(TypedDict):
    """Where to send the file: a form (multipart/form-data) of all `fields` and, last, the file as the field `file`."""

    method: Literal["POST"]
    url: str
    fields: dict[str, str]
    max_bytes: Annotated[int, Field(description="S3 refuses a larger file, and an empty one")]
    expires: Annotated[str, Field(description="The upload must begin before this moment (RFC 3339)")]


class UploadAwaited(JobStarted):
    upload: UploadAddress


class JobProgress(TypedDict):
    processed: Annotated[int, Field(description="How many customers, or rows of files, are done")]
    total: Annotated[int | None, Field(description="How many there are in all; null until that is known")]
    errors: NotRequired[Annotated[int, Field(description="Files only: the `processed` rows without a prediction")]]
    share: NotRequired[
        Annotated[
            float | None,
            Field(description="Files only: the share of the work done, 0 to 1; 0.9 once all is read"),
        ]
    ]
    rate: NotRequired[
        Annotated[float | None, Field(description="Files only: rows per second; at the end, of the whole job")]
    ]


class JobListed(TypedDict):
    job_id: str
    kind: JobKind
    status: JobStatus
    created: Annotated[str, Field(description="RFC 3339, to the millisecond")]
    updated: Annotated[str, Field(description="RFC 3339, to the millisecond")]
    progress: JobProgress
    request: Annotated[dict[str, object], Field(description="The request that started the job")]
    error: NotRequired[Annotated[str, Field(description="If the job failed, or partly: what is wrong, and what to do")]]
    code: NotRequired[Annotated[str, Field(description="If the job failed, or partly: the error code, for programs")]]


class JobListAnswer(TypedDict):
    jobs: Annotated[list[JobListed], Field(description="Newest first; the files of a dataset are not listed")]
    next: Annotated[
        str | None, Field(description="The page token: send it as `next` for the following page; null on the last page")
    ]


class ResultFile(TypedDict):
    key: Annotated[str, Field(description="The object's key in the data bucket")]
    url: Annotated[str, Field(description="A download address, valid for 15 minutes; GET the job again for a new one")]


class JobSummary(TypedDict):
    """What a job of files came to: of one file, or of a dataset, which has counts of files."""

    job_id: str
    status: JobStatus
    code: NotRequired[Annotated[str, Field(description="If it failed, or partly: the error code, for programs")]]
    error: NotRequired[Annotated[str, Field(description="If it failed, or partly: what is wrong, and what to do")]]
    type: FileType
    key: NotRequired[Annotated[str, Field(description="Of a file: its key in the data bucket")]]
    version_id: NotRequired[
        Annotated[str | None, Field(description="Of a file: which version of the object was scored")]
    ]
    dataset: NotRequired[Annotated[str, Field(description="Of a file of a dataset: the dataset's job_id")]]
    prefix: NotRequired[Annotated[str, Field(description="Of a dataset: what its files' keys begin with")]]
    file_count: NotRequired[
        Annotated[int, Field(description="Of a dataset: file_count = succeeded + failed + skipped")]
    ]
    succeeded: NotRequired[Annotated[int, Field(description="Of a dataset: the files that are scored")]]
    failed: NotRequired[Annotated[int, Field(description="Of a dataset: the files that could not be scored")]]
    skipped: NotRequired[Annotated[int, Field(description="Of a dataset: the files that are known to be no data")]]
    rows: int
    predictions: int
    errors: Annotated[int, Field(description="rows = predictions + errors")]
    lines: NotRequired[Annotated[int, Field(description="Of a file: the sum of `lines_by_kind`")]]
    lines_by_kind: NotRequired[
        Annotated[dict[str, int], Field(description="Of a file: the lines of `header`, `blank`, `rows` and `bad`")]
    ]
    errors_by_code: NotRequired[
        Annotated[dict[str, int], Field(description="Of a file: the rows without a prediction by error code")]
    ]
    mock: NotRequired[Annotated[bool, Field(description="Of a file: whether a type was answered without a model")]]
    models: NotRequired[Annotated[dict[str, ModelInfo], Field(description="Of a file: what answered, by type")]]
    features: NotRequired[
        Annotated[Literal["file", "snapshot"], Field(description="Of a file: where the features come from")]
    ]
    features_as_of: NotRequired[
        Annotated[str | None, Field(description="Of a file: the snapshot's moment; null for features of the file")]
    ]
    ignored_columns: NotRequired[
        Annotated[list[str], Field(description="Of a file: its columns that are not read, the first 100")]
    ]
    kept_columns: NotRequired[
        Annotated[list[str], Field(description="Of a file: its columns that the predictions have too, the first 100")]
    ]
    message: NotRequired[
        Annotated[str, Field(description="Of a file: why an older snapshot answered than the newest, if one did")]
    ]
    files: Annotated[dict[str, str], Field(description="The keys of the results in the data bucket, by name")]


class JobAnswer(JobListed):
    answer: NotRequired[
        Annotated[
            dict[str, object],
            Field(description="If a job of a segment succeeded: the answer that a request would have had"),
        ]
    ]
    summary: NotRequired[
        Annotated[
            JobSummary,
            Field(
                description="If a job of files came to its end: its counts; rows = predictions + errors, and the lines "
                "of a file are those of its header, blank ones, those of rows and bad ones"
            ),
        ]
    ]
    results: NotRequired[
        Annotated[dict[str, ResultFile], Field(description="If a job of files came to its end: its files, by name")]
    ]
