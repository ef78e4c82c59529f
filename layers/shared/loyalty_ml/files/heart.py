"""The heart of a file's worker: it tells the job's record, from a thread of its own, that the worker lives."""

import threading
import time
from collections.abc import Callable
from typing import Self

from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.files.job_store import LEASE_SECONDS, FileJobStore, LeaseLost
from loyalty_ml.telemetry import logger

BEAT_SECONDS = 3.0
HIDDEN_SECONDS = LEASE_SECONDS + 30
"""How long a beat keeps the queue's message hidden: the lease must be over when it comes."""


class Heart:
    """Beats as long as it is entered."""

    def __init__(self, jobs: FileJobStore, job_id: str, owner: str, on_beat: Callable[[float], object]) -> None:
        """on_beat: is told for how many seconds the job's message must not come again."""
        self._jobs = jobs
        self._job_id = job_id
        self._owner = owner
        self._on_beat = on_beat
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, daemon=True)
        self._progress: tuple[int, int, float] | None = None
        self._lost = False
        self._last_beat = time.monotonic()

    def __enter__(self) -> Self:
        self._on_beat(HIDDEN_SECONDS)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def progress(self, rows: int, errors: int, share: float) -> None:
        """What the next beats tell; see FileJobStore.beat."""
        self._progress = rows, errors, share

    def raise_if_lost(self) -> None:
        """Raises LeaseLost: another worker has the job, or may have it, as this one was not heard of for long."""
        if self._lost or time.monotonic() - self._last_beat > LEASE_SECONDS:
            raise LeaseLost(self._job_id)

    def _beat_on(self) -> None:
        while not self._lost and not self._stop.wait(BEAT_SECONDS):
            rows, errors, share = self._progress or (0, 0, 0.0)
            started = time.monotonic()
            try:
                self._jobs.beat(self._job_id, self._owner, rows=rows, errors=errors, share=share)
                self._last_beat = started
                self._on_beat(HIDDEN_SECONDS)
            except LeaseLost:
                self._lost = True
            except StoreUnavailable as error:
                logger.warning("The job's record does not know that its worker lives", problem=error.message)
