"""One file scored, by one worker at a time: from its object, block by block, to results that appear whole.

Blocks are read in order, scored in the threads of a pool, and written in order again. Now and then what is done is
saved (results.py), with the position to go on from: by the next worker, where this one is killed or out of time.
What comes out depends on the file, the models and the snapshot alone, and not on who did which part of it.
"""

import errno
import heapq
import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import duckdb
import orjson

from loyalty_ml import telemetry
from loyalty_ml.arrow import NO_EXTENSIONS
from loyalty_ml.aws.errors import asking
from loyalty_ml.customers.current import CurrentCustomers
from loyalty_ml.customers.population import Population
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.parquet_parts import ParquetParts, PartsMissing
from loyalty_ml.files.reading import AnyFile, Position, open_file
from loyalty_ml.files.results import Results, open_results
from loyalty_ml.files.scoring import INVALID_LINE, Failure, Question, Scored, answering, question
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.files.source import FileJobRequest, Format, format_of
from loyalty_ml.files.table import Rows, features_in
from loyalty_ml.files.writing import ERRORS_HEADER, Writer, error_rows
from loyalty_ml.jobs.lease import Heartbeat, LeaseLost, Timing, attempt, new_owner
from loyalty_ml.models.store import ModelStore
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import CUSTOMER_ID, MockMode, rfc3339

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RESERVE_SECONDS = 45.0
"""Of an invocation's time, what is left when it saves where it is: parts of the results have to go up still."""

IGNORED_SHOWN = 100
NAME_SHOWN = 100
"""Columns that are not read, and characters of each name, in the summary: a job's record takes 400 KB."""


class Ran(NamedTuple):
    """What came of a worker's attempt.

    outcome:     finished: the record says succeeded or failed, for good; running: another worker has it;
                 unfinished: there was no more time, and the next worker goes on.
    lease_left:  seconds of the other worker's lease, where running.
    summary:     where finished, as in results/{job_id}/summary.json; of a failed job job_id, status, code and error.
    """

    outcome: Literal["finished", "running", "unfinished"]
    job_id: str
    lease_left: float = 0.0
    summary: Mapping[str, Any] | None = None


class _OutOfTime(Exception):
    pass


@dataclass(slots=True)
class _Counts:
    """Rows of the file, each of which is a prediction or an error; errors are by code."""

    rows: int
    predictions: int
    errors: Counter[str]

    def add(self, other: "_Counts") -> None:
        self.rows += other.rows
        self.predictions += other.predictions
        self.errors.update(other.errors)


class _Answered(NamedTuple):
    """A block's results, as bytes."""

    predictions: bytes
    errors: bytes
    counts: _Counts


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a file is scored.

    connection:  asked through cursors only, one for each thread.
    features:    the columns that it has them in; none where they come from the snapshot, and so from `population`.
    parts:       where the results of blocks go until all are there, of Parquet.
    made_with:   what the results depend on besides the file: no file is scored by two models, nor as of two moments.
    trouble:     why the population is not of the newest snapshot, where it is not.
    """

    file: AnyFile
    connection: duckdb.DuckDBPyConnection
    asked: Question
    features: tuple[str, ...]
    population: Population | None
    score: Callable[[Rows], Scored]
    writer: Writer
    parts: ParquetParts | None
    made_with: Mapping[str, Any]
    trouble: str | None


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A worker's attempt at a job; work: its folder, remaining: the seconds that it has."""

    job: FileJobRequest
    work: Path
    remaining: Callable[[], float]
    heart: Heartbeat


def connect(work: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB for one file, as an error inside it may leave it of no more use."""
    # Each block is one thread's, from its text to its results: DuckDB's own threads would only get in the way. Nor is
    # anything to be cached of files that are written over.
    return duckdb.connect(
        config={
            **NO_EXTENSIONS,
            "threads": 1,
            "memory_limit": "1GB",
            "temp_directory": str(work / "spill"),  # the working directory of a function is not for writing
            "enable_external_file_cache": "false",
        }
    )


class FileService:
    """Scores files, one at a time."""

    def __init__(
        self,
        s3: "S3Client",
        jobs: FileJobStore,
        models: ModelStore,
        snapshots: SnapshotStore,
        *,
        bucket: str,
        mock_mode: MockMode,
        work: Path,
        sizes: Sizes = DEPLOYED,
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[[Path], duckdb.DuckDBPyConnection] = connect,
        timing: Timing | None = None,
    ) -> None:
        """Scores into one bucket.

        bucket:   where results go.
        work:     a folder of this process alone, for what a file needs while it is scored.
        clock:    monotonic seconds, by which it is time for a checkpoint.
        connect:  gives a file a DuckDB of its own, which spills into the file's folder.
        timing:   the heartbeat's.
        """
        self._s3 = s3
        self._jobs = jobs
        self._models = models
        self._customers = CurrentCustomers(snapshots)
        self._bucket = bucket
        self._mock_mode = mock_mode
        self._work = work
        self._sizes = sizes
        self._clock = clock
        self._connect = connect
        self._timing = timing
        self._threads = len(os.sched_getaffinity(0))
        # Kept, since each thread has interpreters and memory of its own that are worth keeping.
        self._pool = ThreadPoolExecutor(self._threads, "score_file")

    def score(
        self,
        job: FileJobRequest,
        *,
        remaining: Callable[[], float],
        on_beat: Callable[[float], object],
        is_last: bool,
    ) -> Ran:
        """Does a job, or what is left of it, unless another worker does.

        remaining:  the seconds that this worker has.
        on_beat:    is told now and then for how many seconds the job's message must not come again.
        is_last:    where this attempt fails the job fails, until someone sends it again.
        Raises what stops it for now; what is wrong with the file itself is the job's failure, for good.
        """
        owner = new_owner()
        claim = self._jobs.claim(job, owner)
        if claim.outcome == "running":
            return Ran("running", job.job_id, claim.lease_left)
        if claim.outcome == "finished":
            assert claim.job is not None
            ended = claim.job.summary or _failure(job, claim.job.code, claim.job.error)
            return Ran("finished", job.job_id, summary=ended)
        leases = self._jobs.leases
        try:
            with attempt(
                leases,
                job.job_id,
                owner,
                claim=claim,
                is_last=is_last,
                on_beat=on_beat,
                killed=_KILLED,
                described=_described,
                timing=self._timing,
            ) as heart:
                return self._try(_Attempt(job, self._work / job.job_id, remaining, heart), owner)
        except LeaseLost:
            logger.warning("Another worker has taken the job over", job_id=job.job_id)
            return Ran("running", job.job_id, leases.seconds)

    def _try(self, attempt: _Attempt, owner: str) -> Ran:
        job = attempt.job
        try:
            for abandoned in self._work.glob("[0-9a-f]" * 32):  # by a worker of this instance that was killed
                shutil.rmtree(abandoned, ignore_errors=True)
            attempt.work.mkdir(parents=True)
            results, summary = self._make_results(attempt)
            attempt.heart.raise_if_lost()
            self._jobs.succeed(job.job_id, owner, summary)
            telemetry.write_file(job.type, summary)
            results.clean()
        except _OutOfTime:
            self._jobs.leases.release(job.job_id, owner)
            return Ran("unfinished", job.job_id)
        except InvalidFile as error:
            attempt.heart.raise_if_lost()
            self._open(job).abort()
            self._jobs.leases.fail(job.job_id, owner, error.code, error.message, final=True)
            summary = _failure(job, error.code, error.message)
            telemetry.write_file(job.type, summary)
        finally:
            shutil.rmtree(attempt.work, ignore_errors=True)
        return Ran("finished", job.job_id, summary=summary)

    def _make_results(self, attempt: _Attempt) -> tuple[Results, Mapping[str, Any]]:
        """Makes the job's results appear, and the summary after them; gives both."""
        job = attempt.job
        results = self._open(job)
        if results.completing:  # all is there but its appearing, whatever has become of the models
            assert results.position is not None
            return self._finish(results, results.position)
        if results.position:  # what the record says must not fall back while the customers are fetched
            _tell(attempt.heart, _counts_at(results.position), results.position["done"]["share"])
        written = format_of(job.source.key)
        with (
            self._connect(attempt.work) as connection,
            closing(open_file(self._s3, job.source, written, connection, attempt.work, sizes=self._sizes)) as file,
        ):
            plan = self._plan(attempt, file, connection)
            if results.position and results.position["made_with"] != plan.made_with:
                logger.info("Models or customers are new: the file is scored from its beginning", job_id=job.job_id)
                results.abort()
                results = self._open(job)
            with results:
                counts = self._append_all(attempt, plan, results)
                if counts.rows != counts.predictions + counts.errors.total():
                    raise CountsDiffer(f"{counts} of {job.source.key} do not add up: look for a bug in the scoring.")
                if plan.parts:
                    try:
                        for piece in plan.parts.merged(connection, counts.predictions):
                            results.append("predictions", piece)
                    except PartsMissing:
                        results.abort()  # the next attempt begins from the beginning
                        raise
                attempt.heart.raise_if_lost()
                return self._finish(results, {"made_with": plan.made_with, "summary": _summary(job, plan, counts)})

    def _plan(self, attempt: _Attempt, file: AnyFile, connection: duckdb.DuckDBPyConnection) -> _Plan:
        job = attempt.job
        written = format_of(job.source.key)
        asked = question(job.type, self._models.current(), self._mock_mode)
        features = features_in(file.columns, asked.wanted, asked.known)
        population, trouble = (None, None) if set(file.columns) & set(asked.known) else self._customers.get()
        made_with = {
            "type": job.type,
            "blocks": [self._sizes.block_bytes, self._sizes.parquet_rows],  # which positions and parts are counted in
            "models": {name: info["version"] for name, info in asked.models.items()},
            "snapshot": population.version if population else None,
        }
        parts = None
        if written.kind == "parquet":
            parts = ParquetParts(self._s3, self._bucket, job.job_id, made_with, attempt.work)
        return _Plan(
            file,
            connection,
            asked,
            features,
            population,
            answering(asked, features, population),
            Writer(written, file.delimiter, asked, attempt.work),
            parts,
            made_with,
            trouble,
        )

    def _append_all(self, attempt: _Attempt, plan: _Plan, results: Results) -> _Counts:
        """Appends the results of all blocks that are left, or saves where it is and raises _OutOfTime."""
        counts, done = _Counts(0, 0, Counter()), None
        if results.position:
            counts, done = _counts_at(results.position), results.position["done"]
        else:
            results.append("predictions", plan.writer.header())
            results.append("errors", ERRORS_HEADER)
        next_save = self._clock() + self._sizes.checkpoint_seconds
        for answered, position in self._answers(plan, done):
            results.append("predictions", answered.predictions)
            results.append("errors", answered.errors)
            counts.add(answered.counts)
            _tell(attempt.heart, counts, position["share"])
            attempt.heart.raise_if_lost()
            is_out_of_time = attempt.remaining() < RESERVE_SECONDS
            if is_out_of_time or self._clock() >= next_save:
                saved = {**asdict(counts), "errors": dict(counts.errors)}  # asdict takes a Counter apart
                results.checkpoint({"made_with": plan.made_with, "done": position, "counts": saved})
                next_save = self._clock() + self._sizes.checkpoint_seconds
            if is_out_of_time:
                raise _OutOfTime
        return counts

    def _answers(self, plan: _Plan, done: Position | None) -> Iterator[tuple[_Answered, Position]]:
        """Each block's results with the position after it, in order, while the next ones are at work."""
        running: deque[tuple[Future[_Answered], Position]] = deque()
        try:
            for block, position in plan.file.blocks(done):
                running.append((self._pool.submit(self._answer, plan, block), position))
                if len(running) > self._threads:
                    first, after = running.popleft()
                    yield first.result(), after
            while running:
                first, after = running.popleft()
                yield first.result(), after
        finally:
            for answer, _ in running:
                answer.cancel()
            wait([answer for answer, _ in running])  # they write into the folder that is removed next

    def _answer(self, plan: _Plan, block: Any) -> _Answered:
        written, rows = [], 0
        with plan.connection.cursor() as connection:
            read = plan.file.read(block, plan.features, plan.asked.known, connection)
            failures: list[Failure] = []
            for table in read.rows:
                scored = plan.score(table)
                content, count = plan.writer.rows(connection, scored)
                written.append(content)
                rows += count
                failures += scored.failures
        predictions = b"".join(written)
        if plan.parts:
            plan.parts.put(block.start, predictions)
            predictions = b""
        failures.sort()
        errors = Counter(failure.code for failure in failures) + Counter({INVALID_LINE: len(read.bad)})
        # One by one: a block may be nothing but bad lines, millions of them.
        bad = (Failure(bad.line, bad.customer_id, INVALID_LINE, bad.problem) for bad in read.bad)
        return _Answered(predictions, error_rows(heapq.merge(bad, failures)), _Counts(read.total, rows, errors))

    def _open(self, job: FileJobRequest) -> Results:
        written = format_of(job.source.key)
        types = {"predictions": written.content_type, "errors": Format("csv", gzipped=False).content_type}
        keys = {name: key for name, key in _keys(job).items() if name != "summary"}
        return open_results(self._s3, self._bucket, job.job_id, keys, types, sizes=self._sizes)

    def _finish(self, results: Results, position: Position) -> tuple[Results, Mapping[str, Any]]:
        summary: Mapping[str, Any] = position["summary"]
        with results:
            results.complete(position)
        with asking("results", "The summary cannot be stored in the data bucket"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=summary["files"]["summary"],
                Body=orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
                ContentType="application/json",
            )
        return results, summary


_KILLED = (
    "The file could not be scored: its worker was killed, for want of memory or disk it seems; raise FileMemorySize or "
    "FileStorage, or split the file."
)


class CountsDiffer(Exception):
    """Rows are not predictions and errors together: nothing of the job is shown."""


def _described(error: Exception) -> tuple[str, str]:
    """The code and the sentence of what stopped an attempt."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return "INTERNAL", "The file needs too much memory: write it with smaller row groups and shorter values."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "INTERNAL", "The file needs more disk than there is: raise FileStorage, or split the file."
    return telemetry.described(error)


def _failure(job: FileJobRequest, code: str | None, error: str | None) -> dict[str, Any]:
    return {"job_id": job.job_id, "status": "failed", "code": code, "error": error}


def _tell(heart: Heartbeat, counts: _Counts, share: float) -> None:
    heart.note(processed=counts.rows, errors=counts.errors.total(), share=share)


def _counts_at(position: Position) -> _Counts:
    counts = position["counts"]
    return _Counts(counts["rows"], counts["predictions"], Counter(counts["errors"]))


def _keys(job: FileJobRequest) -> dict[str, str]:
    """Where the results go, in the order in which they appear."""
    folder = f"results/{job.job_id}"
    return {
        "errors": f"{folder}/errors.csv",
        "predictions": f"{folder}/predictions.{format_of(job.source.key).extension}",
        "summary": f"{folder}/summary.json",
    }


def _summary(job: FileJobRequest, plan: _Plan, counts: _Counts) -> dict[str, Any]:
    read = {CUSTOMER_ID, *plan.features}
    return {
        "job_id": job.job_id,
        "status": "succeeded",
        "type": job.type,
        "key": job.source.key,
        "version_id": job.source.version_id,
        **({"dataset": job.dataset} if job.dataset else {}),
        "rows": counts.rows,
        "predictions": counts.predictions,
        "errors": counts.errors.total(),
        "errors_by_code": dict(sorted(counts.errors.items())),
        "mock": plan.asked.is_mock,
        "models": plan.asked.models,
        "features": "snapshot" if plan.population else "file",
        "features_as_of": rfc3339(plan.population.as_of) if plan.population else None,
        "ignored_columns": [name[:NAME_SHOWN] for name in plan.file.columns if name not in read][:IGNORED_SHOWN],
        "files": _keys(job),
        **({"message": plan.trouble} if plan.trouble else {}),
    }
