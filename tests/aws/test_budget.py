"""What a request may wait for its stores: the calls of all its clients follow what is left, and no route is kept."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.aws import budget
from loyalty_ml.aws.budget import Budget, RequestOutOfTime, in_this_budget, seconds_left, spending, within_budget
from tests.aws.hanging import hanging_stores

CONFIG = Config(connect_timeout=1, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of stores that take connections and never answer."""
    with hanging_stores() as address:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }.items():
            monkeypatch.setenv(name, value)
        yield address


@pytest.mark.unit
@given(steps=st.lists(st.floats(0, 5), max_size=20), renewed=st.sets(st.integers(0, 20)))
def test_a_budget_is_never_negative_and_never_outlasts_its_end(steps: list[float], renewed: set[int]) -> None:
    clock = Clock()
    limit = Budget(7, 20, clock)
    waited = 0.0
    for place, step in enumerate(steps):
        clock.now += step
        waited += step
        if place in renewed:
            limit.renew()
            waited = 0.0
        expected = max(0.0, min(7 - waited, 1020 - clock.now))
        assert limit.left() == pytest.approx(expected, abs=1e-9)


@pytest.mark.unit
def test_without_a_request_there_is_no_limit_and_a_thread_has_that_of_its_request() -> None:
    assert seconds_left() == float("inf")
    with spending(Budget(7, clock=Clock())), ThreadPoolExecutor(2) as pool:
        together = threading.Barrier(2)

        def look() -> float:
            together.wait(10)
            return seconds_left()

        assert [each.result() for each in [pool.submit(in_this_budget(look)) for _ in range(2)]] == [7, 7]
    assert seconds_left() == float("inf")


def test_a_call_of_a_store_that_hangs_ends_with_the_budget_and_the_next_does_not_begin(hanging: str) -> None:
    """Also what holds within_budget to botocore, which takes the time-out of one request from its context."""
    s3: Any = within_budget(boto3.client("s3", endpoint_url=hanging, config=CONFIG))
    started = time.monotonic()
    with spending(Budget(0.2)):
        with pytest.raises(ReadTimeoutError):
            s3.list_buckets()
        while seconds_left():
            time.sleep(0.01)
        with pytest.raises(RequestOutOfTime):
            s3.list_buckets()
    assert 0.2 <= time.monotonic() - started < 20, "a read time-out of 60 s was waited for"


def test_a_client_that_is_used_again_has_its_own_time_outs_again(hanging: str) -> None:
    config = Config(connect_timeout=1, read_timeout=0.5, retries={"total_max_attempts": 1})
    s3: Any = within_budget(boto3.client("s3", endpoint_url=hanging, config=config))
    with spending(Budget(0.1)), pytest.raises(ReadTimeoutError):
        s3.list_buckets()
    started = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        s3.list_buckets()
    assert time.monotonic() - started >= 0.5


def test_an_error_is_tried_again_while_there_is_time_and_has_its_cause_when_there_is_none(
    hanging: str, no_pauses: None
) -> None:
    attempts: list[Any] = []
    clock = Clock()
    s3: Any = within_budget(boto3.client("s3", endpoint_url=hanging, config=CONFIG))

    def fail(**_: Any) -> None:
        attempts.append(clock.now)
        clock.now += 2
        raise ReadTimeoutError(endpoint_url=hanging)

    s3.meta.events.register_last("before-send", fail)
    with spending(Budget(7, clock=clock)), pytest.raises(ReadTimeoutError):
        s3.list_buckets()
    assert attempts == [1000, 1002, 1004], "at 1006 there is 1 s, and a pause could take 4 s"
    with pytest.raises(ReadTimeoutError):
        s3.list_buckets()
    assert len(attempts) == 3 + 5, "without a request, as often as the client says"


def test_the_worst_of_a_request_is_less_than_ten_seconds() -> None:
    connection, pause = 1, 2
    assert budget.WAIT_SECONDS + connection + pause <= 10
