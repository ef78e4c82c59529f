"""CSV records as a table, by DuckDB's reader: of records that are known to be right it makes columns of numbers."""

import codecs
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from loyalty_ml.arrow import Texts
from loyalty_ml.files.selection import Selection
from loyalty_ml.files.table import Rows, examples_in, rows_of
from loyalty_ml.files.text.csv_dialect import Dialect
from loyalty_ml.files.text.csv_lines import Records
from loyalty_ml.files.text.numbers import Examples, check, sql_number


def csv_rows(
    connection: duckdb.DuckDBPyConnection, records: Records, dialect: Dialect, selection: Selection, work: Path
) -> Iterator[Rows]:
    """The rows of CSV records, in order. Raises InvalidFile for a number with another decimal mark than the file's."""
    if not len(records.lines):
        return
    table = _Table(connection, records, dialect, selection, work)
    first = 0
    for ids, values, absent, kept in table.columns():
        rows = len(values)
        yield Rows(records.lines[first : first + rows], ids, values, absent, kept)
        first += rows
    assert first == len(records.lines), "DuckDB has found other records than we have"


def csv_examples(
    connection: duckdb.DuckDBPyConnection, records: Records, dialect: Dialect, selection: Selection, work: Path
) -> Examples:
    """What the records' numbers tell of the decimal mark; nothing of a point if none has a comma."""
    if not len(records.lines) or not _may_have_comma(records, dialect):
        return Examples(None, None)
    return _Table(connection, records, dialect, selection, work).examples()


class _Table:
    """The records in a file, as DuckDB reads it."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        records: Records,
        dialect: Dialect,
        selection: Selection,
        work: Path,
    ) -> None:
        path = work / f"{threading.get_ident()}.csv"  # a thread's own, written over: a new one takes four times as long
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(codecs.BOM_UTF8)  # DuckDB drops one, which could as well be of the first record's id
            file.write(records.text)
            file.truncate()
        self._connection = connection
        self._path = str(path)
        self._records = records
        self._dialect = dialect
        self._selection = selection
        # Columns that differ by case alone are one to DuckDB, so it is told no names of the file.
        names = {name: f"c{place}" for place, name in enumerate(dialect.columns) if name}
        self._texts = [names[column] for column in (selection.customer_id, *selection.keep)]
        # A feature that is kept is read twice: as it is written, and as a number.
        self._is_twice = any(column in selection.keep for column in selection.columns)
        self._features = {names[column]: column for column in selection.columns}

    def columns(self) -> list[tuple[Texts, NDArray[np.float64], NDArray[np.bool_] | None, tuple[Texts, ...]]]:
        decimals = self._selection.decimals
        kept = len(self._texts) - 1
        if not decimals.has_comma and not self._is_twice:
            try:
                plain = self._read("DOUBLE").select(*self._texts, *self._features)
                return list(rows_of(plain, len(self._features), kept))
            except duckdb.ConversionException:
                # Some value is no number: read as texts, each by itself, which takes longer. What is a number is so in
                # both.
                pass
        check(decimals, self.examples())
        expressions = [sql_number(name, has_comma=decimals.has_comma) for name in self._features]
        is_absent = [f"{name} IS NULL" for name in self._features]
        found = self._read("VARCHAR").select(
            *self._texts, *map(duckdb.SQLExpression, expressions), *map(duckdb.SQLExpression, is_absent)
        )
        return list(rows_of(found, len(self._features), kept))

    def examples(self) -> Examples:
        numbered = self._read("VARCHAR").select(*self._features, duckdb.SQLExpression("row_number() OVER () AS place"))
        return examples_in(numbered, self._features, "place", lambda place: int(self._records.lines[place - 1]))

    def _read(self, kind: str) -> duckdb.DuckDBPyRelation:
        names = [f"c{place}" for place in range(self._dialect.most)]
        return self._connection.read_csv(
            self._path,
            header=False,
            sep=self._dialect.delimiter,
            quotechar='"',
            escapechar='"',
            na_values="",
            auto_detect=False,
            strict_mode=True,
            null_padding=self._dialect.nameless > 0,
            parallel=False,  # which padding takes for granted; a connection has one thread anyway
            lineterminator=duckdb.CSVLineTerminator.LINE_FEED,
            columns={name: kind if name in self._features else "VARCHAR" for name in names},
        )


def _may_have_comma(records: Records, dialect: Dialect) -> bool:
    """Whether a value may have one: between commas it must be quoted."""
    text = bytes(records.text)
    return b'"' in text if dialect.delimiter == "," else b"," in text
