"""A segment's definition: who is in it, said in one of five ways."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from loyalty_ml.models.card import MAX_CODE_CHARACTERS
from loyalty_ml.scoring.rfm import SEGMENT_NAMES
from loyalty_ml.scoring.scores import ChurnRisk
from loyalty_ml.vocabulary import CustomerId

SegmentKind = Literal["rule", "customer_ids", "rfm_segment", "churn_risk", "recommended_offer"]

KINDS: tuple[SegmentKind, ...] = get_args(SegmentKind)

MAX_NUMBER = 2**63
"""A number below it can be written into an answer."""

SEGMENT_ID_PATTERN = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_SEGMENT_ID = re.compile(SEGMENT_ID_PATTERN)
SEGMENT_ID_RULE = "1 to 64 letters, digits, _ or -, and begin with a letter or a digit"


def is_segment_id(text: str) -> bool:
    """Whether the text can be a segment's id, as SEGMENT_ID_RULE says it for people."""
    return _SEGMENT_ID.fullmatch(text) is not None


def _writable(rule: dict[str, Any]) -> dict[str, Any]:
    try:
        orjson.dumps(rule)
    except TypeError as error:
        raise ValueError("a whole number has more than 64 bits: write it as a float, such as 1e20") from error
    return rule


def _each_once(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _offer(named: Any) -> int | str:
    if isinstance(named, str) and 1 <= len(named) <= MAX_CODE_CHARACTERS:
        return named
    if isinstance(named, int) and not isinstance(named, bool) and 0 <= named < MAX_NUMBER:
        return named
    raise ValueError(
        f"must be an offer's code: a text that is not empty, of at most {MAX_CODE_CHARACTERS} characters, or a whole "
        "number from 0 on"
    )


def _rfm_segment(name: str) -> str:
    if name not in SEGMENT_NAMES:
        raise ValueError(f"there is no such RFM segment: the segments are {', '.join(SEGMENT_NAMES)}")
    return name


class SegmentDefinition(BaseModel):
    """A segment: its name, and exactly one of the other five fields, which defines its members."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]}
    )

    segment_name: Annotated[
        str,
        Field(
            strict=True, min_length=1, max_length=200, description="The name that people see", examples=["High Value"]
        ),
    ]
    rule: Annotated[
        Annotated[dict[str, Any], AfterValidator(_writable)] | None,
        Field(
            description="A JsonLogic condition over the feature columns; {} selects everyone",
            examples=[{">=": [{"var": "revenue"}, 1000]}],
        ),
    ] = None
    customer_ids: Annotated[
        # Of half a million ids of the wrong kind, the first says enough.
        Annotated[list[CustomerId], Field(fail_fast=True), AfterValidator(_each_once)] | None,
        Field(min_length=1, description="The members; duplicates are removed, the order stays"),
    ] = None
    rfm_segment: Annotated[
        Annotated[
            str, Field(strict=True, json_schema_extra={"enum": list(SEGMENT_NAMES)}), AfterValidator(_rfm_segment)
        ]
        | None,
        Field(description="The members are the customers in this RFM segment"),
    ] = None
    churn_risk: Annotated[ChurnRisk | None, Field(description="The members are the customers with this churn risk")] = (
        None
    )
    recommended_offer: Annotated[
        Annotated[
            int | str,
            PlainValidator(_offer),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"type": "string", "minLength": 1, "maxLength": MAX_CODE_CHARACTERS},
                        {"type": "integer", "minimum": 0},
                    ]
                }
            ),
        ]
        | None,
        Field(
            description="The members are the customers to whom the offer of this code is recommended; the most "
            "probable are shown first. A number that is no code is taken as an `offer_id` of the active model, and "
            "stored as its code",
            examples=["FREE_SHIP"],
        ),
    ] = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            given_kinds = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of {', '.join(KINDS)}, but here is {given_kinds}")
        return self

    @property
    def kind(self) -> SegmentKind:
        """Which of the five there is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


@dataclass(frozen=True, slots=True)
class Segment:
    """A definition as it is stored. version: 1, 2, ..., one more with each change, and none twice for one id."""

    segment_id: str
    version: int
    updated: datetime
    definition: SegmentDefinition


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """A segment in a list, without its rule or its ids."""

    segment_id: str
    segment_name: str
    kind: SegmentKind
    version: int
    updated: datetime
