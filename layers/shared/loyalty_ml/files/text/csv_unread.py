"""Of CSV records, the bytes that are no text: they matter in the columns that are read, and in no others."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.files.text.bit_words import counts_before, words
from loyalty_ml.files.text.csv_dialect import Dialect, field_spans, id_in
from loyalty_ml.files.text.lines import NOT_UTF8, BadLine, line_ends

_NOT_TEXT = bytes(ord("?") if byte == 0 or byte > 127 else byte for byte in range(256))
"""A table for bytes.translate."""


class Found(NamedTuple):
    """The records among some lines.

    starts, ends:  of n good ones, int64 (n,), without the end of the last line of each.
    numbers:       of the lines at which they begin, int64 (n,).
    bad:           in order of line.
    whole:         how many lines there are before the record that is not whole yet, if there is one.
    blank:         how many of them are blank.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    numbers: NDArray[np.int64]
    bad: list[BadLine]
    whole: int
    blank: int = 0


def without_unreadable(
    data: bytes, found: Found, dialect: Dialect, read: Collection[str] | None
) -> tuple[bytes | bytearray, Found]:
    """Of the records, those that are text, UTF-8 without NUL, where it is read. The others are bad.

    The data is a copy if a column that is not read has had what is no text.
    """
    text = np.frombuffer(data, np.uint8)
    # Seen as signed numbers, the bytes that are neither NUL nor beyond ASCII are those above 0.
    if not len(found.numbers) or np.min(text.view(np.int8)) > 0:
        return data, found
    doubtful = _has(text == 0, found)
    if not _is_utf8(memoryview(data)[: found.ends[-1]]):
        doubtful |= _has(text > 127, found)
    is_read = [read is None or name in read for name in dialect.columns] + [read is None] * dialect.nameless
    readable = np.ones(len(found.numbers), np.bool_)
    bad, mended = [], {}
    for place in np.flatnonzero(doubtful).tolist():
        record = data[found.starts[place] : found.ends[place]]
        if not _is_text(record):
            mended[place] = _mended(record, dialect, is_read)
            if not _is_text(mended[place]):
                readable[place] = False
                problem = "The line has NUL bytes." if _is_utf8(record) else NOT_UTF8
                bad.append(BadLine(int(found.numbers[place]), id_in(record, dialect), problem, 1 + line_ends(record)))
    if not mended:
        return data, found
    written = bytearray(data)
    for place, record in mended.items():
        written[found.starts[place] : found.ends[place]] = record
    return written, Found(
        found.starts[readable],
        found.ends[readable],
        found.numbers[readable],
        sorted(found.bad + bad, key=lambda bad_line: bad_line.line),
        found.whole,
        found.blank,
    )


def _mended(record: bytes, dialect: Dialect, is_read: Sequence[bool]) -> bytes:
    """The record with ? for each byte that is no ASCII in the columns that are not read, and are no text."""
    mended = bytearray(record)
    for (start, stop), reads in zip(field_spans(record, dialect.delimiter), is_read, strict=False):
        if not reads and not _is_text(record[start:stop]):
            mended[start:stop] = record[start:stop].translate(_NOT_TEXT)
    return bytes(mended)


def _is_text(data: bytes) -> bool:
    return b"\0" not in data and _is_utf8(data)


def _is_utf8(data: bytes | memoryview) -> bool:
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _has(flags: NDArray[np.bool_], found: Found) -> NDArray[np.bool_]:
    bits = words(flags)
    has: NDArray[np.bool_] = counts_before(bits, found.starts) != counts_before(bits, found.ends)
    return has
