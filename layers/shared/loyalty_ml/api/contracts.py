"""Answers that are of no one part: what is loaded, whether a function answers, an error."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.vocabulary import MockMode


class RuntimeStatus(TypedDict):
    library: str
    version: str


class ActiveStatus(TypedDict):
    """A customer whose `feature` is over `days` has lapsed."""

    feature: str
    days: float


class EvidenceStatus(TypedDict):
    """The codes of offers of which enough is known to recommend them, and of those of which too little is."""

    learnt: list[str]
    too_few: list[str]


class ModelStatus(TypedDict):
    path: Annotated[str | None, Field(description="The model's key in the model bucket")]
    exists: Annotated[bool, Field(description="Whether a version is published")]
    loaded: Annotated[bool, Field(description="Whether it answers requests now")]
    version: str | None
    sha256: str | None
    placeholder: bool | None
    metrics: dict[str, float]
    active: NotRequired[
        Annotated[
            ActiveStatus | Literal["unknown"],
            Field(description="Of churn: who has lapsed; `unknown` if the model was made before there was such a rule"),
        ]
    ]
    evidence: NotRequired[
        Annotated[
            EvidenceStatus | Literal["unknown"],
            Field(description="Of nbo: which offers are recommended; `unknown` if the model was made before that"),
        ]
    ]
    quality: NotRequired[
        Annotated[
            list[str],
            Field(description="What the model is worth on customers who were held out; empty if it was not measured"),
        ]
    ]
    advice: NotRequired[
        Annotated[str, Field(description="What training says to do, as no new model was good enough to be published")]
    ]
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
    error: Annotated[str, Field(description="What is wrong, and what to do")]
    code: Annotated[str, Field(description="The error code, for programs")]
    details: NotRequired[dict[str, object]]
