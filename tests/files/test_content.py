"""An object's content comes whole and in order, of the version that was meant, and what is not whole is refused."""

import errno
import gzip
import io
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from backports import zstd
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
from loyalty_ml.files.compression import CODECS, MAX_EXPANSION
from loyalty_ml.files.content import AHEAD
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import Compression, FileSource
from tests.aws import fresh_aws
from tests.examples import examples
from tests.files.writings import skippable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.moto

BUCKET = "data"
KEY = "incoming/churn/a file.csv"
BLOCK = 1_000
CHECKSUM: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
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

    def read(self, source: FileSource, *, compression: Compression | None = None, start: int = 0) -> list[bytes]:
        return list(content_blocks(self.client(), source, compression=compression, start=start))


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


every_codec = pytest.mark.parametrize("how", CODECS)


def blocks_of(content: bytes, start: int = 0) -> list[bytes]:
    return [content[place : place + BLOCK] for place in range(start, len(content), BLOCK)]


def compressed(how: Compression | None, *members: bytes) -> bytes:
    """Each with a checksum at its end."""
    match how:
        case "gzip":
            return b"".join(gzip.compress(member, 1, mtime=0) for member in members)
        case "zstd":
            return b"".join(zstd.compress(member, options=CHECKSUM) for member in members)
        case None:
            return b"".join(members)


def failure(request: Any, status: int, code: str) -> AWSResponse:
    body = f"<Error><Code>{code}</Code><Message>Not now</Message></Error>".encode()
    raw: Any = HTTPResponse(io.BytesIO(body), preload_content=False)
    headers: Any = HTTPHeaderDict()
    return AWSResponse(request.url, status, headers, raw)


@pytest.mark.parametrize("how", [None, *CODECS])
@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7])
def test_content_of_any_size_comes_whole_from_wherever_it_is_asked_for(
    bucket: Bucket, *, size: int, how: Compression | None
) -> None:
    content = NOISE[:size]
    source = bucket.put(compressed(how, content))
    for start in range(0, size + 2 * BLOCK, BLOCK):
        assert bucket.read(source, compression=how, start=start) == blocks_of(content, start)


def test_a_plain_object_is_read_once_and_from_the_start_that_is_asked_for(bucket: Bucket) -> None:
    source = bucket.put(NOISE[: 3 * BLOCK + 1])
    bucket.read(source, start=BLOCK)
    assert sorted(bucket.ranges) == ["bytes=1000-1999", "bytes=2000-2999", "bytes=3000-3000"]


@every_codec
def test_progress_is_told_in_stored_bytes(bucket: Bucket, how: Compression) -> None:
    told: list[int] = []
    source = bucket.put(NOISE[: 2 * BLOCK + 1])
    list(content_blocks(bucket.client(), source, compression=None, start=BLOCK, on_read=told.append))
    assert told == [2 * BLOCK, 2 * BLOCK + 1]
    told.clear()
    stored = compressed(how, bytes(5 * BLOCK), NOISE[:BLOCK])
    list(content_blocks(bucket.client(), bucket.put(stored), compression=how, start=BLOCK, on_read=told.append))
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
    blocks = content_blocks(client, bucket.put(NOISE), compression=None)
    assert next(blocks) == NOISE[:BLOCK]
    blocks.close()
    assert len(bucket.ranges) <= AHEAD + 1


@pytest.mark.parametrize("how", [None, *CODECS])
def test_closing_ends_the_threads(bucket: Bucket, how: Compression | None) -> None:
    source = bucket.put(compressed(how, NOISE))
    blocks = content_blocks(bucket.client(), source, compression=how)
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
    assert list(content_blocks(client, source, compression=None)) == blocks_of(NOISE[: 3 * BLOCK])
    assert len(bucket.ranges) == 3 + 2


def test_a_body_that_stays_short_is_an_error_of_the_store(bucket: Bucket) -> None:
    source = bucket.put(NOISE[:BLOCK])
    client = bucket.client()
    breaking(client, iter([True] * ATTEMPTS), BLOCK)
    with pytest.raises(StoreUnavailable, match=r"a file.csv could not be read .*IncompleteReadError"):
        list(content_blocks(client, source, compression=None))


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
        assert b"".join(content_blocks(client, source, compression=None)) == NOISE
    assert failed


def test_s3_refusing_is_an_error_of_the_store(bucket: Bucket) -> None:
    client = bucket.client()

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    client.meta.events.register("before-call.s3.GetObject", refuse)
    with pytest.raises(StoreUnavailable, match=r"could not be read from the bucket data \(AccessDenied\)"):
        list(content_blocks(client, bucket.put(NOISE), compression=None))


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, 6_000), max_size=5),
    runs=st.booleans(),
    padding=st.sampled_from([0, 1, 2_500]),
    start=st.sampled_from([0, BLOCK, 3 * BLOCK]),
)
@every_codec
def test_members_and_padding_do_not_show(
    bucket: Bucket, *, how: Compression, cuts: list[int], runs: bool, padding: int, start: int
) -> None:
    content = NOISE[:3_000] + (bytes(3_000) if runs else NOISE[3_000:6_000])
    places = [0, *sorted(cuts), len(content)]
    members = [compressed(how, content[first:last]) for first, last in pairwise(places)]
    # gzip's writers pad the end with zeros, and Zstandard's put what is to be skipped anywhere.
    between, after = (b"", bytes(padding)) if how == "gzip" else (skippable(padding), b"")
    source = bucket.put(between + between.join(members) + between + after)
    assert bucket.read(source, compression=how, start=start) == blocks_of(content, start)


@every_codec
def test_what_is_truncated_is_refused_wherever_it_ends(bucket: Bucket, how: Compression) -> None:
    whole = compressed(how, b"customer_id\n", b"1\n2\n3\n")
    between = len(compressed(how, b"customer_id\n"))
    for size in set(range(1, len(whole))) - {between}:
        with pytest.raises(InvalidFile, match=rf"a file\.csv is cut off: its {CODECS[how].name} ends too early"):
            bucket.read(bucket.put(whole[:size]), compression=how)


def changed(content: bytes, place: int) -> bytes:
    whole = bytearray(content)
    whole[place] ^= 1
    return bytes(whole)


DICTIONARY = zstd.train_dict([b"customer_id,note\n%d,x\n" % number for number in range(1_000)], 1_000)


def of_window(power: int, content: bytes) -> bytes:
    """A frame for which as many bytes as 2 to that power must be remembered while it is read."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: power})
    return compressor.compress(content) + compressor.flush()


NOT_WHOLE: Mapping[str, tuple[Callable[[Compression], bytes], str]] = {
    "neither": (lambda _: b"customer_id\n1\n", "a file.csv is not NAME, but its name says so"),
    "one byte": (lambda _: b"x", "is not NAME|ends too early"),
    "zeros": (lambda _: bytes(100), "is not NAME"),
    "a beginning": (lambda how: compressed(how, NOISE)[:1], "ends too early"),
    "text after the end": (lambda how: compressed(how, NOISE) + b"customer_id\n", "has trailing data after its NAME"),
    "zeros and text after the end": (lambda how: compressed(how, NOISE) + bytes(10) + b"xy", "has trailing data after"),
    "a damaged checksum": (
        lambda how: changed(compressed(how, NOISE), -6 if how == "gzip" else -2),
        "is a damaged NAME file, after (19|20),[0-9]{3} bytes of content",
    ),
    "a damaged second member": (
        lambda how: compressed(how, NOISE) + changed(compressed(how, b"1\n"), -6 if how == "gzip" else -2),
        "is a damaged NAME file, after 20,[0-9]{3} bytes",
    ),
    "a damaged beginning": (
        lambda how: compressed(how, NOISE)[:4] + b"\xff" * 8,
        "is a damaged NAME file, after 0 bytes|ends too early",
    ),
}


@pytest.mark.parametrize("what", NOT_WHOLE)
@every_codec
def test_what_is_not_whole_is_refused(bucket: Bucket, how: Compression, what: str) -> None:
    write, problem = NOT_WHOLE[what]
    with pytest.raises(InvalidFile, match=problem.replace("NAME", CODECS[how].name)) as caught:
        bucket.read(bucket.put(write(how)), compression=how)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("between", [b"", compressed("zstd", b"customer_id\n"), skippable(7)])
def test_a_frame_that_needs_more_memory_than_there_is_or_a_dictionary_is_refused(
    bucket: Bucket, between: bytes
) -> None:
    stored = between + of_window(28, NOISE)
    with pytest.raises(InvalidFile, match=r"a window of more than 128 MB: compress it again, without --long"):
        bucket.read(bucket.put(stored), compression="zstd")
    stored = between + zstd.compress(b"customer_id,note\n7,x\n", zstd_dict=DICTIONARY)
    with pytest.raises(InvalidFile, match=r"a dictionary, which is not in it: compress it again without one\."):
        bucket.read(bucket.put(stored), compression="zstd")


def test_what_the_command_zstd_reads_unasked_is_read(bucket: Bucket) -> None:
    assert b"".join(bucket.read(bucket.put(of_window(27, NOISE)), compression="zstd")) == NOISE


@every_codec
def test_a_bomb_is_refused_before_it_has_gone_off(bucket: Bucket, how: Compression) -> None:
    sizes = Sizes(block_bytes=BLOCK, expansion_free_bytes=100 * BLOCK)
    source = bucket.put(compressed(how, bytes(10_000 * BLOCK)))
    given_out: list[int] = []
    with pytest.raises(InvalidFile, match=rf"\(a {CODECS[how].name} bomb\)"):
        given_out.extend(map(len, content_blocks(bucket.client(), source, compression=how, sizes=sizes)))
    assert sum(given_out) <= max(MAX_EXPANSION * source.size, sizes.expansion_free_bytes)


@every_codec
@pytest.mark.parametrize("content", [b"", b"\n"])
def test_members_that_are_many_and_tiny_are_refused(bucket: Bucket, how: Compression, content: bytes) -> None:
    sizes = Sizes(block_bytes=BLOCK, free_members=200)
    many = bucket.put(compressed(how, content) * 2_000)
    with pytest.raises(InvalidFile, match=r"members \(frames\) of less than 64 bytes: compress its content as a whole"):
        list(content_blocks(bucket.client(), many, compression=how, sizes=sizes))
    few = bucket.put(compressed(how, content) * 200)
    assert b"".join(content_blocks(bucket.client(), few, compression=how, sizes=sizes)) == content * 200
    large = bucket.put(compressed(how, NOISE[:100]) * 300)
    assert b"".join(content_blocks(bucket.client(), large, compression=how, sizes=sizes)) == NOISE[:100] * 300


@every_codec
def test_a_small_file_may_expand_as_it_likes(bucket: Bucket, how: Compression) -> None:
    source = bucket.put(compressed(how, bytes(1_000 * BLOCK)))
    assert source.size * MAX_EXPANSION < 1_000 * BLOCK
    assert b"".join(bucket.read(source, compression=how)) == bytes(1_000 * BLOCK)


@every_codec
def test_the_same_content_is_stored_as_the_same_bytes(how: Compression) -> None:
    packed = {CODECS[how].compressed(NOISE * 3) for _ in range(3)}
    assert len(packed) == 1
    member = CODECS[how].decompressor()
    assert member.decompress(packed.pop(), 100 * len(NOISE)) == NOISE * 3
    assert member.eof


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
