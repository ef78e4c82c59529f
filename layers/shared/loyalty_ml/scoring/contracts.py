"""What goes in and out of a prediction over HTTP: requests are checked by pydantic, answers are typed dictionaries.

Answers are TypedDicts because they are written, never read: a hundred of them cost nothing to build, and both the type
checker and the OpenAPI document know their shape.
"""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from loyalty_ml.models.card import ModelInfo
from loyalty_ml.scoring.scores import ChurnRisk
from loyalty_ml.vocabulary import MAX_ID_CHARACTERS, AskedType, CustomerId, PredictionType, Request

MAX_BATCH = 100
CustomerIds = Annotated[
    list[Annotated[str, Field(strict=True, max_length=MAX_ID_CHARACTERS, examples=["1"])]],
    Field(
        min_length=1,
        max_length=MAX_BATCH,
        description="1 to 100 ids; an id that is given twice is answered twice, and one that is blank fails alone",
    ),
]
Type = Annotated[AskedType, Field(description="The question to answer; `all` answers the three side by side")]
WithFeatures = Annotated[
    bool, Field(strict=True, description="Whether the answer shows the feature values that it was made from")
]


class PredictRequest(Request):
    """One customer."""

    customer_id: CustomerId
    type: Type = "churn"
    features: WithFeatures = False


class BatchRequest(Request):
    """Up to a hundred customers."""

    customer_ids: CustomerIds
    type: Type = "churn"


class PredictOrBatchRequest(Request):
    """One customer by `customer_id`, or up to a hundred by `customer_ids`: exactly one of the two."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["customer_id"], "x-with": ["features"]}, {"required": ["customer_ids"]}]
        }
    )

    customer_id: CustomerId | None = None
    customer_ids: CustomerIds | None = None
    type: Type = "churn"
    features: WithFeatures = False

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.customer_id is None) == (self.customer_ids is None):
            raise ValueError("give exactly one of customer_id and customer_ids")
        if self.features and self.customer_id is None:
            raise ValueError("features are shown of one customer: give customer_id, or leave features out")
        return self


class ChurnResult(TypedDict):
    customer_id: str
    churn_probability: float
    churn_risk: Annotated[
        ChurnRisk,
        Field(description="`lapsed`: the customer has left already by the model's own rule, whatever the probability"),
    ]
    mock: NotRequired[Literal[True]]


class OfferProbability(TypedDict):
    offer_id: Annotated[
        int, Field(description="The offer's place in this model's output: another model may have another offer there")
    ]
    offer_code: Annotated[
        str, Field(description="The company's own code of the offer, the same for every model", examples=["FREE_SHIP"])
    ]
    offer_name: str
    category: str
    probability: float
    evidence: Annotated[
        Literal["learnt", "too_few", "unknown"],
        Field(
            description="`too_few`: the model has seen too few customers take or refuse the offer, so it is not "
            "recommended; `unknown`: the model was made before this was looked at"
        ),
    ]
    explored: NotRequired[
        Annotated[
            Literal[True],
            Field(
                description="The offer is recommended although too little is known of it: the customer is of the share "
                "that is given it, so that more becomes known"
            ),
        ]
    ]


class NboResult(TypedDict):
    customer_id: str
    recommended_offer: Annotated[int, Field(description="The `offer_id` of `top_offer`")]
    confidence: Annotated[float, Field(description="The probability of `top_offer`")]
    offer_scores: Annotated[list[float], Field(description="The probability of each offer, in order of offer id")]
    offers: Annotated[
        list[OfferProbability],
        Field(description="The recommended one first, then the most probable; those with too few data are last"),
    ]
    top_offer: Annotated[OfferProbability, Field(description="The recommended offer, the first of `offers`")]
    mock: NotRequired[Literal[True]]


class RfmResult(TypedDict):
    customer_id: str
    recency: Annotated[float, Field(description="Days since the last purchase")]
    frequency: Annotated[float, Field(description="Number of purchases, over all history by default")]
    monetary: Annotated[float, Field(description="Money spent, over all history by default")]
    r_score: Annotated[int, Field(ge=1, le=5)]
    f_score: Annotated[int, Field(ge=1, le=5)]
    m_score: Annotated[int, Field(ge=1, le=5)]
    rfm_segment: Annotated[str, Field(pattern="^[1-5]{3}$", examples=["545"])]
    segment: Annotated[str, Field(examples=["Champions"])]


Result = ChurnResult | NboResult | RfmResult
FeaturesAsOf = Annotated[
    str | None,
    Field(
        description="The moment that the features describe (RFC 3339); the oldest of a batch, null if it found nobody"
    ),
]


FeatureValues = Annotated[
    dict[str, float],
    Field(
        description="If they were asked for: the values that the answer was made from, in the model's order; of mock "
        "answers none"
    ),
]


class SingleAnswer(TypedDict):
    type: PredictionType
    mode: Literal["single"]
    customer_id: str
    result: Result
    mock: bool
    model: ModelInfo
    features_as_of: FeaturesAsOf
    features: NotRequired[FeatureValues]


FailureCode = Annotated[
    str, Field(examples=["CUSTOMER_NOT_FOUND", "NO_PURCHASES", "MISSING_FEATURES", "INVALID_FEATURES"])
]


class CustomerResult(TypedDict):
    customer_id: str
    result: Result


class CustomerError(TypedDict):
    customer_id: str
    error: str
    code: FailureCode


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


class ResultsByType(TypedDict):
    """Of `all`: each type that has an answer."""

    churn: NotRequired[ChurnResult]
    nbo: NotRequired[NboResult]
    rfm: NotRequired[RfmResult]


class TypeFailure(TypedDict):
    """Why a customer has no answer of one type."""

    error: str
    code: FailureCode


class ErrorsByType(TypedDict):
    """Of `all`: each type that has no answer, and why; empty if all have one."""

    churn: NotRequired[TypeFailure]
    nbo: NotRequired[TypeFailure]
    rfm: NotRequired[TypeFailure]


class ModelsByType(TypedDict):
    churn: ModelInfo
    nbo: ModelInfo
    rfm: ModelInfo


class AllAnswer(TypedDict):
    """The three types for one customer, who has an answer of at least one."""

    type: Literal["all"]
    mode: Literal["single"]
    customer_id: str
    results: ResultsByType
    errors: ErrorsByType
    mock: Annotated[bool, Field(description="Whether one of the answers is mock data")]
    models: ModelsByType
    features_as_of: FeaturesAsOf
    features: NotRequired[FeatureValues]


class AllResult(TypedDict):
    customer_id: str
    results: ResultsByType
    errors: ErrorsByType


class AllError(TypedDict):
    """A customer without any answer; `error` and `code` are the first type's."""

    customer_id: str
    error: str
    code: FailureCode
    errors: ErrorsByType


class AllBatchAnswer(TypedDict):
    """The three types for each customer. Who has an answer of at least one is among the results."""

    type: Literal["all"]
    mode: Literal["batch"]
    total: int
    successful: int
    failed: int
    results: Annotated[list[AllResult], Field(description="In the order of the request")]
    errors: list[AllError]
    mock: Annotated[bool, Field(description="Whether one of the answers is mock data")]
    models: ModelsByType
    features_as_of: FeaturesAsOf
