"""JSON Lines as a table."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from loyalty_ml.arrow import texts_of
from loyalty_ml.files.selection import Selection, unkept
from loyalty_ml.files.table import Rows
from loyalty_ml.files.text.lines import NOT_UTF8, BadLine
from loyalty_ml.files.text.names import normal, shown
from loyalty_ml.files.text.numbers import Decimals, Examples, check, decimals_of, example_of, number
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS

_WHOLE = range(-(2**63), 2**64)
"""What orjson reads as a whole number."""


# Numbers travel as they are written, whatever a float64 could hold; NaN and Infinity, which JSON has not, as null.
_KEEPER = json.JSONDecoder(
    parse_float=orjson.Fragment,
    parse_int=orjson.Fragment,
    parse_constant=lambda _: None,
)

_NO_OBJECT = "The line is not a JSON object."


class JsonRows(NamedTuple):
    """The rows of a block of JSON Lines, and the lines that are none."""

    rows: Rows
    bad: list[BadLine]


class _Object(dict[str, Any]):
    twice: str | None = None


def _object_of(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        found.twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return found


# Python's own reader, in four times the time, shows keys that are there twice, and NaN and Infinity, as scripts write.
_READER = json.JSONDecoder(object_pairs_hook=_object_of)


def json_columns(lines: Sequence[tuple[int, bytes]]) -> tuple[str, ...] | None:
    """The names in these lines, each once, as a line may leave out what it has no value for; None without an object."""
    names: dict[str, None] | None = None
    for _, line in lines:
        if (row := _object_in(line)[0]) is not None:
            names = names or {}
            names.update(dict.fromkeys(row))
    return None if names is None else tuple(filter(_is_unicode, names))


def json_decimals(lines: Sequence[tuple[int, bytes]], selection: Selection) -> Decimals:
    """How the texts among these lines' features are written. Raises InvalidFile if in two ways.

    JSON has numbers of its own: a text beside them, in the same column, is one only if it is written as they are.
    """
    read = [
        (number, [row.get(column) for column in selection.columns])
        for number, line in (lines if selection.columns else ())
        if (row := _object_in(line)[0]) is not None
    ]
    has_numbers = {
        column
        for _, values in read
        for column, value in zip(selection.columns, values, strict=True)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    columns = frozenset(selection.columns) - has_numbers
    return decimals_of(_examples(read, selection.columns, columns))._replace(columns=columns)


def json_rows(lines: Sequence[tuple[int, bytes]], selection: Selection) -> JsonRows:
    """The rows of numbered lines. Raises InvalidFile for a number with another decimal mark than the file's."""
    ids: list[str] = []
    kept: list[bytes] = []
    read: list[tuple[int, list[Any]]] = []
    bad: list[BadLine] = []
    unexpected = _Unexpected(selection)
    for line_number, line in lines:
        row, problem = _object_in(line, selection.read)
        found = row.get(selection.customer_id) if row else None
        customer_id = str(found) if type(found) is int and found in _WHOLE else found
        if problem is None and customer_id is not None and not isinstance(customer_id, str):
            problem = f"{CUSTOMER_ID} is neither a text nor a whole number."
        inside = None
        if row is not None and not problem and not (problem := unexpected.problem(row)) and selection.taken:
            inside, problem = _kept(line, selection)
        if row is None or problem:
            is_known = isinstance(customer_id, str) and _is_unicode(customer_id)
            if isinstance(row, _Object) and row.twice == selection.customer_id:
                is_known = False
            bad.append(BadLine(line_number, str(customer_id)[:MAX_ID_CHARACTERS] if is_known else "", problem or ""))
            continue
        if inside is not None:
            kept.append(inside)
        ids.append(customer_id or "")
        read.append((line_number, [row.get(column) for column in selection.columns]))
    decimals = selection.decimals
    check(decimals, _examples(read, selection.columns, decimals.columns))
    has_comma = [decimals.has_comma and column in decimals.columns for column in selection.columns]
    shape = (len(ids), len(selection.features))
    numbers = [list(map(_number, values, has_comma)) for _, values in read]
    absent = [[value is None or value == "" for value in values] for _, values in read]
    rows = Rows(
        np.array([line for line, _ in read], np.int64),
        texts_of(ids),
        np.array(numbers, np.float64).reshape(shape),
        np.array(absent, np.bool_).reshape(shape),
        (texts_of([inside.decode() for inside in kept]),) if selection.taken else (),
    )
    return JsonRows(rows, bad)


def _object_in(line: bytes, read: Sequence[str] = ()) -> tuple[dict[str, Any] | None, str | None]:
    """The object that a line is, and what is wrong with it, if something is. read: the keys that are read of it."""
    problem = "The line is not JSON."
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        problem = f"The line is not JSON: {error.msg}."
    else:
        if not isinstance(row, dict):
            return None, _NO_OBJECT
        if line.count(b":") == len(row):  # no key is there twice
            return row, None
    return _object_in_doubt(line, read, problem)


def _object_in_doubt(line: bytes, read: Sequence[str], problem: str) -> tuple[dict[str, Any] | None, str | None]:
    """The same of a line that may have a key twice, or is none that orjson takes, with the `problem` that it names."""
    try:
        # What is no UTF-8 becomes what no text may have: it matters in what is read, and in nothing else.
        found = _READER.decode(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None, problem
    if not isinstance(found, _Object):
        return None, _NO_OBJECT
    if found.twice is not None:
        name = shown([found.twice]) if _is_unicode(found.twice) else ""
        return found, f"The line has {f'the key {name}' if name else 'a key'} more than once: keep one of each."
    if not all(_is_unicode(found.get(key)) for key in read):
        return found, _not_unicode(line, problem)
    return found, None


def _kept(line: bytes, selection: Selection) -> tuple[bytes | None, str | None]:
    """What travels along of a line, as the inside of an object; or why it cannot."""
    row = _KEEPER.decode(line.decode("utf-8", "surrogateescape"))
    if selection.keeps_all:
        wanted = {name: value for name, value in row.items() if name != selection.customer_id}
        for name in wanted:
            if problem := unkept(name, selection.taken):
                return None, problem
    else:
        wanted = {name: row.get(name) for name in selection.keep}
    try:
        return orjson.dumps(wanted)[1:-1], None
    except TypeError:
        return None, _not_unicode(line, "The line is not JSON: it has half of a character.")


class _Unexpected:
    """Finds features in the rows of a file that has ids only: their values would be ignored."""

    def __init__(self, selection: Selection) -> None:
        self._names = {} if selection.has_features else {normal(name): name for name in selection.known}
        self._meanings: dict[str, str | None] = {}

    def problem(self, row: dict[str, Any]) -> str | None:
        if not self._names:
            return None
        for key in row.keys() - self._meanings.keys():
            self._meanings[key] = self._names.get(normal(key))
        unused = [key for key in row if self._meanings[key]]
        if not unused:
            return None
        return f"The line has {unused[0]}, and the file's first lines have no features: give all lines or none."


def _examples(rows: Sequence[tuple[int, list[Any]]], columns: Sequence[str], wanted: Collection[str]) -> Examples:
    return example_of(
        [
            (line, column, value)
            for line, values in rows
            for column, value in zip(columns, values, strict=True)
            if isinstance(value, str) and ("," in value or "." in value) and column in wanted
        ]
    )


def _number(value: Any, has_comma: bool) -> float:  # noqa: FBT001 (map gives it by its place)
    """NaN for what is no number; a text is one where it is written like one, as in CSV."""
    if isinstance(value, str):
        return number(value, has_comma=has_comma)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return float("nan")
    try:
        return float(value)
    except OverflowError:  # of a whole number of over 300 digits
        return float("inf") if value > 0 else float("-inf")


def _is_unicode(value: Any) -> bool:
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_unicode(line: bytes, problem: str) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return NOT_UTF8
    return problem
