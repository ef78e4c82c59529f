"""How long a request may still wait for its stores: one budget for all of its calls, which ends before the gateway's.

Each call's read time-out, and whether it is tried again, follow from what is left. Work that no request waits for, such
as that of the queues, has no budget and the clients' own limits.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from botocore.client import BaseClient

WAIT_SECONDS = 7.0
"""What a request may wait for its stores, from its beginning or from what was last done of its work.

The callers' answer comes within 10 s, whatever hangs: beside this, a connection that is not made takes 1 s, and a pause
between two tries 2 s.
"""
RESERVE_SECONDS = 2.0
"""Of the function's time, kept for the answer that says what went wrong."""
LEAST_SECONDS = 0.05
"""With less than this left no call begins: no store answers in it."""

ClientT = TypeVar("ClientT", bound="BaseClient")
Arguments = ParamSpec("Arguments")
ResultT = TypeVar("ResultT")


class RequestOutOfTime(BotoCoreError):
    """No time is left to wait for the call that was about to be made; another request can succeed."""

    fmt = "The request has no time left to wait for AWS"


class Budget:
    """Seconds to wait for the stores: `wait_seconds` from now, and from each renewal, but never after `end_seconds`."""

    def __init__(
        self,
        wait_seconds: float = WAIT_SECONDS,
        end_seconds: float = inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._end = clock() + end_seconds
        self._until = clock() + wait_seconds

    def left(self) -> float:
        """Seconds; 0 when it is spent."""
        return max(0.0, min(self._until, self._end) - self._clock())

    def renew(self) -> None:
        """Says that some of the work is done: a long download or a long computation is no waiting."""
        self._until = self._clock() + self._wait_seconds


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """What is done within waits for the stores no longer than the budget."""
    token = _current.set(budget)
    try:
        yield
    finally:
        _current.reset(token)


def seconds_left() -> float:
    """Of the budget of the request at hand; infinite without one."""
    budget = _current.get()
    return budget.left() if budget else inf


def renew() -> None:
    """Renews the budget of the request at hand, if there is one."""
    if budget := _current.get():
        budget.renew()


def in_this_budget(work: Callable[Arguments, ResultT]) -> Callable[Arguments, ResultT]:
    """The function, for one call in another thread, with the budget of this one: a thread has no request of its own."""
    return partial(copy_context().run, work)


def within_budget(client: ClientT) -> ClientT:
    """The client, whose calls wait no longer than the request at hand has time.

    botocore takes a read time-out of one request from its context, as of version 1.43: tests/aws/test_budget.py fails
    if it no longer does. A time-out of the connection it takes from the client alone, which should be 1 s.
    """
    config: Any = client.meta.config  # whose stubs do not know what it was made with
    read_timeout: float = config.read_timeout

    def before_send(request: Any, **_: Any) -> None:
        left = seconds_left()
        if left < LEAST_SECONDS:
            raise RequestOutOfTime
        if left < read_timeout:
            request.context["read_timeout"] = left

    def after_attempt(caught_exception: Exception | None, attempts: int, **_: Any) -> None:
        # botocore would pause for up to so long, and then find that there is no time left. It has the cause here.
        if caught_exception is not None and seconds_left() < 2 ** (attempts - 1) + LEAST_SECONDS:
            raise caught_exception

    client.meta.events.register_first("before-send", before_send)
    client.meta.events.register_first("needs-retry", after_attempt)
    return client
