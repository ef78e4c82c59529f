"""A worker's heartbeat: while it works, a thread holds its lease and tells the job's record how far it is."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.jobs.lease import LEASE_SECONDS, LeaseLost, Leases
from loyalty_ml.telemetry import logger

BEAT_SECONDS = 3.0
HIDDEN_SECONDS = LEASE_SECONDS + 30
"""How long a beat keeps the queue's message hidden: the lease must be over when it comes."""
SECONDS_BETWEEN_PROGRESS = 1.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How a heartbeat keeps time.

    clock:    monotonic seconds.
    seconds:  between two beats.
    wait:     waits so long for the event, and says whether it has come.
    """

    clock: Callable[[], float] = time.monotonic
    seconds: float = BEAT_SECONDS
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait


class Heartbeat:
    """Tells a job's record, from a thread of its own, that its worker lives, as long as it is entered."""

    def __init__(
        self,
        leases: Leases,
        job_id: str,
        owner: str,
        on_beat: Callable[[float], object],
        timing: Timing | None = None,
    ) -> None:
        """on_beat: is told for how many seconds the job's message must not come again."""
        self._leases = leases
        self._job_id = job_id
        self._owner = owner
        self._on_beat = on_beat
        self._timing = timing or Timing()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._one_at_a_time = threading.Lock()
        self._progress: Mapping[str, float] | None = None
        self._lost = False
        self._last_beat = self._timing.clock()
        self._next_progress = self._last_beat

    def __enter__(self) -> Self:
        self._on_beat(HIDDEN_SECONDS)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def note(self, **progress: float) -> None:
        """How far the job is, which the next beats tell: see Leases.beat."""
        self._progress = progress

    def progress(self, processed: int, total: int) -> None:
        """Tells how far the job is: at most once a second, and always at its end. Raises LeaseLost."""
        self.tell(is_end=processed >= total, processed=processed, total=total)

    def tell(self, *, is_end: bool = False, **progress: float) -> None:
        """The same, of what Leases.beat takes. The first is told at once, so that a short job moves too."""
        self.note(**progress)
        now = self._timing.clock()
        if now >= self._next_progress or is_end:
            self._next_progress = now + SECONDS_BETWEEN_PROGRESS
            self._beat()
        self.raise_if_lost()

    def raise_if_lost(self) -> None:
        """Raises LeaseLost: another worker has the job, or may have it because this one was not heard of for long."""
        if self._lost or self._timing.clock() - self._last_beat > self._leases.seconds:
            raise LeaseLost(self._job_id)

    def _beat_on(self) -> None:
        while not self._lost and not self._timing.wait(self._stop, self._timing.seconds):
            if self._beat():
                self._on_beat(HIDDEN_SECONDS)

    def _beat(self) -> bool:
        """Whether the record was told."""
        with self._one_at_a_time:
            started = self._timing.clock()
            try:
                self._leases.beat(self._job_id, self._owner, self._progress)
            except LeaseLost:
                self._lost = True
                return False
            except StoreUnavailable as error:
                logger.warning("The job's record does not know that its worker lives", problem=error.message)
                return False
            self._last_beat = started
            return True
