"""The feature snapshot in S3: which one is current. It is written whole, and its card switched last.

snapshots/{as_of}-{hash}/part-00000.parquet, ...  immutable: customer_id and the features, sorted by customer_id
snapshots/current.json                            SnapshotCard, replaced by one conditional write
"""

from typing import TYPE_CHECKING, NamedTuple, Self

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from loyalty_ml.errors import can_pass
from loyalty_ml.models.document import Refused, read_object

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CURRENT_KEY = "snapshots/current.json"

ROW_GROUP = 122_880
"""Rows of a part's row groups, so that one is fetched and decoded by itself; the same as DuckDB's own."""

WRITE_IT_AGAIN = "write the snapshot again (loyalty materialize)"
"""What mends a snapshot that is not valid or not whole."""


class SnapshotPart(BaseModel):
    """A Parquet file of the snapshot: its object in the bucket, its rows, its bytes and their SHA-256 in hex."""

    model_config = ConfigDict(frozen=True)

    # It becomes a path on disk, so it has no dots to climb with.
    key: str = Field(pattern=r"^snapshots/[A-Za-z0-9_-]+/[A-Za-z0-9_-]+\.parquet$")
    customers: int = Field(ge=0)
    size: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @property
    def file(self) -> str:
        """Such as part-00000.parquet."""
        return self.key.rpartition("/")[2]


class Snapshot(BaseModel):
    """When the features were computed for, of how many customers, which they are, and in which parts.

    features:  the columns after customer_id, in their order, so that a rule can be checked without reading a part.
    """

    model_config = ConfigDict(frozen=True)

    as_of: AwareDatetime
    customers: int = Field(ge=0)
    features: tuple[str, ...] = Field(min_length=1)
    parts: tuple[SnapshotPart, ...] = Field(min_length=1)

    @property
    def version(self) -> str:
        """The folder's name: the moment and the content, such as 20180102T000000Z-ab12cd34."""
        return self.parts[0].key.split("/")[1]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.customers != sum(part.customers for part in self.parts):
            raise ValueError("customers is not the sum of the parts'")
        keys = {part.key for part in self.parts}
        if len(keys) < len(self.parts) or len({key.rpartition("/")[0] for key in keys}) > 1:
            raise ValueError("the parts are not different files of one folder")
        return self


class SnapshotCard(Snapshot):
    """snapshots/current.json: the current snapshot, and the one before, whose parts are in the bucket still.

    feature_definitions:  what makes each feature; None in cards of before there were any.
    forced:               why it was written although it did not fit the active models; None if it fitted.
    """

    feature_definitions: dict[str, str] | None = None
    forced: str | None = None
    previous: Snapshot | None = None

    def alone(self) -> Snapshot:
        """Without the one before: the `previous` of the next."""
        return Snapshot(as_of=self.as_of, customers=self.customers, features=self.features, parts=self.parts)


class Current(NamedTuple):
    """The card that is current, and the ETag that it was read with."""

    card: SnapshotCard
    etag: str | None


class SnapshotUnavailable(Exception):
    """The message says why, and what to do; retry: whether the same look can succeed later."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


def look(s3: "S3Client", bucket: str, held: Current | None = None) -> Current | None:
    """What is current now: `held` where that is still it, None where none was written. Raises SnapshotUnavailable."""
    try:
        if held and held.etag:
            answer = s3.get_object(Bucket=bucket, Key=CURRENT_KEY, IfNoneMatch=held.etag)
        else:
            answer = s3.get_object(Bucket=bucket, Key=CURRENT_KEY)
        return Current(SnapshotCard.model_validate_json(read_object(answer, CURRENT_KEY)), answer["ETag"])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("304", "NotModified"):
            return held
        if code == "NoSuchKey":
            return None
        raise SnapshotUnavailable(
            f"S3 answered {code} for {CURRENT_KEY}: check the bucket and the function's permissions.",
            retry=can_pass(code),
        ) from error
    except BotoCoreError as error:
        name = type(error).__name__
        raise SnapshotUnavailable(
            f"S3 cannot be reached for {CURRENT_KEY} ({name}): try again.", retry=can_pass(name)
        ) from error
    except (ValidationError, Refused) as error:
        raise SnapshotUnavailable(f"{CURRENT_KEY} is not valid: {WRITE_IT_AGAIN}.", retry=False) from error


def read_current(s3: "S3Client", bucket: str) -> SnapshotCard | None:
    """The current snapshot's card, None where none was written. Raises SnapshotUnavailable."""
    current = look(s3, bucket)
    return current and current.card
