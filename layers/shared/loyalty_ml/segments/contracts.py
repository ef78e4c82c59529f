"""What goes in and out of the segments' routes over HTTP."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.jobs.contracts import UploadAddress
from loyalty_ml.models.card import ModelInfo
from loyalty_ml.scoring.contracts import AllError, AllResult, CustomerError, CustomerResult, Explain, ModelsByType, Type
from loyalty_ml.scoring.scores import ChurnRisk
from loyalty_ml.segments.aggregates import ChurnAggregate, DriversByType, FailedByCode, Statistics
from loyalty_ml.segments.definition import SegmentKind
from loyalty_ml.segments.drift import ModelDrift
from loyalty_ml.segments.history import HistoryEntry
from loyalty_ml.vocabulary import PredictionType, Request

DefinitionVersion = Annotated[
    int,
    Field(ge=1, description="Each change adds one; a version is never used again, even after the segment is deleted"),
]
Updated = Annotated[str, Field(description="When this version was written (RFC 3339)")]


class ListUploadAnswer(TypedDict):
    upload_id: Annotated[str, Field(description="`customer_list` of a definition, once the file is sent, within a day")]
    upload: UploadAddress


class SegmentDefinitionAnswer(TypedDict):
    """A definition as it is stored, with at least one of the fields that say who is in it."""

    segment_id: str
    segment_name: str
    version: DefinitionVersion
    updated: Updated
    rule: NotRequired[dict[str, object]]
    customer_ids: NotRequired[
        Annotated[list[str], Field(description="Of a list that a body can hold, wherever it came from")]
    ]
    customer_list: NotRequired[
        Annotated[str, Field(description="Of a longer list: send it again to keep the list and change the rest")]
    ]
    listed_customers: NotRequired[Annotated[int, Field(description="The number of ids in `customer_list`")]]
    list_url: NotRequired[
        Annotated[str, Field(description="The ids of `customer_list` as JSON, for a quarter of an hour")]
    ]
    rfm_segment: NotRequired[str]
    churn_risk: NotRequired[ChurnRisk]
    recommended_offer: NotRequired[int | str]


class SegmentSummary(TypedDict):
    segment_id: str
    segment_name: str
    kind: Annotated[SegmentKind, Field(description="Which field defines the members; `combined` if several do")]
    version: DefinitionVersion
    updated: Updated


class SegmentListAnswer(TypedDict):
    segments: Annotated[list[SegmentSummary], Field(description="In order of segment_id")]
    next: NotRequired[
        Annotated[str, Field(description="If there are more: send it as `next` for the following segments")]
    ]


class SegmentPredictRequest(Request):
    """Every member of a segment."""

    type: Type = "churn"
    explain: Explain = False


class SegmentAnswer(TypedDict):
    segment_id: str
    segment_name: str
    type: PredictionType
    mode: Literal["segment"]
    total_customers: Annotated[int, Field(description="The number of members: all are counted, none is sampled")]
    processed: int
    successful: int
    failed: int
    failed_by_code: FailedByCode
    aggregated_stats: Annotated[
        ChurnAggregate | dict[str, int],
        Field(description="For nbo and rfm: the number of members by name of the offer or RFM segment"),
    ]
    results: Annotated[
        list[CustomerResult],
        Field(
            description="The first 100 in order of customer_id, or the `top` members, highest probability first; of "
            "churn without those who have lapsed, unless `include=lapsed`"
        ),
    ]
    errors: Annotated[list[CustomerError], Field(description="The first 10 in order of customer_id")]
    has_more_results: bool
    mock: bool
    model: ModelInfo
    features_as_of: str
    message: NotRequired[
        Annotated[str, Field(description="Why the answer is from an older feature snapshot than the newest")]
    ]


class FailedByType(TypedDict):
    churn: int
    nbo: int
    rfm: int


class AggregatesByType(TypedDict):
    churn: ChurnAggregate
    nbo: Annotated[dict[str, int], Field(description="The number of members by name of the recommended offer")]
    rfm: Annotated[dict[str, int], Field(description="The number of members by RFM segment")]


class SegmentAllAnswer(TypedDict):
    """The three types for every member. Who has an answer of at least one is successful."""

    segment_id: str
    segment_name: str
    type: Literal["all"]
    mode: Literal["segment"]
    total_customers: Annotated[int, Field(description="The number of members: all are counted, none is sampled")]
    processed: int
    successful: int
    failed: int
    failed_by_type: Annotated[FailedByType, Field(description="The number of members without an answer of each type")]
    aggregated_stats: AggregatesByType
    results: Annotated[list[AllResult], Field(description="The first 100 in order of customer_id")]
    errors: Annotated[list[AllError], Field(description="The first 10 in order of customer_id")]
    has_more_results: bool
    mock: Annotated[bool, Field(description="Whether one of the answers is mock data")]
    models: ModelsByType
    features_as_of: str
    message: NotRequired[
        Annotated[str, Field(description="Why the answer is from an older feature snapshot than the newest")]
    ]


class SegmentDrift(TypedDict):
    """Drift by model, of the members and of all customers; a model needs the training distribution in its card."""

    segment: dict[str, ModelDrift]
    all_customers: dict[str, ModelDrift]


class SegmentStatsAnswer(TypedDict):
    segment_id: str
    segment_name: str
    member_count: int
    stats: Statistics
    history: Annotated[
        list[HistoryEntry], Field(description="One entry for each snapshot, oldest first; the latest 1,000")
    ]
    drift: SegmentDrift
    drivers: DriversByType
    mock: bool
    models: dict[str, ModelInfo]
    features_as_of: str
    message: NotRequired[
        Annotated[str, Field(description="Why the answer is from an older feature snapshot than the newest")]
    ]
