"""Addresses of single objects that whoever is given one can use for a while, without an account of AWS.

An address dies with the credentials that signed it. A function's own may have minutes left, and do not say so. So the
addresses are signed in a role of their own, whose credentials say when they end, and are renewed before one is signed
that they would not outlive.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from loyalty_ml.aws.errors import asking

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOAD_SECONDS = 3600
LEAST_UPLOAD_SECONDS = 2700
"""What an upload's address is good for at least; credentials that end sooner are renewed."""
DOWNLOAD_SECONDS = 900
MAX_UPLOAD_BYTES = 5 * 1024**3
"""The most that S3 takes in one POST; a larger file is put under incoming/ by whoever may, in parts."""


class Upload(NamedTuple):
    """A form to be sent to `url`: all `fields`, then the file; it can begin until `expires`."""

    url: str
    fields: dict[str, Any]
    expires: datetime


class Session(NamedTuple):
    """A client of S3, and when its credentials end.

    The client's signatures must be of version 4, and its addresses the region's own: S3 answers others with a redirect,
    which no signature survives.
    """

    s3: "S3Client"
    ends: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class Signer:
    """Signs addresses of one bucket's objects. Its methods raise StoreUnavailable where there are no credentials."""

    def __init__(self, bucket: str, new_session: Callable[[], Session], clock: Callable[[], datetime] = _now) -> None:
        self._bucket = bucket
        self._new_session = new_session
        self._clock = clock
        self._session: Session | None = None

    def upload(self, key: str, max_bytes: int = MAX_UPLOAD_BYTES) -> Upload:
        """For one object of 1 to `max_bytes` bytes."""
        with asking("results", "The upload's address cannot be signed"):
            session, now = self._session_for(LEAST_UPLOAD_SECONDS)
            seconds = min(UPLOAD_SECONDS, int((session.ends - now).total_seconds()))
            form = session.s3.generate_presigned_post(
                self._bucket, key, Conditions=[["content-length-range", 1, max_bytes]], ExpiresIn=seconds
            )
        return Upload(form["url"], form["fields"], (now + timedelta(seconds=seconds)).replace(microsecond=0))

    def download(self, key: str, name: str) -> str:
        """For an object that a browser is to save as `name`."""
        with asking("results", "The result's address cannot be signed"):
            session, _ = self._session_for(DOWNLOAD_SECONDS)
            return session.s3.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ResponseContentDisposition": f'attachment; filename="{name}"',
                },
                ExpiresIn=DOWNLOAD_SECONDS,
            )

    def _session_for(self, seconds: int) -> tuple[Session, datetime]:
        """A session whose credentials live that long, and now."""
        now = self._clock()
        if self._session is None or (self._session.ends - now).total_seconds() < seconds:
            self._session = self._new_session()
        return self._session, now
