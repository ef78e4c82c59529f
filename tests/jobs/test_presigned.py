"""Addresses are promised for no longer than the credentials live that signed them."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.jobs.presigned import DOWNLOAD_SECONDS, LEAST_UPLOAD_SECONDS, UPLOAD_SECONDS, Session, Signer

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
S3 = boto3.client(
    "s3",
    region_name="eu-west-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
    aws_session_token="token",
    config=Config(signature_version="s3v4"),
)


class Role:
    """Gives sessions of an hour each, by a clock of its own."""

    def __init__(self, seconds: float = 3600) -> None:
        self.now = NOON
        self.sessions = 0
        self._seconds = seconds

    def new_session(self) -> Session:
        self.sessions += 1
        return Session(S3, self.now + timedelta(seconds=self._seconds))

    def signer(self) -> Signer:
        return Signer("data", self.new_session, lambda: self.now)


@given(pauses=st.lists(st.floats(0, 7200), min_size=1, max_size=12))
def test_no_address_outlives_its_credentials_and_each_is_good_for_what_is_promised(pauses: list[float]) -> None:
    role = Role()
    signer = role.signer()
    ends = NOON
    for pause in pauses:
        role.now += timedelta(seconds=pause)
        before = role.sessions
        upload = signer.upload("incoming/churn/uploads/a.csv")
        if role.sessions > before:
            ends = role.now + timedelta(hours=1)
        left = (upload.expires - role.now).total_seconds()
        assert LEAST_UPLOAD_SECONDS - 1 <= left <= UPLOAD_SECONDS
        assert upload.expires <= ends
        before = role.sessions
        signer.download("results/a/predictions.csv", "predictions.csv")
        assert role.sessions == before, "credentials that an upload lives with are good for a download"
    most = 1 + sum(pauses) / (3600 - LEAST_UPLOAD_SECONDS)
    assert role.sessions <= most


def test_a_function_whose_token_has_minutes_left_asks_for_other_credentials() -> None:
    role = Role()
    signer = role.signer()
    signer.upload("incoming/churn/uploads/a.csv")
    role.now += timedelta(minutes=50)  # 10 are left
    url = signer.download("results/a/predictions.csv", "predictions.csv")
    assert role.sessions == 2
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [str(DOWNLOAD_SECONDS)]


def test_shorter_sessions_than_an_upload_wants_are_said_and_not_hidden() -> None:
    role = Role(seconds=1200)
    upload = role.signer().upload("incoming/churn/uploads/a.csv")
    assert upload.expires == NOON + timedelta(seconds=1200)


def test_without_credentials_nothing_is_promised() -> None:
    def refuse() -> Session:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")

    with pytest.raises(StoreUnavailable, match="cannot be signed"):
        Signer("data", refuse).upload("incoming/churn/uploads/a.csv")
