"""Ranges of an object: whole though answers break off, and of the version that is meant or not at all."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import IncompleteReadError
from botocore.response import StreamingBody

from loyalty_ml.aws.ranges import (
    ATTEMPTS,
    ObjectMissing,
    ObjectReplaced,
    ObjectVersion,
    range_chunks,
    read_range,
)
from tests.aws import fresh_aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.moto

BUCKET, KEY = "data", "a/part"
CONTENT = bytes(range(256)) * 4


@dataclass
class Stored:
    """An object, a client that notes the ranges it asks for, and for how many bytes each answer lasts."""

    s3: "S3Client"
    version: ObjectVersion
    lasts: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def note(self, params: dict[str, Any], **_: Any) -> None:
        self.asked.append(params["Range"])

    def break_off(self, parsed: dict[str, Any], **_: Any) -> None:
        if self.lasts:
            whole = parsed["Body"].read()
            parsed["Body"] = StreamingBody(io.BytesIO(whole[: self.lasts.pop(0)]), len(whole))


@pytest.fixture
def stored() -> Iterator[Stored]:
    with fresh_aws():
        s3: Any = boto3.client("s3", "us-east-1")
        s3.create_bucket(Bucket=BUCKET)
        etag = s3.put_object(Bucket=BUCKET, Key=KEY, Body=CONTENT)["ETag"]
        stored = Stored(s3, ObjectVersion(BUCKET, KEY, None, etag, len(CONTENT)))
        s3.meta.events.register("provide-client-params.s3.GetObject", stored.note)
        s3.meta.events.register("after-call.s3.GetObject", stored.break_off)
        yield stored


def test_an_answer_that_breaks_off_is_gone_on_with_where_it_broke_off(stored: Stored) -> None:
    stored.lasts = [100, 7]
    assert read_range(stored.s3, stored.version, range(10, 510)) == CONTENT[10:510]
    assert stored.asked == ["bytes=10-509", "bytes=110-509", "bytes=117-509"]


def test_chunks_are_no_larger_than_is_said(stored: Stored) -> None:
    chunks = list(range_chunks(stored.s3, stored.version, range(1000), 300))
    assert [len(chunk) for chunk in chunks] == [300, 300, 300, 100]
    assert b"".join(chunks) == CONTENT[:1000]


def test_what_breaks_off_each_time_is_given_up(stored: Stored) -> None:
    stored.lasts = [1] * ATTEMPTS
    with pytest.raises(IncompleteReadError):
        read_range(stored.s3, stored.version, range(100))
    assert len(stored.asked) == ATTEMPTS


def test_after_giving_up_nothing_is_asked_for_again(stored: Stored) -> None:
    stored.lasts = [5]
    chunks = range_chunks(stored.s3, stored.version, range(100), 100, lambda: bool(stored.asked))
    assert list(chunks) == [CONTENT[:5]]
    assert stored.asked == ["bytes=0-99"]


@pytest.mark.parametrize("change", [{"etag": '"another"'}, {"size": len(CONTENT) + 1}, {"size": 1}])
def test_another_object_under_the_key_is_not_read(stored: Stored, change: dict[str, Any]) -> None:
    with pytest.raises(ObjectReplaced):
        read_range(stored.s3, stored.version._replace(**change), range(1))


def test_an_object_that_shrank_is_another(stored: Stored) -> None:
    stored.s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"short")
    with pytest.raises(ObjectReplaced):
        read_range(stored.s3, stored.version._replace(etag=""), range(500, 600))


def test_an_object_that_is_gone_is_missing(stored: Stored) -> None:
    stored.s3.delete_object(Bucket=BUCKET, Key=KEY)
    with pytest.raises(ObjectMissing):
        read_range(stored.s3, stored.version, range(1))
