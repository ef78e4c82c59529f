"""How a column is read: moments, numbers and labels, also from the texts and numbers that can be read in only one way.

What a text or number column means is decided over all its values, by one query that is asked once for each column. What
can be read in two ways is refused, with the SQL that says which.
"""

import json
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
ODD_OFFSET = rf"^[^T ]*[T ]{_CLOCK}(?: ?[Z+-]|{_SECONDS} [+-])"
"""DuckDB reads an offset only after seconds, and without a blank before it. Rewriting takes longer than reading."""

_EPOCHS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000}
_EARLIEST, _LATEST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1990, 2100))

PAIRS = (("y", "n"), ("yes", "no"), ("true", "false"), ("t", "f"), ("1", "0"))
"""Texts that mean yes and no, in lower case. All of a column's are of one pair."""

_YES = {yes for yes, _ in PAIRS} | {"1.0", "1.00"}

_MONEY = dt.Decimal(19, 4)
"""What Ibis takes PostgreSQL's money for; a numeric(19, 4) is what it was after the same cast."""

_NUMBERS = (
    (r"^[+-]?\d+(\.\d+)?$", "{}"),
    (r"^[+-]?\d+(,\d+)?$", "REPLACE({}, ',', '.')"),
    (r"^[+-]?\d{1,3}(\.\d{3})*(,\d+)?$", "REPLACE(REPLACE({}, '.', ''), ',', '.')"),
    (r"^[+-]?\d{1,3}(,\d{3})*(\.\d+)?$", "REPLACE({}, ',', '')"),
)
"""What texts of numbers look like, and the SQL that a cast reads."""

Rows = Callable[[ir.Table], pa.Table]


@ibis.udf.scalar.builtin(  # type: ignore[untyped-decorator]  # Ibis declares none
    name="to_timestamp", signature=(("float64",), "timestamp('UTC')")
)
def _instant(seconds: ir.Value) -> ir.Value:
    """DuckDB's and PostgreSQL's own."""


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
        if isinstance(kind, dt.String | dt.Unknown):
            return self._moment_of_text(table, name, column)
        if _is_whole(kind):
            return self._moment_of_epoch(table, name, column)
        sql = f"CAST({_quoted(column)} AS BIGINT)" if isinstance(kind, dt.Floating | dt.Decimal) else ""
        raise _wrong_kind(table, name, column, "a date or timestamp", sql)

    def number(self, table: ir.Table, name: str, column: str) -> ir.Value:
        """A number of any type. Raises Problem, also for text: whether 1.234 is over a thousand is not known."""
        kind, quoted = table[column].type(), _quoted(column)
        if isinstance(kind, dt.Numeric) and not isinstance(kind, dt.Boolean):
            # PostgreSQL's money compares with no number.
            is_money = self._backend.name == "postgres" and kind.equals(_MONEY)
            return table[column].cast("decimal") if is_money else table[column]
        if isinstance(kind, dt.String | dt.Unknown):
            raise self._not_a_number(table, name, column)
        sql = f"CAST({quoted} AS INTEGER)" if isinstance(kind, dt.Boolean) else ""
        raise _wrong_kind(table, name, column, "a number", sql)

    def feature(self, table: ir.Table, name: str, column: str) -> ir.Value:
        """A number of any type, or true and false. Raises Problem, for text with its categories."""
        if isinstance(table[column].type(), dt.Boolean):
            return table[column]
        return self.number(table, name, column)

    def _not_a_number(self, table: ir.Table, name: str, column: str) -> Problem:
        quoted, texts = _quoted(column), _text(table[column])
        given = texts.nullif("")
        found = self._ask(
            table,
            name,
            column,
            "number",
            known=given.count(),
            blank=_count(texts == ""),
            **{f"as_{place}": _count(given.re_search(shape)) for place, (shape, _) in enumerate(_NUMBERS)},
        )
        examples = self._examples(table, column)
        told = (
            f"Column {column} of {name} is {table[column].type()}, where a number is needed, and has the values "
            f"{', '.join(map(_literal, examples)) or 'none'}"
        )
        for place, (_, number) in enumerate(_NUMBERS):
            if found["known"] and found[f"as_{place}"] == found["known"]:
                text = number.format(f"NULLIF(TRIM({quoted}), '')" if found["blank"] else quoted)
                sql = f"CAST({text} AS DOUBLE PRECISION)"
                return Problem(f"{told}: say how it is read. {_advice(name, column, sql)}")
        categories = ", ".join(json.dumps(str(each).rstrip(), ensure_ascii=False) for each in examples)
        return Problem(
            f"{told}: map another. If it is a feature, name its categories under [features], such as "
            f"{{ column = {json.dumps(column, ensure_ascii=False)}, categories = [{categories}] }}."
        )

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
        elif isinstance(kind, dt.String | dt.Unknown):
            texts = _text(values).lower()
            counts = {f"as_{yes}": _count(texts.isin([yes, no])) for yes, no in PAIRS}
            found = self._ask(table, name, column, "label", known=values.count(), **counts)
            for yes, _ in PAIRS:
                if found[f"as_{yes}"] == found["known"]:
                    return texts == yes
        else:
            dated = isinstance(kind, dt.Timestamp | dt.Date)
            raise _wrong_kind(table, name, column, "a boolean", f"{_quoted(column)} IS NOT NULL" if dated else "")
        examples = self._examples(table, column)
        shown = ", ".join(map(_literal, examples))
        yes = next((value for value in examples if str(value).strip().lower() in _YES), examples[-1])
        raise Problem(
            f"Column {column} of {name} is {kind}, where a boolean is needed, and has the values {shown}: "
            f"say which of them mean yes. {_advice(name, column, f'{_quoted(column)} IN ({_literal(yes)})')}"
        )

    def _moment_of_text(self, table: ir.Table, name: str, column: str) -> ir.Value:
        texts = _text(table[column])
        is_iso = texts.re_search(ISO_8601)
        found = self._ask(
            table,
            name,
            column,
            "moment",
            known=texts.count(),
            iso=_count(is_iso),
            with_offset=_count(is_iso & texts.re_search(WITH_OFFSET)),
            odd=_count(is_iso & texts.re_search(ODD_OFFSET)),
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
        if found["odd"]:
            texts = texts.re_replace(r"([T ]\d\d:\d\d) ?(Z|[+-])", r"\1:00\2").re_replace(r" ([+-])", r"\1")
        return texts.cast("timestamp('UTC')")

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
            # PostgreSQL's own has a zone: as midnight UTC it would be the day before in America.
            return f"CAST(to_timestamp({sql}, '{parts}') AS TIMESTAMP)"
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
                seconds = values.cast("float64") / unit
                # Ibis casts it to a timestamp without a zone on PostgreSQL, which turns back when it is made local.
                has_own = self._backend.name in {"duckdb", "postgres"}
                return _instant(seconds) if has_own else seconds.cast("timestamp('UTC')")
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


def _text(values: ir.Value) -> ir.Value:
    """Without blanks around. Joined to nothing, PostgreSQL's enums are texts, which Ibis takes them for at once."""
    return (values.cast("string") if isinstance(values.type(), dt.Unknown) else values + "").strip()


def _is_whole(kind: dt.DataType) -> bool:
    """PostgreSQL's numeric says no scale where it was given none: its range tells enough."""
    return isinstance(kind, dt.Integer) or (isinstance(kind, dt.Decimal) and not kind.scale)


def _wrong_kind(table: ir.Table, name: str, column: str, wanted: str, sql: str) -> Problem:
    told = f"Column {column} of {name} is {table[column].type()}, where {wanted} is needed: map another"
    return Problem(f"{told}, or cast it. {_advice(name, column, sql)}" if sql else f"{told}.")


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
