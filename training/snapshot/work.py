"""The work directory of a run: its parts, how far it came, and what keeps two runs apart."""

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
from training.snapshot.parts import file_sha256


class Run(BaseModel):
    """A run in its work directory, from when its parts are whole to when it is done: run.json."""

    model_config = ConfigDict(frozen=True)

    source: str
    """A hash of what is read and where it goes: only the same run is resumed."""
    current_etag: str | None
    """Of what was published when the run began."""
    card: SnapshotCard
    """What is to be published, its parts by their names in the work directory."""
    reasons: dict[str, int]


class Work:
    """The work directory of one run at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = folder / "parts"
        self.spill = folder / "spill"
        self.rejects = folder / "rejects.csv"
        self._run = folder / "run.json"
        self._written = folder / "written"

    def unfinished(self, source: str) -> Run | None:
        """The run of this source that was stopped after its parts were whole, if they still are."""
        try:
            run = Run.model_validate_json(self._run.read_bytes())
            whole = all(file_sha256(self.parts / part.file) == part.sha256 for part in run.card.parts)
        except (FileNotFoundError, ValidationError):
            return None
        return run if run.source == source and whole else None

    def begin(self, run: Run) -> None:
        self.checkpoint(0)
        _replace(self._run, run.model_dump_json())

    def written(self) -> int:
        """How many customers, in the parts' order, are in the table."""
        return int(self._written.read_text())

    def checkpoint(self, customers: int) -> None:
        _replace(self._written, str(customers))

    def clear(self) -> None:
        """Forgets the run; the rejects stay, for whoever reads them."""
        self._run.unlink(missing_ok=True)
        self._written.unlink(missing_ok=True)
        shutil.rmtree(self.parts, ignore_errors=True)


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


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
