"""The feature snapshot that is served: brought to local disk, and looked at again every half minute.

A snapshot is served whole or not at all: while a part of the newest is missing or damaged, the one before serves.
"""

import dataclasses
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from loyalty_ml.customers.snapshot import (
    WRITE_IT_AGAIN,
    Current,
    Snapshot,
    SnapshotCard,
    SnapshotUnavailable,
    look,
)
from loyalty_ml.customers.snapshot_download import PROGRESS_SECONDS, DiskProblem, NotWhole, SnapshotFetcher
from loyalty_ml.errors import FeatureStoreUnavailable, StoreUnavailable
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REFRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LocalSnapshot:
    """A snapshot whose parts are on disk, in the card's order.

    trouble:  why this is served and not what is published now: a sentence with the remedy.
    """

    card: Snapshot
    paths: tuple[Path, ...]
    trouble: str | None = None


class SnapshotStore:
    """Holds the current snapshot for the life of the process.

    s3:     a client with at least THREADS connections, and the retries that a range is worth.
    cache:  a folder for this bucket's snapshots; several processes may share it.
    """

    def __init__(
        self,
        s3: "S3Client",
        bucket: str,
        cache: Path,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        *,
        fetcher: SnapshotFetcher | None = None,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._cache = cache
        self._folder = cache / "snapshots"
        self._fetcher = fetcher or SnapshotFetcher(s3, bucket, cache)
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._current: Current | None = None
        self._card_trouble: SnapshotUnavailable | None = None
        self._next_look: float | None = None
        self._looks = 0
        self._brought_after: int | None = None
        self._local: LocalSnapshot | None = None

    def card(self) -> SnapshotCard:
        """What is published now; no part is fetched. Where its card cannot be read, the last that could be.

        Raises FeatureStoreUnavailable where there is none.
        """
        if self._next_look is None or self._clock() >= self._next_look:
            self._look()
        if self._current is None:
            self._next_look = None
            trouble = self._card_trouble or _no_snapshot()
            raise FeatureStoreUnavailable(str(trouble), retry=trouble.retry)
        return self._current.card

    def current(self, on_progress: Progress = no_progress) -> LocalSnapshot:
        """The snapshot to serve with, whole and checked; an older one, with its `trouble`, where the newest is not.

        on_progress is told of bytes, in this thread, several times a second while anything is fetched. What it raises
        is raised here; what was fetched by then stays for the next call. Raises FeatureStoreUnavailable.
        """
        card = self.card()
        settled = self._settled()
        if settled:
            return settled
        with self._alone(partial(on_progress, 0, card.size)):
            card, looks = self.card(), self._looks
            settled = self._settled()  # where another thread has done it meanwhile
            if settled:
                return settled
            self._local = self._bring(card, on_progress)
            self._brought_after = looks
            return self._local

    def _look(self) -> None:
        try:
            found = look(self._s3, self._bucket, self._current)
            trouble = None if found else _no_snapshot()
            self._current = found or self._current
        except SnapshotUnavailable as error:
            trouble = error
            self._current = self._current or self._current_on_disk()
        if trouble:
            serving = self._current and self._current.card.version
            logger.error("The snapshot's card cannot be used", problem=str(trouble), serving=serving)
        self._card_trouble = trouble
        self._looks += 1
        self._next_look = self._clock() + self._refresh_seconds

    def _current_on_disk(self) -> Current | None:
        """The newest that an earlier process of this instance had whole."""
        cards = []
        for path in self._folder.glob("*/card.json"):
            try:
                cards.append(SnapshotCard.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                logger.error("A card on disk cannot be used", path=str(path), problem=type(error).__name__)
        return Current(max(cards, key=lambda card: card.as_of), None) if cards else None

    def _settled(self) -> LocalSnapshot | None:
        """What is served, if nothing was looked at since, and nobody has removed it."""
        return self._held() if self._brought_after == self._looks else None

    def _held(self) -> LocalSnapshot | None:
        return self._local if self._local and all(path.exists() for path in self._local.paths) else None

    @contextmanager
    def _alone(self, waiting: Callable[[], object]) -> Iterator[None]:
        """One thread of one process at a time fetches into the folder."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._cache / "lock").open("w")
        except OSError as error:
            raise StoreUnavailable(
                "disk",
                f"Snapshots cannot be kept in {self._cache} ({error.strerror}): check the folder and its disk.",
                retry=False,
            ) from error
        with lock:
            while not _locked(lock.fileno()):
                waiting()
                time.sleep(PROGRESS_SECONDS)
            yield

    def _bring(self, card: SnapshotCard, on_progress: Progress) -> LocalSnapshot:
        """The best that can be served: what is published, what was served until now, the one before."""
        serving = self._local.card.version if self._local else None
        try:
            parts = self._fetcher.fetch(card, serving, on_progress)
            return LocalSnapshot(card, parts, str(self._card_trouble) if self._card_trouble else None)
        except NotWhole as error:
            reason = error
            trouble = f"The snapshot {card.version} cannot be served: {error}"
        held = self._held()
        logger.error("The snapshot was not replaced", problem=trouble, serving=held and held.card.version)
        if held:
            return dataclasses.replace(held, trouble=trouble)
        if card.previous:
            try:
                return LocalSnapshot(card.previous, self._fetcher.fetch(card.previous, serving, on_progress), trouble)
            except NotWhole as error:
                logger.error("Nor can the one before be served", version=card.previous.version, problem=str(error))
        self._next_look = None  # every request tries again: there is no good answer to delay
        if isinstance(reason, DiskProblem):
            raise StoreUnavailable("disk", trouble, retry=False)
        raise FeatureStoreUnavailable(trouble, retry=reason.retry)


def _no_snapshot() -> SnapshotUnavailable:
    return SnapshotUnavailable(f"There is no feature snapshot in the bucket: {WRITE_IT_AGAIN}.", retry=False)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
