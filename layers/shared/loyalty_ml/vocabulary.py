"""The words of the service: prediction types, ids, moments, and how a request is checked."""

from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

PredictionType = Literal["churn", "nbo", "rfm"]
PREDICTION_TYPES: tuple[PredictionType, ...] = get_args(PredictionType)
FileType = Literal["churn", "nbo", "rfm", "all"]
FileFormat = Literal["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"]
MockMode = Literal["auto", "true", "false"]
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


class Request(BaseModel):
    """The body of a request."""

    # An unknown field is refused: a misspelt `type` would otherwise be answered with churn.
    model_config = ConfigDict(extra="forbid", frozen=True)
