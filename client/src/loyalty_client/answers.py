"""The answers' types. `make docs` writes this module from openapi.json: change loyalty_ml's contracts.py.

An answer is a plain dictionary. The service may add fields, and an older one may lack some.
"""

from typing import Any, Literal, NotRequired, TypedDict


class ActiveStatus(TypedDict):
    feature: str
    days: float


class AggregatesByType(TypedDict):
    churn: "ChurnAggregate"
    nbo: dict[str, int]
    rfm: dict[str, int]


class AllAnswer(TypedDict):
    type: Literal["all"]
    mode: Literal["single"]
    customer_id: str
    results: "ResultsByType"
    errors: "ErrorsByType"
    mock: bool
    models: "ModelsByType"
    features_as_of: str | None
    features: NotRequired[dict[str, float]]


class AllError(TypedDict):
    customer_id: str
    error: str
    code: str
    errors: "ErrorsByType"


class AllResult(TypedDict):
    customer_id: str
    results: "ResultsByType"
    errors: "ErrorsByType"


class ChurnAggregate(TypedDict):
    high: int
    medium: int
    low: int
    lapsed: int
    avg_probability: float | None
    avg_probability_active: float | None


class ChurnResult(TypedDict):
    explained: NotRequired["Explained"]
    reasons: NotRequired["list[Reason]"]
    what_if: NotRequired["WhatIf"]
    customer_id: str
    churn_probability: float
    churn_risk: Literal["high", "medium", "low", "lapsed"]
    mock: NotRequired[Literal[True]]


class ChurnStatistics(TypedDict):
    high: int
    medium: int
    low: int
    lapsed: int | None
    avg_probability: float | None
    avg_probability_active: float | None
    count: int
    failed: int
    failed_by_code: NotRequired[dict[str, int]]
    high_percentage: float | None
    medium_percentage: float | None
    low_percentage: float | None
    lapsed_percentage: float | None


class CustomerError(TypedDict):
    customer_id: str
    error: str
    code: str


class CustomerResult(TypedDict):
    customer_id: str
    result: "ChurnResult | NboResult | RfmResult"


class Drift(TypedDict):
    psi: float | None
    band: Literal["stable", "moderate", "significant", "too_few"]
    count: int
    p_value: float | None
    weight: float | None
    alarm: bool | None


class Driver(TypedDict):
    feature: NotRequired[str]
    group: NotRequired[str]
    mean_absolute_contribution: float


class Drivers(TypedDict):
    customers: int
    features: "list[Driver]"


class ErrorsByType(TypedDict):
    churn: NotRequired["TypeFailure"]
    nbo: NotRequired["TypeFailure"]
    rfm: NotRequired["TypeFailure"]


class EvidenceStatus(TypedDict):
    learnt: list[str]
    too_few: list[str]


class Explained(TypedDict):
    of: str
    score: float
    baseline_score: float
    method: Literal["exact", "sampled"]


class FailedByType(TypedDict):
    churn: int
    nbo: int
    rfm: int


class FeatureReason(TypedDict):
    feature: str
    value: float
    typical: float


class FeaturesStatus(TypedDict):
    as_of: str | None
    customers: int | None
    message: NotRequired[str]


class HistoryChange(TypedDict):
    since: str
    total: "StatisticsChange"
    customers: NotRequired["StatisticsChange"]
    model: NotRequired["StatisticsChange"]
    definition: NotRequired["StatisticsChange"]
    inseparable: NotRequired["StatisticsChange"]


class HistoryEntry(TypedDict):
    features_as_of: str
    snapshot: str
    models: dict[str, str]
    definition: int
    member_count: int
    stats: "Statistics"
    change: "HistoryChange | None"


class JobAnswer(TypedDict):
    job_id: str
    kind: Literal["segment", "file", "dataset"]
    status: Literal["awaiting_upload", "queued", "running", "succeeded", "partly_failed", "failed"]
    created: str
    updated: str
    progress: "JobProgress"
    request: dict[str, Any]
    error: NotRequired[str]
    code: NotRequired[str]
    answer: NotRequired["SegmentAnswer | SegmentAllAnswer | SegmentStatsAnswer"]
    summary: NotRequired["JobSummary"]
    results: NotRequired["dict[str, ResultFile]"]


class JobListed(TypedDict):
    job_id: str
    kind: Literal["segment", "file", "dataset"]
    status: Literal["awaiting_upload", "queued", "running", "succeeded", "partly_failed", "failed"]
    created: str
    updated: str
    progress: "JobProgress"
    request: dict[str, Any]
    error: NotRequired[str]
    code: NotRequired[str]


class JobProgress(TypedDict):
    processed: int
    total: int | None
    errors: NotRequired[int]
    share: NotRequired[float | None]
    rate: NotRequired[float | None]


class JobSummary(TypedDict):
    job_id: str
    status: Literal["awaiting_upload", "queued", "running", "succeeded", "partly_failed", "failed"]
    code: NotRequired[str]
    error: NotRequired[str]
    type: Literal["churn", "nbo", "rfm", "all"]
    key: NotRequired[str]
    version_id: NotRequired[str | None]
    dataset: NotRequired[str]
    prefix: NotRequired[str]
    file_count: NotRequired[int]
    succeeded: NotRequired[int]
    failed: NotRequired[int]
    skipped: NotRequired[int]
    rows: int
    predictions: int
    errors: int
    lines: NotRequired[int]
    lines_by_kind: NotRequired[dict[str, int]]
    errors_by_code: NotRequired[dict[str, int]]
    mock: NotRequired[bool]
    models: NotRequired["dict[str, ModelInfo]"]
    features: NotRequired[Literal["file", "snapshot"]]
    features_as_of: NotRequired[str | None]
    ignored_columns: NotRequired[list[str]]
    kept_columns: NotRequired[list[str]]
    message: NotRequired[str]
    files: dict[str, str]


class ModelDrift(TypedDict):
    features: "dict[str, Drift]"
    score: "Drift"


class ModelInfo(TypedDict):
    name: str
    version: str
    placeholder: bool


class ModelStatus(TypedDict):
    path: str | None
    exists: bool
    loaded: bool
    version: str | None
    sha256: str | None
    placeholder: bool | None
    metrics: dict[str, float]
    active: NotRequired["ActiveStatus | Literal['unknown']"]
    evidence: NotRequired["EvidenceStatus | Literal['unknown']"]
    quality: NotRequired[list[str]]
    advice: NotRequired[str]
    message: NotRequired[str]


class ModelsByType(TypedDict):
    churn: "ModelInfo"
    nbo: "ModelInfo"
    rfm: "ModelInfo"


class NboResult(TypedDict):
    explained: NotRequired["Explained"]
    reasons: NotRequired["list[Reason]"]
    what_if: NotRequired["WhatIf"]
    customer_id: str
    recommended_offer: int
    confidence: float
    offer_scores: list[float]
    offers: "list[OfferProbability]"
    top_offer: "OfferProbability"
    mock: NotRequired[Literal[True]]


class NboStatistics(TypedDict):
    count: int
    failed: int
    failed_by_code: NotRequired[dict[str, int]]
    top_offers: list[list[str | int]]
    distribution: dict[str, int]
    by_code: NotRequired[dict[str, int]]


class OfferProbability(TypedDict):
    offer_id: int
    offer_code: str
    offer_name: str
    category: str
    probability: float
    evidence: Literal["learnt", "too_few", "unknown"]
    explored: NotRequired[Literal[True]]


class Override(TypedDict):
    before: float | None
    after: float


class Reason(TypedDict):
    feature: NotRequired[str]
    value: NotRequired[float]
    typical: NotRequired[float]
    group: NotRequired[str]
    features: NotRequired["list[FeatureReason]"]
    contribution: float
    standard_error: NotRequired[float]
    words: str


class ResultFile(TypedDict):
    key: str
    url: str


class ResultsByType(TypedDict):
    churn: NotRequired["ChurnResult"]
    nbo: NotRequired["NboResult"]
    rfm: NotRequired["RfmResult"]


class RfmResult(TypedDict):
    explained: NotRequired["Explained"]
    reasons: NotRequired["list[Reason]"]
    what_if: NotRequired["WhatIf"]
    customer_id: str
    recency: float
    frequency: float
    monetary: float
    r_score: int
    f_score: int
    m_score: int
    rfm_segment: str
    segment: str


class RfmStatistics(TypedDict):
    count: int
    failed: int
    failed_by_code: NotRequired[dict[str, int]]
    distribution: dict[str, int]
    top_segments: list[list[str | int]]


class RuntimeStatus(TypedDict):
    library: str
    version: str


class SegmentAllAnswer(TypedDict):
    segment_id: str
    segment_name: str
    type: Literal["all"]
    mode: Literal["segment"]
    total_customers: int
    processed: int
    successful: int
    failed: int
    failed_by_type: "FailedByType"
    aggregated_stats: "AggregatesByType"
    results: "list[AllResult]"
    errors: "list[AllError]"
    has_more_results: bool
    mock: bool
    models: "ModelsByType"
    features_as_of: str
    message: NotRequired[str]


class SegmentAnswer(TypedDict):
    segment_id: str
    segment_name: str
    type: Literal["churn", "nbo", "rfm"]
    mode: Literal["segment"]
    total_customers: int
    processed: int
    successful: int
    failed: int
    failed_by_code: dict[str, int]
    aggregated_stats: "ChurnAggregate | dict[str, int]"
    results: "list[CustomerResult]"
    errors: "list[CustomerError]"
    has_more_results: bool
    mock: bool
    model: "ModelInfo"
    features_as_of: str
    message: NotRequired[str]


class SegmentDefinitionAnswer(TypedDict):
    segment_id: str
    segment_name: str
    version: int
    updated: str
    rule: NotRequired[dict[str, Any]]
    customer_ids: NotRequired[list[str]]
    customer_list: NotRequired[str]
    listed_customers: NotRequired[int]
    list_url: NotRequired[str]
    rfm_segment: NotRequired[str]
    churn_risk: NotRequired[Literal["high", "medium", "low", "lapsed"]]
    recommended_offer: NotRequired[int | str]


class SegmentDrift(TypedDict):
    segment: "dict[str, ModelDrift]"
    all_customers: "dict[str, ModelDrift]"


class SegmentStatsAnswer(TypedDict):
    segment_id: str
    segment_name: str
    member_count: int
    stats: "Statistics"
    history: "list[HistoryEntry]"
    drift: "SegmentDrift"
    drivers: "dict[str, Drivers]"
    mock: bool
    models: "dict[str, ModelInfo]"
    features_as_of: str
    message: NotRequired[str]


class SegmentSummary(TypedDict):
    segment_id: str
    segment_name: str
    kind: Literal["rule", "customer_ids", "rfm_segment", "churn_risk", "recommended_offer", "combined"]
    version: int
    updated: str


class SingleAnswer(TypedDict):
    type: Literal["churn", "nbo", "rfm"]
    mode: Literal["single"]
    customer_id: str
    result: "ChurnResult | NboResult | RfmResult"
    mock: bool
    model: "ModelInfo"
    features_as_of: str | None
    features: NotRequired[dict[str, float]]


class Statistics(TypedDict):
    churn: "ChurnStatistics"
    nbo: "NboStatistics"
    rfm: "RfmStatistics"


class StatisticsChange(TypedDict):
    member_count: int
    avg_probability: float | None
    high_percentage: float | None
    medium_percentage: float | None
    low_percentage: float | None
    lapsed_percentage: float | None
    avg_probability_active: float | None


class StatusAnswer(TypedDict):
    mock_mode: Literal["auto", "true", "false"]
    runtime: "RuntimeStatus"
    models: "dict[str, ModelStatus]"
    features: "FeaturesStatus"


class TypeFailure(TypedDict):
    error: str
    code: str


class WhatIf(TypedDict):
    overrides: "dict[str, Override]"
    score_before: float | None
    score_after: float
    moved: float | None
