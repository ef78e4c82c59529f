"""Answers that are of no one part: what is loaded, whether a function answers, an error."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from loyalty_ml.vocabulary import MockMode


class RuntimeStatus(TypedDict):
    library: str
    version: str


class ModelStatus(TypedDict):
    path: Annotated[str | None, Field(description="The model's key in the model bucket")]
    exists: Annotated[bool, Field(description="Whether a version is published")]
    loaded: Annotated[bool, Field(description="Whether it answers requests now")]
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
    error: Annotated[str, Field(description="What is wrong, and what to do")]
    code: Annotated[str, Field(description="The error code, for programs")]
    details: NotRequired[dict[str, object]]
