"""Whether work will be done in time, from the pace that it goes at: nothing is assumed of machine, network or data."""

import time
from collections.abc import Callable

from loyalty_ml.aws import budget
from loyalty_ml.progress import Progress

SECONDS_TO_SETTLE = 1.0
"""What a pace is taken from at least: the first part of anything is not its pace."""


class TakesTooLong(Exception):
    """The work will not be done in time."""


class Deadline:
    """So many seconds from now, for all steps of the work together."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def step(self, _: str = "") -> Progress:
        """For one step of the work: to be told how much of it is done and how much there is in all.

        It raises TakesTooLong as soon as, at the pace of this step so far, the step would end too late. The pace is
        taken from when something is first done: what comes before is no part of it, nor is what was there already. What
        is done renews the request's budget for its stores.
        """
        began: tuple[float, int] | None = None
        most = 0

        def progress(done: int, total: int) -> None:
            nonlocal began, most
            now = self._clock()
            if done > most:
                most = done
                budget.renew()
            if began is None and done:
                began = now, done
            left = 0.0
            if began and done > began[1] and now - began[0] >= SECONDS_TO_SETTLE:
                left = (now - began[0]) * (total - done) / (done - began[1])
            if now + left > self._end:
                raise TakesTooLong

        return progress
