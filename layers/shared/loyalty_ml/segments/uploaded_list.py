"""A file of customers' ids, as people have it: one id a line, CSV with the column customer_id, or a JSON list."""

import csv
import io
import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS

MAX_FILE_BYTES = 32 * 1024**2
MAX_TEXT_BYTES = 64 * 1024**2
"""Unpacked."""
MAX_IDS = 1_000_000

_DELIMITERS = (",", ";", "\t", "|")
_EMPTY = "".join(_DELIMITERS) + " \r\n"
"""What a line before the header has of an empty row of a spreadsheet."""
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?[ \t]*[\r\n]+', re.IGNORECASE)
"""By which Excel is told the delimiter."""
_OBJECT = re.compile(r'\s*\{\s*"')
_SEPARATORS = re.compile(r"[\s_.-]")
_ID = _SEPARATORS.sub("", CUSTOMER_ID)


def ids_of(content: bytes) -> list[str]:
    """The ids of a file in UTF-8, plain or gzip, each once, in its order. Raises InvalidRequest, which names the line.

    A file whose first line has a column customer_id, between `,`, `;`, tabs or `|`, is CSV, and the other columns are
    left aside; its name is compared without case, blanks, hyphens and underscores. Any other file has one id a line.
    Lines of blanks are no ids, nor are those of delimiters alone and `sep=;`, which Excel writes.
    """
    text = _text(_unpacked(content))
    if _OBJECT.match(text):
        raise _invalid('the file is JSON and no list: write the ids as ["1", "2"], or one a line')
    found = _json_ids(text) if text.lstrip().startswith("[") else _line_ids(text)
    ids: dict[str, None] = {}
    for place, customer_id in found:
        if len(customer_id) > MAX_ID_CHARACTERS:
            raise _invalid(f"{place} has an id of over {MAX_ID_CHARACTERS} characters: send a list of ids")
        ids[customer_id] = None
        if len(ids) > MAX_IDS:
            raise _invalid(f"the file has over {MAX_IDS:,} ids: split it into several segments")
    if not ids:
        raise _invalid("the file has no ids: write one a line")
    return list(ids)


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = unpacker.decompress(content, MAX_TEXT_BYTES)
    except zlib.error as error:
        raise _invalid("the file begins as gzip and is damaged: pack it again, or send it unpacked") from error
    if not unpacker.eof:
        raise _invalid(f"the file is cut off, or has over {MAX_TEXT_BYTES:,} bytes unpacked: send a smaller one")
    return text


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _invalid(f"line {line} is not UTF-8: save the file as UTF-8") from error
    if "\0" in text:
        raise _invalid("the file has NUL bytes, so it is no text file: export it as CSV")
    return text


def _json_ids(text: str) -> Iterator[tuple[str, str]]:
    try:
        listed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"the file begins as a JSON list and is none: {error}") from error
    for place, customer_id in enumerate(listed):
        if not isinstance(customer_id, str) or not customer_id:
            raise _invalid(f"element {place} of the JSON list is not a text, or is empty: write each id in quotes")
        yield f"element {place}", customer_id


def _line_ids(text: str) -> Iterator[tuple[str, str]]:
    lines = io.StringIO(text, newline="")
    header = _Header(",", None)
    before = 0
    try:
        for line in lines:
            if separator := _SEPARATOR_LINE.fullmatch(line):
                header = _header(lines.readline(), separator[1])
                before += 2
                break
            if line.strip(_EMPTY):
                header = _header(line)
                before += header.column is not None
                break
            before += 1
        lines.seek(0)
        for _ in range(before):
            lines.readline()
        rows = csv.reader(lines, delimiter=header.delimiter, strict=True)
        for row in rows:
            place = f"line {before + rows.line_num:,}"
            if header.column is None and len(row) > 1:
                raise _invalid(f"{place} has several columns, and the first line names none {CUSTOMER_ID}: name it")
            if not any(value.strip() for value in row):
                continue
            column = header.column or 0
            if len(row) <= column or not row[column]:
                raise _invalid(f"{place} has no {CUSTOMER_ID}: add it, or remove the line")
            yield place, row[column]
    except csv.Error as error:
        raise _invalid(f"the file is not CSV ({error}): quote its values right") from error


class _Header(NamedTuple):
    """column: the place of customer_id; None if the line does not name one."""

    delimiter: str
    column: int | None


def _header(line: str, separator: str = ",") -> _Header:
    for delimiter in dict.fromkeys((separator, *_DELIMITERS)):
        names = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
        for place, name in enumerate(names):
            if _SEPARATORS.sub("", name.casefold()) == _ID:
                return _Header(delimiter, place)
    return _Header(",", None)


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest.of("customer_list", problem)
