"""The model set: what publishing writes and serving reads.

    models/manifest.json    the active version of each model, and the way back; one conditional write

The manifest holds the hash of each card and a card the hash of its model, so one manifest fixes every byte of a set.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from loyalty_ml.models.baseline import Baseline
from loyalty_ml.models.document import Document, Name, Sha256, Version, parse
from loyalty_ml.models.domain import DEFAULT_DOMAINS, Domain

MANIFEST_KEY = "models/manifest.json"
CutPoints = Annotated[tuple[float, float, float, float], Field(description="for the scores 5, 4, 3 and 2")]


FeatureName = Annotated[str, Field(min_length=1)]


class RfmCutPoints(Document):
    """The least good value that still earns the scores 5, 4, 3 and 2: recency in days at most, the others at least.

    features: what recency, frequency and monetary are read from. Sets that were published before it was written read
    those of one year.
    """

    version: str
    features: tuple[FeatureName, FeatureName, FeatureName] = ("days_since_last", "transaction_count", "revenue")
    recency: CutPoints
    frequency: CutPoints
    monetary: CutPoints
    feature_definitions: dict[str, str] | None = None
    """What makes each of the features; None in sets of before there were any."""
    domains: dict[str, Domain] | None = None
    """The values that each of the features may have; None in sets of before there were any."""
    baseline: Baseline | None = None
    """Who the scores are explained against; None in sets of before there was one."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if others := (self.domains or {}).keys() - set(self.features):
            raise ValueError(f"there is a domain of {min(others)}, which is not read")
        if self.baseline and self.baseline.values.keys() != set(self.features):
            raise ValueError("the baseline is not of the features that are read")
        if list(self.recency) != sorted(self.recency):
            raise ValueError("the recency cut points do not rise from score 5 to score 2")
        for name in ("frequency", "monetary"):
            points = list(getattr(self, name))
            if points != sorted(points, reverse=True):
                raise ValueError(f"the {name} cut points do not fall from score 5 to score 2")
        return self


LIFETIME_RFM_FEATURES = ("days_since_last", "lifetime_transaction_count", "lifetime_value")
"""What RFM reads unless a model set says otherwise: all history, so that whoever ever bought has an answer."""

FIXED_CUT_POINTS = RfmCutPoints(
    version="fixed",
    features=LIFETIME_RFM_FEATURES,
    recency=(30, 60, 90, 180),
    frequency=(20, 10, 5, 2),
    monetary=(1000, 500, 200, 100),
    domains={name: DEFAULT_DOMAINS[name] for name in LIFETIME_RFM_FEATURES},
    baseline=Baseline(values=dict(zip(LIFETIME_RFM_FEATURES, (90.0, 5.0, 200.0), strict=True))),
)
"""What applies if a model set publishes none. Its baseline is who just has a score of 3 in each."""


class ActiveModel(Document):
    version: Version
    card_sha256: Sha256


class PublishedSet(Document):
    """What is active together; `created` is when it was put together.

    forced: why it was made active although the current snapshot did not fit it; None if it fitted.
    advice: by model, what training says to do in place of a model that was not good enough to be in the set.
    """

    created: AwareDatetime
    models: dict[Name, ActiveModel] = Field({})
    rfm: RfmCutPoints | None = None
    forced: str | None = None
    advice: dict[Name, Annotated[str, Field(min_length=1)]] = Field({})

    @model_serializer(mode="wrap")
    def _without_empty_advice(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialized(self)
        if not fields.get("advice"):
            fields.pop("advice", None)
        return fields


class Manifest(PublishedSet):
    """The active set; `previous` is the way back from it, the set before it first."""

    api_version: Literal[1] = 1
    previous: tuple[PublishedSet, ...] = ()


def advice_after(before: PublishedSet | None, models: Collection[str], advice: Mapping[str, str]) -> dict[str, str]:
    """The advice of a set once these models and this advice are put into the one before.

    A model that is put in was good enough, so what was said in its place no longer holds.
    """
    kept = before.advice if before else {}
    return {name: text for name, text in kept.items() if name not in models} | dict(advice)


def parse_manifest(text: bytes) -> Manifest:
    """Raises Refused for what is not JSON or not a manifest, TooNew for a newer api_version."""
    return parse(Manifest, text, MANIFEST_KEY)
