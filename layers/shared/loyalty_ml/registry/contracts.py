"""What goes in and out of the models' routes over HTTP."""

from typing import Annotated, Any, NotRequired

from pydantic import Field, JsonValue
from typing_extensions import TypedDict

from loyalty_ml.models.document import Name
from loyalty_ml.models.document import Version as VersionName
from loyalty_ml.vocabulary import Request

Revision = Annotated[
    str | None,
    Field(
        max_length=200,
        description="The `revision` of GET /models that the decision was made on; if another set is active by now, the "
        "answer is 409. Without it, the set that is active now is changed, whatever it is",
    ),
]
Force = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=500,
        description="Why the set becomes active although the current feature snapshot does not fit it; the manifest "
        "keeps the reason",
    ),
]
Forced = Annotated[str | None, Field(description="Why it is there although it failed a check; null if it passed")]


class PromoteRequest(Request):
    """Versions that become active together; the other models stay as they are."""

    versions: Annotated[
        dict[Name, VersionName],
        Field(min_length=1, max_length=20, description="By model", examples=[{"churn": "20261128T222800Z-8059d23a"}]),
    ]
    revision: Revision = None
    force: Force = None


class RollbackRequest(Request):
    """The set before the active one becomes active again."""

    revision: Revision = None
    force: Force = None


class TrainingData(TypedDict):
    data: str
    rows: int
    start: Annotated[str | None, Field(description="RFC 3339")]
    end: Annotated[str | None, Field(description="RFC 3339")]
    objective: str | None


class ModelVersion(TypedDict):
    version: str
    active: bool
    created: Annotated[str | None, Field(description="RFC 3339; null if the card cannot be read")]
    placeholder: Annotated[bool | None, Field(description="True for a model trained on generated data")]
    metrics: dict[str, float]
    training: TrainingData | None
    forced: Forced
    problem: Annotated[str | None, Field(description="Why it could not be served, and what to do; null if it can")]


class ModelVersions(TypedDict):
    active: Annotated[str | None, Field(description="The active version; null if there is none")]
    total: Annotated[int, Field(description="How many versions lie in the bucket")]
    versions: Annotated[
        list[ModelVersion],
        Field(description="The newest first: `limit` of them, and those that are active or can be rolled back to"),
    ]


class CutPointsAnswer(TypedDict):
    version: str
    features: Annotated[list[str], Field(description="What recency, frequency and monetary are read from")]
    recency: Annotated[list[float], Field(description="The most days for the scores 5, 4, 3 and 2")]
    frequency: Annotated[list[float], Field(description="The fewest purchases for the scores 5, 4, 3 and 2")]
    monetary: Annotated[list[float], Field(description="The least money for the scores 5, 4, 3 and 2")]


class ModelSetAnswer(TypedDict):
    """Models that are, or were, active together."""

    created: Annotated[str, Field(description="When the set was put together (RFC 3339)")]
    models: Annotated[dict[str, str], Field(description="The version of each model")]
    rfm: CutPointsAnswer
    forced: Forced


class ModelListAnswer(TypedDict):
    revision: Annotated[str | None, Field(description="Names this state of the active set, for promote and rollback")]
    active: Annotated[ModelSetAnswer | None, Field(description="Null if nothing was ever published")]
    previous: Annotated[
        list[ModelSetAnswer], Field(description="The sets that rollbacks return to, the one before the active first")
    ]
    models: dict[str, ModelVersions]


class ModelCardAnswer(TypedDict):
    """What a version is, wants and gives, and how good it was when it was measured: its card, less what only the
    functions read.
    """

    name: str
    version: str
    created: str
    placeholder: bool
    features: list[str]
    thresholds: dict[str, float]
    offers: list[dict[str, JsonValue]]
    training: TrainingData
    metrics: dict[str, float]
    evaluation: Annotated[dict[str, object], Field(description="All that was measured when it was trained")]
    forced: Forced
    active: Annotated[dict[str, object] | None, Field(description="Of a churn model, who counts as a customer to lose")]
    churn_quality: Annotated[
        dict[str, Any] | None, Field(description="What it is worth, in customers who were held out")
    ]
    offer_quality: Annotated[dict[str, Any] | None, Field(description="What the recommendation is worth")]
    domains: Annotated[
        dict[str, dict[str, JsonValue]] | None,
        Field(
            description="By feature that is read, the values that it may have: `least` or `above`, `most` or `below`, "
            "`whole`; null for a version of before there were any"
        ),
    ]
    baseline: Annotated[
        dict[str, Any] | None,
        Field(
            description="Who a score is explained against: each feature's typical value in `values`, what a reason "
            "says of it in `words`; null for a version of before there was one"
        ),
    ]
    usual_ranges: Annotated[
        dict[str, tuple[float, float]] | None,
        Field(
            description="By feature, two values between which most of the training rows have theirs; null for a "
            "version of before they were counted"
        ),
    ]


class ModelChangeAnswer(TypedDict):
    """What is active now, and what was before."""

    changed: Annotated[bool, Field(description="False if this set was the active one already")]
    revision: str | None
    active: ModelSetAnswer
    before: ModelSetAnswer | None
    not_compared: NotRequired[
        Annotated[list[str], Field(description="What could not be compared with the feature snapshot, and why")]
    ]
