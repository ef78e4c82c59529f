"""Two workers at one file: of one event that comes ten times, or where one was given up for dead."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.files.service import FileService, Ran
from loyalty_ml.jobs.heartbeat import Timing
from loyalty_ml.jobs.lease import LEASE_SECONDS
from tests.files.disturbed import (
    ALL_SAVED,
    BLOCK_BYTES,
    PART_BYTES,
    SMALL,
    Clock,
    Jobs,
    never,
    rows_with_features,
    score,
)
from tests.files.writings import as_csv
from training.registry import publish

pytestmark = pytest.mark.moto


@pytest.mark.usefixtures("whole_updates")
def test_the_same_event_ten_times_at_once_is_one_result(jobs: Jobs) -> None:
    job = jobs.put("incoming/churn/customers.csv", as_csv(rows_with_features()))
    expected = jobs.undisturbed(job)
    workers = [jobs.worker() for _ in range(10)]
    together = threading.Barrier(len(workers))

    def deliver(worker: FileService) -> Ran:
        together.wait()
        return score(worker, job)

    with ThreadPoolExecutor(len(workers)) as pool:
        ran = list(pool.map(deliver, workers))
    outcomes = Counter(each.outcome for each in ran)
    assert outcomes["finished"] >= 1
    assert outcomes["finished"] + outcomes["running"] == len(workers)
    assert jobs.versions(job) == dict.fromkeys(expected, 1)
    assert jobs.results(job) == expected
    assert {json.dumps(each.summary) for each in ran if each.outcome == "finished"} == {
        json.dumps(json.loads(expected["summary.json"]))
    }


def its_heart_is_told(clock: Clock) -> None:
    for heart in [thread for thread in threading.enumerate() if thread.name == "heartbeat"]:
        heart.join()


def its_own_clock_says_so(clock: Clock) -> None:
    clock.now += LEASE_SECONDS + 1


def it_does_not_notice(clock: Clock) -> None:
    """As if the whole instance was stopped between two of its steps."""


@pytest.mark.parametrize(
    ("after_blocks", "is_saved", "part_bytes"),
    [
        (1, False, PART_BYTES),
        (3, True, PART_BYTES),
        (5, False, PART_BYTES),
        (5, False, 1_000 * PART_BYTES),  # so that there are no uploads that the other can have aborted
        (5, True, 1_000 * PART_BYTES),
    ],
)
@pytest.mark.parametrize("notice", [its_heart_is_told, its_own_clock_says_so, it_does_not_notice])
def test_a_worker_that_was_given_up_for_dead_leaves_the_others_results_alone(
    jobs: Jobs,
    other_models: Path,
    notice: Callable[[Clock], None],
    after_blocks: int,
    part_bytes: int,
    *,
    is_saved: bool,
) -> None:
    """Models are new when the other takes over, so that it can be seen whose the results are."""
    sizes = replace(ALL_SAVED if is_saved else SMALL, part_bytes=part_bytes)
    own_clock = Clock()
    # The worker's heart beats often, or not at all.
    timing = Timing(own_clock, 0.01) if notice is its_heart_is_told else Timing(own_clock, wait=never)
    content = as_csv(rows_with_features())
    assert 4 * BLOCK_BYTES < len(content) <= 5 * BLOCK_BYTES
    job = jobs.put("incoming/churn/customers.csv", content)
    of_the_other: dict[str, bytes] = {}
    asked = count(1)

    def take_over() -> float:
        if next(asked) == after_blocks:
            publish(jobs.service.s3, jobs.service.model_bucket, other_models)
            ran = score(jobs.worker(jobs.after_the_lease(), sizes=sizes), job)
            assert ran.outcome == "finished"
            of_the_other.update(jobs.results(job))
            notice(own_clock)
        return 900

    worker = jobs.worker(sizes=sizes, timing=timing)
    # Of an upload that was aborted, which moto says so.
    with suppress(StoreUnavailable, KeyError):
        assert score(worker, job, take_over).outcome == "running"
    assert b'"v2"' in of_the_other["summary.json"]
    assert jobs.results(job) == of_the_other
    assert jobs.versions(job) == dict.fromkeys(of_the_other, 1)
    assert score(jobs.worker(), job).summary == json.loads(of_the_other["summary.json"])
