"""Addresses of single objects that whoever is given one can use for a while, without an account of AWS.

The client's signatures must be of version 4, and its addresses the region's own: S3 answers others with a redirect,
which no signature survives.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from loyalty_ml.aws.errors import asking

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD_SECONDS = 3600
DOWNLOAD_SECONDS = 900
MAX_UPLOAD_BYTES = 5 * 1024**3
"""The most that S3 takes in one POST; a larger file is put under incoming/ by whoever may, in parts."""


class Upload(NamedTuple):
    """A form to be sent to `url`: all `fields`, then the file; it can begin until `expires`."""

    url: str
    fields: dict[str, Any]
    expires: datetime


def upload(s3: "S3Client", bucket: str, key: str, max_bytes: int = MAX_UPLOAD_BYTES) -> Upload:
    """For one object of 1 to `max_bytes` bytes. Raises StoreUnavailable where there are no credentials."""
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=UPLOAD_SECONDS)
    with asking("results", "The upload's address cannot be signed"):
        form = s3.generate_presigned_post(
            bucket, key, Conditions=[["content-length-range", 1, max_bytes]], ExpiresIn=UPLOAD_SECONDS
        )
    return Upload(form["url"], form["fields"], expires)


def download(s3: "S3Client", bucket: str, key: str, name: str) -> str:
    """For an object that a browser is to save as `name`. Raises as `upload` does."""
    with asking("results", "The result's address cannot be signed"):
        return s3.generate_presigned_url(
            "get_object",
            Params={"Bucket": bucket, "Key": key, "ResponseContentDisposition": f'attachment; filename="{name}"'},
            ExpiresIn=DOWNLOAD_SECONDS,
        )
