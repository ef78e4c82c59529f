"""What goes in and out over HTTP: requests checked by pydantic, answers as typed dictionaries.

Answers are TypedDicts because they are written, never read: a hundred of them cost nothing to build, and both the
type checker and the OpenAPI document know their shape.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, NotRequired, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import TypedDict

PredictionType = Literal["churn", "nbo", "rfm"]
FileType = Literal["churn", "nbo", "rfm", "all"]
FileFormat = Literal["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"]
MockMode = Literal["auto", "true", "false"]
MAX_BATCH = 100

MAX_ID_CHARACTERS = 256

CustomerId = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=MAX_ID_CHARACTERS, description="As in the warehouse", examples=["1"]),
]
CustomerIds = Annotated[
    list[CustomerId],
    Field(min_length=1, max_length=MAX_BATCH, description="1 to 100 ids; one that comes twice is answered twice"),
]
Type = Annotated[PredictionType, Field(description="Which question to answer")]


def rfc3339(moment: datetime) -> str:
    """How `features_as_of` is written everywhere, such as 2018-01-02T00:00:00Z; of one form, texts sort as moments."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class _Request(BaseModel):
    # An unknown field is refused: a misspelt `type` would otherwise be answered with churn.
    model_config = ConfigDict(extra="forbid", frozen=True)


class PredictRequest(_Request):
    """One customer."""

    customer_id: CustomerId
    type: Type = "churn"


class BatchRequest(_Request):
    """Up to a hundred customers."""

    customer_ids: CustomerIds
    type: Type = "churn"


class PredictOrBatchRequest(_Request):
    """One customer by `customer_id`, or up to a hundred by `customer_ids`: exactly one of the two."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["customer_id"]}, {"required": ["customer_ids"]}]}
    )

    customer_id: CustomerId | None = None
    customer_ids: CustomerIds | None = None
    type: Type = "churn"

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.customer_id is None) == (self.customer_ids is None):
            raise ValueError("give either customer_id or customer_ids, not both and not neither")
        return self


class ChurnResult(TypedDict):
    customer_id: str
    churn_probability: float
    churn_risk: Literal["high", "medium", "low"]
    mock: NotRequired[Literal[True]]


class OfferProbability(TypedDict):
    offer_id: int
    offer_name: str
    category: str
    probability: float


class NboResult(TypedDict):
    customer_id: str
    recommended_offer: int
    confidence: float
    offer_scores: Annotated[list[float], Field(description="By offer id")]
    offers: Annotated[list[OfferProbability], Field(description="The best first")]
    top_offer: OfferProbability
    mock: NotRequired[Literal[True]]


class RfmResult(TypedDict):
    customer_id: str
    recency: Annotated[float, Field(description="Days since the last purchase")]
    frequency: Annotated[float, Field(description="Number of purchases")]
    monetary: Annotated[float, Field(description="Revenue")]
    r_score: Annotated[int, Field(ge=1, le=5)]
    f_score: Annotated[int, Field(ge=1, le=5)]
    m_score: Annotated[int, Field(ge=1, le=5)]
    rfm_segment: Annotated[str, Field(pattern="^[1-5]{3}$", examples=["545"])]
    segment: Annotated[str, Field(examples=["Champions"])]


Result = ChurnResult | NboResult | RfmResult


class ModelInfo(TypedDict):
    name: str
    version: Annotated[str, Field(description="`mock` where no model was asked; for RFM, whose cut points applied")]
    placeholder: Annotated[bool, Field(description="True for a model trained on generated data")]


FeaturesAsOf = Annotated[
    str | None,
    Field(description="When the features were computed for (RFC 3339); the oldest of a batch, null if none was found"),
]


class SingleAnswer(TypedDict):
    type: PredictionType
    mode: Literal["single"]
    customer_id: str
    result: Result
    mock: bool
    model: ModelInfo
    features_as_of: FeaturesAsOf


class CustomerResult(TypedDict):
    customer_id: str
    result: Result


class CustomerError(TypedDict):
    customer_id: str
    error: str
    code: Annotated[str, Field(examples=["CUSTOMER_NOT_FOUND", "MISSING_FEATURES", "INVALID_FEATURES"])]


class BatchAnswer(TypedDict):
    type: PredictionType
    mode: Literal["batch"]
    total: int
    successful: int
    failed: int
    results: Annotated[list[CustomerResult], Field(description="In the order of the request")]
    errors: list[CustomerError]
    mock: bool
    model: ModelInfo
    features_as_of: FeaturesAsOf


SegmentKind = Literal["rule", "customer_ids", "rfm_segment", "churn_risk", "recommended_offer"]
ChurnRisk = Literal["high", "medium", "low"]
DefinitionVersion = Annotated[
    int, Field(ge=1, description="One more with each change; never used again, not even once the segment is deleted")
]
Updated = Annotated[str, Field(description="When this version was written (RFC 3339)")]


class SegmentDefinitionAnswer(TypedDict):
    """A definition as it is stored: exactly one of the last five is there."""

    segment_id: str
    segment_name: str
    version: DefinitionVersion
    updated: Updated
    rule: NotRequired[dict[str, object]]
    customer_ids: NotRequired[list[str]]
    rfm_segment: NotRequired[str]
    churn_risk: NotRequired[ChurnRisk]
    recommended_offer: NotRequired[int]


class SegmentSummary(TypedDict):
    segment_id: str
    segment_name: str
    kind: Annotated[SegmentKind, Field(description="Which of the five says who is in it")]
    version: DefinitionVersion
    updated: Updated


class SegmentListAnswer(TypedDict):
    segments: Annotated[list[SegmentSummary], Field(description="In order of segment_id")]
    next: NotRequired[Annotated[str, Field(description="Where there are more: the `next` of the request for those")]]


class SegmentPredictRequest(_Request):
    """Every member of a segment."""

    type: Type = "churn"


class ChurnAggregate(TypedDict):
    high: int
    medium: int
    low: int
    avg_probability: Annotated[float, Field(description="Over the members that were answered; 0 where there are none")]


class SegmentAnswer(TypedDict):
    segment_id: str
    segment_name: str
    type: PredictionType
    mode: Literal["segment"]
    total_customers: Annotated[int, Field(description="The members, each counted: nothing is sampled")]
    processed: int
    successful: int
    failed: int
    aggregated_stats: Annotated[
        ChurnAggregate | dict[str, int], Field(description="For nbo and rfm the members by offer or segment name")
    ]
    results: Annotated[
        list[CustomerResult], Field(description="The first 100 in order of customer_id, or the best `top`, best first")
    ]
    errors: Annotated[list[CustomerError], Field(description="The first 10 in order of customer_id")]
    has_more_results: bool
    mock: bool
    model: ModelInfo
    features_as_of: str
    message: NotRequired[Annotated[str, Field(description="Why an older feature snapshot than the newest answered")]]


class ChurnStatistics(ChurnAggregate):
    count: Annotated[int, Field(description="The members that were answered; the percentages are of these")]
    failed: int
    high_percentage: float
    medium_percentage: float
    low_percentage: float


class NboStatistics(TypedDict):
    count: int
    failed: int
    top_offers: Annotated[list[tuple[str, int]], Field(description="The three that are best for most, most first")]
    distribution: Annotated[dict[str, int], Field(description="Members by the offer that is best for them")]


class RfmStatistics(TypedDict):
    count: int
    failed: int
    distribution: Annotated[dict[str, int], Field(description="Members by RFM segment")]
    top_segments: Annotated[list[tuple[str, int]], Field(description="The three largest, largest first")]


class Statistics(TypedDict):
    churn: ChurnStatistics
    nbo: NboStatistics
    rfm: RfmStatistics


DriftBand = Literal["stable", "moderate", "significant", "too_few"]


class Drift(TypedDict):
    psi: Annotated[float | None, Field(description="Population stability index against the training rows")]
    band: DriftBand
    count: Annotated[int, Field(description="The members with a value")]


class ModelDrift(TypedDict):
    features: dict[str, Drift]
    score: Drift


class StatisticsChange(TypedDict):
    """Differences: percentages in percentage points."""

    member_count: int
    avg_probability: float
    high_percentage: float
    medium_percentage: float
    low_percentage: float


class HistoryChange(TypedDict):
    """How the statistics moved since the entry before, in all and by cause; the causes add up to `total`.

    `inseparable` is what several causes did together where the statistics to tell them apart were not stored.
    """

    since: str
    total: StatisticsChange
    customers: NotRequired[StatisticsChange]
    model: NotRequired[StatisticsChange]
    definition: NotRequired[StatisticsChange]
    inseparable: NotRequired[StatisticsChange]


class HistoryEntry(TypedDict):
    features_as_of: str
    snapshot: str
    models: Annotated[dict[str, str], Field(description="The version of each model, and of RFM's cut points")]
    definition: Annotated[int, Field(description="The version of the segment's definition; 0 for the whole base")]
    member_count: int
    stats: Statistics
    change: Annotated[HistoryChange | None, Field(description="Null where there is nothing before")]


class SegmentDrift(TypedDict):
    """By model that has its training distribution in its card: of the segment's members, and of all customers."""

    segment: dict[str, ModelDrift]
    all_customers: dict[str, ModelDrift]


class SegmentStatsAnswer(TypedDict):
    segment_id: str
    segment_name: str
    member_count: int
    stats: Statistics
    history: Annotated[list[HistoryEntry], Field(description="One entry a snapshot, oldest first, of the latest 1,000")]
    drift: SegmentDrift
    mock: bool
    models: dict[str, ModelInfo]
    features_as_of: str
    message: NotRequired[Annotated[str, Field(description="Why an older feature snapshot than the newest answered")]]


JobKind = Literal["segment", "file", "dataset"]
JobStatus = Literal["awaiting_upload", "queued", "running", "succeeded", "failed"]

DATASETS = "datasets/"
"""Prefixes of the data bucket below it are scored when someone asks."""
MAX_PREFIX = 512


class JobRequest(_Request):
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


class RuntimeStatus(TypedDict):
    library: str
    version: str


class ModelStatus(TypedDict):
    path: Annotated[str | None, Field(description="The model's key in the model bucket")]
    exists: Annotated[bool, Field(description="A version of it is published")]
    loaded: Annotated[bool, Field(description="It answers requests now")]
    version: str | None
    sha256: str | None
    placeholder: bool | None
    metrics: dict[str, float]
    message: NotRequired[Annotated[str, Field(description="What is wrong, and what to do")]]


class FeaturesStatus(TypedDict):
    as_of: str | None
    customers: int | None
    message: NotRequired[str]


class StatusAnswer(TypedDict):
    mock_mode: MockMode
    runtime: RuntimeStatus
    models: dict[str, ModelStatus]
    features: FeaturesStatus


class HealthAnswer(TypedDict):
    status: Literal["ok"]


class ErrorAnswer(TypedDict):
    error: Annotated[str, Field(description="A sentence that a person can act on")]
    code: Annotated[str, Field(description="For programs")]
    details: NotRequired[dict[str, object]]
