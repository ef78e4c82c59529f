"""A request sent until it is answered: what is safe is sent again, as the server says or later and later."""

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from loyalty_client import errors, options, reading
from loyalty_client.steps import Pause, Plan, Request, Send


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and when a safe request is sent again.

    tries:        in all, 1 for never again; an address that cannot be reached at all is tried twice at most.
    first_wait:   seconds, doubled each time, if the server does not say how long to wait.
    longest_wait: seconds; if the server wants a longer wait, the error is raised at once, with `retry_after`.
    jitter:       0 to 1: each wait is longer by a part of itself, so that requests side by side come apart.
    """

    tries: int = 4
    first_wait: float = 1.0
    longest_wait: float = 60.0
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def __post_init__(self) -> None:
        """Raises TypeError and ValueError for what is no such number."""
        options.check_whole("tries", self.tries, "how often a request is sent in all")
        options.check_seconds("first_wait", self.first_wait)
        options.check_seconds("longest_wait", self.longest_wait)
        if not callable(self.jitter):
            raise TypeError(f"jitter is a function that gives a number from 0 to 1: not {self.jitter!r}.")

    def wait(self, tries: int, error: errors.LoyaltyError) -> float | None:
        """Seconds until the next try, after so many that failed; None if there is none."""
        if tries >= (min(self.tries, 2) if isinstance(error, errors.NotReachable) else self.tries):
            return None
        seconds = error.retry_after
        if seconds is None:
            # Of the service itself, no Retry-After says that the same request cannot succeed later.
            if not isinstance(error, _PASSING):
                return None
            seconds = self.first_wait * 2 ** (tries - 1)
        if seconds > self.longest_wait:
            return None
        return seconds + 0.25 * seconds * self.jitter()


_PASSING = (errors.NoConnection, errors.HalfAnswer, errors.Throttled, errors.GatewayUnavailable)


@dataclass(frozen=True, slots=True)
class Calls:
    """Plans of single requests."""

    retries: Retries

    def respond(self, request: Request) -> Plan[tuple[httpx.Response, dict[str, Any]]]:
        """The response and its JSON object. Raises a LoyaltyError."""
        for tries in count(1):
            try:
                response: httpx.Response = yield Send(request)
                return response, reading.read(response)
            except httpx.HTTPError as problem:
                error: errors.LoyaltyError = reading.no_connection(problem)
                error.__cause__ = problem
            except errors.LoyaltyError as answered:
                error = reading.of_an_old_server(answered, request.newer) or answered
            wait = self.retries.wait(tries, error) if request.is_safe else None
            if wait is None:
                raise error
            yield Pause(wait)
        raise AssertionError  # count() has no end

    def answer(self, request: Request) -> Plan[Any]:
        """The JSON object alone: the caller says of which type it is."""
        _, answer = yield from self.respond(request)
        return answer

    def get(self, path: str, **query: str | int | None) -> Plan[Any]:
        given = {name: value for name, value in query.items() if value is not None}
        return (yield from self.answer(Request("GET", path, query=given)))

    def start_job(self, body: Mapping[str, Any], idempotency_key: str | None = None) -> Plan[dict[str, Any]]:
        """Starts a job once, however often the request is sent, because it has a key: a new one if none is given."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer: dict[str, Any] = yield from self.answer(
            Request("POST", "/ml/jobs", json=body, newer=("explain",), headers=headers)
        )
        return answer
