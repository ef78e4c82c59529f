"""An object's content comes whole and in order, of the version that was meant, and what is no gzip is refused."""

import errno
import gzip
import io
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict, HTTPResponse

from loyalty_ml.aws.ranges import ATTEMPTS
from loyalty_ml.errors import InvalidFile, StoreUnavailable
from loyalty_ml.files import content
from loyalty_ml.files.content import AHEAD
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import FileSource
from tests.aws import fresh_aws
from tests.examples import examples

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.moto

BUCKET = "data"
KEY = "incoming/churn/a file.csv"
BLOCK = 1_000
SMALL = Sizes(block_bytes=BLOCK)
NOISE = random.Random(5).randbytes(20 * BLOCK)

content_blocks = partial(content.content_blocks, sizes=SMALL)
download = partial(content.download, sizes=SMALL)


@dataclass
class Bucket:
    """A bucket, and a client that makes as many tries as a test says. Ranges asked for are noted."""

    admin: "S3Client"
    attempts: int = 1
    ranges: list[str] = field(default_factory=list)

    def put(self, content: bytes) -> FileSource:
        answer = self.admin.put_object(Bucket=BUCKET, Key=KEY, Body=content)
        return FileSource(BUCKET, KEY, answer.get("VersionId"), answer["ETag"].strip('"'), len(content))

    def client(self) -> "S3Client":
        config = Config(retries={"mode": "standard", "total_max_attempts": self.attempts}, max_pool_connections=8)
        client = boto3.client("s3", config=config)
        client.meta.events.register("provide-client-params.s3.GetObject", self._note)
        return client

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        self.ranges.append(params["Range"])

    def read(self, source: FileSource, *, gzipped: bool = False, start: int = 0) -> list[bytes]:
        return list(content_blocks(self.client(), source, gzipped=gzipped, start=start))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with fresh_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        yield Bucket(s3)


def versioned(bucket: Bucket) -> None:
    bucket.admin.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def blocks_of(content: bytes, start: int = 0) -> list[bytes]:
    return [content[place : place + BLOCK] for place in range(start, len(content), BLOCK)]


def compressed(*members: bytes) -> bytes:
    return b"".join(gzip.compress(member, 1, mtime=0) for member in members)


def failure(request: Any, status: int, code: str) -> AWSResponse:
    body = f"<Error><Code>{code}</Code><Message>Not now</Message></Error>".encode()
    raw: Any = HTTPResponse(io.BytesIO(body), preload_content=False)
    headers: Any = HTTPHeaderDict()
    return AWSResponse(request.url, status, headers, raw)


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7])
def test_content_of_any_size_comes_whole_from_wherever_it_is_asked_for(
    bucket: Bucket, *, size: int, gzipped: bool
) -> None:
    content = NOISE[:size]
    source = bucket.put(compressed(content) if gzipped else content)
    for start in range(0, size + 2 * BLOCK, BLOCK):
        assert bucket.read(source, gzipped=gzipped, start=start) == blocks_of(content, start)


def test_a_plain_object_is_read_once_and_from_the_start_that_is_asked_for(bucket: Bucket) -> None:
    source = bucket.put(NOISE[: 3 * BLOCK + 1])
    bucket.read(source, start=BLOCK)
    assert sorted(bucket.ranges) == ["bytes=1000-1999", "bytes=2000-2999", "bytes=3000-3000"]


def test_progress_is_told_in_stored_bytes(bucket: Bucket) -> None:
    told: list[int] = []
    source = bucket.put(NOISE[: 2 * BLOCK + 1])
    list(content_blocks(bucket.client(), source, gzipped=False, start=BLOCK, on_read=told.append))
    assert told == [2 * BLOCK, 2 * BLOCK + 1]
    told.clear()
    stored = compressed(bytes(5 * BLOCK), NOISE[:BLOCK])
    list(content_blocks(bucket.client(), bucket.put(stored), gzipped=True, start=BLOCK, on_read=told.append))
    assert told == [BLOCK, len(stored)]


def test_a_start_between_blocks_is_refused(bucket: Bucket) -> None:
    with pytest.raises(ValueError, match="start is 7"):
        bucket.read(bucket.put(NOISE), start=7)


def test_blocks_are_fetched_at_the_same_time_and_no_more_than_the_next_few(bucket: Bucket) -> None:
    client = bucket.client()
    # Nobody passes before all are there: one after the other, they would wait in vain.
    together = threading.Barrier(AHEAD, timeout=300)
    first = iter(range(AHEAD))

    def meet(**_: Any) -> None:
        if next(first, None) is not None:
            together.wait()

    client.meta.events.register("provide-client-params.s3.GetObject", meet)
    blocks = content_blocks(client, bucket.put(NOISE), gzipped=False)
    assert next(blocks) == NOISE[:BLOCK]
    blocks.close()
    assert len(bucket.ranges) <= AHEAD + 1


@pytest.mark.parametrize("gzipped", [False, True])
def test_closing_ends_the_threads(bucket: Bucket, *, gzipped: bool) -> None:
    source = bucket.put(compressed(NOISE) if gzipped else NOISE)
    blocks = content_blocks(bucket.client(), source, gzipped=gzipped)
    next(blocks)
    assert reading_threads()
    blocks.close()
    assert not reading_threads()


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read_file")]


def test_the_version_that_was_meant_is_read_though_there_is_a_newer_one(bucket: Bucket) -> None:
    versioned(bucket)
    old = bucket.put(NOISE[:1_500])
    new = bucket.put(NOISE[5_000:6_500])
    assert b"".join(bucket.read(old)) == NOISE[:1_500]
    assert b"".join(bucket.read(new)) == NOISE[5_000:6_500]


@pytest.mark.parametrize("same_size", [True, False])
def test_an_object_that_was_replaced_is_gone(bucket: Bucket, *, same_size: bool) -> None:
    source = bucket.put(NOISE[:1_500])
    bucket.put(NOISE[2_000:3_500] if same_size else b"short")
    with pytest.raises(InvalidFile, match=r"The object is gone: incoming/churn/a file\.csv was deleted or replaced"):
        bucket.read(source)


@pytest.mark.parametrize("with_versions", [True, False])
def test_an_object_that_was_deleted_is_gone(bucket: Bucket, *, with_versions: bool) -> None:
    if with_versions:
        versioned(bucket)
    source = bucket.put(NOISE[:1_500])
    version: Any = {"VersionId": source.version_id} if with_versions else {}
    bucket.admin.delete_object(Bucket=BUCKET, Key=KEY, **version)
    with pytest.raises(InvalidFile, match="The object is gone"):
        bucket.read(source)


def test_an_object_is_not_read_as_if_it_had_another_size(bucket: Bucket) -> None:
    source = bucket.put(NOISE[:1_500])
    for size in (1_400, 1_600, 2_500):
        with pytest.raises(InvalidFile, match="The object is gone"):
            bucket.read(source._replace(size=size))


def breaking(client: "S3Client", broken: Iterator[bool], length: int) -> None:
    """Answers whose body ends after 10 bytes, where the next of `broken` says so, whatever their header announces."""

    def cut(parsed: dict[str, Any], **_: Any) -> None:
        if next(broken, False):
            parsed["Body"] = StreamingBody(io.BytesIO(parsed["Body"].read()[:10]), length)

    client.meta.events.register("after-call.s3.GetObject", cut)


@pytest.mark.parametrize("announced", [BLOCK, 10])
def test_a_body_that_is_cut_short_is_asked_for_again(bucket: Bucket, announced: int) -> None:
    source = bucket.put(NOISE[: 3 * BLOCK])
    client = bucket.client()
    breaking(client, iter([True, True]), announced)
    assert list(content_blocks(client, source, gzipped=False)) == blocks_of(NOISE[: 3 * BLOCK])
    assert len(bucket.ranges) == 3 + 2


def test_a_body_that_stays_short_is_an_error_of_the_store(bucket: Bucket) -> None:
    source = bucket.put(NOISE[:BLOCK])
    client = bucket.client()
    breaking(client, iter([True] * ATTEMPTS), BLOCK)
    with pytest.raises(StoreUnavailable, match=r"a file.csv could not be read .*IncompleteReadError"):
        list(content_blocks(client, source, gzipped=False))


@pytest.mark.usefixtures("no_pauses")
def test_s3_failing_once_in_ten_times_changes_nothing(bucket: Bucket) -> None:
    source = bucket.put(NOISE)
    bucket.attempts = 4
    client: Any = bucket.client()
    failing = random.Random(1)
    failed = []

    def fail(request: Any, **_: Any) -> AWSResponse | None:
        if failing.random() < 0.1:
            failed.append(request.url)
            return failure(request, 503, "SlowDown")
        return None

    client.meta.events.register_first("before-send.s3.GetObject", fail)
    for _ in range(3):
        assert b"".join(content_blocks(client, source, gzipped=False)) == NOISE
    assert failed


def test_s3_refusing_is_an_error_of_the_store(bucket: Bucket) -> None:
    client = bucket.client()

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    client.meta.events.register("before-call.s3.GetObject", refuse)
    with pytest.raises(StoreUnavailable, match=r"could not be read from the bucket data \(AccessDenied\)"):
        list(content_blocks(client, bucket.put(NOISE), gzipped=False))


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, 6_000), max_size=5),
    runs=st.booleans(),
    padding=st.sampled_from([0, 1, 2_500]),
    start=st.sampled_from([0, BLOCK, 3 * BLOCK]),
)
def test_members_and_padding_do_not_show(
    bucket: Bucket, *, cuts: list[int], runs: bool, padding: int, start: int
) -> None:
    content = NOISE[:3_000] + (bytes(3_000) if runs else NOISE[3_000:6_000])
    places = [0, *sorted(cuts), len(content)]
    members = [content[first:last] for first, last in pairwise(places)]
    source = bucket.put(compressed(*members) + bytes(padding))
    assert bucket.read(source, gzipped=True, start=start) == blocks_of(content, start)


def test_a_truncated_gzip_is_refused_wherever_it_ends(bucket: Bucket) -> None:
    whole = compressed(b"customer_id\n", b"1\n2\n3\n")
    between = len(compressed(b"customer_id\n"))
    for size in set(range(1, len(whole))) - {between}:
        with pytest.raises(InvalidFile, match=r"a file\.csv is cut off: the gzip ends too early"):
            bucket.read(bucket.put(whole[:size]), gzipped=True)


def damaged(content: bytes) -> bytes:
    whole = bytearray(compressed(content))
    whole[-6] ^= 1  # of the checksum
    return bytes(whole)


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (b"customer_id\n1\n", "a file.csv is not gzip, but its name says so"),
        (bytes(100), "is not gzip"),
        (b"\x1f", "ends too early"),
        (compressed(NOISE) + b"customer_id\n", "has trailing data after its gzip"),
        (compressed(NOISE) + bytes(10) + b"xy", "has trailing data after its gzip"),
        (damaged(NOISE), "is a damaged gzip, after 19,[0-9]{3} bytes of content"),
    ],
    ids=["no gzip", "zeros", "cut", "text after the end", "zeros after the end", "damaged"],
)
def test_what_is_no_whole_gzip_is_refused(bucket: Bucket, stored: bytes, problem: str) -> None:
    with pytest.raises(InvalidFile, match=problem) as caught:
        bucket.read(bucket.put(stored), gzipped=True)
    assert "\n" not in str(caught.value)


def test_a_gzip_bomb_is_refused_before_it_has_gone_off(bucket: Bucket) -> None:
    sizes = Sizes(block_bytes=BLOCK, expansion_free_bytes=100 * BLOCK)
    source = bucket.put(compressed(bytes(10_000 * BLOCK)))
    given_out: list[int] = []
    with pytest.raises(InvalidFile, match="a gzip bomb"):
        given_out.extend(map(len, content_blocks(bucket.client(), source, gzipped=True, sizes=sizes)))
    assert sum(given_out) <= content.MAX_EXPANSION * source.size


def test_a_small_gzip_may_expand_as_it_likes(bucket: Bucket) -> None:
    source = bucket.put(compressed(bytes(1_000 * BLOCK)))
    assert source.size * content.MAX_EXPANSION < 1_000 * BLOCK
    assert b"".join(bucket.read(source, gzipped=True)) == bytes(1_000 * BLOCK)


@pytest.mark.parametrize("size", [0, 1, 20 * BLOCK])
def test_a_download_is_the_whole_object(bucket: Bucket, tmp_path: Path, size: int) -> None:
    told = [0]
    path = tmp_path / "file.parquet"
    download(bucket.client(), bucket.put(NOISE[:size]), path, told.append)
    assert path.read_bytes() == NOISE[:size]
    assert told == sorted(told)
    assert told[-1] == size


def test_a_download_that_fails_leaves_nothing(bucket: Bucket, tmp_path: Path) -> None:
    client: Any = bucket.client()

    # Not by replacing the object meanwhile: moto closes the old one under those who are reading it.
    def gone(request: Any, **_: Any) -> AWSResponse | None:
        in_the_middle = request.headers["Range"] == f"bytes={10 * BLOCK}-{11 * BLOCK - 1}".encode()
        return failure(request, 412, "PreconditionFailed") if in_the_middle else None

    client.meta.events.register_first("before-send.s3.GetObject", gone)
    written: list[int] = []
    with pytest.raises(InvalidFile, match="The object is gone"):
        download(client, bucket.put(NOISE), tmp_path / "file.parquet", written.append)
    assert written == [BLOCK * number for number in range(1, 11)]
    assert not list(tmp_path.iterdir())


def no_room_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    # The disk is nearly full; a test cannot fill one.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))


def no_room_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def open_full(path: Path, *arguments: Any, **options: Any) -> Any:
        def write(_: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        file: Any = opened(path, *arguments, **options)
        if arguments[:1] == ("wb",):
            file.close()
            file = Full(path, "wb")
            file.write = write
        return file

    # The disk fills up on the way; a test cannot fill one.
    monkeypatch.setattr(Path, "open", open_full)


class Full(io.FileIO):
    """A file whose write a test replaces, which the built-in ones do not allow."""


@pytest.mark.parametrize("fill", [no_room_from_the_start, no_room_on_the_way])
def test_a_disk_without_room_is_one_sentence_with_the_remedy(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: Callable[[pytest.MonkeyPatch], None]
) -> None:
    source = bucket.put(NOISE)
    fill(monkeypatch)
    with pytest.raises(StoreUnavailable, match=r"needs 1 MB, .* \(parameter FileStorage\)"):
        download(bucket.client(), source, tmp_path / "file.parquet")
    assert not list(tmp_path.iterdir())
