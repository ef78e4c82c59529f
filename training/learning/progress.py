"""What a long fit shows: epochs and the time left, as a bar at a terminal and as a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    from typing import NoReturn

SECONDS_PER_LINE = 30.0


class FitProgress:
    """Told of each epoch within its `with`.

    what:    is fitted.
    longest: the most epochs that it takes; a fit may stop before.
    say:     gets the lines; out: has the bar if it is a terminal; clock: gives seconds.
    """

    def __init__(
        self,
        what: str,
        longest: int,
        *,
        say: Callable[[str], None] = lambda line: print(line, flush=True),
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._longest, self._say, self._clock = what, longest, say, clock
        self._out = out or sys.stderr
        self._bar: tqdm[NoReturn] | None = None
        self._started = self._said = clock()

    def __enter__(self) -> Self:
        if self._out.isatty():
            self._bar = tqdm(total=self._longest, desc=self._what, unit="epoch", leave=False, file=self._out)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def epoch(self, done: int, loss: float) -> None:
        """done: how many epochs are over; loss: of the rows that are not learnt from."""
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self._bar.update(done - self._bar.n)
            return
        now = self._clock()
        if now - self._said >= SECONDS_PER_LINE:
            self._said = now
            left = (now - self._started) / done * (self._longest - done)
            self._say(
                f"  {self._what}: epoch {done} of at most {self._longest}, loss {loss:.4f}, at most {left:.0f} s left"
            )
