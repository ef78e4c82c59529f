"""Measuring two things in turn, so that a machine that slows down slows both."""

import signal
import statistics
import sys
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

    @property
    def verdict(self) -> str:
        """For people: "behind" where the peer is ahead, if by no more than the bar."""
        if not self.ok:
            return "OVER"
        return "ok" if self.ratio <= 1 else "behind"

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


def alternate(
    *calls: Callable[[], object], repeats: int = 1, rounds: int = ROUNDS, settle: float = 0.0, quickest: bool = False
) -> list[float]:
    """The median seconds of each call: rounds in which each is made `repeats` times in turn, after one warm-up.

    settle: seconds of rest before each, so that threads which one leaves spinning are not in the time of the next.
    quickest: of each round only the quickest repeat counts, so that other processes on this machine count less.
    """
    times: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 1):
        for call, own in zip(calls, times, strict=True):
            taken = []
            for _ in range(repeats):
                if settle:
                    time.sleep(settle)
                started = time.perf_counter()
                call()
                taken.append(time.perf_counter() - started)
            if number:
                own.extend([min(taken)] if quickest else taken)
    return [statistics.median(own) for own in times]


def command(work: Callable[[], int]) -> int:
    """Does a command's work and returns its exit code; of what it lacks only the sentence is printed."""
    # Python would end on the spot, and leave running what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return work()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except (FileNotFoundError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
