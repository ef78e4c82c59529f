"""A deadline gives up as soon as the pace says that the work will be late, and not for a slow beginning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.api.deadline import SECONDS_TO_SETTLE, Deadline, TakesTooLong
from loyalty_ml.aws.budget import Budget, spending
from loyalty_ml.progress import Progress

pytestmark = pytest.mark.unit

TOTAL = 100


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def work(clock: Clock, progress: Progress, pace: float, until: int = TOTAL) -> float:
    """Does `until` of TOTAL at so many seconds each; the moment at which it ends or is given up."""
    try:
        for done in range(1, until + 1):
            clock.now += pace
            progress(done, TOTAL)
    except TakesTooLong:
        pass
    return clock.now


def test_work_that_is_in_time_to_the_second_is_done(clock: Clock) -> None:
    progress = Deadline(25, clock).step()
    assert work(clock, progress, pace=0.25) == 1025


def test_work_that_will_be_late_is_given_up_once_its_pace_is_known(clock: Clock) -> None:
    progress = Deadline(25, clock).step()
    assert work(clock, progress, pace=0.5) == 1000.5 + SECONDS_TO_SETTLE


@given(pace=st.floats(0.01, 3), seconds=st.floats(1, 60))
def test_an_even_pace_is_given_up_early_or_never(pace: float, seconds: float) -> None:
    clock = Clock()
    progress = Deadline(seconds, clock).step()
    # Beside the limit itself, where rounding decides.
    if TOTAL * pace < seconds * 0.999:
        assert work(clock, progress, pace) == pytest.approx(1000 + TOTAL * pace)
    elif TOTAL * pace > seconds * 1.001:
        assert work(clock, progress, pace) <= 1000 + SECONDS_TO_SETTLE + 2.001 * pace


def test_a_slow_beginning_is_no_pace(clock: Clock) -> None:
    """Such as a rule that takes ten seconds to find the members, who are then measured in one."""
    progress = Deadline(25, clock).step()
    progress(0, TOTAL)
    clock.now += 10
    progress(0, TOTAL)
    assert work(clock, progress, pace=0.125) == 1022.5


def test_what_was_there_already_is_no_pace(clock: Clock) -> None:
    progress = Deadline(25, clock).step()
    progress(90, TOTAL)
    clock.now += SECONDS_TO_SETTLE
    progress(91, TOTAL)  # nine seconds more
    clock.now += 2 * SECONDS_TO_SETTLE
    with pytest.raises(TakesTooLong):
        progress(91, TOTAL)  # 27 more


def test_a_pace_is_no_pace_before_it_settles(clock: Clock) -> None:
    progress = Deadline(25, clock).step()
    progress(1, TOTAL)
    clock.now += 0.9 * SECONDS_TO_SETTLE
    progress(2, TOTAL)  # at which pace it would take 90 s
    clock.now += 0.2 * SECONDS_TO_SETTLE
    progress(11, TOTAL)  # at which it takes 10
    with pytest.raises(TakesTooLong):
        progress(3, TOTAL)


def test_a_pace_that_falls_off_is_noticed(clock: Clock) -> None:
    progress = Deadline(20, clock).step()
    progress(50, 150)
    assert work(clock, lambda done, _: progress(50 + done, 150), pace=0.125, until=50) == 1006.25
    # Fifty of a hundred in t seconds are 20 seconds in all where t is 10.
    clock.now = 1010
    progress(100, 150)
    clock.now = 1010.25
    with pytest.raises(TakesTooLong):
        progress(100, 150)


def test_nothing_done_is_late_when_the_time_is_over(clock: Clock) -> None:
    progress = Deadline(20, clock).step()
    for done, total in [(0, TOTAL), (0, 0)]:
        clock.now = 1020
        progress(done, total)
        clock.now = 1020.001
        with pytest.raises(TakesTooLong):
            progress(done, total)


def test_the_end_is_the_end_even_of_work_that_is_done(clock: Clock) -> None:
    progress = Deadline(20, clock).step()
    clock.now = 1020.001
    with pytest.raises(TakesTooLong):
        progress(TOTAL, TOTAL)


def test_steps_have_paces_of_their_own_and_one_end(clock: Clock) -> None:
    deadline = Deadline(20, clock)
    assert work(clock, deadline.step("fetch"), pace=0.125) == 1012.5
    # The second step takes 6.25 s at its own pace, which is in time; at the first's it would not be.
    assert work(clock, deadline.step("decode"), pace=0.0625) == 1018.75
    # Of the third there is time for a fifth, and that is known after a second.
    assert work(clock, deadline.step("score"), pace=0.0625) == 1018.75 + 0.0625 + SECONDS_TO_SETTLE


def test_time_before_a_step_is_gone_but_is_not_its_pace(clock: Clock) -> None:
    deadline = Deadline(20, clock)
    clock.now += 15
    assert work(clock, deadline.step(), pace=0.03125) == 1018.125


def test_what_is_done_renews_the_time_to_wait_for_stores_and_waiting_does_not(clock: Clock) -> None:
    budget = Budget(7, 23, clock)
    with spending(budget):
        progress = Deadline(20, clock).step()
        clock.now += 5
        progress(0, TOTAL)
        assert budget.left() == 2
        progress(1, TOTAL)
        assert budget.left() == 7
        clock.now += 4
        progress(1, TOTAL)
        assert budget.left() == 3
