"""A snapshot's parts brought to local disk: in parallel ranges, from where it was left, checked by their hashes.

{cache}/snapshots/{version}/part-00000.parquet          whole and checked
{cache}/snapshots/{version}/part-00000.parquet.partial  and, after its bytes, one for each range: 1 where it is there
{cache}/snapshots/{version}/card.json                   when all are whole: for a process that cannot read the bucket's
"""

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.aws.budget import in_this_budget
from loyalty_ml.aws.ranges import ObjectMissing, ObjectReplaced, ObjectVersion, range_chunks
from loyalty_ml.customers.snapshot import WRITE_IT_AGAIN, Snapshot, SnapshotPart
from loyalty_ml.errors import can_pass
from loyalty_ml.progress import Progress
from loyalty_ml.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RANGE_BYTES = 8 * 2**20
CHUNK_BYTES = 2**20
THREADS = 8
"""Ranges at a time: the client's max_pool_connections must be no less."""
PROGRESS_SECONDS = 0.2


class NotWhole(Exception):
    """Why a snapshot cannot be served, and what to do; retry: whether the same download can succeed later."""

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


class DiskProblem(NotWhole):
    """The function's own disk is full or cannot be written: nothing is wrong with the snapshot."""


class _DiskFull(Exception):
    pass


_Job = Callable[[threading.Event], int]
"""Does its work unless the event says to stop; the bytes that are there for it."""


class SnapshotFetcher:
    """Fetches from one bucket into {cache}/snapshots; one at a time, which is its caller's to see to."""

    def __init__(
        self,
        s3: "S3Client",
        bucket: str,
        cache: Path,
        *,
        range_bytes: int = RANGE_BYTES,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """range_bytes: what is asked of S3 at a time; chunk_bytes: what a thread holds of it at a time."""
        self._s3 = s3
        self._range_bytes = range_bytes
        self._chunk_bytes = chunk_bytes
        self._bucket = bucket
        self._cache = cache
        self._folder = cache / "snapshots"
        self._checked: set[tuple[Path, str]] = set()

    def fetch(self, snapshot: Snapshot, serving: str | None, on_progress: Progress) -> tuple[Path, ...]:
        """The parts on disk, whole and checked, and no other snapshot's but, meanwhile, the version that is serving.

        on_progress is told of bytes, in this thread, several times a second. Raises NotWhole, and what that raises.
        """
        folder = self._folder / snapshot.version
        paths = {part: folder / part.file for part in snapshot.parts}
        self._remove_all_but(snapshot.version, serving)
        done = 0

        def step(count: int) -> None:
            nonlocal done
            done += count
            on_progress(done, snapshot.size)

        _in_parallel([partial(self._check, part, path) for part, path in paths.items()], step)
        lacking = {part: path for part, path in paths.items() if (path, part.sha256) not in self._checked}
        if lacking:
            try:
                self._fetch_parts(lacking, step)
                with _writing(folder):
                    (folder / "card.json").write_text(snapshot.model_dump_json())
            except _DiskFull as error:
                # What is there of it would leave no room for anything else.
                shutil.rmtree(folder, ignore_errors=True)
                raise DiskProblem(_no_room(snapshot.size, self._cache)) from error
            logger.info("Snapshot fetched", version=snapshot.version, bytes=sum(part.size for part in lacking))
        self._remove_all_but(snapshot.version)
        return tuple(paths.values())

    def _check(self, part: SnapshotPart, path: Path, _: threading.Event) -> int:
        """The part's bytes if they are on disk and right, else 0; its hash is computed once a process."""
        with _writing(path.parent):
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                self._checked.discard((path, part.sha256))
                return 0
            if size == part.size and ((path, part.sha256) in self._checked or _sha256(path) == part.sha256):
                self._checked.add((path, part.sha256))
                return part.size
            self._checked.discard((path, part.sha256))
            path.unlink()
            return 0

    def _fetch_parts(self, parts: Mapping[SnapshotPart, Path], step: Callable[[int], None]) -> None:
        partials = {part: path.with_name(f"{path.name}.partial") for part, path in parts.items()}
        self._check_room(partials)
        there, ranges = 0, []
        with ExitStack() as open_files:
            for part, path in partials.items():
                with _writing(path.parent):
                    file = _open_partial(path, part.size + self._ranges(part.size))
                    open_files.callback(os.close, file)
                    marks = os.pread(file, self._ranges(part.size), part.size)
                for place, mark in enumerate(marks):
                    if mark:
                        there += len(self._range(part, place))
                    else:
                        ranges.append(partial(self._fetch_range, part, file, place))
            step(there)
            _in_parallel(ranges, step)
        _in_parallel([partial(self._finish, part, partials[part], path) for part, path in parts.items()], step)

    def _check_room(self, partials: Mapping[SnapshotPart, Path]) -> None:
        with _writing(self._cache):
            for path in partials.values():
                path.parent.mkdir(exist_ok=True)
            needed = sum(part.size for part in partials) - sum(map(_allocated, partials.values()))
            if needed > shutil.disk_usage(self._cache).free:
                raise DiskProblem(_no_room(needed, self._cache))

    def _fetch_range(self, part: SnapshotPart, file: int, place: int, stop: threading.Event) -> int:
        wanted = self._range(part, place)
        version = ObjectVersion(self._bucket, part.key, None, "", part.size)
        at = wanted.start
        with (
            _asking(part),
            closing(range_chunks(self._s3, version, wanted, self._chunk_bytes, stop.is_set)) as chunks,
        ):
            for chunk in chunks:
                if stop.is_set():
                    break
                with _writing(self._cache):
                    _write(file, chunk, at)
                at += len(chunk)
        if at < wanted.stop:
            return 0
        with _writing(self._cache):
            _write(file, b"\1", part.size + place)
        return len(wanted)

    def _ranges(self, size: int) -> int:
        return -(-size // self._range_bytes)

    def _range(self, part: SnapshotPart, place: int) -> range:
        return range(place * self._range_bytes, min((place + 1) * self._range_bytes, part.size))

    def _finish(self, part: SnapshotPart, unfinished: Path, path: Path, _: threading.Event) -> int:
        with _writing(path.parent):
            os.truncate(unfinished, part.size)
            if _sha256(unfinished) != part.sha256:
                unfinished.unlink()
                raise NotWhole(f"{part.key} is damaged (its SHA-256 is not its card's): {WRITE_IT_AGAIN}.")
            unfinished.replace(path)
        self._checked.add((path, part.sha256))
        return 0

    def _remove_all_but(self, *versions: str | None) -> None:
        with _writing(self._folder):
            for folder in self._folder.iterdir():
                if folder.name not in versions:
                    shutil.rmtree(folder, ignore_errors=True)


def _in_parallel(jobs: Sequence[_Job], step: Callable[[int], None]) -> None:
    """Runs the jobs in threads, which have ended when this ends; `step` is told here of what is done since the last."""
    stop = threading.Event()
    with ThreadPoolExecutor(THREADS) as pool:
        running = {pool.submit(in_this_budget(job), stop) for job in jobs}
        try:
            while running:
                done, running = wait(running, PROGRESS_SECONDS, FIRST_COMPLETED)
                step(sum(job.result() for job in done))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _asking(part: SnapshotPart) -> Iterator[None]:
    """Raises NotWhole for what S3 does not give."""
    try:
        yield
    except ObjectMissing as error:
        raise NotWhole(f"{part.key} is missing from the bucket: {WRITE_IT_AGAIN}.") from error
    except ObjectReplaced as error:
        raise NotWhole(
            f"{part.key} does not have the {part.size:,} bytes that its card says: {WRITE_IT_AGAIN}."
        ) from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise NotWhole(
            f"S3 answered {code} for {part.key}: check that the function may read the data bucket.",
            retry=can_pass(code),
        ) from error
    except BotoCoreError as error:
        name = type(error).__name__
        raise NotWhole(
            f"S3 cannot be reached for {part.key} ({name}): the function tries again by itself.", retry=can_pass(name)
        ) from error


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    # Never around on_progress: what it raises may be an OSError too, as TimeoutError is.
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _DiskFull from error
        raise DiskProblem(f"{folder} cannot be written ({error.strerror}): check the folder and its disk.") from error


def _open_partial(path: Path, whole: int) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if os.fstat(file).st_size != whole:
        os.ftruncate(file, 0)
        os.ftruncate(file, whole)
    return file


def _allocated(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0


def _write(file: int, content: bytes, at: int) -> None:
    view = memoryview(content)
    while view:  # a disk that fills up takes a part, and refuses the rest
        written = os.pwrite(file, view, at)
        view = view[written:]
        at += written


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_room(needed: int, cache: Path) -> str:
    free = shutil.disk_usage(cache).free
    return (
        f"it needs {-(-needed // 10**6):,} MB in {cache}, but only {free // 10**6:,} MB are free: raise the function's "
        "ephemeral storage (parameter SegmentStorage; for files, FileStorage)."
    )
