"""Whether work will be done in time, from the pace that it goes at: nothing is assumed of machine, network or data."""

import time
from collections.abc import Callable

SECONDS_TO_SETTLE = 1.0
"""What a pace is taken from at least: the first part of anything is not its pace."""


class TakesTooLong(Exception):
    """The work will not be done in time."""


class Deadline:
    """So many seconds from now, for all steps of the work together."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def step(self, _: str = "") -> Callable[[int, int], None]:
        """For one step of the work: to be told how much of it is done and how much there is in all.

        It raises TakesTooLong as soon as, at the pace of this step so far, the step would end too late.
        """
        started = self._clock()

        def progress(done: int, total: int) -> None:
            now = self._clock()
            left = (now - started) * (total - done) / done if done else 0.0
            if now > self._end or (now - started >= SECONDS_TO_SETTLE and now + left > self._end):
                raise TakesTooLong

        return progress
