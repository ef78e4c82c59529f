"""Numbers as texts, with a decimal point or a decimal comma: which of the two a file has, and what a text then is."""

import re
from typing import NamedTuple

from loyalty_ml.errors import InvalidFile

_SIGN, _EXPONENT = r"[+-]?", r"[eE][+-]?[0-9]+"
_FIRST_GROUP = "[1-9][0-9]{0,2}"
_GROUPS = r"[ .'\x{2019}\x{00a0}\x{202f}]"
"""What stands between thousands where the decimal mark is a comma: Germany's, France's and Switzerland's."""


def _decimals(mark: str) -> str:
    """A decimal mark that cannot stand between thousands, as there are not three digits after one to three others."""
    return (
        rf"[0-9]*{mark}(?:[0-9]{{0,2}}|[0-9]{{4,}})|(?:0[0-9]*|[0-9]{{4,}})?{mark}[0-9]{{3}}"
        rf"|[0-9]*{mark}[0-9]*{_EXPONENT}"
    )


# Patterns that Python and DuckDB (RE2) understand alike, but for \x{...}, which Python writes as \u....
_COMMA, _POINT = (
    rf"\s*{_SIGN}(?:{whole}(?:{groups}[0-9]{{3}})+{mark}[0-9]*|{_decimals(mark)}|{whole}(?:{other}[0-9]{{3}}){{2,}})\s*"
    for whole, groups, mark, other in ((_FIRST_GROUP, _GROUPS, ",", "[.]"), (_FIRST_GROUP, ",", "[.]", ","))
)
_WITH_COMMA = rf"\s*{_SIGN}(?:{_FIRST_GROUP}(?:{_GROUPS}[0-9]{{3}})+|[0-9]*)(?:,[0-9]*)?(?:{_EXPONENT})?\s*"
_BETWEEN = r"[\s.'\x{2019}\x{00a0}\x{202f}]"


def _of_python(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\x\{([0-9a-f]{4})\}", r"\\u\1", pattern), re.ASCII)


_IN_PYTHON = {pattern: _of_python(pattern) for pattern in (_COMMA, _POINT, _WITH_COMMA, _BETWEEN)}


class Example(NamedTuple):
    """A number that can be read in one way only. line: of Parquet the row."""

    line: int
    column: str
    text: str


class Decimals(NamedTuple):
    """How a file writes its numbers.

    example:  of what its decimal mark is known by; None if nothing tells.
    columns:  of JSON Lines, those whose numbers are texts.
    """

    has_comma: bool = False
    example: Example | None = None
    columns: frozenset[str] = frozenset()


class Examples(NamedTuple):
    """The first number with each decimal mark among some rows."""

    comma: Example | None
    point: Example | None


def example_of(texts: list[tuple[int, str, str]]) -> Examples:
    """The first of (line, column, text) with each mark."""
    comma = point = None
    for each in texts:
        if comma is None and _IN_PYTHON[_COMMA].fullmatch(each[2]):
            comma = Example(*each)
        elif point is None and _IN_PYTHON[_POINT].fullmatch(each[2]):
            point = Example(*each)
    return Examples(comma, point)


def decimals_of(found: Examples) -> Decimals:
    """Raises InvalidFile if there are both."""
    if found.comma is None:
        return Decimals(example=found.point)
    check(Decimals(has_comma=True, example=found.comma), found)
    return Decimals(has_comma=True, example=found.comma)


def check(decimals: Decimals, found: Examples) -> None:
    """Raises InvalidFile if a number is written with the other mark than the file's."""
    other = found.point if decimals.has_comma else found.comma
    if other is None:
        return
    known, shown = decimals.example, f"line {other.line:,} has {other.text!r} in {other.column}"
    raise InvalidFile(
        f"The numbers of the file are written in two ways, as {shown}"
        + (f", but line {known.line:,} {known.text!r} in {known.column}" if known else "")
        + ": write all with a decimal point, and nothing between thousands."
    )


def number(text: str, *, has_comma: bool) -> float:
    """What a text is, NaN for no number; as DuckDB has it in the other formats."""
    if not text.isascii() and not has_comma:
        return float("nan")
    if has_comma:
        if not _IN_PYTHON[_WITH_COMMA].fullmatch(text):
            text = "" if "," in text or "." in text or not text.isascii() else text
        else:
            text = _IN_PYTHON[_BETWEEN].sub("", text).replace(",", ".")
    text = text.strip()
    try:
        return float(text[1:] if text.startswith("+-") else text)
    except ValueError:
        return float("nan")


def sql_number(column: str, *, has_comma: bool) -> str:
    """DuckDB's expression of what the texts of a column are, NULL for no number."""
    if not has_comma:
        return f"TRY_CAST({column} AS DOUBLE)"
    return (
        f"CASE WHEN regexp_full_match({column}, {_quoted(_WITH_COMMA)}) "
        f"THEN TRY_CAST(replace(regexp_replace({column}, {_quoted(_BETWEEN)}, '', 'g'), ',', '.') AS DOUBLE) "
        f"WHEN NOT contains({column}, ',') AND NOT contains({column}, '.') THEN TRY_CAST({column} AS DOUBLE) END"
    )


def sql_examples(column: str, place: str) -> list[str]:
    """DuckDB's expressions of the place of the first number with a comma, its text, and the same with a point."""
    return [
        f"{aggregate} FILTER (WHERE regexp_full_match({column}, {_quoted(pattern)}))"
        for pattern in (_COMMA, _POINT)
        for aggregate in (f"min({place})", f"arg_min({column}, {place})")
    ]


def _quoted(pattern: str) -> str:
    return "'" + pattern.replace("'", "''") + "'"
