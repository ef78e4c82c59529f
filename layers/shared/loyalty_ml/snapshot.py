"""The feature snapshot in S3: which one is current. It is written whole, and this card switched last."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CURRENT_KEY = "snapshots/current.json"


class SnapshotCard(BaseModel):
    """snapshots/current.json: when the features were computed for, of how many customers, and in which objects."""

    as_of: AwareDatetime
    customers: int = Field(ge=0)
    parts: tuple[str, ...]


def rfc3339(moment: datetime) -> str:
    """How `features_as_of` is written everywhere, such as 2018-01-02T00:00:00Z; of one form, texts sort as moments."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class SnapshotUnavailable(Exception):
    """The message says why, and what to do."""


def read_current(s3: "S3Client", bucket: str) -> SnapshotCard | None:
    """The current snapshot's card, None where none was written. Raises SnapshotUnavailable."""
    try:
        text = s3.get_object(Bucket=bucket, Key=CURRENT_KEY)["Body"].read()
        return SnapshotCard.model_validate_json(text)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchKey":
            return None
        raise SnapshotUnavailable(f"S3 answered {code} for {CURRENT_KEY}: check the bucket and permissions.") from error
    except BotoCoreError as error:
        raise SnapshotUnavailable(f"S3 could not be reached ({type(error).__name__}): try again.") from error
    except ValidationError as error:
        raise SnapshotUnavailable(f"{CURRENT_KEY} is not valid: write the snapshot again.") from error
