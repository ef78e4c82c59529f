"""A file's blocks become results: threads of a pool read, score and write them, and the caller gets them in order.

The job, its checkpoints and its end are in service.py.
"""

import heapq
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from loyalty_ml.customers.current import CurrentCustomers
from loyalty_ml.customers.population import Population
from loyalty_ml.errors import CustomerNotFound
from loyalty_ml.files.id_looks import IDS_LOOKED_AT, look_of
from loyalty_ml.files.parquet_parts import ParquetParts
from loyalty_ml.files.reading import AnyFile, Position
from loyalty_ml.files.scoring import INVALID_LINE, Failure, Question, Scored, answering, question
from loyalty_ml.files.selection import Selection, keeping, select
from loyalty_ml.files.sizes import Sizes
from loyalty_ml.files.source import FileJobRequest
from loyalty_ml.files.table import Rows
from loyalty_ml.files.text.lines import BadLine
from loyalty_ml.files.writing import Writer, error_rows
from loyalty_ml.models.store import ModelStore
from loyalty_ml.vocabulary import MockMode

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(slots=True)
class Counts:
    """Rows of the file, each of which is a prediction or an error; errors are by code.

    lines: of the file, by what they are: `header`, `blank`, `rows` or `bad`.
    first: by code, where the first error is and what it says; of blocks without a prediction.
    unknown_ids: how the ids look that are no customer's, of the first such block; empty if there is none.
    """

    rows: int
    predictions: int
    errors: Counter[str]
    lines: Counter[str]
    first: dict[str, str] = field(default_factory=dict)
    unknown_ids: str = ""

    def add(self, other: "Counts") -> None:
        self.rows += other.rows
        self.lines.update(other.lines)
        self.predictions += other.predictions
        self.errors.update(other.errors)
        self.first = other.first | self.first
        self.unknown_ids = self.unknown_ids or other.unknown_ids

    def add_up(self, lines: int) -> bool:
        """Whether each row has come to one end, and each line is of one kind. lines: as they are numbered."""
        return self.rows == self.predictions + self.errors.total() and lines == self.lines.total()


class BlockResults(NamedTuple):
    """A block's results, as bytes."""

    predictions: bytes
    errors: bytes
    counts: Counts


def bad_of(lines: Iterable[BadLine]) -> Iterator[Failure]:
    return (Failure(line.line, line.customer_id, INVALID_LINE, line.problem) for line in lines)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is scored.

    connection:  asked through cursors only, one for each thread.
    selection:   what is read of it; no features where they come from the snapshot, and so from `population`.
    parts:       where the results of blocks go until all are there, of Parquet.
    made_with:   what the results depend on besides the file: no file is scored by two models, nor as of two moments.
    trouble:     why the population is not of the newest snapshot, if it is not.
    """

    file: AnyFile
    connection: duckdb.DuckDBPyConnection
    asked: Question
    selection: Selection
    population: Population | None
    score: Callable[[Rows], Scored]
    writer: Writer
    parts: ParquetParts | None
    made_with: Mapping[str, Any]
    trouble: str | None


def counts_at(position: Position) -> Counts:
    """The counts that a checkpoint was saved with."""
    counts = position["counts"]
    return Counts(
        counts["rows"],
        counts["predictions"],
        Counter(counts["errors"]),
        Counter(counts["lines"]),
        counts["first"],
        counts["unknown_ids"],
    )


class Pipeline:
    """Makes the results of files, one file at a time."""

    def __init__(
        self,
        s3: "S3Client",
        models: ModelStore,
        customers: CurrentCustomers,
        *,
        bucket: str,
        mock_mode: MockMode,
        sizes: Sizes,
    ) -> None:
        """bucket: where parts of Parquet results are kept until all are there."""
        self._s3 = s3
        self._models = models
        self._customers = customers
        self._bucket = bucket
        self._mock_mode = mock_mode
        self._sizes = sizes
        self._threads = len(os.sched_getaffinity(0))
        # Kept, since each thread has interpreters and memory of its own that are worth keeping.
        self._pool = ThreadPoolExecutor(self._threads, "file_pipeline")

    def sizes(self, job: FileJobRequest) -> Sizes:
        """How much of the job's file is at work at a time. Raises ModelUnavailable and NoBaseline where it explains."""
        if not job.explain:
            return self._sizes
        return self._sizes.explaining(self._question(job).explaining_rows)

    def _question(self, job: FileJobRequest) -> Question:
        return question(job.type, self._models.current(), self._mock_mode, explain=job.explain)

    def plan(self, job: FileJobRequest, file: AnyFile, connection: duckdb.DuckDBPyConnection, work: Path) -> Plan:
        """How the job's file is scored by the current models. work: the job's folder.

        Raises ModelUnavailable, NoBaseline, InvalidFile for its columns, and what CurrentCustomers.get raises.
        """
        written = job.written
        assert written is not None, "whose file is open"
        asked = self._question(job)
        selection = select(file.columns, asked.wanted, asked.known)
        writer = Writer(written, file.delimiter, asked, work)
        selection = keeping(selection, file.columns, job.keep, writer.names)
        selection = selection._replace(decimals=file.decimals(selection, connection))
        population, trouble = (None, None) if selection.has_features else self._customers.get()
        made_with = {
            "type": job.type,
            "blocks": file.block_size,  # which positions and parts are counted in
            "models": {name: info["version"] for name, info in asked.models.items()},
            "snapshot": population.version if population else None,
            **({"keep": list(job.keep)} if job.keep else {}),
            **({"explain": True} if job.explain else {}),
        }
        parts = None
        if written.kind == "parquet":
            parts = ParquetParts(self._s3, self._bucket, job.job_id, made_with, work)
        return Plan(
            file,
            connection,
            asked,
            selection,
            population,
            answering(asked, selection.features, population),
            writer.keeping(selection.keep, file.path),
            parts,
            made_with,
            trouble,
        )

    def results(self, plan: Plan, done: Position | None) -> Iterator[tuple[BlockResults, Position]]:
        """Each block's results with the position after it, in order, while the next ones are at work."""
        running: deque[tuple[Future[BlockResults], Position]] = deque()
        try:
            for block, position in plan.file.blocks(done, plan.selection):
                running.append((self._pool.submit(self._block_results, plan, block), position))
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

    def _block_results(self, plan: Plan, block: Any) -> BlockResults:
        written, rows = [], 0
        with plan.connection.cursor() as connection:
            read = plan.file.read(block, plan.selection, connection)
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
        bad = bad_of(read.bad)
        counts = Counts(read.total, rows, errors, Counter(read.lines._asdict()))
        if not rows:
            firsts = {failure.code: failure for failure in (*reversed(failures), *bad_of(read.bad[:1]))}
            counts.first = {code: f"line {one.line}: {one.error}" for code, one in firsts.items()}
            unknown = (each.customer_id for each in failures if each.code == CustomerNotFound.code)
            counts.unknown_ids = look_of(list(islice(unknown, IDS_LOOKED_AT)))
        return BlockResults(predictions, error_rows(heapq.merge(bad, failures)), counts)
