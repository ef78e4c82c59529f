"""Who is at work on a file: one worker at a time, whoever is killed, late, or told the same thing twice."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loyalty_ml.errors import InvalidFile, JobNotFound, StoreUnavailable
from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.source import FileJobRequest, FileSource, job_id_of, upload_key
from loyalty_ml.jobs.lease import LEASE_SECONDS, Claim, LeaseLost
from loyalty_ml.jobs.record import Job
from tests.examples import examples
from tests.service import Service, process

pytestmark = pytest.mark.moto

SUMMARY = {
    "status": "succeeded",
    "rows": 1000,
    "predictions": 990,
    "errors": 10,
    "files": {"summary": "results/1/summary.json"},
}
START = 1_795_000_000.25


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Files:
    """The store under test, its clock, and the service that it is a part of."""

    store: FileJobStore
    clock: Clock
    service: Service

    def get(self, job_id: str) -> Job:
        return process().batch.jobs.get(job_id)

    def listed(self) -> list[str]:
        jobs, _ = process().batch.jobs.list(100)
        return [job.job_id for job in jobs]

    def with_client(self, dynamodb: Any) -> FileJobStore:
        return FileJobStore(dynamodb, self.service.ids["JobsTable"], self.clock)


@pytest.fixture
def files(new_service: Callable[[], Service]) -> Files:
    service = new_service()
    clock = Clock()
    return Files(FileJobStore(service.dynamodb, service.ids["JobsTable"], clock), clock, service)


def a_source(key: str = "incoming/churn/customers.csv", version: str | None = "v1", etag: str = "e1") -> FileSource:
    return FileSource("data", key, version, etag, 12_345)


def a_job(dataset: str | None = None, **source: Any) -> FileJobRequest:
    of = a_source(**source)
    return FileJobRequest(of, "churn", job_id_of(of, dataset), dataset)


def claimed(files: Files, job: FileJobRequest, owner: str) -> Claim:
    """What comes of a claim, without the record as it was before."""
    return files.store.claim(job, owner)._replace(job=None)


def test_the_first_who_claims_a_file_makes_its_record(files: Files) -> None:
    job = a_job()
    with pytest.raises(JobNotFound):
        files.get(job.job_id)
    assert claimed(files, job, "one") == Claim("claimed")
    record = files.get(job.job_id)
    assert (record.kind, record.status, record.processed, record.total, record.errors) == (
        "file",
        "running",
        0,
        None,
        0,
    )
    assert record.request == {
        "type": "churn",
        "key": "incoming/churn/customers.csv",
        "version_id": "v1",
        "size": 12_345,
    }
    assert record.created == record.updated == "2026-11-18T11:06:40.250Z"
    assert files.listed() == [job.job_id]


def test_a_lease_is_anothers_until_it_has_passed(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "one")
    assert claimed(files, job, "two") == Claim("running", lease_left=LEASE_SECONDS)
    files.clock.now += LEASE_SECONDS - 1
    assert claimed(files, job, "two") == Claim("running", lease_left=1)
    files.clock.now += 1
    created = files.get(job.job_id).created
    assert claimed(files, job, "two") == Claim("claimed", was_killed=True)
    assert files.get(job.job_id).created == created, "the record is the same one"


def test_a_beat_holds_the_lease_and_says_how_far_the_job_is(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "one")
    files.clock.now += 50
    files.store.leases.beat(job.job_id, "one", {"processed": 5_000, "errors": 7, "share": 0.25})
    files.clock.now += 50
    assert claimed(files, job, "two") == Claim("running", lease_left=LEASE_SECONDS - 50)
    record = files.get(job.job_id)
    assert (record.processed, record.errors, record.share, record.rate) == (5_000, 7, 0.25, 100.0)
    assert record.updated > record.created


def test_the_rate_is_that_of_the_present_worker(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "killed")
    assert files.get(job.job_id).rate is None
    files.clock.now += 10
    files.store.leases.beat(job.job_id, "killed", {"processed": 10_000, "errors": 0, "share": 0.1})
    files.clock.now += 3600
    files.store.claim(job, "next")
    assert files.get(job.job_id).rate is None
    files.clock.now += 5
    files.store.leases.beat(job.job_id, "next", {"processed": 9_000, "errors": 0, "share": 0.09})
    assert files.get(job.job_id).rate == 0, "it goes on from a checkpoint before what the killed one had counted"
    files.clock.now += 5
    files.store.leases.beat(job.job_id, "next", {"processed": 30_000, "errors": 0, "share": 0.3})
    assert files.get(job.job_id).rate == 2_000


def test_a_worker_that_is_late_may_go_on_as_long_as_no_other_has_come(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "late")
    files.clock.now += 10 * LEASE_SECONDS
    files.store.leases.beat(job.job_id, "late", {"processed": 1, "errors": 0, "share": 0})
    assert claimed(files, job, "other") == Claim("running", lease_left=LEASE_SECONDS)
    files.clock.now += 10 * LEASE_SECONDS
    files.store.finish(job.job_id, "late", SUMMARY)
    assert files.get(job.job_id).status == "succeeded"


ENDS: dict[str, Callable[[FileJobStore, str, str], object]] = {
    "beat": lambda store, job_id, owner: store.leases.beat(job_id, owner, {"processed": 1}),
    "release": lambda store, job_id, owner: store.leases.release(job_id, owner, "A reason.", "INTERNAL"),
    "finish": lambda store, job_id, owner: store.finish(job_id, owner, SUMMARY),
    "fail": lambda store, job_id, owner: store.leases.fail(job_id, owner, "INTERNAL", "A reason.", final=False),
    "fail for good": lambda store, job_id, owner: store.leases.fail(
        job_id, owner, "INVALID_FILE", "A reason.", final=True
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_who_has_lost_the_lease_is_told_so_and_changes_nothing(
    files: Files, end: Callable[[FileJobStore, str, str], object]
) -> None:
    job = a_job()
    files.store.claim(job, "one")
    files.clock.now += LEASE_SECONDS
    files.store.claim(job, "two")
    before = files.get(job.job_id)
    with pytest.raises(LeaseLost, match=f"{job.job_id} is no longer this worker's: stop"):
        end(files.store, job.job_id, "one")
    assert files.get(job.job_id) == before
    end(files.store, job.job_id, "two")
    assert files.get(job.job_id) != before
    with pytest.raises(LeaseLost):
        end(files.store, "0" * 32, "one")
    with pytest.raises(JobNotFound):
        files.get("0" * 32)


@pytest.mark.usefixtures("whole_updates")
def test_of_ten_who_claim_at_once_one_has_the_job(files: Files) -> None:
    together = threading.Barrier(10)

    def claim(owner: str) -> str:
        together.wait()
        return files.store.claim(a_job(), owner).outcome

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(claim, [f"owner-{number}" for number in range(10)]))
    assert sorted(outcomes) == ["claimed"] + 9 * ["running"]


def test_the_rate_of_a_job_that_is_done_is_of_all_its_workers(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "killed")
    files.clock.now += LEASE_SECONDS
    files.store.leases.beat(job.job_id, "killed", {"processed": 900, "errors": 0, "share": 0.9})
    files.clock.now += LEASE_SECONDS
    files.store.claim(job, "next")
    files.clock.now += 5
    files.store.finish(job.job_id, "next", SUMMARY)
    assert files.get(job.job_id).rate == 1000 / (2 * LEASE_SECONDS + 5)


def test_a_success_is_final_and_tells_what_came_of_it(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "one")
    files.clock.now += 4
    files.store.finish(job.job_id, "one", SUMMARY)
    record = files.get(job.job_id)
    assert (record.status, record.summary) == ("succeeded", SUMMARY)
    assert (record.processed, record.total, record.errors, record.share, record.rate) == (1000, 1000, 10, 1.0, 250.0)
    files.clock.now += 10 * LEASE_SECONDS
    for owner in ("one", "two"):
        assert files.store.claim(job, owner) == Claim("finished", job=record)
    for end in (ENDS["beat"], ENDS["release"], ENDS["fail"], ENDS["fail for good"]):
        with pytest.raises(LeaseLost):
            end(files.store, job.job_id, "one")
    assert files.get(job.job_id) == record


def test_a_failure_for_good_is_final(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "one")
    files.store.leases.fail(job.job_id, "one", "INVALID_FILE", "The header has no customer_id: add it.", final=True)
    record = files.get(job.job_id)
    assert (record.status, record.code) == ("failed", "INVALID_FILE")
    assert record.error == "The header has no customer_id: add it."
    assert files.store.claim(job, "two") == Claim("finished", job=record)


def test_a_failure_for_want_of_a_service_can_be_mended_and_claimed_again(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "one")
    files.store.leases.fail(job.job_id, "one", "MODEL_UNAVAILABLE", "churn cannot be served.", final=False)
    assert files.get(job.job_id).status == "failed"
    with pytest.raises(LeaseLost):
        ENDS["fail for good"](files.store, job.job_id, "one")
    assert claimed(files, job, "two") == Claim("claimed")
    running = files.get(job.job_id)
    assert (running.status, running.error, running.code) == ("running", None, None)
    files.store.finish(job.job_id, "two", SUMMARY)
    done = files.get(job.job_id)
    assert (done.status, done.error, done.code) == ("succeeded", None, None)


def test_who_hands_over_is_followed_at_once(files: Files) -> None:
    job = a_job()
    files.store.claim(job, "one")
    files.store.leases.beat(job.job_id, "one", {"processed": 500, "errors": 2, "share": 0.5})
    files.store.leases.release(job.job_id, "one")
    waiting = files.get(job.job_id)
    assert (waiting.status, waiting.processed, waiting.errors, waiting.share) == ("queued", 500, 2, 0.5)
    assert claimed(files, job, "two") == Claim("claimed")
    assert files.get(job.job_id).processed == 500


class LosesAnswers:
    """DynamoDB's client where the answer to each write is lost and the client sends it again, as its retries do."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dynamodb, name)

    def update_item(self, **request: Any) -> Any:
        self._dynamodb.update_item(**request)
        return self._dynamodb.update_item(**request)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_write_whose_answer_was_lost_and_that_is_sent_again_counts_as_done(
    files: Files, end: Callable[[FileJobStore, str, str], object]
) -> None:
    store = files.with_client(LosesAnswers(files.service.dynamodb))
    job = a_job()
    assert store.claim(job, "one").outcome == "claimed"
    end(store, job.job_id, "one")
    assert files.get(job.job_id).updated


def test_an_announced_upload_is_the_job_that_was_announced_and_its_second_version_one_of_its_own(files: Files) -> None:
    job_id = uuid.uuid4().hex
    key = upload_key("nbo", job_id, "csv.gz")
    announced = files.store.announce(job_id, {"type": "nbo", "format": "csv.gz", "key": key})
    assert (announced.kind, announced.status) == ("file", "awaiting_upload")
    assert files.get(job_id) == announced
    first, second = a_source(key, "v1"), a_source(key, "v2")
    store = files.with_client(LosesAnswers(files.service.dynamodb))
    assert [store.job_id_for(source) for source in (first, first)] == [job_id, job_id]
    assert files.get(job_id).status == "queued"
    assert files.store.job_id_for(second) == job_id_of(second) != job_id
    files.store.claim(FileJobRequest(first, "nbo", job_id), "one")
    assert files.store.job_id_for(first) == job_id
    record = files.get(job_id)
    assert (record.status, record.request) == ("running", announced.request), (
        "a message that comes again changes nothing"
    )


def test_where_a_bucket_has_no_versions_the_etag_tells_them_apart(files: Files) -> None:
    job_id = uuid.uuid4().hex
    key = upload_key("rfm", job_id, "csv")
    files.store.announce(job_id, {"type": "rfm", "format": "csv", "key": key})
    first, second = a_source(key, None, "e1"), a_source(key, None, "e2")
    assert [files.store.job_id_for(source) for source in (first, second, first)] == [job_id, job_id_of(second), job_id]


def test_an_upload_that_nobody_announced_has_an_id_of_its_own(files: Files) -> None:
    other = a_job()
    files.store.claim(other, "one")
    announced = uuid.uuid4().hex
    files.store.announce(announced, {"type": "rfm", "format": "csv", "key": upload_key("rfm", announced, "csv")})
    for key in (
        "incoming/churn/customers.csv",
        upload_key("churn", "0" * 32, "csv"),
        upload_key("churn", other.job_id, "csv"),
        upload_key("churn", announced, "csv"),
    ):
        assert files.store.job_id_for(a_source(key)) == job_id_of(a_source(key))
    with pytest.raises(JobNotFound):
        files.get("0" * 32)
    assert files.get(announced).status == "awaiting_upload"


def test_a_datasets_files_have_records_and_are_in_no_listing(files: Files) -> None:
    job = a_job(dataset="d" * 32)
    files.store.claim(job, "one")
    files.store.finish(job.job_id, "one", SUMMARY)
    assert files.get(job.job_id).status == "succeeded"
    assert files.listed() == []


def test_a_file_whose_key_says_nothing_is_a_job_that_failed(files: Files) -> None:
    source = a_source("incoming/churn/customers.xlsx")
    job_ids = {files.store.refuse(source, InvalidFile("It has no known extension: name its format.")) for _ in range(2)}
    assert job_ids == {job_id_of(source)}
    record = files.get(job_id_of(source))
    assert (record.status, record.code) == ("failed", "INVALID_FILE")
    assert record.error == "It has no known extension: name its format."
    assert files.listed() == [record.job_id]
    assert files.store.claim(FileJobRequest(source, "churn", record.job_id), "one") == Claim("finished", job=record)


def test_a_table_that_does_not_answer_is_said_to(files: Files) -> None:
    files.service.dynamodb.delete_table(TableName=files.service.ids["JobsTable"])
    job = a_job()
    asks: list[Callable[[], object]] = [
        lambda: files.store.claim(job, "one"),
        lambda: files.store.announce("0" * 32, {"type": "churn", "format": "csv", "key": "k"}),
        lambda: files.store.job_id_for(a_source(upload_key("churn", "0" * 32, "csv"))),
        lambda: files.store.refuse(job.source, InvalidFile("No.")),
        *(partial(end, files.store, job.job_id, "one") for end in ENDS.values()),
    ]
    for ask in asks:
        with pytest.raises(StoreUnavailable, match=r"jobs table \(ResourceNotFoundException\)\. Check the function"):
            ask()


ACTIONS = ("claim", *ENDS)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.sampled_from("abc"), st.sampled_from([0, 1, 59, 60, 61])),
        min_size=1,
        max_size=25,
    )
)
def test_whatever_workers_do_at_most_one_of_them_has_the_job(files: Files, steps: list[tuple[str, str, int]]) -> None:
    job = a_job(version=uuid.uuid4().hex)
    holder: str | None = None
    until = 0.0
    is_known = is_final = False
    for action, owner, seconds in steps:
        files.clock.now += seconds
        now = files.clock.now
        if action == "claim":
            claim = files.store.claim(job, owner)
            free = holder in (None, owner) or until <= now
            assert claim.outcome == ("finished" if is_final else "claimed" if free else "running")
            if claim.outcome == "claimed":
                holder, until, is_known = owner, now + LEASE_SECONDS, True
            continue
        before = files.get(job.job_id) if is_known else None
        try:
            ENDS[action](files.store, job.job_id, owner)
        except LeaseLost:
            assert holder != owner
            assert before is None or files.get(job.job_id) == before
            continue
        if holder != owner:  # what it had ended so already, it has ended again: nothing changed
            assert action != "beat"
            assert files.get(job.job_id) == before
        elif action == "beat":
            until = now + LEASE_SECONDS
        else:
            holder, is_final = None, action in ("finish", "fail for good")
