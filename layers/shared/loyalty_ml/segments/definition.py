"""A segment's definition: who is in it, said in one way or in several together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from loyalty_ml.models.card import MAX_CODE_CHARACTERS
from loyalty_ml.scoring.rfm import SEGMENT_NAMES
from loyalty_ml.scoring.scores import ChurnRisk
from loyalty_ml.vocabulary import CustomerId

Way = Literal["rule", "customer_ids", "customer_list", "rfm_segment", "churn_risk", "recommended_offer"]
"""A field that says who is in a segment."""
WAYS: tuple[Way, ...] = get_args(Way)

SegmentKind = Literal["rule", "customer_ids", "rfm_segment", "churn_risk", "recommended_offer", "combined"]
"""The way that a definition has, or that it has several; a customer_list is of customer_ids."""
SEGMENT_KINDS: tuple[SegmentKind, ...] = get_args(SegmentKind)

MAX_NUMBER = 2**63
"""A number below it can be written into an answer."""

SEGMENT_ID_PATTERN = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_SEGMENT_ID = re.compile(SEGMENT_ID_PATTERN)
UPLOAD = "upload-"
"""How the id of a list begins that is a file somebody has sent; other lists are named by a hash."""
_LIST = re.compile(f"({UPLOAD}[0-9a-f]{{32}}|[0-9a-f]{{64}})")
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


def _customer_list(name: str) -> str:
    if not _LIST.fullmatch(name):
        raise ValueError("give the upload_id of POST /segments/lists, or the customer_list that the segment has")
    return name


def _rfm_segment(name: str) -> str:
    if name not in SEGMENT_NAMES:
        raise ValueError(f"there is no such RFM segment: the segments are {', '.join(SEGMENT_NAMES)}")
    return name


class SegmentDefinition(BaseModel):
    """A segment: its name, and at least one of the other fields. Its members are the customers of whom all of them
    are true.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"minProperties": 2})

    segment_name: Annotated[
        str,
        Field(
            strict=True, min_length=1, max_length=200, description="The name that people see", examples=["High Value"]
        ),
    ]
    rule: Annotated[
        Annotated[dict[str, Any], AfterValidator(_writable)] | None,
        Field(
            description="A JsonLogic condition over the feature columns and over predictions, such as `churn_risk`; {} "
            "selects everyone",
            examples=[{">=": [{"var": "revenue"}, 1000]}],
        ),
    ] = None
    customer_ids: Annotated[
        # Of half a million ids of the wrong kind, the first says enough.
        Annotated[list[CustomerId], Field(fail_fast=True), AfterValidator(_each_once)] | None,
        Field(min_length=1, description="The members; duplicates are removed, the order stays"),
    ] = None
    customer_list: Annotated[
        Annotated[
            str,
            Field(strict=True, json_schema_extra={"pattern": f"^{_LIST.pattern}$"}),
            AfterValidator(_customer_list),
        ]
        | None,
        Field(
            description="The members are the customers of a file: `upload_id` of POST `/segments/lists`, or the "
            "`customer_list` that this segment has already",
        ),
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
    def _one_way_at_least(self) -> Self:
        if not self.ways:
            raise ValueError(f"give at least one of {', '.join(WAYS)}, but here is none")
        if self.customer_ids is not None and self.customer_list is not None:
            raise ValueError("give customer_ids or customer_list, not both")
        return self

    @property
    def ways(self) -> Sequence[Way]:
        """Which of these fields there are."""
        return [way for way in WAYS if getattr(self, way) is not None]

    @property
    def kind(self) -> SegmentKind:
        way, *others = self.ways
        if others:
            return "combined"
        return "customer_ids" if way == "customer_list" else way


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
