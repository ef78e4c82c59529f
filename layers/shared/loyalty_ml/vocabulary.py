"""The words of the service: prediction types, ids, moments, and how a request is checked."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PredictionType = Literal["churn", "nbo", "rfm"]
PREDICTION_TYPES: tuple[PredictionType, ...] = get_args(PredictionType)
AskedType = Literal["churn", "nbo", "rfm", "all"]
"""What may be asked for: one prediction, or all of them side by side."""
FileType = AskedType
FileFormat = Literal["csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"]
Include = Literal["lapsed"]
"""Who is ranked beside the active."""
MockMode = Literal["auto", "true", "false"]
MOCK_MODES: tuple[MockMode, ...] = get_args(MockMode)
CUSTOMER_ID = "customer_id"
"""The column of files, snapshots and the warehouse, and the key of the customers table."""
MAX_ID_CHARACTERS = 256
CustomerId = Annotated[
    str,
    Field(
        strict=True,
        min_length=1,
        max_length=MAX_ID_CHARACTERS,
        description="The customer's id in the warehouse",
        examples=["1"],
    ),
]


def rfc3339(moment: datetime) -> str:
    """How `features_as_of` is written everywhere, such as 2018-01-02T00:00:00Z; of one form, texts sort as moments."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")


def moment_of(text: Any) -> datetime:
    """The moment, in UTC, that an RFC 3339 text names. Raises ValueError for anything else that was stored in place."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("not a moment as RFC 3339 writes it")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:  # year 1 or 9999, moved across the end of what there is by its offset
        raise ValueError("not a moment that UTC has") from error


class Request(BaseModel):
    """The body of a request."""

    # An unknown field is refused: a misspelt `type` would otherwise be answered with churn.
    model_config = ConfigDict(extra="forbid", frozen=True)


_WHOLE, _NUMBER, _TRUTH = "must be a whole number", "must be a number", "must be true or false"
_TEXT, _LIST, _OBJECT = "must be text", "must be a list", "must be an object with named fields"
_MOMENT = "must be a moment such as 2018-01-02T00:00:00Z"
_PROBLEMS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known: remove it, or correct its name",
    "literal_error": "must be {expected}",
    "string_type": _TEXT,
    "string_unicode": "must be valid Unicode",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "finite_number": "must be a finite number",
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    **dict.fromkeys(("list_type", "tuple_type"), _LIST),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type", "mapping_type"), _OBJECT),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"), _MOMENT),
}


def problem_in(error: "ErrorDetails") -> str:
    """What is wrong with a field, without a full stop, such as "must be a whole number".

    pydantic's own words speak of inputs and of Python's types; a kind of error that has no words here keeps them.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind in {"string_too_short", "too_short"} and context["min_length"] == 1:
        return "must not be empty"
    if kind in _PROBLEMS:
        return _PROBLEMS[kind].format_map({name: _written(value) for name, value in context.items()})
    return error["msg"].removeprefix("Value error, ")


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
