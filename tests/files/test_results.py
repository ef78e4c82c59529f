"""Results appear only whole, and are the same bytes wherever the work was interrupted, and by whomever."""

import dataclasses
import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlparse

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.core.models import botocore_stubber
from urllib3 import HTTPHeaderDict, HTTPResponse

from loyalty_ml.errors import InvalidFile, StoreUnavailable
from loyalty_ml.files import results as results_module
from loyalty_ml.files.results import Results, open_results
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.jobs.lease import LeaseLost
from tests.aws import fresh_aws
from tests.examples import examples

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.moto

BUCKET = "data"
JOB = "0" * 32
NAMES = ("errors", "predictions")
TYPES = {"errors": "text/csv; charset=utf-8", "predictions": "application/gzip"}
PART = 10
LARGE_PART = 25
SMALL = Sizes(part_bytes=PART, small_parts=3, large_part_bytes=LARGE_PART)

Piece = tuple[str, bytes]
"""A result's name, and what is appended to it."""


class KilledError(BaseException):
    """A worker ends here."""


def keys(job_id: str) -> dict[str, str]:
    return {"errors": f"results/{job_id}/errors.csv", "predictions": f"results/{job_id}/predictions.csv.gz"}


@dataclass
class Bucket:
    """The data bucket. It forgets an upload when that is completed, as S3 does and moto does not."""

    admin: "S3Client"
    attempts: int = 1

    def client(self) -> Any:
        config = Config(retries={"mode": "standard", "total_max_attempts": self.attempts})
        client: Any = boto3.client("s3", config=config)
        for operation in ("UploadPart", "CompleteMultipartUpload"):
            client.meta.events.register_first(f"before-send.s3.{operation}", self._refuse_if_gone)
        return client

    def open(self, job_id: str = JOB, client: Any = None, sizes: Sizes = SMALL) -> Results:
        """What a new worker does."""
        return open_results(client or self.client(), BUCKET, job_id, keys(job_id), TYPES, sizes=sizes)

    def _refuse_if_gone(self, request: Any, **_: Any) -> AWSResponse | None:
        upload_id = parse_qs(urlparse(request.url).query)["uploadId"][0]
        return None if upload_id in self.uploads() else failure(request, 404, "NoSuchUpload")

    def uploads(self, job_id: str = "") -> set[str]:
        answer = self.admin.list_multipart_uploads(Bucket=BUCKET, Prefix=f"results/{job_id}")
        return {upload["UploadId"] for upload in answer.get("Uploads", ())}

    def objects(self, prefix: str) -> dict[str, bytes]:
        listed = self.admin.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
        return {item["Key"]: self.admin.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in listed}

    def results(self, job_id: str = JOB) -> dict[str, bytes]:
        found = self.objects(f"results/{job_id}/")
        return {name: found[key] for name, key in keys(job_id).items() if key in found}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, smallest_part: Callable[[int], None]) -> Iterator[Bucket]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    smallest_part(PART)
    with fresh_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        yield Bucket(s3)


def failure(request: Any, status: int, code: str) -> AWSResponse:
    body = f"<Error><Code>{code}</Code><Message>Not now</Message></Error>".encode()
    raw: Any = HTTPResponse(io.BytesIO(body), preload_content=False)
    headers: Any = HTTPHeaderDict()
    return AWSResponse(request.url, status, headers, raw)


def whole(work: Sequence[Piece]) -> dict[str, bytes]:
    return {name: b"".join(data for of, data in work if of == name) for name in NAMES}


def go_on(results: Results, work: Sequence[Piece], checkpoint_every: int = 2) -> None:
    """A worker: from where the last checkpoint was to the end, with checkpoints on its way."""
    if not results.completing:
        start = results.position["done"] if results.position else 0
        for place, (name, data) in enumerate(work[start:], start=start + 1):
            results.append(name, data)
            if place % checkpoint_every == 0:
                results.checkpoint({"done": place})
    sizes = results.complete({"done": len(work)})
    assert sizes == {name: len(data) for name, data in whole(work).items()}


NOISE = random.Random(5).randbytes(1_000)
WORK: list[Piece] = [
    ("predictions", NOISE[:25]),
    ("errors", NOISE[:7]),
    ("predictions", NOISE[25:60]),
    ("errors", NOISE[7:11]),
    ("predictions", NOISE[60:130]),
]

JOB_IDS = (f"{number:032x}" for number in count(1))
"""One for each example that hypothesis tries in the same bucket."""


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    work=st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=60)), max_size=8),
    troubles=st.lists(st.sampled_from(["append", "append", "checkpoint", "kill"]), max_size=25),
)
def test_interruptions_and_checkpoints_change_no_byte(bucket: Bucket, work: list[Piece], troubles: list[str]) -> None:
    job_id = next(JOB_IDS)
    results = bucket.open(job_id)
    done = 0
    for trouble in troubles:
        if trouble == "kill":
            results.close()
            results = bucket.open(job_id)
            done = results.position["done"] if results.position else 0
        elif trouble == "checkpoint":
            results.checkpoint({"done": done})
        elif done < len(work):
            results.append(*work[done])
            done += 1
        assert results.sizes == {name: len(data) for name, data in whole(work[:done]).items()}
    assert not bucket.results(job_id)
    for piece in work[done:]:
        results.append(*piece)
    results.complete({"done": len(work)})
    results.clean()
    results.close()
    assert bucket.results(job_id) == whole(work)
    assert not bucket.uploads(job_id)
    assert bucket.open(job_id).position is None


@pytest.mark.parametrize("moment", ["before-call", "after-call"])
def test_a_worker_killed_at_any_call_of_s3_is_followed_by_one_that_makes_the_same_bytes(
    bucket: Bucket, moment: str
) -> None:
    for fatal in count(1):
        client = bucket.client()
        calls = count(1)

        def kill(calls: Iterator[int] = calls, fatal: int = fatal, **_: Any) -> None:
            if next(calls) == fatal:
                raise KilledError

        client.meta.events.register(f"{moment}.s3", kill)
        job_id = f"{fatal:032x}"
        try:
            with bucket.open(job_id, client) as results:
                go_on(results, WORK)
                results.clean()
        except KilledError:
            with bucket.open(job_id) as results:
                go_on(results, WORK)
                results.clean()
        assert bucket.results(job_id) == whole(WORK)
        assert not bucket.uploads(job_id)
        if next(calls) <= fatal:
            assert fatal > 10, "each of the calls was the last one once"
            break


def test_a_worker_killed_while_completing_is_followed_by_one_that_only_completes(bucket: Bucket) -> None:
    client = bucket.client()

    def kill(**_: Any) -> None:
        raise KilledError

    client.meta.events.register("after-call.s3.CompleteMultipartUpload", kill)
    with bucket.open(client=client) as results, pytest.raises(KilledError):
        go_on(results, WORK)
    assert bucket.results() == {"errors": whole(WORK)["errors"]}
    with bucket.open() as results:
        assert results.completing
        assert results.position == {"done": len(WORK)}
        with pytest.raises(ValueError, match="nothing can be appended to 'errors'"):
            results.append("errors", b"more")
        results.complete({"done": len(WORK)})
    with bucket.open() as results:
        assert results.completing, "until the job's end is recorded, the next worker finds it complete"
        results.complete({"done": len(WORK)})
    assert bucket.results() == whole(WORK)


def test_nothing_appears_before_all_is_uploaded_and_the_last_key_appears_last(bucket: Bucket) -> None:
    client = bucket.client()
    seen: list[tuple[str, ...]] = []
    client.meta.events.register("after-call.s3", lambda **_: seen.append(tuple(bucket.results())))
    with bucket.open(client=client) as results:
        go_on(results, WORK)
    assert list(dict.fromkeys(seen)) == [(), ("errors",), ("errors", "predictions")]
    assert seen.index(("errors",)) >= len(seen) - 2, "all calls but the completing ones were before"


def test_results_say_what_they_are_and_may_be_empty(bucket: Bucket) -> None:
    with bucket.open() as results:
        results.append("predictions", NOISE)
        assert results.complete({}) == {"errors": 0, "predictions": len(NOISE)}
    assert bucket.results() == {"errors": b"", "predictions": NOISE}
    for name, key in keys(JOB).items():
        assert bucket.admin.head_object(Bucket=BUCKET, Key=key)["ContentType"] == TYPES[name]


def test_a_worker_given_up_for_dead_undoes_nothing_of_its_successor(bucket: Bucket) -> None:
    another = f"The lease of job {JOB} is no longer this worker's"
    with bucket.open() as dead, bucket.open() as second:
        dead.append(*WORK[0])
        second.append(*WORK[0])
        second.checkpoint({"done": 1})
        with pytest.raises(LeaseLost, match=another):
            dead.checkpoint({"done": 1})
        with bucket.open() as third:
            third.checkpoint({"done": 1})
            for name, data in WORK[1:]:
                second.append(name, data)
            for _ in range(2):
                with pytest.raises(LeaseLost, match=another):
                    second.complete({"done": 5})
            assert not bucket.results()
            for name, data in WORK[1:]:
                third.append(name, data)
            third.complete({"done": 5})
            third.clean()
        with pytest.raises(LeaseLost, match=another):
            second.checkpoint({"done": 5})
    assert bucket.results() == whole(WORK)
    assert bucket.open().position is None


@pytest.mark.usefixtures("no_pauses")
def test_a_checkpoint_whose_answer_is_lost_is_no_conflict_with_itself(bucket: Bucket) -> None:
    bucket.attempts = 2
    client = bucket.client()
    seen = set()

    def lose_the_first_answer(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if request.body in seen:
            return None
        seen.add(request.body)
        botocore_stubber(event_name, request)
        return failure(request, 500, "InternalError")

    client.meta.events.register_first("before-send.s3.PutObject", lose_the_first_answer)
    with bucket.open(client=client) as results:
        go_on(results, WORK, checkpoint_every=1)
    assert len(seen) == len(WORK) + 1
    assert bucket.results() == whole(WORK)


@pytest.mark.usefixtures("no_pauses")
def test_s3_failing_once_in_ten_times_changes_nothing(bucket: Bucket) -> None:
    bucket.attempts = 5
    client = bucket.client()
    failing = random.Random(1)
    failed = []

    def fail(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if failing.random() < 0.1:
            failed.append(event_name)
            if failing.random() < 0.5:
                botocore_stubber(event_name, request)  # done, but nobody hears of it
            return failure(request, 503, "SlowDown")
        return None

    client.meta.events.register_first("before-send.s3", fail)
    for number in range(10):
        job_id = f"{number:032x}"
        with bucket.open(job_id, client) as results:
            go_on(results, WORK)
            results.clean()
        assert bucket.results(job_id) == whole(WORK)
    assert len(failed) > 10


@pytest.mark.parametrize(
    "operation", ["GetObject", "ListMultipartUploads", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]
)
def test_s3_refusing_is_an_error_of_the_store(bucket: Bucket, operation: str) -> None:
    client = bucket.client()

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

    client.meta.events.register(f"before-call.s3.{operation}", refuse)

    def work() -> None:
        with bucket.open(client=client) as results:
            go_on(results, WORK)

    problem = rf"The results of job {JOB} could not be .* the bucket {BUCKET} \(AccessDenied\)"
    with pytest.raises(StoreUnavailable, match=problem):
        work()


def test_after_a_part_was_lost_no_checkpoint_is_saved(bucket: Bucket) -> None:
    client = bucket.client()
    refusals = iter([True])

    def refuse_once(**_: Any) -> None:
        if next(refusals, False):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "UploadPart")

    client.meta.events.register("before-call.s3.UploadPart", refuse_once)
    with bucket.open(client=client) as results:
        results.append("predictions", NOISE[:PART])
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="AccessDenied"):
                results.checkpoint({"done": 1})
    assert not bucket.objects("jobs/")


def begun(bucket: Bucket) -> None:
    """A worker that has saved a checkpoint, and then is gone."""
    with bucket.open() as results:
        for name, data in WORK[:3]:
            results.append(name, data)
        results.checkpoint({"done": 3})


def abort_uploads(bucket: Bucket) -> None:
    """As a lifecycle rule does with uploads that stay unfinished."""
    for upload in bucket.admin.list_multipart_uploads(Bucket=BUCKET)["Uploads"]:
        bucket.admin.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])


def spoil_checkpoint(bucket: Bucket) -> None:
    bucket.admin.put_object(Bucket=BUCKET, Key=f"jobs/{JOB}/checkpoint", Body=b'{"format": 0}\n')


@pytest.mark.parametrize("spoil", [abort_uploads, spoil_checkpoint])
def test_a_checkpoint_that_cannot_be_gone_on_from_is_forgotten(bucket: Bucket, spoil: Callable[[Bucket], None]) -> None:
    begun(bucket)
    spoil(bucket)
    with bucket.open() as results:
        assert results.position is None
        assert results.sizes == {"errors": 0, "predictions": 0}
        assert not bucket.uploads()
        go_on(results, WORK)
    assert bucket.results() == whole(WORK)


def test_uploads_that_are_gone_before_they_were_completed_begin_again(bucket: Bucket) -> None:
    client = bucket.client()

    def kill(**_: Any) -> None:
        raise KilledError

    client.meta.events.register("before-call.s3.CompleteMultipartUpload", kill)
    with bucket.open(client=client) as results, pytest.raises(KilledError):
        go_on(results, WORK)
    abort_uploads(bucket)
    with bucket.open() as results:
        assert (results.completing, results.position) == (False, None)
        go_on(results, WORK)
    assert bucket.results() == whole(WORK)


def test_an_upload_that_can_never_be_completed_is_begun_again(bucket: Bucket) -> None:
    key = keys(JOB)["predictions"]
    with bucket.open() as results:
        results.append("predictions", NOISE[:PART])
        results.checkpoint({"done": 1})
        (upload,) = bucket.admin.list_multipart_uploads(Bucket=BUCKET, Prefix=key)["Uploads"]
        bucket.admin.upload_part(
            Bucket=BUCKET, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=NOISE[PART : 2 * PART]
        )
        with pytest.raises(StoreUnavailable, match="InvalidPart"):
            results.complete({"done": 1})
    with bucket.open() as again:
        assert (again.position, again.completing) == (None, False)
        go_on(again, WORK)
    assert bucket.results() == whole(WORK)


def test_other_results_than_those_of_the_checkpoint_begin_again(bucket: Bucket) -> None:
    begun(bucket)
    other = {**keys(JOB), "predictions": f"results/{JOB}/predictions.csv"}
    with open_results(bucket.client(), BUCKET, JOB, other, TYPES, sizes=SMALL) as results:
        assert results.position is None
        assert not bucket.uploads()


def test_uploads_that_nobody_knows_are_aborted_but_not_those_of_other_jobs(bucket: Bucket) -> None:
    other = "1" * 32
    with bucket.open(other) as theirs, bucket.open() as killed:
        theirs.append("predictions", NOISE)
        theirs.checkpoint({})
        killed.append("predictions", NOISE)
        killed.close()
        before = bucket.uploads()
        assert len(before) == 2
        with bucket.open() as results:
            assert results.position is None
            assert bucket.uploads() == bucket.uploads(other)
            assert len(bucket.uploads()) == 1


def test_giving_up_leaves_nothing(bucket: Bucket) -> None:
    begun(bucket)
    with bucket.open() as results:
        results.append("errors", NOISE)
        results.abort()
    assert not bucket.uploads()
    assert not bucket.objects("")


def test_the_checkpoint_gives_back_the_position_as_it_was(bucket: Bucket) -> None:
    position = {"line": 7, "encoding": "utf-16-le", "models": {"churn": "v1"}, "carry": "ð\n", "counts": [1, 2.5, None]}
    with bucket.open() as results:
        results.append("errors", b"a\nb\n")
        results.checkpoint(position)
    with bucket.open() as results:
        assert results.position == position
        assert results.sizes == {"errors": 4, "predictions": 0}


def test_only_a_few_parts_are_in_memory(bucket: Bucket) -> None:
    with bucket.open() as results:
        for _ in range(20):
            results.append("predictions", NOISE[:LARGE_PART])
            assert len(results._running) <= results_module.MOST_RUNNING


def test_parts_fit_what_s3_takes() -> None:
    sizes = [DEPLOYED.part(number) for number in range(1, DEPLOYED.most_parts + 1)]
    assert min(sizes) >= 5 * 2**20
    assert sum(sizes) > 500 * 2**30
    assert sizes == sorted(sizes)


def test_a_result_beyond_what_s3_takes_is_one_sentence(bucket: Bucket) -> None:
    two_parts = dataclasses.replace(SMALL, most_parts=2)
    with (
        bucket.open(sizes=two_parts) as results,
        pytest.raises(InvalidFile, match=r"predictions\.csv\.gz grows beyond the 2 parts"),
    ):
        results.append("predictions", NOISE)
