"""A worker's heartbeat: what the record and the queue hear of it, and when it is over."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.jobs.attempt import WorkerKilled, attempt
from loyalty_ml.jobs.heartbeat import BEAT_SECONDS, HIDDEN_SECONDS, Heartbeat, Timing
from loyalty_ml.jobs.lease import LEASE_SECONDS, Claim, LeaseLost

pytestmark = pytest.mark.unit

UNAVAILABLE = StoreUnavailable("jobs", "DynamoDB is away.")


@dataclass
class Ticks:
    """A clock that the test moves; the heartbeat's thread takes one step for each `pass_on`."""

    now: float = 1000.0
    asked: list[float] = field(default_factory=list)
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """As threading.Event.wait, until the test has let so much time pass."""
        self.asked.append(seconds)
        self._arrived.release()
        self._go.acquire()
        return stop.is_set()

    def pass_on(self, seconds: float) -> None:
        """Lets time pass, and one beat; it is done when this returns."""
        self._arrived.acquire()
        self.now += seconds
        self._go.release()
        self._arrived.acquire()
        self._arrived.release()

    def end(self) -> None:
        self._go.release()


@dataclass
class Records:
    """What stands in the place of the leases: it notes what it is told, and raises what a test says."""

    seconds: float = LEASE_SECONDS
    beats: list[Mapping[str, float] | None] = field(default_factory=list)
    ends: list[tuple[Any, ...]] = field(default_factory=list)
    trouble: Exception | None = None

    def beat(self, job_id: str, owner: str, progress: Mapping[str, float] | None) -> None:
        if self.trouble:
            raise self.trouble
        self.beats.append(progress)

    def fail(self, *told: Any, final: bool) -> None:
        self.ends.append(("fail", *told, final))

    def release(self, *told: Any) -> None:
        self.ends.append(("release", *told))


@contextmanager
def beating(records: Any, ticks: Ticks, hidden: list[float]) -> Iterator[Heartbeat]:
    with Heartbeat(records, "job", "owner", hidden.append, Timing(ticks, wait=ticks.wait)) as heartbeat:
        try:
            yield heartbeat
        finally:
            heartbeat._stop.set()
            ticks.end()


def test_each_beat_tells_the_progress_and_hides_the_message_a_little_longer_than_the_lease() -> None:
    records, ticks, hidden = Records(), Ticks(), list[float]()
    with beating(records, ticks, hidden) as heartbeat:
        assert hidden == [HIDDEN_SECONDS], "before the first beat"
        ticks.pass_on(BEAT_SECONDS)
        heartbeat.note(processed=5, errors=1, share=0.5)
        ticks.pass_on(BEAT_SECONDS)
    assert records.beats == [None, {"processed": 5, "errors": 1, "share": 0.5}]
    assert hidden == [HIDDEN_SECONDS] * 3
    assert set(ticks.asked) == {BEAT_SECONDS}
    assert LEASE_SECONDS < HIDDEN_SECONDS <= 90


def test_progress_is_told_once_a_second_and_at_the_end() -> None:
    records, ticks = Records(), Ticks()
    with beating(records, ticks, []) as heartbeat:
        for seconds, processed in [(0, 1), (0.9, 2), (0.1, 3), (0.5, 4), (0.1, 1000)]:
            ticks.now += seconds
            heartbeat.progress(processed, 1000)
    assert [told and told["processed"] for told in records.beats] == [1, 3, 1000]


def test_a_store_that_does_not_answer_stops_no_worker_before_its_lease_has_passed() -> None:
    records, ticks, hidden = Records(trouble=UNAVAILABLE), Ticks(), list[float]()
    with beating(records, ticks, hidden) as heartbeat:
        ticks.pass_on(LEASE_SECONDS)
        heartbeat.progress(1, 2)
        assert hidden == [HIDDEN_SECONDS], "a message is not hidden for a worker that may be given up for dead"
        ticks.now += 0.1
        with pytest.raises(LeaseLost):
            heartbeat.raise_if_lost()
        records.trouble = None
        ticks.pass_on(BEAT_SECONDS)
        heartbeat.raise_if_lost()


def test_who_has_lost_the_lease_is_told_and_beats_no_more() -> None:
    records, ticks, hidden = Records(trouble=LeaseLost("job")), Ticks(), list[float]()
    with beating(records, ticks, hidden) as heartbeat:
        with pytest.raises(LeaseLost, match="job is no longer this worker's"):
            heartbeat.progress(2, 2)
        with pytest.raises(LeaseLost):
            heartbeat.raise_if_lost()
    assert (records.beats, hidden) == ([], [HIDDEN_SECONDS])


def trying(records: Any, *, is_last: bool, was_killed: bool = False) -> Any:
    return attempt(
        records,
        "job",
        "owner",
        claim=Claim("claimed", was_killed=was_killed),
        is_last=is_last,
        on_beat=lambda _: None,
        killed="It was killed.",
    )


@pytest.mark.parametrize(
    ("is_last", "end"),
    [
        (False, ("release", "job", "owner", "DynamoDB is away.", "STORE_UNAVAILABLE")),
        (True, ("fail", "job", "owner", "STORE_UNAVAILABLE", "DynamoDB is away.", False)),
    ],
)
def test_what_stops_an_attempt_is_recorded_for_the_next_or_as_the_jobs_failure(
    *, is_last: bool, end: tuple[Any, ...]
) -> None:
    records = Records()
    with pytest.raises(StoreUnavailable), trying(records, is_last=is_last):
        raise UNAVAILABLE
    assert records.ends == [end]


def test_a_lost_lease_is_no_failure_of_the_job() -> None:
    records = Records()
    with pytest.raises(LeaseLost), trying(records, is_last=True):
        raise LeaseLost("job")
    assert records.ends == []


def test_after_a_killed_worker_the_last_attempt_says_so_and_does_nothing_else() -> None:
    records = Records()
    with pytest.raises(WorkerKilled), trying(records, is_last=True, was_killed=True):
        pytest.fail("It would be killed as well.")
    assert records.ends == [("fail", "job", "owner", "INTERNAL", "It was killed.", False)]


def test_after_a_killed_worker_every_attempt_but_the_last_tries() -> None:
    records, done = Records(), list[str]()
    with trying(records, is_last=False, was_killed=True):
        done.append("worked")
    assert (done, records.ends) == (["worked"], [])
