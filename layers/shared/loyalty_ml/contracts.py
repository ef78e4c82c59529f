"""What goes in and out over HTTP: requests checked by pydantic, answers as typed dictionaries.

Answers are TypedDicts because they are written, never read: a hundred of them cost nothing to build, and both the
type checker and the OpenAPI document know their shape.
"""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypedDict

PredictionType = Literal["churn", "nbo", "rfm"]
MockMode = Literal["auto", "true", "false"]
MAX_BATCH = 100

CustomerId = Annotated[
    str, Field(strict=True, min_length=1, max_length=256, description="As in the warehouse", examples=["1"])
]
CustomerIds = Annotated[
    list[CustomerId],
    Field(min_length=1, max_length=MAX_BATCH, description="1 to 100 ids; one that comes twice is answered twice"),
]
Type = Annotated[PredictionType, Field(description="Which question to answer")]


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
