"""The snapshot on disk: whole or not at all, fetched in parallel ranges, and never replaced by something worse."""

import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody

from local import stores
from loyalty_ml.customers.snapshot import CURRENT_KEY, SnapshotCard, SnapshotPart
from loyalty_ml.customers.snapshot_download import SnapshotFetcher
from loyalty_ml.customers.snapshot_store import REFRESH_SECONDS, LocalSnapshot, SnapshotStore
from loyalty_ml.errors import FeatureStoreUnavailable, StoreUnavailable
from tests.aws import fresh_aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.moto

BUCKET = "data"
RANGE = 10_000
PATIENCE_SECONDS = 300
"""When what never comes is given up: a slow machine is waited for."""
AGAIN = r"write the snapshot again \(loyalty materialize\)"


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Written(NamedTuple):
    """A snapshot in the bucket, and the bytes of its parts."""

    card: SnapshotCard
    parts: list[bytes]


@dataclass
class Bucket:
    """The data bucket, and a process that reads it into `cache`. Requests are noted as (key, range)."""

    s3: "S3Client"
    cache: Path
    clock: Clock = field(default_factory=Clock)
    requests: list[tuple[str, Any]] = field(default_factory=list)

    def store(self) -> SnapshotStore:
        """What a new process has."""
        client = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=8))
        client.meta.events.register("provide-client-params.s3.GetObject", self._note)
        fetcher = SnapshotFetcher(client, BUCKET, self.cache, range_bytes=RANGE, chunk_bytes=1_000)
        return SnapshotStore(client, BUCKET, self.cache, clock=self.clock, fetcher=fetcher)

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        self.requests.append((params["Key"], params.get("Range")))

    def later(self) -> None:
        """Until the next look is due, and with what was noted so far forgotten."""
        self.clock.now += REFRESH_SECONDS + 1
        self.requests.clear()

    def write(self, number: int, sizes: tuple[int, ...] = (25_000, 10_000), previous: Written | None = None) -> Written:
        """The snapshot of that day: parts of these sizes, and its card as the current one."""
        noise = random.Random(number)
        parts = [noise.randbytes(size) for size in sizes]
        as_of = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number)
        folder = f"snapshots/{as_of:%Y%m%dT%H%M%SZ}-{sha256(b''.join(parts)).hexdigest()[:8]}"
        card = SnapshotCard(
            as_of=as_of,
            customers=3 * len(parts),
            features=("revenue", "days_since_last"),
            parts=tuple(
                SnapshotPart(
                    key=f"{folder}/part-{place:05}.parquet",
                    customers=3,
                    size=len(part),
                    sha256=sha256(part).hexdigest(),
                )
                for place, part in enumerate(parts)
            ),
            previous=previous and previous.card.alone(),
        )
        written = Written(card, parts)
        for place in range(len(parts)):
            self.put_part(written, place)
        self.put_card(card.model_dump_json())
        return written

    def put_card(self, text: str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=CURRENT_KEY, Body=text)

    def put_part(self, written: Written, place: int, content: bytes | None = None) -> None:
        """As it was written, or with another content."""
        content = written.parts[place] if content is None else content
        self.s3.put_object(Bucket=BUCKET, Key=written.card.parts[place].key, Body=content)

    def damage(self, written: Written, how: str) -> str:
        """Makes the second part useless; returns what must be said of it."""
        part = written.card.parts[1]
        content = written.parts[1]
        if how == "missing":
            self.s3.delete_object(Bucket=BUCKET, Key=part.key)
            return f"{part.key} is missing from the bucket: {AGAIN}"
        if how == "another byte":
            self.put_part(written, 1, content[:-1] + bytes([content[-1] ^ 1]))
            return rf"{part.key} is damaged \(its SHA-256 is not its card's\): {AGAIN}"
        self.put_part(written, 1, {"cut off": content[:-1], "empty": b"", "longer": content + b"x"}[how])
        return f"{part.key} does not have the {part.size:,} bytes that its card says: {AGAIN}"

    def on_disk(self) -> set[str]:
        """All files in the cache but the lock."""
        files = (path for path in self.cache.rglob("*") if path.is_file())
        return {str(path.relative_to(self.cache)) for path in files} - {"lock"}


DAMAGES = ["missing", "another byte", "cut off", "empty", "longer"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with fresh_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        yield Bucket(s3, tmp_path / "cache")


def assert_serves(local: LocalSnapshot, written: Written) -> None:
    assert local.card.version == written.card.version
    assert [path.read_bytes() for path in local.paths] == written.parts


def keys(written: Written) -> set[str]:
    return {part.key for part in written.card.parts}


def partials(written: Written) -> set[str]:
    return {f"{key}.partial" for key in keys(written)}


def files(written: Written) -> set[str]:
    return keys(written) | {f"snapshots/{written.card.version}/card.json"}


def test_a_snapshot_is_fetched_whole_once_and_kept(bucket: Bucket) -> None:
    written = bucket.write(1)
    store = bucket.store()
    told: list[tuple[int, int]] = []
    local = store.current(lambda done, total: told.append((done, total)))
    assert_serves(local, written)
    assert (local.card, local.trouble) == (written.card, None)
    assert local.paths[0] == bucket.cache / written.card.parts[0].key
    assert sorted(told) == told
    assert told[-1] == (35_000, 35_000)
    first, second = (part.key for part in written.card.parts)
    assert bucket.requests[0] == (CURRENT_KEY, None)
    assert sorted(bucket.requests[1:]) == [
        (first, "bytes=0-9999"),
        (first, "bytes=10000-19999"),
        (first, "bytes=20000-24999"),
        (second, "bytes=0-9999"),
    ]
    bucket.requests.clear()
    assert store.current() is local
    assert store.card() == written.card
    assert not bucket.requests, "a warm request reads nothing from S3"
    bucket.later()
    assert_serves(store.current(), written)
    assert bucket.requests == [(CURRENT_KEY, None)]
    assert bucket.on_disk() == files(written)


def test_the_card_alone_needs_no_part(bucket: Bucket) -> None:
    written = bucket.write(1)
    store = bucket.store()
    assert store.card().features == ("revenue", "days_since_last")
    assert bucket.requests == [(CURRENT_KEY, None)]
    assert_serves(store.current(), written)
    assert bucket.requests.count((CURRENT_KEY, None)) == 1, "current() does not look again"


def test_a_card_that_did_not_change_is_not_sent_again(bucket: Bucket) -> None:
    bucket.write(1)
    store = bucket.store()
    store.current()
    answers: list[Any] = []
    store._s3.meta.events.register(
        "before-parse.s3.GetObject", lambda response_dict, **_: answers.append(response_dict)
    )
    bucket.later()
    store.current()
    assert [answer["status_code"] for answer in answers] == [304]


def test_ranges_are_fetched_at_the_same_time(bucket: Bucket) -> None:
    written = bucket.write(1, (8 * RANGE,))
    store = bucket.store()
    # Nobody passes before all eight are there: one after the other, they would wait in vain.
    together = threading.Barrier(8, timeout=PATIENCE_SECONDS)

    def meet(params: dict[str, Any], **_: Any) -> None:
        if "Range" in params:
            together.wait()

    store._s3.meta.events.register("provide-client-params.s3.GetObject", meet)
    assert_serves(store.current(), written)


def test_a_new_snapshot_replaces_the_old_one_within_half_a_minute(bucket: Bucket) -> None:
    old = bucket.write(1)
    store = bucket.store()
    before = store.current()
    new = bucket.write(2, previous=old)
    bucket.clock.now += REFRESH_SECONDS - 1
    assert store.current() is before
    with before.paths[0].open("rb") as reader:
        bucket.later()
        local = store.current()
        assert_serves(local, new)
        assert reader.read() == old.parts[0], "who has it open reads on"
    assert local.trouble is None
    assert bucket.on_disk() == files(new)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_warm_process_goes_on_with_what_it_has_until_the_new_one_is_whole(bucket: Bucket, how: str) -> None:
    old = bucket.write(1)
    store = bucket.store()
    store.current()
    new = bucket.write(2, previous=old)
    sentence = bucket.damage(new, how)
    bucket.later()
    local = store.current()
    assert_serves(local, old)
    assert local.trouble
    assert local.trouble.startswith(f"The snapshot {new.card.version} cannot be served: ")
    assert_matches(sentence, local.trouble)
    assert store.card() == new.card, "the card says what is published"
    bucket.requests.clear()
    assert store.current() is local
    assert not bucket.requests, "what is broken is not tried at every request"
    bucket.put_part(new, 1)
    bucket.later()
    local = store.current()
    assert_serves(local, new)
    assert local.trouble is None
    assert bucket.on_disk() == files(new)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_cold_process_serves_the_one_before(bucket: Bucket, how: str) -> None:
    old = bucket.write(1)
    new = bucket.write(2, previous=old)
    sentence = bucket.damage(new, how)
    store = bucket.store()
    local = store.current()
    assert_serves(local, old)
    assert_matches(sentence, local.trouble)
    assert bucket.on_disk() == files(old)
    for _ in range(3):
        bucket.later()
        assert_serves(store.current(), old)
        assert bucket.on_disk() <= files(old) | keys(new) | partials(new), "what cannot be finished does not pile up"
    bucket.put_part(new, 1)
    bucket.later()
    assert_serves(store.current(), new)
    assert store.current().trouble is None
    assert bucket.on_disk() == files(new)


def assert_matches(pattern: str, sentence: str | None) -> None:
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(sentence)


def test_where_nothing_is_whole_the_part_is_named_and_every_request_tries_again(bucket: Bucket) -> None:
    old = bucket.write(1)
    new = bucket.write(2, previous=old)
    bucket.damage(old, "missing")
    sentence = bucket.damage(new, "another byte")
    store = bucket.store()
    for _ in range(2):
        with pytest.raises(FeatureStoreUnavailable, match=sentence) as caught:
            store.current()
        assert "\n" not in str(caught.value)
        assert not caught.value.retry
    bucket.put_part(new, 1)
    assert_serves(store.current(), new)
    assert bucket.on_disk() == files(new)


def test_no_snapshot_is_one_sentence_and_the_first_one_is_seen_at_once(bucket: Bucket) -> None:
    store = bucket.store()
    for ask in (store.current, store.card):
        with pytest.raises(FeatureStoreUnavailable, match=f"There is no feature snapshot in the bucket: {AGAIN}"):
            ask()
    assert not bucket.on_disk()
    written = bucket.write(1)
    assert_serves(store.current(), written)
    bucket.s3.delete_object(Bucket=BUCKET, Key=CURRENT_KEY)
    bucket.later()
    local = store.current()
    assert_serves(local, written)
    assert local.trouble
    assert "no feature snapshot" in local.trouble


def invalid_cards(card: SnapshotCard) -> Iterator[str]:
    fields = json.loads(card.model_dump_json())
    first, second = fields["parts"]
    yield "not JSON"
    yield json.dumps({"as_of": fields["as_of"], "customers": 6, "parts": [first["key"], second["key"]]})
    yield json.dumps({**fields, "customers": 7})
    yield json.dumps({**fields, "parts": []})
    yield json.dumps({**fields, "parts": [first, first]})
    yield json.dumps({**fields, "as_of": "2026-11-01T00:00:00"})
    other_folder = first["key"].replace("snapshots/", "snapshots/x")
    for key in (
        "snapshots/../x/a.parquet",
        "/etc/x/a.parquet",
        "snapshots/../../a.parquet",
        "models/x/a.parquet",
        "snapshots/x/../a.parquet",
        "snapshots/x/a.parquet\n",
        other_folder,
    ):
        yield json.dumps({**fields, "parts": [first, {**second, "key": key}]})


def test_a_card_that_is_not_valid_is_never_half_believed(bucket: Bucket) -> None:
    written = bucket.write(1)
    warm = bucket.store()
    warm.current()
    on_disk = bucket.on_disk()
    for text in invalid_cards(written.card):
        bucket.put_card(text)
        bucket.later()
        for store in (warm, bucket.store()):
            local = store.current()
            assert_serves(local, written)
            assert_matches(f"{CURRENT_KEY} is not valid: {AGAIN}", local.trouble)
        with pytest.raises(FeatureStoreUnavailable, match=f"{CURRENT_KEY} is not valid: {AGAIN}"):
            SnapshotStore(bucket.s3, BUCKET, bucket.cache / "empty").current()
        assert bucket.on_disk() == on_disk
    bucket.put_card(written.card.model_dump_json())
    bucket.later()
    assert warm.current().trouble is None


def test_a_process_that_is_started_again_checks_what_is_on_disk_and_fetches_what_is_not_right(bucket: Bucket) -> None:
    written = bucket.write(1, (5_000, 6_000, 7_000, 8_000))
    paths = bucket.store().current().paths
    bucket.requests.clear()
    assert_serves(bucket.store().current(), written)
    assert bucket.requests == [(CURRENT_KEY, None)]
    paths[0].write_bytes(b"x" * 5_000)
    paths[1].write_bytes(written.parts[1][:-1])
    paths[2].unlink()
    bucket.requests.clear()
    store = bucket.store()
    assert_serves(store.current(), written)
    assert {key for key, _ in bucket.requests} == {CURRENT_KEY, *(part.key for part in written.card.parts[:3])}
    shutil.rmtree(bucket.cache)
    assert_serves(store.current(), written)


class OutOfTime(TimeoutError):
    """What a caller raises whose time is over."""


def test_giving_up_ends_the_threads_and_the_next_request_goes_on(bucket: Bucket) -> None:
    written = bucket.write(1, (30 * RANGE, 2 * RANGE))
    store = bucket.store()
    given_up = threading.Event()
    turns = iter(range(1000))

    def hold_back(params: dict[str, Any], **_: Any) -> None:
        if "Range" in params and next(turns) >= 10:
            assert given_up.wait(timeout=PATIENCE_SECONDS)

    def give_up(done: int, total: int) -> None:
        if done == 10 * RANGE:
            given_up.set()
            raise OutOfTime

    store._s3.meta.events.register("provide-client-params.s3.GetObject", hold_back)
    threads = threading.active_count()
    with pytest.raises(OutOfTime):
        store.current(give_up)
    assert threading.active_count() == threads
    assert len(bucket.requests) <= 1 + 10 + 8
    assert bucket.on_disk() == partials(written)
    assert_serves(bucket.store().current(), written)
    ranges = [request for request in bucket.requests if request[1]]
    assert len(set(ranges)) == 32
    assert len(ranges) <= 32 + 8, "only what was on its way is fetched again"
    assert bucket.on_disk() == files(written)


def test_waiting_for_another_process_can_be_given_up(bucket: Bucket) -> None:
    written = bucket.write(1)
    bucket.cache.mkdir()

    def give_up(done: int, total: int) -> None:
        raise OutOfTime

    with (bucket.cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OutOfTime):
            bucket.store().current(give_up)
    assert {key for key, _ in bucket.requests} == {CURRENT_KEY}
    assert_serves(bucket.store().current(), written)


def test_giving_up_on_a_new_one_leaves_the_old_one(bucket: Bucket) -> None:
    old = bucket.write(1)
    store = bucket.store()
    store.current()
    new = bucket.write(2, previous=old)
    bucket.later()

    def give_up(done: int, total: int) -> None:
        raise OutOfTime

    with pytest.raises(OutOfTime):
        store.current(give_up)
    assert bucket.on_disk() >= files(old)
    assert_serves(store.current(), new)


def test_unfinished_parts_of_a_snapshot_that_is_not_current_any_more_go(bucket: Bucket) -> None:
    def give_up(done: int, total: int) -> None:
        if done:
            raise OutOfTime

    for number in range(1, 4):
        bucket.write(number)
        with pytest.raises(OutOfTime):
            bucket.store().current(give_up)
    last = bucket.write(4)
    assert_serves(bucket.store().current(), last)
    assert bucket.on_disk() == files(last)


def test_a_part_that_was_replaced_while_it_was_fetched_is_fetched_anew(bucket: Bucket) -> None:
    written = bucket.write(1, (4 * RANGE,))
    bucket.put_part(written, 0, bytes(4 * RANGE))

    def give_up(done: int, total: int) -> None:
        if done:
            raise OutOfTime

    store = bucket.store()
    with pytest.raises(OutOfTime):
        store.current(give_up)
    bucket.put_part(written, 0)
    with pytest.raises(FeatureStoreUnavailable, match="is damaged"):
        store.current()
    assert_serves(store.current(), written)


def test_a_range_whose_answer_breaks_off_is_asked_for_again(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    written = bucket.write(1, (3 * RANGE,))
    breaks = iter([True, True])
    whole = StreamingBody.iter_chunks

    def iter_chunks(body: StreamingBody, size: int) -> Iterator[bytes]:
        chunks = whole(body, size)
        yield next(chunks)
        if next(breaks, False):
            raise ReadTimeoutError(endpoint_url="https://s3")
        yield from chunks

    # The connection breaks off in an answer: moto's are whole.
    monkeypatch.setattr(StreamingBody, "iter_chunks", iter_chunks)
    assert_serves(bucket.store().current(), written)
    assert len([request for request in bucket.requests if request[1]]) == 3 + 2
    shutil.rmtree(bucket.cache)
    breaks = iter([True] * 100)
    with pytest.raises(FeatureStoreUnavailable, match=r"S3 cannot be reached for .*part-00000.parquet \(ReadTimeout"):
        bucket.store().current()


def test_after_giving_up_no_range_is_asked_for_again(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.write(1, (3 * RANGE,))
    given_up = threading.Event()

    def break_off(*_: Any) -> Iterator[bytes]:
        assert given_up.wait(timeout=PATIENCE_SECONDS)
        raise ReadTimeoutError(endpoint_url="https://s3")

    def ranges_asked_for() -> int:
        return len([request for request in bucket.requests if request[1]])

    def give_up(*_: Any) -> None:
        if ranges_asked_for():
            raise OutOfTime

    shutdown = ThreadPoolExecutor.shutdown

    def shut_down(pool: ThreadPoolExecutor, *, cancel_futures: bool = False, **options: Any) -> None:
        if cancel_futures:
            given_up.set()
        shutdown(pool, cancel_futures=cancel_futures, **options)

    # As above; and the answers are held until the download gives up, which only its pool shows.
    monkeypatch.setattr(StreamingBody, "iter_chunks", break_off)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shut_down)
    with pytest.raises(OutOfTime):
        bucket.store().current(give_up)
    assert ranges_asked_for() <= 3


@contextmanager
def refusing(store: SnapshotStore, code: str) -> Iterator[None]:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")

    store._s3.meta.events.register("before-call.s3.GetObject", refuse)
    yield
    store._s3.meta.events.unregister("before-call.s3.GetObject", refuse)


def test_s3_that_refuses_is_one_sentence_and_what_is_held_goes_on(bucket: Bucket) -> None:
    written = bucket.write(1)
    store = bucket.store()
    with (
        refusing(store, "AccessDenied"),
        pytest.raises(FeatureStoreUnavailable, match=f"AccessDenied for {CURRENT_KEY}") as refused,
    ):
        store.current()
    assert not refused.value.retry
    with refusing(store, "SlowDown"), pytest.raises(FeatureStoreUnavailable, match="SlowDown") as throttled:
        store.current()
    assert throttled.value.retry
    store.card()
    with (
        refusing(store, "AccessDenied"),
        pytest.raises(
            FeatureStoreUnavailable, match=r"AccessDenied for .*part-0000\d.parquet: check that the function may read"
        ),
    ):
        store.current()
    assert_serves(store.current(), written)
    bucket.later()
    with refusing(store, "SlowDown"):
        local = store.current()
    assert_serves(local, written)
    assert_matches(f"S3 answered SlowDown for {CURRENT_KEY}", local.trouble)
    bucket.later()
    assert store.current().trouble is None


def test_too_little_room_says_how_much_is_needed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    old = bucket.write(1)
    store = bucket.store()
    store.current()
    new = bucket.write(2, (1_900_000, 50_000), previous=old)
    sentence = rf"it needs 2 MB in {bucket.cache}, but only 1 MB are free: raise .* \(parameter SegmentStorage; .*\)"

    with monkeypatch.context() as patched:
        # The disk is nearly full; a test cannot fill one.
        patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
        bucket.later()
        local = store.current()
        assert_serves(local, old)
        assert_matches(sentence, local.trouble)
        assert {key for key, _ in bucket.requests} == {CURRENT_KEY}, "it does not begin what it cannot finish"
        bucket.write(3, (1_900_000, 50_000))
        with pytest.raises(StoreUnavailable, match=sentence) as full:
            SnapshotStore(bucket.s3, BUCKET, bucket.cache).current()
        assert (full.value.details, full.value.retry) == ({"store": "disk"}, False)
    bucket.put_card(new.card.model_dump_json())
    bucket.later()
    assert_serves(store.current(), new)


def test_a_disk_that_fills_up_is_left_with_room(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    old = bucket.write(1)
    store = bucket.store()
    store.current()
    new = bucket.write(2, previous=old)
    whole = os.pwrite

    def full(file: int, content: bytes, at: int) -> int:
        if at >= RANGE:
            raise OSError(28, "No space left on device")
        return whole(file, content[:700], at)  # a disk may take less than it is given

    with monkeypatch.context() as patched:
        # The disk fills up on the way; a test cannot fill one.
        patched.setattr(os, "pwrite", full)
        bucket.later()
        local = store.current()
    assert_serves(local, old)
    assert_matches(r"it needs 1 MB in .* raise .* \(parameter SegmentStorage; for files, FileStorage\)", local.trouble)
    assert bucket.on_disk() == files(old)
    bucket.later()
    assert_serves(store.current(), new)


def test_a_folder_that_cannot_be_made_is_one_sentence(bucket: Bucket) -> None:
    bucket.write(1)
    bucket.cache.write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match=f"cannot be kept in {bucket.cache} .*: check the folder"):
        bucket.store().current()


def test_threads_of_one_process_fetch_once(bucket: Bucket) -> None:
    written = bucket.write(1, (20 * RANGE,))
    store = bucket.store()
    store.card()
    together = threading.Barrier(4, timeout=PATIENCE_SECONDS)
    served: list[LocalSnapshot] = []

    def ask() -> None:
        together.wait()
        served.append(store.current())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(served) == 4
    for local in served:
        assert_serves(local, written)
    assert len([request for request in bucket.requests if request[1]]) == 20


READER = """
import sys
from hashlib import sha256
from pathlib import Path

import boto3

from loyalty_ml.customers.snapshot_download import SnapshotFetcher
from loyalty_ml.customers.snapshot_store import SnapshotStore

s3, cache = boto3.client("s3"), Path(sys.argv[1])
store = SnapshotStore(s3, "data", cache, fetcher=SnapshotFetcher(s3, "data", cache, range_bytes=100_000))
store.card()
print("ready", flush=True)
sys.stdin.readline()
local = store.current()
print(*(sha256(path.read_bytes()).hexdigest() for path in local.paths))
"""


def test_processes_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stores.start_moto()
    try:
        for name, value in stores.aws_environment(server).items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        bucket = Bucket(s3, tmp_path / "cache")
        written = bucket.write(1, (3_000_000, 1_000_000))
        command = [sys.executable, "-c", READER, str(bucket.cache)]
        readers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
        for reader in readers:
            assert reader.stdin is not None
            reader.stdin.write("go\n")
            reader.stdin.flush()
        hashes = " ".join(part.sha256 for part in written.card.parts)
        assert [reader.communicate(timeout=PATIENCE_SECONDS)[0].splitlines()[-1] for reader in readers] == [
            hashes,
            hashes,
        ]
        assert [reader.returncode for reader in readers] == [0, 0]
        assert bucket.on_disk() == files(written)
    finally:
        server.stop()
