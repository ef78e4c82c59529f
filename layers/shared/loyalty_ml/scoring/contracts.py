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

FiniteNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]

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
Explain = Annotated[
    bool,
    Field(
        strict=True,
        description="Whether each result says why: `reasons`, what each feature adds to the score (its exact Shapley "
        "value against the median customer), the largest first",
    ),
]
MAX_OVERRIDES = 1000
Overrides = Annotated[
    dict[Annotated[str, Field(strict=True, max_length=MAX_ID_CHARACTERS)], FiniteNumber],
    Field(
        max_length=MAX_OVERRIDES,
        description="What if: values that stand in place of the customer's, by feature, each within the feature's "
        "domain. All other features stay as they are. Each result says in `what_if` how far the score moved",
        examples=[{"days_since_last": 3}],
    ),
]


class PredictRequest(Request):
    """One customer."""

    customer_id: CustomerId
    type: Type = "churn"
    features: WithFeatures = False
    explain: Explain = False
    overrides: Overrides = Field({})


class BatchRequest(Request):
    """Up to a hundred customers."""

    customer_ids: CustomerIds
    type: Type = "churn"
    explain: Explain = False


class PredictOrBatchRequest(Request):
    """One customer by `customer_id`, or up to a hundred by `customer_ids`: exactly one of the two."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["customer_id"], "x-with": ["features", "overrides"]},
                {"required": ["customer_ids"]},
            ]
        }
    )

    customer_id: CustomerId | None = None
    customer_ids: CustomerIds | None = None
    type: Type = "churn"
    features: WithFeatures = False
    explain: Explain = False
    overrides: Overrides = Field({})

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.customer_id is None) == (self.customer_ids is None):
            raise ValueError("give exactly one of customer_id and customer_ids")
        if self.features and self.customer_id is None:
            raise ValueError("features are shown of one customer: give customer_id, or leave features out")
        if self.overrides and self.customer_id is None:
            raise ValueError("overrides are of one customer: give customer_id, or leave overrides out")
        return self


class FeatureReason(TypedDict):
    """A feature's value beside what is typical."""

    feature: str
    value: Annotated[float, Field(description="The customer's")]
    typical: Annotated[float, Field(description="The baseline's: the median of the active customers")]


class Reason(TypedDict):
    """What a feature, or a group of features, adds to the score. A group has `group` and `features` in place of
    `feature`, `value` and `typical`."""

    feature: NotRequired[str]
    value: NotRequired[Annotated[float, Field(description="The customer's")]]
    typical: NotRequired[Annotated[float, Field(description="The baseline's: the median of the active customers")]]
    group: NotRequired[Annotated[str, Field(description="As `[reasons.groups]` of the training configuration says")]]
    features: NotRequired[list[FeatureReason]]
    contribution: Annotated[
        float, Field(description="All contributions and `explained.baseline_score` add up to `explained.score`")
    ]
    standard_error: NotRequired[Annotated[float, Field(description="Of a contribution that is sampled")]]
    words: Annotated[str, Field(examples=["no purchase for 74 days, typical 12: +0.21"])]


class Explained(TypedDict):
    """What the reasons of a result explain."""

    of: Annotated[
        str,
        Field(
            description="What `score` is: churn's probability; of nbo the probability of the recommended offer less "
            "the mean of the other learnt ones; of rfm the sum of its three scores",
            examples=["churn_probability"],
        ),
    ]
    score: float
    baseline_score: Annotated[float, Field(description="The score of the baseline, the median customer")]
    method: Annotated[
        Literal["exact", "sampled"],
        Field(description="`sampled`, of permutations, if more than 14 features differ from the baseline"),
    ]


Reasons = Annotated[list[Reason], Field(description="If `explain` is asked for: the largest contribution first")]


class Override(TypedDict):
    before: Annotated[float | None, Field(description="The customer's own value; null if there is none")]
    after: float


class WhatIf(TypedDict):
    """How the result differs from the customer's own."""

    overrides: Annotated[dict[str, Override], Field(description="By feature, those that this result reads")]
    score_before: Annotated[
        float | None,
        Field(
            description="Without the overrides: the churn probability, the probability of the offer that is "
            "recommended now, or the sum of the three RFM scores; null if the customer has no answer without them"
        ),
    ]
    score_after: float
    moved: Annotated[float | None, Field(description="`score_after` less `score_before`")]


class Explainable(TypedDict):
    """What a result has besides if it was asked for."""

    explained: NotRequired[Explained]
    reasons: NotRequired[Reasons]
    what_if: NotRequired[Annotated[WhatIf, Field(description="If there are `overrides`")]]


class ChurnResult(Explainable):
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


class NboResult(Explainable):
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


class RfmResult(Explainable):
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
