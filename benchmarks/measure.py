"""Measuring two things in turn, so that a machine that slows down slows both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 21


@dataclass(frozen=True, slots=True)
class Result:
    """One comparison: `ratio` = ours / theirs, and `bar`, the most that it may be."""

    name: str
    ours: float
    unit: str
    peer: str
    theirs: float
    bar: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def ok(self) -> bool:
        return self.ratio <= self.bar

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "ours": self.ours,
            "unit": self.unit,
            "peer": self.peer,
            "theirs": self.theirs,
            "ratio": self.ratio,
            "bar": self.bar,
            "ok": self.ok,
        }


def alternate(*calls: Callable[[], object], repeats: int = 1, rounds: int = ROUNDS, settle: float = 0.0) -> list[float]:
    """The median seconds of each call: rounds in which each is made `repeats` times in turn, after one warm-up.

    settle: seconds of rest before each, so that threads which one leaves spinning are not in the time of the next.
    """
    times: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 1):
        for call, taken in zip(calls, times, strict=True):
            for _ in range(repeats):
                if settle:
                    time.sleep(settle)
                started = time.perf_counter()
                call()
                if number:
                    taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]
