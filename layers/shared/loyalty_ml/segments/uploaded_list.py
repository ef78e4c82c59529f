"""A file of customers' ids, as people have it: one id a line, CSV with the column customer_id, or a JSON list."""

import csv
import io
import zlib
from collections.abc import Iterator, Sequence

import orjson

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS

MAX_FILE_BYTES = 32 * 1024**2
MAX_TEXT_BYTES = 64 * 1024**2
"""Unpacked."""
MAX_IDS = 1_000_000

_DELIMITERS = (",", ";", "\t", "|")


def ids_of(content: bytes) -> list[str]:
    """The ids of a file in UTF-8, plain or gzip, each once, in its order. Raises InvalidRequest, which names the line.

    A file whose first line has a column customer_id, between `,`, `;`, tabs or `|`, is CSV, and the other columns are
    left aside. Any other file has one id a line. Empty lines are no ids.
    """
    text = _text(_unpacked(content))
    found = _json_ids(text) if text.lstrip().startswith("[") else _line_ids(text)
    ids: dict[str, None] = {}
    for place, customer_id in found:
        if len(customer_id) > MAX_ID_CHARACTERS:
            raise _invalid(f"{place} has an id of over {MAX_ID_CHARACTERS} characters: is it a list of ids?")
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
    first = text.split("\n", 1)[0].rstrip("\r")
    delimiter, column = _header(first)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in rows:
            place = f"line {rows.line_num}"
            if column is None and len(row) > 1:
                raise _invalid(f"{place} has several columns, and the first line names none {CUSTOMER_ID}: name it")
            if not any(row) or (column is not None and rows.line_num == 1):
                continue
            if len(row) <= (column or 0) or not row[column or 0]:
                raise _invalid(f"{place} has no {CUSTOMER_ID}: add it, or remove the line")
            yield place, row[column or 0]
    except csv.Error as error:
        raise _invalid(f"line {rows.line_num} is not CSV ({error}): quote its values right") from error


def _header(line: str) -> tuple[str, int | None]:
    """The delimiter, and the place of the column customer_id; None if the line does not name one."""
    for delimiter in _DELIMITERS:
        names: Sequence[str] = [name.strip().casefold() for name in next(csv.reader([line], delimiter=delimiter), [])]
        if CUSTOMER_ID in names:
            return delimiter, names.index(CUSTOMER_ID)
    return ",", None


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest.of("customer_list", problem)
