"""One file scored, by one worker at a time: from its object, block by block, to results that appear whole.

A worker claims the job, and appends the results of its blocks (pipeline.py) in order. Now and then it saves what is
done (results.py), with the position to go on from: by the next worker, if this one is killed or out of time. What comes
out depends on the file, the models and the snapshot alone, and not on who did which part of it.
"""

import errno
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import duckdb
import orjson

from loyalty_ml import telemetry
from loyalty_ml.arrow import NO_EXTENSIONS
from loyalty_ml.aws.errors import asking
from loyalty_ml.customers.current import CurrentCustomers
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.errors import InvalidFile, NoBaseline
from loyalty_ml.files import summary
from loyalty_ml.files.checkpoint import read_checkpoint
from loyalty_ml.files.formats import detect_format
from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.parquet_parts import PartsMissing
from loyalty_ml.files.pipeline import Counts, Pipeline, Plan, counts_at
from loyalty_ml.files.reading import Position, open_file
from loyalty_ml.files.results import Results, abandon_results, open_results
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.files.source import FileJobRequest, Format, format_of
from loyalty_ml.files.writing import ERRORS_HEADER
from loyalty_ml.jobs.attempt import attempt, new_owner
from loyalty_ml.jobs.heartbeat import Heartbeat, Timing
from loyalty_ml.jobs.lease import LeaseLost
from loyalty_ml.models.store import ModelStore
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import MockMode

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READING_SHARE = 0.9
"""Of a file's work, what is done once all is read and scored: then the results are put together and appear."""
RESERVE_SECONDS = 45.0
"""Of an invocation's time, what is left when it saves where it is: parts of the results have to go up still."""


class Ran(NamedTuple):
    """What came of a worker's attempt.

    outcome:     finished: the record says succeeded or failed, for good; running: another worker has it;
                 unfinished: there was no more time, and the next worker goes on.
    lease_left:  seconds of the other worker's lease, where running.
    summary:     where finished, as in results/{job_id}/summary.json; of a job that failed before its end only job_id,
                 status, code and error.
    """

    outcome: Literal["finished", "running", "unfinished"]
    job_id: str
    lease_left: float = 0.0
    summary: Mapping[str, Any] | None = None


class _OutOfTime(Exception):
    pass


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
        self._bucket = bucket
        self._work = work
        self._sizes = sizes
        self._clock = clock
        self._connect = connect
        self._timing = timing
        self._pipeline = Pipeline(
            s3, models, CurrentCustomers(snapshots), bucket=bucket, mock_mode=mock_mode, sizes=sizes
        )

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
            if claim.job is None:
                # A worker that was slow to notice may have begun results after the job's were removed.
                abandon_results(self._s3, self._bucket, job.job_id)
                ended: Mapping[str, Any] = summary.failure(job, "JOB_NOT_FOUND", "The job was deleted: start it again.")
            else:
                ended = claim.job.summary or summary.failure(job, claim.job.code, claim.job.error)
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
                killed=KILLED,
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
            results, outcome = self._make_results(attempt)
            attempt.heart.raise_if_lost()
            self._jobs.finish(job.job_id, owner, outcome)
            telemetry.write_file(job.type, outcome)
            results.clean()
        except _OutOfTime:
            self._jobs.leases.release(job.job_id, owner)
            return Ran("unfinished", job.job_id)
        except (InvalidFile, NoBaseline) as error:
            attempt.heart.raise_if_lost()
            abandon_results(self._s3, self._bucket, job.job_id)
            self._jobs.leases.fail(job.job_id, owner, error.code, error.message, final=True)
            outcome = summary.failure(job, error.code, error.message)
            telemetry.write_file(job.type, outcome)
        finally:
            shutil.rmtree(attempt.work, ignore_errors=True)
        return Ran("finished", job.job_id, summary=outcome)

    def _make_results(self, attempt: _Attempt) -> tuple[Results, Mapping[str, Any]]:
        """Makes the job's results appear, and the summary after them; gives both."""
        job = replace(attempt.job, written=self._written(attempt.job))
        results = self._open(job)
        if results.completing:  # all is there but its appearing, whatever has become of the models
            assert results.position is not None
            return self._finish(results, results.position)
        if results.position:  # what the record says must not fall back while the customers are fetched
            _tell(attempt.heart, counts_at(results.position), READING_SHARE * results.position["done"]["share"])
        with (
            self._connect(attempt.work) as connection,
            closing(open_file(self._s3, job, connection, attempt.work, sizes=self._pipeline.sizes(job))) as file,
        ):
            plan = self._pipeline.plan(job, file, connection, attempt.work)
            if results.position and results.position["made_with"] != plan.made_with:
                logger.info("Models or customers are new: the file is scored from its beginning", job_id=job.job_id)
                results.abort()
                results = self._open(job)
            with results:
                counts, lines = self._append_all(attempt, plan, results)
                if not counts.add_up(lines):
                    raise CountsDiffer(
                        f"{counts} of {lines} lines of {job.source.key} do not add up: look for a bug in the scoring."
                    )
                if plan.parts:
                    try:
                        for piece, copied in plan.parts.merged(connection, counts.predictions):
                            results.append("predictions", piece)
                            _tell(attempt.heart, counts, READING_SHARE + (1 - READING_SHARE) * copied)
                    except PartsMissing:
                        results.abort()  # the next attempt begins from the beginning
                        raise
                if not counts.predictions:
                    results.append("predictions", plan.writer.nobody())
                attempt.heart.raise_if_lost()
                return self._finish(
                    results, {"made_with": plan.made_with, "summary": summary.of_end(job, plan, counts)}
                )

    def _append_all(self, attempt: _Attempt, plan: Plan, results: Results) -> tuple[Counts, int]:
        """Appends the results of all blocks that are left, or saves where it is and raises _OutOfTime.

        Returns the counts of all blocks, and how many lines the file has by the numbers that they were given.
        """
        counts, done = Counts(0, 0, Counter(), Counter(header=plan.file.header_lines)), None
        if results.position:
            counts, done = counts_at(results.position), results.position["done"]
        else:
            results.append("predictions", plan.writer.header())
            results.append("errors", ERRORS_HEADER)
        next_save = self._clock() + self._sizes.checkpoint_seconds
        lines = done["lines"] if done else 0
        for block, position in self._pipeline.results(plan, done):
            results.append("predictions", block.predictions)
            results.append("errors", block.errors)
            counts.add(block.counts)
            lines = position["lines"]
            _tell(attempt.heart, counts, READING_SHARE * position["share"])
            attempt.heart.raise_if_lost()
            is_out_of_time = attempt.remaining() < RESERVE_SECONDS
            if is_out_of_time or self._clock() >= next_save:
                # asdict takes a Counter apart
                saved = {**asdict(counts), "errors": dict(counts.errors), "lines": dict(counts.lines)}
                results.checkpoint({"made_with": plan.made_with, "done": position, "counts": saved})
                next_save = self._clock() + self._sizes.checkpoint_seconds
            if is_out_of_time:
                raise _OutOfTime
        return counts, lines

    def _written(self, job: FileJobRequest) -> Format:
        if named := job.written or format_of(job.source.key):
            return named
        # What began with a checkpoint may end without the object, which may be deleted meanwhile.
        with asking("results", "The job's checkpoint cannot be read in the data bucket"):
            stored = read_checkpoint(self._s3, self._bucket, job.job_id)
        saved = stored.checkpoint and format_of(stored.checkpoint.results["predictions"].key) if stored else None
        return saved or detect_format(self._s3, job.source)

    def _open(self, job: FileJobRequest) -> Results:
        assert job.written is not None
        types = {"predictions": job.written.content_type, "errors": Format("csv").content_type}
        keys = {name: key for name, key in summary.result_keys(job).items() if name != "summary"}
        return open_results(self._s3, self._bucket, job.job_id, keys, types, sizes=self._sizes)

    def _finish(self, results: Results, position: Position) -> tuple[Results, Mapping[str, Any]]:
        outcome: Mapping[str, Any] = position["summary"]
        with results:
            results.complete(position)
        with asking("results", "The summary cannot be stored in the data bucket"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=outcome["files"]["summary"],
                Body=orjson.dumps(outcome, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
                ContentType="application/json",
            )
        return results, outcome


KILLED = (
    "The file could not be scored: its worker was killed, for want of memory or disk it seems; raise FileMemorySize or "
    "FileStorage, or split the file."
)


class CountsDiffer(Exception):
    """Rows are not predictions and errors together, or lines are lost: nothing of the job is shown."""


def _described(error: Exception) -> tuple[str, str]:
    """The code and the sentence of what stopped an attempt."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return "INTERNAL", "The file needs too much memory: write it with smaller row groups and shorter values."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "INTERNAL", "The file needs more disk than there is: raise FileStorage, or split the file."
    return telemetry.described(error)


def _tell(heart: Heartbeat, counts: Counts, share: float) -> None:
    heart.tell(processed=counts.rows, errors=counts.errors.total(), share=share)
