"""The work directory of a run: its parts, what differs in the table, and what keeps two runs apart."""

import errno
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from pydantic import BaseModel, ConfigDict, ValidationError

from loyalty_ml.customers.snapshot import SnapshotCard
from training.errors import Problem
from training.snapshot.parts import DATES, file_sha256


class Run(BaseModel):
    """A run in its work directory, from when it may write to when it is done: run.json."""

    model_config = ConfigDict(frozen=True)

    source: str
    """A hash of what is read and where it goes: only the same run is resumed."""
    current_etag: str | None
    """Of what was published when the run began."""
    card: SnapshotCard
    """What is to be published, its parts by their names in the work directory."""
    reasons: dict[str, int]
    dates_sha256: str | None = None
    """Of the file of customers' own moments; None if they have none."""
    erased: int = 0
    """Rows that were left out, because their customers were erased."""
    erased_digests: list[str] = []
    """All that were erased when the run began."""


class Work:
    """The work directory of one run at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = folder / "parts"
        self.dates = self.parts / DATES
        self.spill = folder / "spill"
        self.rejects = folder / "rejects.csv"
        self.differences = folder / "differences"
        self._run = folder / "run.json"

    def unfinished(self, source: str) -> Run | None:
        """The run of this source that was stopped after all its checks, if its parts are still whole."""
        try:
            run = Run.model_validate_json(self._run.read_bytes())
            whole = all(file_sha256(self.parts / part.file) == part.sha256 for part in run.card.parts)
            whole &= run.dates_sha256 is None or file_sha256(self.dates) == run.dates_sha256
        except (FileNotFoundError, ValidationError):
            return None
        return run if run.source == source and whole else None

    def begin(self, run: Run) -> None:
        fresh = self._run.with_suffix(".new")
        fresh.write_text(run.model_dump_json())
        fresh.replace(self._run)

    def clear(self) -> None:
        """Forgets the run; the rejects stay, for whoever reads them."""
        self._run.unlink(missing_ok=True)
        for made in (self.parts, self.differences):
            shutil.rmtree(made, ignore_errors=True)


@contextmanager
def alone_in(work: Path) -> Iterator[None]:
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem(
                f"Another run is at work in {work}: wait for it, or name another directory with --work."
            ) from error
        yield


@contextmanager
def room_in(work: Path) -> Iterator[None]:
    remedy = f"make room in {work}, or name another directory with --work; what was published is as it was"
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise Problem(f"The features could not be sorted ({str(error).splitlines()[0]}): {remedy}.") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise Problem(f"The disk is full: {remedy}.") from error
