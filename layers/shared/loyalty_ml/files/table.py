"""A file's rows as a table: ids and features, from text, JSON or Parquet, and what cannot be one.

Whatever the format, a value is a number or it is not: nothing is filled in, and a text where a number belongs stays
apart from no value at all.
"""

import codecs
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import orjson
from numpy.typing import NDArray

from loyalty_ml.arrow import Texts, batches, booleans, doubles, texts, texts_of
from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT
from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.text.csv_dialect import Dialect, shown
from loyalty_ml.files.text.csv_lines import Records
from loyalty_ml.files.text.lines import BadLine
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS

_ROW_NUMBER = "file_row_number"
"""A column that DuckDB adds where it is asked to."""

_KIND_SHOWN = 100
"""Characters of a type, which may have as many fields in it as a table."""

_NUMBERS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE|VARCHAR|NULL)")
_IDS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(\d+,0\)|VARCHAR|UUID|NULL)")


class Rows(NamedTuple):
    """n rows of a file.

    lines:   where each is in the file, int64 (n,): the line, or of Parquet the row, both from 1.
    ids:     empty where there is none.
    values:  float64 (n, f), NaN where there is no number.
    absent:  bool (n, f), True where nothing is written; None for nowhere.
    """

    lines: NDArray[np.int64]
    ids: Texts
    values: NDArray[np.float64]
    absent: NDArray[np.bool_] | None


def features_in(columns: Sequence[str], wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The features to read of a file with these columns: those wanted, or none where it has ids only.

    LIFETIME_TRANSACTION_COUNT is read besides, if the file has it: it says that a customer has no purchase.

    known: what counts as a feature. Raises InvalidFile where it has some of what is wanted, and not all.
    """
    by_name = {name.casefold(): name for name in known}
    for column in columns:
        meant = by_name.get(column.strip().casefold())
        if meant and meant not in columns:
            raise InvalidFile(f"The file has a column {column!r}, but the model reads {meant!r}: rename it.")
    if not set(columns) & set(known):
        return ()
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise InvalidFile(
            f"The file has feature columns, but not {', '.join(missing)}: add what is missing, or keep only "
            f"{CUSTOMER_ID}, so that the features come from the snapshot."
        )
    besides = (
        [LIFETIME_TRANSACTION_COUNT]
        if LIFETIME_TRANSACTION_COUNT in columns and LIFETIME_TRANSACTION_COUNT not in wanted
        else []
    )
    return (*wanted, *besides)


def csv_rows(
    connection: duckdb.DuckDBPyConnection, records: Records, dialect: Dialect, features: Sequence[str], work: Path
) -> Iterator[Rows]:
    """The rows of CSV records, in order."""
    if not len(records.lines):
        return
    path = work / f"{threading.get_ident()}.csv"  # a thread's own, written over: a new one takes four times as long
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(codecs.BOM_UTF8)  # DuckDB drops one, which could as well be of the first record's id
        file.write(records.text)
        file.truncate()
    first = 0
    for ids, values, absent in _read_csv(connection, str(path), dialect, features):
        rows = len(values)
        yield Rows(records.lines[first : first + rows], ids, values, absent)
        first += rows
    assert first == len(records.lines), "DuckDB has found other records than we have"


def _read_csv(
    connection: duckdb.DuckDBPyConnection, path: str, dialect: Dialect, features: Sequence[str]
) -> list[tuple[Texts, NDArray[np.float64], NDArray[np.bool_] | None]]:
    # Columns that differ by case alone are one to DuckDB, so it is told no names of the file.
    places = {name: f"c{place}" for place, name in enumerate(dialect.columns)}
    customer_id, names = _quoted(places[CUSTOMER_ID]), [places[name] for name in features]

    def read(kind: str) -> duckdb.DuckDBPyRelation:
        return connection.read_csv(
            path,
            header=False,
            sep=dialect.delimiter,
            quotechar='"',
            escapechar='"',
            na_values="",
            auto_detect=False,
            strict_mode=True,
            lineterminator=duckdb.CSVLineTerminator.LINE_FEED,
            columns={place: kind if name in features else "VARCHAR" for name, place in places.items()},
        )

    try:
        return list(_columns(read("DOUBLE").select(customer_id, *map(_quoted, names)), len(features)))
    except duckdb.ConversionException:
        # Some value is no number: read as texts, each by itself, which takes longer. What is a number is so in both.
        as_text = read("VARCHAR")
        numbers = [duckdb.SQLExpression(f"TRY_CAST({_name(name)} AS DOUBLE)") for name in names]
        is_absent = [_quoted(name).isnull() for name in names]
        found = as_text.select(customer_id, *numbers, *is_absent)
        return list(_columns(found, len(features)))


def parquet_columns(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[tuple[str, ...], int]:
    """A Parquet file's columns and its number of rows. Raises InvalidFile for what is not a whole Parquet file."""
    try:
        relation = connection.read_parquet(str(path))
        kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
        schema = connection.execute("SELECT name, num_children FROM parquet_schema(?)", [str(path)]).fetchall()
        ((rows,),) = connection.execute(
            "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)", [str(path)]
        ).fetchall()
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, UnicodeDecodeError) as error:  # the latter of a column's name
        raise InvalidFile("The file is not a whole Parquet file: correct its extension, or write it again.") from error
    _check_names(_top_level(schema))
    if CUSTOMER_ID not in kinds:
        raise InvalidFile(f"The file has no column {CUSTOMER_ID}: its columns are {shown(list(kinds)) or 'none'}.")
    if not _IDS.fullmatch(kinds[CUSTOMER_ID]):
        raise InvalidFile(
            f"The column {CUSTOMER_ID} is of type {kinds[CUSTOMER_ID][:_KIND_SHOWN]}: write it as a text or as whole "
            "numbers."
        )
    return tuple(kinds), rows


def _top_level(schema: Sequence[tuple[str, int | None]]) -> Iterator[str]:
    """The names of a Parquet file's columns, as they are written, of a schema that lists what is nested in them too."""
    nested = 0
    for name, children in schema[1:]:
        if not nested:
            yield name
        nested = max(nested - 1, 0) + (children or 0)


def _check_names(columns: Iterable[str]) -> None:
    # DuckDB renames the later ones: what it reads by a name might be another column.
    for name, times in Counter(column.lower() for column in columns).items():
        if times > 1:
            raise InvalidFile(f"The file has {times} columns named {name!r}, in upper or lower case: keep one of them.")
        if name == _ROW_NUMBER:
            raise InvalidFile(f"The file has a column {name}, which is how its rows are counted: rename that column.")


def no_rows(features: Sequence[str]) -> Rows:
    return Rows(np.empty(0, np.int64), texts_of([]), np.empty((0, len(features))), None)


def check_numbers(connection: duckdb.DuckDBPyConnection, path: Path, features: Sequence[str]) -> None:
    """Raises InvalidFile for a feature whose column is of a type that can hold no number."""
    relation = connection.read_parquet(str(path))
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    for name in features:
        if not _NUMBERS.fullmatch(kinds[name]):
            raise InvalidFile(f"The column {name} is of type {kinds[name][:_KIND_SHOWN]}: write it as numbers.")


def parquet_rows(
    connection: duckdb.DuckDBPyConnection, path: Path, block: range, features: Sequence[str]
) -> Iterator[Rows]:
    """The rows of those numbers, from 0, or those of them that there are. Raises InvalidFile for a damaged file."""
    number = duckdb.ColumnExpression(_ROW_NUMBER)
    least, most = map(duckdb.ConstantExpression, (block.start, block.stop - 1))
    relation = connection.read_parquet(str(path), file_row_number=True).filter(number.between(least, most))
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    numbers = [duckdb.SQLExpression(f"TRY_CAST({_name(name)} AS DOUBLE)") for name in features]
    nothing = {name: f"coalesce({_name(name)}, '') = ''" for name in features if kinds[name] == "VARCHAR"}
    is_absent = [duckdb.SQLExpression(nothing.get(name, f"{_name(name)} IS NULL")) for name in features]
    # A dictionary holds a long text once for all rows: of each no more is copied than shows that it is too long.
    customer_id = duckdb.SQLExpression(f"left({CUSTOMER_ID}::VARCHAR, {MAX_ID_CHARACTERS + 1})")
    wanted = relation.select(customer_id, *numbers, *is_absent)
    after = block.start + 1
    try:
        for ids, values, absent in _columns(wanted, len(features)):
            yield Rows(np.arange(after, after + len(values)), ids, values, absent)
            after += len(values)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise InvalidFile(
            f"The Parquet file is damaged, in the rows from {block.start + 1:,} to {block.stop:,}: write it again."
        ) from error


class JsonRows(NamedTuple):
    """The rows of a block of JSON Lines, and the lines that are none."""

    rows: Rows
    bad: list[BadLine]


def json_columns(lines: Sequence[tuple[int, bytes]]) -> tuple[str, ...] | None:
    """The names in these lines, each once, as a line may leave out what it has no value for; None without an object."""
    names: dict[str, None] | None = None
    for _, line in lines:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict):
            names = names or {}
            names.update(dict.fromkeys(row))
    return None if names is None else tuple(names)


def json_rows(lines: Sequence[tuple[int, bytes]], features: Sequence[str], known: Sequence[str]) -> JsonRows:
    """The rows of numbered lines. known: what counts as a feature, which a row of a file of ids only must not have."""
    numbers: list[int] = []
    ids: list[str] = []
    values: list[list[float]] = []
    absent: list[list[bool]] = []
    bad: list[BadLine] = []
    for number, line in lines:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            bad.append(BadLine(number, "", f"The line is not JSON: {error.msg}."))
            continue
        if not isinstance(row, dict):
            bad.append(BadLine(number, "", "The line is not a JSON object."))
            continue
        found = row.get(CUSTOMER_ID)
        customer_id = str(found) if type(found) is int else found
        if customer_id is not None and not isinstance(customer_id, str):
            bad.append(BadLine(number, "", f"{CUSTOMER_ID} is neither a text nor a whole number."))
            continue
        if not features and (unused := [name for name in known if name in row]):
            problem = f"The line has {unused[0]}, and the file's first lines have no features: give all lines or none."
            bad.append(BadLine(number, (customer_id or "")[:MAX_ID_CHARACTERS], problem))
            continue
        numbers.append(number)
        ids.append(customer_id or "")
        read = [row.get(name) for name in features]
        values.append([_number(value) for value in read])
        absent.append([value is None or value == "" for value in read])
    shape = (len(numbers), len(features))
    rows = Rows(
        np.array(numbers, np.int64),
        texts_of(ids),
        np.array(values, np.float64).reshape(shape),
        np.array(absent, np.bool_).reshape(shape),
    )
    return JsonRows(rows, bad)


def _number(value: Any) -> float:
    """NaN for what is no number; a text is one where it is written like one, as in CSV."""
    if isinstance(value, int | float):
        return float("nan") if isinstance(value, bool) else float(value)
    if isinstance(value, str) and value.isascii():
        text = value.strip()
        try:
            return float(text[1:] if text.startswith("+-") else text)  # as DuckDB has it in the other formats
        except ValueError:
            pass
    return float("nan")


def _columns(
    relation: duckdb.DuckDBPyRelation, features: int
) -> Iterator[tuple[Texts, NDArray[np.float64], NDArray[np.bool_] | None]]:
    """Ids, values and what is absent: of a relation of id and numbers, or with a flag for each number besides."""
    for batch in batches(relation):
        view = batch.view()
        values = np.empty((view.length, features))
        absent = None
        for place in range(features):
            column, nulls = doubles(view.child(1 + place))
            values[:, place] = column
            if nulls is not None:
                if absent is None:
                    absent = np.zeros(values.shape, np.bool_)
                absent[:, place] = nulls
        if absent is not None and view.n_children > 1 + features:
            # NULL may also be a text that is no number: the flags say which.
            for place in range(features):
                absent[:, place] = booleans(view.child(1 + features + place))
        yield texts(view.child(0)), values, absent


def _quoted(name: str) -> duckdb.Expression:
    return duckdb.ColumnExpression(_name(name))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
