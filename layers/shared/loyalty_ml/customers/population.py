"""All customers of a feature snapshot, on this machine's disk: the offline feature source.

The Parquet parts answer which ids there are. Rules and scoring want whole rows, so each part's features are decoded
once into a file of float64 rows beside it, and read from there in blocks: a third of the time for every segment after
the first, in memory that does not grow with the population.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import duckdb
import numpy as np
from nanoarrow.c_array import CArray
from numpy.typing import NDArray

from loyalty_ml import arrow
from loyalty_ml.arrow import Texts, texts_of
from loyalty_ml.customers.snapshot import ROW_GROUP, WRITE_IT_AGAIN
from loyalty_ml.customers.snapshot_store import LocalSnapshot
from loyalty_ml.customers.table import FeatureTable, purchases_in
from loyalty_ml.errors import FeatureStoreUnavailable, StoreUnavailable
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.vocabulary import rfc3339

BLOCK_ROWS = 32_768
"""Rows that a thread works on at a time: 2.6 MB of ten features, which stay in the processor's cache."""

QUERY_MEMORY = "512MB"
"""What DuckDB may take for all queries together."""

MeasuredT = TypeVar("MeasuredT")


class Block(NamedTuple):
    """n customers: their numbers in the population, int64 (n,), ascending, and their features, float64 (n, f)."""

    numbers: NDArray[np.int64]
    values: NDArray[np.float64]


class Population:
    """The customers of one snapshot, numbered from 0 in order of customer_id."""

    def __init__(
        self,
        snapshot: LocalSnapshot,
        progress: Progress = no_progress,
        *,
        block_rows: int = BLOCK_ROWS,
        decoded_rows: int = ROW_GROUP,
        query_memory: str = QUERY_MEMORY,
    ) -> None:
        """Decodes the features, where that is not done yet.

        block_rows:    customers in a block.
        decoded_rows:  rows that are decoded at a time.
        query_memory:  what DuckDB may take for all queries together.

        Raises StoreUnavailable if the disk is full, FeatureStoreUnavailable if a part is not what its card says.
        """
        self._parts = list(zip(snapshot.paths, (part.customers for part in snapshot.card.parts), strict=True))
        self.features = snapshot.card.features
        self.customers = snapshot.card.customers
        self.version = snapshot.card.version
        self.as_of = snapshot.card.as_of
        self.block_rows = block_rows
        self._decoded_rows = decoded_rows
        threads = len(os.sched_getaffinity(0))
        spill = str(snapshot.paths[0].with_name("spill"))  # the working directory of a function is not for writing
        self._query_memory = query_memory
        self._duckdb = duckdb.connect(
            config={
                **arrow.NO_EXTENSIONS,
                "memory_limit": query_memory,
                "threads": threads,
                "temp_directory": spill,
            }
        )
        # Kept, since each thread has interpreters and memory of its own that are worth keeping.
        self._pool = ThreadPoolExecutor(threads, "population")
        self._of_thread = threading.local()
        self.decode(progress)

    def decode(self, progress: Progress = no_progress) -> None:
        """Decodes what is not decoded, or is so no longer. Raises as the constructor does."""
        done = 0
        for path, customers in self._parts:
            self._decode(path, customers)
            done += customers
            progress(done, self.customers)

    def everyone(self) -> "Members":
        return Members(self, [None] * len(self._parts))

    def listed(self, customer_ids: Sequence[str]) -> tuple["Members", list[str]]:
        """The customers of a list, and the ids of it that are no customers, in order of id."""
        numbers = self.numbers(texts_of(customer_ids))
        is_member = np.zeros(self.customers, np.bool_)
        is_member[numbers[numbers >= 0]] = True
        ends = np.cumsum([customers for _, customers in self._parts])
        unknown = {customer_ids[place] for place in np.flatnonzero(numbers < 0).tolist()}
        return Members(self, np.split(is_member, ends[:-1])), sorted(unknown)

    def ids(self, rows: Sequence[int]) -> list[str]:
        """The ids of customers by their numbers, in that order."""
        ids: dict[int, str] = {}
        first = 0
        with self._query() as cursor:
            for path, customers in self._parts:
                wanted = [row - first for row in rows if first <= row < first + customers]
                if wanted:
                    found = cursor.execute(
                        "SELECT file_row_number, customer_id FROM read_parquet($part, file_row_number = true) "
                        "WHERE file_row_number BETWEEN $least AND $most AND file_row_number IN (SELECT unnest($rows))",
                        {"part": str(path), "least": min(wanted), "most": max(wanted), "rows": wanted},
                    ).fetchall()
                    ids.update((first + row, customer_id) for row, customer_id in found)
                first += customers
        return [ids[row] for row in rows]

    def numbers(self, customer_ids: Texts) -> NDArray[np.int64]:
        """The numbers of n customers by their ids, int64 (n,): -1 for an id that is no customer's."""
        numbers = np.full(len(customer_ids.offsets) - 1, -1)
        wanted = arrow.table(["customer_id", "place"], [customer_ids, np.arange(len(numbers), dtype=np.float64)])
        first = 0
        with self._query() as cursor:
            ids = cursor.from_arrow(wanted)
            for path, customers in self._parts:
                part = cursor.read_parquet(str(path), file_row_number=True)
                found = part.join(ids, "customer_id").select("file_row_number", "place")
                for batch in arrow.batches(found):
                    view = batch.view()
                    places, _ = arrow.doubles(view.child(1))
                    numbers[places.astype(np.int64)] = first + arrow.integers(view.child(0))
                first += customers
        return numbers

    def values(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """The features of n customers by their numbers, float64 (n, f), in that order; NaN for -1."""
        values = np.full((len(numbers), len(self.features)), np.nan)
        first = 0
        for path, customers in self._parts:
            here = (first <= numbers) & (numbers < first + customers)
            if here.any():
                decoded = np.memmap(_decoded(path), np.float64, "r", shape=(customers, len(self.features)))
                values[here] = decoded[numbers[here] - first]
            first += customers
        return values

    def read(self, rows: Sequence[int]) -> FeatureTable:
        """The table of customers by their numbers, in that order, with all features of the snapshot."""
        values = self.values(np.array(rows, np.int64))
        return FeatureTable(
            self.ids(rows),
            self.features,
            values,
            absent=np.isnan(values),
            found=None,
            as_of=rfc3339(self.as_of),
            purchases=purchases_in(self.features, values),
        )

    @contextmanager
    def _query(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor, as a connection's second query, from another thread, would end its first. Its errors are ours."""
        try:
            with self._duckdb.cursor() as cursor:
                yield cursor
        except duckdb.OutOfMemoryException as error:
            raise FeatureStoreUnavailable(
                f"A query of the snapshot needs more than the {self._query_memory} of memory that it has: ask for "
                "fewer ids.",
                retry=False,
            ) from error
        except duckdb.Error as error:
            raise FeatureStoreUnavailable(
                f"A part of the snapshot on this disk cannot be read ({type(error).__name__}): try again. If it does "
                f"not help, {WRITE_IT_AGAIN}."
            ) from error

    def _measure_block(
        self, measure: Callable[[Block], MeasuredT], rows: range, mask: NDArray[np.bool_] | None
    ) -> MeasuredT:
        # A thread's own, used again: memory that is new to a process is mapped page by page, which takes as long as
        # all that is done with it here.
        if not hasattr(self._of_thread, "read"):
            self._of_thread.read, self._of_thread.wanted = np.empty((2, self.block_rows, len(self.features)))
        numbers, values = np.arange(rows.start, rows.stop), self._of_thread.read[: len(rows)]
        if mask is None or mask.any():
            self._read_rows(rows.start, values)
        if mask is None or mask.all():
            return measure(Block(numbers, values))
        members = np.flatnonzero(mask)
        wanted = self._of_thread.wanted[: len(members)]
        # mode="clip": without it, NumPy copies once more.
        return measure(Block(numbers[members], np.take(values, members, axis=0, out=wanted, mode="clip")))

    def _read_rows(self, first: int, values: NDArray[np.float64]) -> None:
        """The consecutive rows of one part from the customer numbered `first` on, into `values`."""
        for path, customers in self._parts:
            if first < customers:
                with _decoded(path).open("rb", buffering=0) as file:
                    file.seek(first * values.strides[0])
                    if file.readinto(values) != values.nbytes:
                        raise FeatureStoreUnavailable(f"{_decoded(path).name} is cut off on this disk: try again.")
                return
            first -= customers

    def _decode(self, path: Path, customers: int) -> None:
        decoded = _decoded(path)
        size = customers * len(self.features) * 8
        if _is_whole(decoded, size):
            return
        partial = decoded.with_name(f"{decoded.name}.partial")
        with path.open("rb") as part, self._query() as cursor:
            # One thread of one process at a time, whose file the next takes over if it was killed.
            fcntl.flock(part, fcntl.LOCK_EX)
            if _is_whole(decoded, size):
                return
            rows = cursor.read_parquet(str(path), file_row_number=True)
            number = duckdb.ColumnExpression("file_row_number")
            all_features = duckdb.StarExpression(exclude=["customer_id", "file_row_number"])
            found = rows.select(all_features)
            if tuple(found.columns) != self.features or any(kind != "DOUBLE" for kind in found.types):
                raise _not_as_its_card_says(path)
            with _room_for(partial, size):
                with partial.open("wb") as file:
                    # A range at a time: of all rows at once DuckDB would hold a million, and those after, in memory.
                    for start in range(0, customers, self._decoded_rows):
                        least, most = map(duckdb.ConstantExpression, (start, start + self._decoded_rows - 1))
                        wanted = rows.filter(number.between(least, most)).select(all_features)
                        for batch in arrow.batches(wanted):
                            for block in _rows(batch):
                                file.write(block)
                if not _is_whole(partial, size):
                    raise _not_as_its_card_says(path)
                partial.replace(decoded)


class Members:
    """Customers of a population: bool (customers,) for each part, None for all of a part."""

    def __init__(self, population: Population, masks: Sequence[NDArray[np.bool_] | None]) -> None:
        self._population = population
        self._masks = masks

    def measure(self, measure: Callable[[Block], MeasuredT], progress: Progress = no_progress) -> Iterator[MeasuredT]:
        """What `measure` gives for each block of the members, in order.

        It is called in several threads at once, and may keep nothing of the block's arrays, which are used again.
        """
        population = self._population
        block_rows = population.block_rows
        first = done = 0
        for (_, customers), mask in zip(population._parts, self._masks, strict=True):
            starts = range(0, customers, block_rows)
            blocks = [
                population._pool.submit(
                    population._measure_block,
                    measure,
                    range(first + start, first + min(start + block_rows, customers)),
                    None if mask is None else mask[start : start + block_rows],
                )
                for start in starts
            ]
            try:
                for start, block in zip(starts, blocks, strict=True):
                    yield block.result()
                    done += min(block_rows, customers - start)
                    progress(done, population.customers)
            finally:
                for block in blocks:
                    block.cancel()
            first += customers


def _decoded(part: Path) -> Path:
    return part.with_suffix(".features")


def _is_whole(decoded: Path, size: int) -> bool:
    return decoded.exists() and decoded.stat().st_size == size


def _not_as_its_card_says(part: Path) -> FeatureStoreUnavailable:
    return FeatureStoreUnavailable(
        f"{part.name} does not have the customers and columns that its card says: {WRITE_IT_AGAIN}.", retry=False
    )


def _rows(batch: CArray) -> Iterator[NDArray[np.float64]]:
    """Float64 (n, f) blocks of an Arrow record batch of doubles, NaN for NULL."""
    view = batch.view()
    features = [arrow.doubles(view.child(place))[0] for place in range(view.n_children)]
    for start in range(0, view.length, BLOCK_ROWS):
        yield np.column_stack([values[start : start + BLOCK_ROWS] for values in features])


@contextmanager
def _room_for(partial: Path, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreUnavailable(
            "disk",
            f"{partial.name} needs {-(-size // 10**6):,} MB, but its disk has no room: raise the function's "
            "ephemeral storage (parameter SegmentStorage; for files, FileStorage).",
            retry=False,
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
