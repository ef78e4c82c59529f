"""From the warehouse to the snapshot's Parquet parts on disk, in bounded memory; rows that cannot be stored told apart.

A part holds customer_id (string) and the features (double, NULL for none) in the models' order, sorted by customer_id
over all parts, in row groups small enough to be fetched one by one.
"""

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

from loyalty_ml.customers.snapshot import ROW_GROUP
from loyalty_ml.customers.table import AS_OF
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS
from training.errors import Problem
from training.warehouse.connection import asking
from training.warehouse.source import queries_in

WORK_MEMORY = "384MB"

LARGEST, SMALLEST = 1e126, 1e-130
"""DynamoDB holds numbers below the first, and 0, and from the second on."""

DUPLICATED = "the id comes more than once"
DATES = "dates.parquet"
"""customer_id and features_as_of, as text, of the customers who have moments of their own."""
NO_FEATURE = "there is no feature at all"

Progress = Callable[[int], object]


class PartSizes(NamedTuple):
    """row_group: rows of one, which are also how many are in memory at a time; part_bytes: the most of a part."""

    row_group: int = ROW_GROUP
    part_bytes: int = 128 * 2**20


PART_SIZES = PartSizes()


class Part(NamedTuple):
    """A file in the folder: its name, its rows, its bytes and their SHA-256 in hex."""

    file: str
    customers: int
    size: int
    sha256: str


class Parts(NamedTuple):
    """What was written: the columns after customer_id, the parts in order of id, and the rejected rows by reason.

    dates_sha256: of the file DATES; None if customers have no moments of their own.
    erased:       rows that are left out because their customers were erased; they are no rejected rows.
    """

    features: tuple[str, ...]
    parts: tuple[Part, ...]
    reasons: dict[str, int]
    dates_sha256: str | None
    erased: int = 0

    @property
    def customers(self) -> int:
        return sum(part.customers for part in self.parts)

    @property
    def rejected(self) -> int:
        return sum(self.reasons.values())


def write_parts(
    features: ir.Table,
    folder: Path,
    rejects: Path,
    max_rejected_share: float,
    progress: Progress = lambda _: None,
    *,
    sizes: PartSizes = PART_SIZES,
    erased: Collection[str] = (),
) -> Parts:
    """Writes `folder`/part-00000.parquet and on, and the rows that are left out to `rejects` (CSV) where there are any.

    `features` has customer_id and a column of numbers for each feature, on any Ibis backend; also features_as_of, a
    moment, where customers have their own: these are written to `folder`/DATES, beside the parts. It is read once, and
    `progress` is told of each batch's rows. `erased` has the SHA-256 of ids that are in none of the files.
    Raises Problem where it is not of that shape, cannot be read, is empty, or more than `max_rejected_share` of its
    rows are rejected; OSError and duckdb.Error from the disk.
    """
    checked = _as_text_and_doubles(features)
    names = tuple(name for name in checked.columns if name not in (CUSTOMER_ID, AS_OF))
    rejects.unlink(missing_ok=True)
    with working_duckdb(folder.with_name("spill")) as connection:
        _read(connection, checked, progress, sizes)
        left_out = _leave_out(connection, erased)
        reasons = _reject(connection, rejects)
        (rows,) = _row(connection, "SELECT count(*) FROM arrived")
        if not rows:
            raise Problem("The warehouse has no customers: there is nothing to materialize, and nothing was changed.")
        share = sum(reasons.values()) / rows
        if share > max_rejected_share or share == 1:
            reason, times = next(iter(reasons.items()))
            raise Problem(
                f"{sum(reasons.values()):,} of {rows:,} rows cannot be stored, mostly ({times:,}) because {reason}: "
                f"see {rejects}; nothing was changed. What may be left out is materialize.max_rejected_share "
                f"({max_rejected_share:g})."
            )
        parts = _write(connection, names, folder, sizes)
        dates_sha256 = None
        if AS_OF in checked.columns:
            dated = f"SELECT customer_id, {AS_OF} FROM arrived WHERE reason IS NULL AND {AS_OF} IS NOT NULL"
            connection.sql(dated).write_parquet(str(folder / DATES), compression="zstd")
            dates_sha256 = file_sha256(folder / DATES)
        return Parts(names, parts, reasons, dates_sha256, left_out)


def ids_with(digests: Collection[str], parts: Sequence[Path], spill: Path) -> list[str]:
    """The customers of the parts whose ids have one of these SHA-256. Raises duckdb.Error from the disk."""
    with working_duckdb(spill) as connection:
        customers = connection.read_parquet([str(part) for part in parts])
        ids = customers.filter(f"sha256({CUSTOMER_ID}) IN ({_quoted_texts(digests)})").select(CUSTOMER_ID)
        return [customer_id for (customer_id,) in ids.fetchall()]


def rows_of(parts: Sequence[Path], rows: int) -> Iterator[pa.RecordBatch]:
    """The parts' customers in their order, at most `rows` at a time."""
    for part in parts:
        with pq.ParquetFile(part) as file:
            yield from file.iter_batches(batch_size=rows)


@contextmanager
def working_duckdb(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that keeps to WORK_MEMORY: what is more goes to files in `spill`, gone afterwards."""
    shutil.rmtree(spill, ignore_errors=True)
    spill.mkdir(parents=True)
    try:
        with duckdb.connect(config={"memory_limit": WORK_MEMORY, "temp_directory": str(spill)}) as connection:
            yield connection
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _as_text_and_doubles(features: ir.Table) -> ir.Table:
    if CUSTOMER_ID not in features.columns:
        raise Problem(f"The features have no column {CUSTOMER_ID}: map it in the configuration.")
    kind = features[CUSTOMER_ID].type()
    if not isinstance(kind, dt.String | dt.Integer | dt.UUID) and not (isinstance(kind, dt.Decimal) and not kind.scale):
        raise Problem(f"{CUSTOMER_ID} is {kind}: ids are texts or whole numbers; cast the column in the warehouse.")
    dates = [AS_OF] if AS_OF in features.columns and isinstance(features[AS_OF].type(), dt.Timestamp) else []
    names = [name for name in features.columns if name not in (CUSTOMER_ID, *dates)]
    for name in names:
        kind = features[name].type()
        if not isinstance(kind, dt.Numeric) or isinstance(kind, dt.Boolean):
            raise Problem(f"The feature {name} is {kind}, not a number: map another column, or cast it.")
    # DuckDB, which reads the snapshot, does not tell Revenue from revenue; an item has the second name already, and
    # DuckDB gives the third to its own count of a part's rows.
    lowered = [name.lower() for name in (CUSTOMER_ID, AS_OF, "file_row_number", *names)]
    for name in names:
        if lowered.count(name.lower()) > 1:
            raise Problem(f"The feature {name} has a name that is taken: call it something else.")
    if not names:
        raise Problem(f"The features have no column but {CUSTOMER_ID}: map at least one feature.")
    return features.select(
        features[CUSTOMER_ID].cast("string").name(CUSTOMER_ID),
        *(features[name].cast("float64").name(name) for name in names),
        *(features[name].cast("timestamp('UTC')").name(name) for name in dates),
    )


def _read(connection: duckdb.DuckDBPyConnection, features: ir.Table, progress: Progress, sizes: PartSizes) -> None:
    """Into the table `arrived`: the columns, and why a row is rejected, NULL for one that is not."""
    dated = AS_OF in features.columns
    names = features.columns[1 : -1 if dated else None]
    columns = ", ".join(f"{quoted(name)} DOUBLE" for name in names)
    date = f", {AS_OF} VARCHAR" if dated else ""
    connection.execute(f"CREATE TABLE arrived (customer_id VARCHAR, {columns}{date}, reason VARCHAR)")
    # 0 for -0.0, which DynamoDB does not tell apart: both stores hold the same number.
    values = ", ".join(f"CASE WHEN {column} = 0 THEN 0 ELSE {column} END" for column in map(quoted, names))
    values += f", {AS_OF}" if dated else ""
    rule, parameters = _rule(names)
    with asking(features.get_backend(), queries_in(features)):
        batches = features.to_pyarrow_batches(chunk_size=sizes.row_group)
    while True:
        with asking(features.get_backend(), queries_in(features)):
            batch = next(batches, None)
        if batch is None:
            return
        table = pa.Table.from_batches([batch])
        connection.register("batch", _with_texts_of_dates(table) if dated else table)
        connection.execute(f"INSERT INTO arrived SELECT customer_id, {values}, {rule} FROM batch", parameters)
        progress(len(batch))


def _leave_out(connection: duckdb.DuckDBPyConnection, erased: Collection[str]) -> int:
    """Before any other look at them, so that they are not among the rejects either."""
    if not erased:
        return 0
    (rows,) = _row(connection, f"DELETE FROM arrived WHERE sha256(customer_id) IN ({_quoted_texts(erased)})")
    return rows


def _quoted_texts(texts: Collection[str]) -> str:
    """Of texts without a quote in them."""
    return ", ".join(f"'{text}'" for text in texts)


def _with_texts_of_dates(batch: pa.Table) -> pa.Table:
    """As rfc3339() writes them, to the second."""
    seconds = batch[AS_OF].cast(pa.timestamp("s", "UTC"), safe=False)
    return batch.set_column(batch.schema.get_field_index(AS_OF), AS_OF, pc.strftime(seconds, "%Y-%m-%dT%H:%M:%SZ"))


def _rule(names: Sequence[str]) -> tuple[str, list[object]]:
    """SQL for the first reason to reject a row of the source, or NULL; and its parameters."""
    cases: list[tuple[str, list[object]]] = [
        ("customer_id IS NULL THEN ?", ["there is no id"]),
        ("customer_id = '' THEN ?", ["the id is empty"]),
        (
            "length(customer_id) > ? THEN ?",
            [MAX_ID_CHARACTERS, f"the id is longer than {MAX_ID_CHARACTERS} characters"],
        ),
        (" AND ".join(f"{quoted(name)} IS NULL" for name in names) + " THEN ?", [NO_FEATURE]),
    ]
    for name in names:
        column = quoted(name)
        cases += [
            (f"isnan({column}) THEN ?", [f"{name} is not a number (NaN)"]),
            (f"isinf({column}) THEN ?", [f"{name} is infinite"]),
            (
                f"{column} <> 0 AND (abs({column}) >= ? OR abs({column}) < ?) THEN ?",
                [LARGEST, SMALLEST, f"{name} is outside what DynamoDB can hold"],
            ),
        ]
    sql = " ".join(f"WHEN {case}" for case, _ in cases)
    return f"CASE {sql} END", [parameter for _, parameters in cases for parameter in parameters]


def _reject(connection: duckdb.DuckDBPyConnection, rejects: Path) -> dict[str, int]:
    """Writes the rejects file where there is something in it; rows by reason, the most frequent first."""
    # Every row of a duplicated id: which of them is right is not known.
    connection.execute(
        "UPDATE arrived SET reason = ? WHERE reason IS NULL AND customer_id IN "
        "(SELECT customer_id FROM arrived GROUP BY customer_id HAVING count(*) > 1)",
        [DUPLICATED],
    )
    reasons = connection.execute(
        "SELECT reason, count(*) FROM arrived WHERE reason IS NOT NULL GROUP BY reason ORDER BY count(*) DESC, reason"
    ).fetchall()
    if reasons:
        rejected = connection.sql("SELECT customer_id, reason FROM arrived WHERE reason IS NOT NULL ORDER BY ALL")
        rejected.write_csv(str(rejects), header=True)
    return dict(reasons)


def _write(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], folder: Path, sizes: PartSizes
) -> tuple[Part, ...]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    columns = ", ".join(map(quoted, names))
    customers = connection.sql(f"SELECT customer_id, {columns} FROM arrived WHERE reason IS NULL ORDER BY customer_id")
    reader = customers.to_arrow_reader(sizes.row_group)
    groups = iter(reader)
    group = next(groups, None)
    parts: list[Part] = []
    while group is not None:
        path = folder / f"part-{len(parts):05}.parquet"
        rows = largest = 0
        with path.open("wb") as file, pq.ParquetWriter(file, reader.schema, compression="zstd") as writer:
            while group is not None and file.tell() + largest <= sizes.part_bytes:
                before = file.tell()
                writer.write_table(pa.Table.from_batches([group]), row_group_size=sizes.row_group)
                largest = max(largest, file.tell() - before)
                rows += len(group)
                group = next(groups, None)
        parts.append(Part(file=path.name, customers=rows, size=path.stat().st_size, sha256=file_sha256(path)))
    return tuple(parts)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
