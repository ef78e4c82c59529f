"""What a result has besides if its reasons, or a what-if, were asked for."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict


class FeatureReason(TypedDict):
    """A feature's value beside what is typical."""

    feature: str
    value: Annotated[float, Field(description="The customer's")]
    typical: Annotated[float, Field(description="The baseline's: the median of the active customers")]


class Reason(TypedDict):
    """What a feature, or a group of features, adds to the score. A group, and a text that is read by its categories,
    has `group` and `features` in place of `feature`, `value` and `typical`."""

    feature: NotRequired[str]
    value: NotRequired[Annotated[float, Field(description="The customer's")]]
    typical: NotRequired[Annotated[float, Field(description="The baseline's: the median of the active customers")]]
    group: NotRequired[
        Annotated[str, Field(description="As `[reasons.groups]` of the training configuration says, or a text's name")]
    ]
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

    overrides: Annotated[
        dict[str, Override],
        Field(description="By feature, those that this result reads; also the category that a given one replaces"),
    ]
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
