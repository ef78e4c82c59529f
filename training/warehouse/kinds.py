"""How a column is read: moments, numbers and labels, also from the texts and numbers that can be read in only one way.

What a text or number column means is decided over all its values, by one query that is asked once for each column. What
can be read in two ways is refused, with the SQL that says which.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import ibis
import pyarrow as pa
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

from training.errors import Problem
from training.warehouse.source import Backend

_LEAP_YEAR = r"(?:[1-9]\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
_DATE = (
    r"(?:[1-9]\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
    rf"|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_SECONDS = r":[0-5]\d(?:\.\d{1,9})?"
_OFFSET = r"(?:Z| ?[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)"
ISO_8601 = rf"^{_DATE}(?:[T ]{_CLOCK}(?:{_SECONDS})?{_OFFSET}?)?$"
"""The days that there are and no others, so that no warehouse fails on one later."""
WITH_OFFSET = rf"^[^T ]*[T ]{_CLOCK}(?:{_SECONDS})?{_OFFSET}$"

_EPOCHS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000}
_EARLIEST, _LATEST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1990, 2100))

PAIRS = (("y", "n"), ("yes", "no"), ("true", "false"), ("t", "f"), ("1", "0"))
"""Texts that mean yes and no, in lower case. All of a column's are of one pair."""

Rows = Callable[[ir.Table], pa.Table]


class Kinds:
    """The columns of one warehouse. rows: runs a query, as Warehouse.rows does."""

    def __init__(self, backend: Backend, rows: Rows) -> None:
        self._backend = backend
        self._rows = rows
        self._answers: dict[tuple[str, str, str], dict[str, Any]] = {}

    def moment(self, table: ir.Table, name: str, column: str) -> ir.Value:
        """A timestamp: in UTC if its type says so, else on the clock of whoever wrote it. Raises Problem."""
        values, kind = table[column], table[column].type()
        if isinstance(kind, dt.Timestamp):
            return values if kind.timezone else values.cast("timestamp")
        if isinstance(kind, dt.Date):
            return values.cast("timestamp")
        if isinstance(kind, dt.String):
            return self._moment_of_text(table, name, column)
        if _is_whole(kind):
            return self._moment_of_epoch(table, name, column)
        raise _wrong_kind(table, name, column, "a date or timestamp", f"CAST({_quoted(column)} AS TIMESTAMP)")

    def number(self, table: ir.Table, name: str, column: str) -> ir.Value:
        """A number of any type. Raises Problem, also for text: whether 1.234 is over a thousand is not known."""
        kind = table[column].type()
        if isinstance(kind, dt.Numeric) and not isinstance(kind, dt.Boolean):
            return table[column]
        cast = "INTEGER" if isinstance(kind, dt.Boolean) else "DOUBLE PRECISION"
        raise _wrong_kind(table, name, column, "a number", f"CAST({_quoted(column)} AS {cast})")

    def label(self, table: ir.Table, name: str, column: str) -> ir.Value:
        """A boolean. Raises Problem."""
        values, kind = table[column], table[column].type()
        if isinstance(kind, dt.Boolean):
            return values
        if isinstance(kind, dt.Numeric):
            found = self._ask(
                table, name, column, "label", known=values.count(), zero_or_one=_count(values.isin([0, 1]))
            )
            if found["known"] == found["zero_or_one"]:
                return values == 1
        elif isinstance(kind, dt.String):
            texts = values.strip().lower()
            counts = {f"as_{yes}": _count(texts.isin([yes, no])) for yes, no in PAIRS}
            found = self._ask(table, name, column, "label", known=values.count(), **counts)
            for yes, _ in PAIRS:
                if found[f"as_{yes}"] == found["known"]:
                    return texts == yes
        else:
            raise _wrong_kind(table, name, column, "a boolean", f"CAST({_quoted(column)} AS BOOLEAN)")
        examples = self._examples(table, column)
        shown = ", ".join(map(_literal, examples))
        raise Problem(
            f"Column {column} of {name} is {kind}, where a boolean is needed, and has the values {shown}: "
            f"say which of them mean yes. {_advice(name, column, f'{_quoted(column)} IN ({_literal(examples[0])})')}"
        )

    def _moment_of_text(self, table: ir.Table, name: str, column: str) -> ir.Value:
        texts = table[column].strip()
        is_iso = texts.re_search(ISO_8601)
        found = self._ask(
            table,
            name,
            column,
            "moment",
            known=texts.count(),
            iso=_count(is_iso),
            with_offset=_count(is_iso & texts.re_search(WITH_OFFSET)),
            # The first and the last, in case the days of one are over 12.
            first=texts.min(where=~is_iso),
            last=texts.max(where=~is_iso),
        )
        if found["iso"] < found["known"]:
            raise self._not_iso(table, name, column, found)
        if not found["with_offset"]:
            return texts.cast("timestamp")
        if found["with_offset"] < found["known"]:
            raise Problem(
                f"Column {column} of {name} is text that names a time zone in {found['with_offset']:,} of "
                f"{found['known']:,} values, so that the others may be of any. "
                + _advice(name, column, f"CAST({_quoted(column)} AS TIMESTAMPTZ)")
            )
        # DuckDB reads an offset only after seconds, and without a blank before it.
        whole = texts.re_replace(r"([T ]\d\d:\d\d) ?(Z|[+-])", r"\1:00\2").re_replace(r" ([+-])", r"\1")
        return whole.cast("timestamp('UTC')")

    def _not_iso(self, table: ir.Table, name: str, column: str, found: dict[str, Any]) -> Problem:
        bad = found["known"] - found["iso"]
        some = "" if bad == found["known"] else f" {bad:,} of its {found['known']:,} values are not:"
        return Problem(
            f"Column {column} of {name} is {table[column].type()}, where a date or timestamp is needed; text is read "
            f"as 2024-12-31 or 2024-12-31T23:59:59+01:00.{some} {found['first']!r} can be read in more than one way. "
            + _advice(name, column, self._parsed(_quoted(column), found["first"], found["last"]))
        )

    def _parsed(self, sql: str, *examples: str) -> str:
        """SQL for a timestamp from texts such as these, in the warehouse's own words for a format."""
        parts = next(
            (parts for shape, parts in _SHAPES if all(re.match(shape, example) for example in examples)), "YYYY-MM-DD"
        )
        if self._backend.name != "duckdb":
            return f"to_timestamp({sql}, '{parts}')"
        for theirs, ours in (("YYYY", "%Y"), ("MM", "%m"), ("DD", "%d"), ("HH24", "%H"), ("MI", "%M"), ("SS", "%S")):
            parts = parts.replace(theirs, ours)
        return f"strptime({sql}, '{parts}')"

    def _moment_of_epoch(self, table: ir.Table, name: str, column: str) -> ir.Value:
        values = table[column]
        found = self._ask(table, name, column, "moment", first=values.min(), last=values.max())
        if found["first"] is None:
            return ibis.null("timestamp")
        first, last = int(found["first"]), int(found["last"])
        for unit in _EPOCHS.values():
            if _EARLIEST * unit <= first and last < _LATEST * unit:
                return (values.cast("float64") / unit).cast("timestamp('UTC')")
        quoted = _quoted(column)
        if first >= 19_000_101 and last <= 21_001_231:
            sql = self._parsed(f"CAST({quoted} AS VARCHAR)", "20241231")
        else:
            unit = next((unit for unit in _EPOCHS.values() if _EARLIEST * unit <= last < _LATEST * unit), 1)
            sql = f"to_timestamp(NULLIF({quoted}, {first}) / {unit}.0)"
        raise Problem(
            f"Column {column} of {name} is {values.type()}, where a date or timestamp is needed; it runs from {first} "
            f"to {last}, which is not between 1990 and 2100 in {', '.join(_EPOCHS)} since 1970. "
            + _advice(name, column, sql)
        )

    def _ask(self, table: ir.Table, name: str, column: str, kind: str, **values: ir.Value) -> dict[str, Any]:
        key = (name, column, kind)
        if key not in self._answers:
            self._answers[key] = self._rows(table.aggregate(**values)).to_pylist()[0]
        return self._answers[key]

    def _examples(self, table: ir.Table, column: str) -> list[Any]:
        values = table.filter(table[column].notnull()).select(value=table[column]).distinct().order_by("value").limit(5)
        found: list[Any] = self._rows(values)["value"].to_pylist()
        return found


_CLOCKS = ((r"", ""), (r"[T ]\d\d?:\d\d", " HH24:MI"), (r"[T ]\d\d?:\d\d:\d\d", " HH24:MI:SS"))
_SHAPES = [
    (f"^{day}{clock}$", parts + clock_parts)
    for clock, clock_parts in _CLOCKS
    for day, parts in (
        (r"\d{8}", "YYYYMMDD"),
        (r"\d{4}/\d\d?/\d\d?", "YYYY/MM/DD"),
        (r"\d{4}\.\d\d?\.\d\d?", "YYYY.MM.DD"),
        (r"\d\d?/\d\d?/\d{4}", "DD/MM/YYYY"),
        (r"\d\d?\.\d\d?\.\d{4}", "DD.MM.YYYY"),
        (r"\d\d?-\d\d?-\d{4}", "DD-MM-YYYY"),
    )
]
"""What texts look like, and their format in SQL."""


def _count(condition: ir.Value) -> ir.Value:
    return condition.sum().coalesce(0)


def _is_whole(kind: dt.DataType) -> bool:
    return isinstance(kind, dt.Integer) or (isinstance(kind, dt.Decimal) and kind.scale == 0)


def _wrong_kind(table: ir.Table, name: str, column: str, wanted: str, sql: str) -> Problem:
    return Problem(
        f"Column {column} of {name} is {table[column].type()}, where {wanted} is needed: map another, or cast it. "
        + _advice(name, column, sql)
    )


def _advice(name: str, column: str, sql: str) -> str:
    """What to write in the configuration so that the column is read as `sql` says."""
    read = re.sub(r"\W", "_", column).lower() + "_read"
    if name.startswith("the query of "):
        return f"Write {sql} AS {read} in {name}, and {read} in place of {column} in the configuration."
    table = ".".join(map(_quoted, name.split(".")))
    return (
        f'Write {{ query = """SELECT *, {sql} AS {read} FROM {table}""" }} in place of "{name}" under [tables], '
        f"and {read} in place of {column}."
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
