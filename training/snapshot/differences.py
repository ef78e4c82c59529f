"""What the table holds now beside the new parts: whose item differs, who is not in it yet, and who left.

The table itself is read, not the snapshot before: it is right also after a run that was killed, on this machine or on
another, and after items that somebody else put there. DynamoDB charges a scan by the size of the items, whatever is
asked of them, so that reading their values costs no more than reading their ids.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from loyalty_ml.customers.snapshot import ROW_GROUP
from loyalty_ml.customers.table import AS_OF
from loyalty_ml.vocabulary import CUSTOMER_ID, rfc3339
from training.snapshot.parts import quoted, working_duckdb

EXAMPLES = 3


class Differences(NamedTuple):
    """Counts of customers, and the files of those that a run has to write and to remove.

    stored:      in the table now.
    absent:      in the table now, and not in the parts.
    new:         in the parts, and not in the table.
    changed:     in both, with an item that differs.
    unchanged:   in both, with the item that would be written.
    absent_examples, new_examples:  the first of each, in the order of ids.
    to_write:    Parquet: customer_id, the features and features_as_of (NULL for the run's) of who is new or
                 changed, in the order of ids.
    to_remove:   Parquet: customer_id of who is absent.
    """

    stored: int
    absent: int
    new: int
    changed: int
    unchanged: int
    absent_examples: tuple[str, ...]
    new_examples: tuple[str, ...]
    to_write: Path
    to_remove: Path


def stored_schema(features: Sequence[str]) -> pa.Schema:
    """Of a page of the table: a row an item.

    features_as_of:  NULL where the item has none.
    has_others:      whether the item has an attribute that materialize does not write, or one of another type.
    v0, v1, ...:     the features in their order, NULL for none.
    """
    values = [(f"v{place}", pa.float64()) for place in range(len(features))]
    return pa.schema([(CUSTOMER_ID, pa.string()), ("features_as_of", pa.string()), ("has_others", pa.bool_()), *values])


def compare(
    pages: Iterable[pa.RecordBatch],
    parts: Sequence[Path],
    features: Sequence[str],
    as_of: datetime,
    *,
    dates: Path | None,
    folder: Path,
    spill: Path,
) -> Differences:
    """Compares the pages, as stored_schema has them, with the parts; the two files go to `folder`.

    as_of: of the customers who have no moment of their own.
    dates: the file of those who have, as write_parts writes it.

    Runs in the bounded memory of working_duckdb. Raises OSError and duckdb.Error from the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    to_write, to_remove = folder / "to-write.parquet", folder / "to-remove.parquet"
    with working_duckdb(spill) as connection:
        _store(connection, pages, features)
        _put_together(connection, parts, dates)
        differs = " OR ".join(
            ["has_others", f"s.{AS_OF} IS DISTINCT FROM coalesce(p.{AS_OF}, ?)"]
            + [f"p.{quoted(name)} IS DISTINCT FROM v{place}" for place, name in enumerate(features)]
        )
        stamp = [rfc3339(as_of)]
        stored, absent = _counts(
            connection,
            "SELECT count(*), count(*) FILTER (p.customer_id IS NULL) FROM stored LEFT JOIN parts p USING "
            "(customer_id)",
        )
        new, changed, unchanged = _counts(
            connection,
            "SELECT count(*) FILTER (s.customer_id IS NULL), "
            f"count(*) FILTER (s.customer_id IS NOT NULL AND ({differs})), "
            f"count(*) FILTER (s.customer_id IS NOT NULL AND NOT ({differs})) "
            "FROM parts p LEFT JOIN stored s USING (customer_id)",
            stamp * 2,
        )
        columns = ", ".join(f"p.{quoted(name)}" for name in (CUSTOMER_ID, *features, AS_OF))
        _save(
            connection.execute(
                f"SELECT {columns} FROM parts p LEFT JOIN stored s USING (customer_id) "
                f"WHERE s.customer_id IS NULL OR {differs} ORDER BY p.customer_id",
                stamp,
            ),
            to_write,
        )
        _save(
            connection.execute(
                "SELECT customer_id FROM stored ANTI JOIN parts USING (customer_id) ORDER BY customer_id"
            ),
            to_remove,
        )
        return Differences(
            stored=stored,
            absent=absent,
            new=new,
            changed=changed,
            unchanged=unchanged,
            absent_examples=_first(connection, "stored ANTI JOIN parts USING (customer_id)"),
            new_examples=_first(connection, "parts ANTI JOIN stored USING (customer_id)"),
            to_write=to_write,
            to_remove=to_remove,
        )


def ids_in(path: Path, rows: int) -> Iterator[list[str]]:
    """The ids of a Parquet file, at most `rows` at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows, columns=[CUSTOMER_ID]):
            yield batch.column(0).to_pylist()


def _store(connection: duckdb.DuckDBPyConnection, pages: Iterable[pa.RecordBatch], features: Sequence[str]) -> None:
    values = "".join(f", v{place} DOUBLE" for place in range(len(features)))
    connection.execute(f"CREATE TABLE stored (customer_id VARCHAR, features_as_of VARCHAR, has_others BOOLEAN{values})")
    for page in pages:
        connection.register("page", pa.Table.from_batches([page]))
        connection.execute("INSERT INTO stored FROM page")


def _put_together(connection: duckdb.DuckDBPyConnection, parts: Sequence[Path], dates: Path | None) -> None:
    """The view `parts`: their columns and features_as_of, NULL for who has no moment of their own."""
    read = connection.read_parquet([str(part) for part in parts])
    if dates is None:
        read.project(f"*, NULL::VARCHAR AS {AS_OF}").create_view("parts")
        return
    connection.read_parquet(str(dates)).create_view("dates")
    read.create_view("undated")
    connection.execute("CREATE VIEW parts AS FROM undated LEFT JOIN dates USING (customer_id)")


def _save(query: duckdb.DuckDBPyConnection, path: Path) -> None:
    reader = query.to_arrow_reader(ROW_GROUP)
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _first(connection: duckdb.DuckDBPyConnection, of: str) -> tuple[str, ...]:
    rows = connection.execute(f"SELECT customer_id FROM {of} ORDER BY customer_id LIMIT {EXAMPLES}").fetchall()
    return tuple(customer_id for (customer_id,) in rows)


def _counts(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] = ()) -> tuple[int, ...]:
    row = connection.execute(sql, list(parameters)).fetchone()
    assert row is not None
    return row
