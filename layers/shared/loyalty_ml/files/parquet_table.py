"""Parquet as a table, by DuckDB; what DuckDB does not say of a column's type, the file's own schema does."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np

from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.arrow_schema import durations_of
from loyalty_ml.files.selection import Selection
from loyalty_ml.files.table import Rows, examples_in, rows_of, sql_name
from loyalty_ml.files.text.names import meant, normal, without_ids
from loyalty_ml.files.text.numbers import Examples, sql_number
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS

_ROW_NUMBER = "file_row_number"
"""A column that DuckDB adds where it is asked to."""

_KIND_SHOWN = 100
"""Characters of a type, which may have as many fields in it as a table."""

_NUMBERS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE|VARCHAR|NULL)")
_IDS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(\d+,0\)|VARCHAR|UUID|NULL)")

_MOST_DIGITS = 38
"""Of a decimal that DuckDB reads right: it takes larger ones for float64, and by other bytes (duckdb issue 25058)."""

_SPARK_DAY = 86_400 * 10**6
"""Microseconds."""


class ParquetColumn(NamedTuple):
    """A column of a Parquet file, nested or not.

    kind:    DuckDB's type.
    digits:  of a decimal: all of them, and those after the point.
    day:     of a duration: how many of its units a day has; 0 of one that has no fixed number of days, as months.
    """

    kind: str
    digits: tuple[int, int] | None
    day: int | None


class ParquetTable(NamedTuple):
    """A Parquet file's columns, by name, and its number of rows."""

    columns: Mapping[str, ParquetColumn]
    rows: int


def parquet_table(connection: duckdb.DuckDBPyConnection, path: Path) -> ParquetTable:
    """What a Parquet file has. Raises InvalidFile for what is not a whole Parquet file with a column of ids."""
    try:
        relation = connection.read_parquet(str(path))
        kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
        schema = connection.execute(
            "SELECT name, num_children, precision, scale FROM parquet_schema(?)", [str(path)]
        ).fetchall()
        ((rows,),) = connection.execute(
            "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)", [str(path)]
        ).fetchall()
        written = dict(connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]).fetchall())
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, UnicodeDecodeError) as error:  # the latter of a column's name
        raise InvalidFile("The file is not a whole Parquet file: correct its extension, or write it again.") from error
    digits = dict(_top_level(schema))
    _check_names(name for name, _ in _top_level(schema))
    days = _durations(written)
    columns = {name: ParquetColumn(kind, digits.get(name), days.get(name)) for name, kind in kinds.items()}
    found = meant(columns, [CUSTOMER_ID]).get(CUSTOMER_ID)
    if found is None:
        remedy = f"Rename that of the ids to {CUSTOMER_ID}"
        if _is_only_in_the_index(written):
            remedy = f"pandas has {CUSTOMER_ID} in its index alone: call reset_index() before to_parquet()"
        raise InvalidFile(f"The file has {without_ids(tuple(columns), remedy)}.")
    _check_decimal(found, columns[found])
    if not _IDS.fullmatch(columns[found].kind) or columns[found].day is not None:
        raise InvalidFile(
            f"The column {found} is of type {_shown(columns[found])}: write it as a text or as whole numbers."
        )
    return ParquetTable(columns, rows)


def _top_level(
    schema: Iterable[tuple[str, int | None, int | None, int | None]],
) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """The columns, as they are written, with a decimal's digits, of a schema that lists what is nested in them too."""
    nested = 0
    for name, children, precision, scale in list(schema)[1:]:
        if not nested:
            yield name, None if precision is None else (precision, scale or 0)
        nested = max(nested - 1, 0) + (children or 0)


def _is_only_in_the_index(written: Mapping[bytes, bytes]) -> bool:
    """Whether pandas had the ids as an index of consecutive numbers, which it writes as its beginning and its end."""
    try:
        indexes = json.loads(written.get(b"pandas", b"{}")).get("index_columns", [])
        return any(isinstance(each, dict) and normal(str(each.get("name"))) == normal(CUSTOMER_ID) for each in indexes)
    except (ValueError, AttributeError, TypeError):
        return False


def _durations(written: Mapping[bytes, bytes]) -> dict[str, int]:
    """The columns that are durations, with how many of their units a day has.

    Parquet has no such type: Arrow (pandas, Polars) and Spark write whole numbers, and beside them their own schemas.
    A schema that cannot be read tells nothing; what is out of a feature's domain is refused even so.
    """
    days: dict[str, int] = {}
    if encoded := written.get(b"ARROW:schema"):
        with suppress(ValueError):
            days |= durations_of(base64.b64decode(encoded))
    if spark := written.get(b"org.apache.spark.sql.parquet.row.metadata"):
        try:
            for field in json.loads(spark)["fields"]:
                if isinstance(field["type"], str) and field["type"].startswith("interval "):
                    days[field["name"]] = 0 if field["type"].endswith(("year", "month")) else _SPARK_DAY
        except (ValueError, TypeError, KeyError):
            pass
    return days


def _check_names(columns: Iterable[str]) -> None:
    # DuckDB renames the later ones: what it reads by a name might be another column.
    for name, times in Counter(column.lower() for column in columns).items():
        if times > 1:
            raise InvalidFile(f"The file has {times} columns named {name!r}, in upper or lower case: keep one of them.")
        if name == _ROW_NUMBER:
            raise InvalidFile(f"The file has a column {name}, which is how its rows are counted: rename that column.")


def check_features(table: ParquetTable, selection: Selection) -> None:
    """Raises InvalidFile for a feature whose column is of a type that holds no numbers, or none that can be read.

    And for a column that is kept and cannot be read.
    """
    for name in selection.keep:
        _check_decimal(name, table.columns[name])
    for feature, name in zip(selection.features, selection.columns, strict=True):
        column = table.columns[name]
        _check_decimal(name, column)
        is_duration_of_days = column.day is not None and column.day > 0 and _is_days(feature)
        if not _NUMBERS.fullmatch(column.kind) or (column.day is not None and not is_duration_of_days):
            raise InvalidFile(f"The column {name} is of type {_shown(column)}: write it as numbers.")


def _is_days(feature: str) -> bool:
    return "days" in feature.casefold().split("_")


def _check_decimal(name: str, column: ParquetColumn) -> None:
    if column.digits is None:
        return
    precision, scale = column.digits
    if precision > _MOST_DIGITS or not 0 <= scale <= precision:
        raise InvalidFile(
            f"The column {name} is of type DECIMAL({precision},{scale}), which cannot be read: cast it to DOUBLE, or "
            f"to a DECIMAL of at most {_MOST_DIGITS} digits."
        )


def _shown(column: ParquetColumn) -> str:
    return column.kind[:_KIND_SHOWN] if column.day is None else "DURATION"


def parquet_examples(
    connection: duckdb.DuckDBPyConnection, path: Path, table: ParquetTable, selection: Selection
) -> Examples:
    """What the texts among the features tell of the decimal mark."""
    columns = {name: name for name in selection.columns if table.columns[name].kind == "VARCHAR"}
    relation = connection.read_parquet(str(path), file_row_number=True)
    try:
        return examples_in(relation, columns, _ROW_NUMBER, lambda place: place + 1)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise InvalidFile("The Parquet file is damaged: write it again.") from error


def parquet_rows(
    connection: duckdb.DuckDBPyConnection, path: Path, block: range, table: ParquetTable, selection: Selection
) -> Iterator[Rows]:
    """The rows of those numbers, from 0, or those of them that there are. Raises InvalidFile for a damaged file."""
    number = duckdb.ColumnExpression(_ROW_NUMBER)
    least, most = map(duckdb.ConstantExpression, (block.start, block.stop - 1))
    relation = connection.read_parquet(str(path), file_row_number=True).filter(number.between(least, most))
    numbers, is_absent = [], []
    for name in selection.columns:
        column, written = table.columns[name], sql_name(name)
        is_text = column.kind == "VARCHAR"
        read = sql_number(written, has_comma=is_text and selection.decimals.has_comma)
        numbers.append(f"{read} / {column.day}" if column.day else read)
        is_absent.append(f"coalesce({written}, '') = ''" if is_text else f"{written} IS NULL")
    # A dictionary holds a long text once for all rows: of each no more is copied than shows that it is too long.
    customer_id = f"left({sql_name(selection.customer_id)}::VARCHAR, {MAX_ID_CHARACTERS + 1})"
    wanted = relation.select(*map(duckdb.SQLExpression, (customer_id, *numbers, *is_absent)))
    after = block.start + 1
    try:
        for ids, values, absent, _ in rows_of(wanted, len(selection.columns)):
            yield Rows(np.arange(after, after + len(values)), ids, values, absent)
            after += len(values)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise InvalidFile(
            f"The Parquet file is damaged, in the rows from {block.start + 1:,} to {block.stop:,}: write it again."
        ) from error
