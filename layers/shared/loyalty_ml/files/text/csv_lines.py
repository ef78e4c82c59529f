"""CSV text to records: each line that is not blank is in a good record or is a bad line, with its number.

Quotes and delimiters are looked at 64 bytes at a time, as bits of a word (as in Langdale and Lemire, "Parsing Gigabytes
of JSON per Second", 2019). What that does not show to be right is read once more, line by line, by the grammar.
"""

import functools
import re
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.files.text.bit_words import (
    ONE,
    Words,
    counts_before,
    places,
    shifted_back,
    shifted_on,
    within_quotes,
    words_where,
)
from loyalty_ml.files.text.csv_dialect import DELIMITERS, Dialect, detect_dialect, grammar, has_stray_quote, id_in
from loyalty_ml.files.text.csv_unread import Found, without_unreadable
from loyalty_ml.files.text.lines import BLANKS, LIMITS, BadLine, Limits, State, leave_off, take_up, too_long

__all__ = ["BadLine", "Dialect", "Limits", "Records", "State", "detect_dialect", "split_records"]

_QUOTED = re.compile(rb'"[^"]*"')
_BLANKS = {delimiter: BLANKS.replace(delimiter.encode(), b"") for delimiter in DELIMITERS}


class Records(NamedTuple):
    r"""The good records of a block, and its bad lines.

    text:   the records, one after the other, each ended by exactly \n, with their quotes as they were.
    lines:  the number of the line at which each begins, int64 (n,).
    bad:    in order of line.
    blank:  how many lines are neither.
    """

    text: bytes | memoryview
    lines: NDArray[np.int64]
    bad: list[BadLine]
    blank: int = 0


class _Lines(NamedTuple):
    r"""The n whole lines of some bytes: where they begin and where their ends begin, int64 (n,).

    stop: where the last one's end ends.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    stop: int


def split_records(
    block: bytes,
    dialect: Dialect,
    state: State,
    *,
    final: bool,
    read: Collection[str] | None = None,
    limits: Limits = LIMITS,
) -> tuple[Records, State]:
    r"""The records of a block of UTF-8, after what an earlier one has left, and what it leaves.

    read: the columns whose bytes must be text, None for all; in the others, what is no text becomes ?.

    Lines end in \n, \r\n or \r, mixed as they come; a quoted field may hold line ends. Those of blanks alone, or of
    delimiters alone as Excel leaves them of an emptied row, count as lines and are no rows. A quote that is not closed
    within the limits, or not so that the record has the header's number of columns, or only after lines that are rows
    themselves (has_stray_quote), makes its own line bad and no other. `final` says that no block follows.
    The result does not depend on where a text is cut into blocks.
    """
    data, state = take_up(block, state, final=final)
    if state.skipping:
        return Records(b"", np.empty(0, np.int64), []), state
    if final and data and not data.endswith((b"\n", b"\r")):
        data += b"\n"
    lines = _find_lines(data, final=final)
    count = len(lines.starts)
    if not count:
        cut_off, left = leave_off(data, state.line, limits)
        return Records(b"", np.empty(0, np.int64), cut_off), left
    found = Found(lines.starts, lines.ends, np.arange(state.line, state.line + count), [], count)
    suspects = _suspects(data, lines, dialect, limits)
    if suspects.any():
        found = _judge(data, lines, suspects, dialect, state.line, limits=limits, final=final)
    readable, found = without_unreadable(data, found, dialect, read)
    if found.whole < count:
        cut_off, left = [], State(data[lines.starts[found.whole] :], state.line + found.whole, skipping=False)
    else:
        cut_off, left = leave_off(data[lines.stop :], state.line + count, limits)
    return Records(_text(readable, found.starts, found.ends), found.numbers, found.bad + cut_off, found.blank), left


def _find_lines(data: bytes, *, final: bool) -> _Lines:
    text = np.frombuffer(data, np.uint8)
    newlines = words_where(text, "\n")
    if b"\r" in data:
        returns = words_where(text, "\r")
        last = places(newlines | (returns & ~shifted_back(newlines)))
        if not final and data.endswith(b"\r"):
            last = last[:-1]  # it may be half of \r\n
        ends = last - ((text[last] == ord("\n")) & (text[last - 1] == ord("\r")) & (last > 0))
    else:
        ends = last = places(newlines)
    starts = np.zeros(len(last), np.int64)
    starts[1:] = last[:-1] + 1
    return _Lines(starts, ends, int(last[-1]) + 1 if len(last) else 0)


def _suspects(data: bytes, lines: _Lines, dialect: Dialect, limits: Limits) -> NDArray[np.bool_]:
    """Bool (n,): the lines that are not by themselves, and without a doubt, a record."""
    text = np.frombuffer(data, np.uint8, lines.stop)
    sizes = lines.ends - lines.starts
    suspects = sizes > limits.line_bytes
    if len(dialect.columns) == 1:
        # In a file of more columns, a blank line has too few.
        suspects |= text[lines.starts] <= ord(" ")
    if b'"' not in data and dialect.most == 1 and dialect.delimiter.encode() not in data:
        return suspects
    delimiters = words_where(text, dialect.delimiter)
    suspects |= (counts := _per_line(delimiters, lines)) == sizes  # nothing is between them
    if b'"' in data:
        return suspects | _misquoted(text, delimiters, lines, dialect)
    return suspects | _has_other_width(counts, dialect)


def _has_other_width(delimiters: NDArray[np.int64], dialect: Dialect) -> NDArray[np.bool_]:
    """Bool (n,): the lines that have not as many delimiters as a record."""
    other: NDArray[np.bool_] = delimiters != dialect.most - 1
    if dialect.nameless:
        other &= (delimiters < len(dialect.columns) - 1) | (delimiters >= dialect.most)
    return other


def _misquoted(text: NDArray[np.uint8], delimiters: Words, lines: _Lines, dialect: Dialect) -> NDArray[np.bool_]:
    """Bool (n,): the lines whose quotes are wrong or not all closed, or which have not as many columns as a record."""
    quotes = words_where(text, '"')
    edges = quotes | delimiters | words_where(text, "\n") | words_where(text, "\r")
    after_edge, before_edge = shifted_on(edges), shifted_back(edges)
    after_edge[:1] |= ONE

    def wrong(within: Words) -> NDArray[np.bool_]:
        # Of two quotes that stand for one, the first closes and the second opens: each is the other's edge.
        misplaced = quotes & ~np.bitwise_or(within & after_edge, ~within & before_edge)
        found: NDArray[np.bool_] = _per_line(misplaced, lines) > 0
        return found | _has_other_width(_per_line(delimiters & ~within, lines), dialect)

    within = within_quotes(quotes)
    is_open = (_per_line(quotes, lines) & 1).astype(np.bool_)
    if not is_open.any():
        return wrong(within)
    # A line with an odd number of quotes turns within and without for those after it, which are judged by themselves.
    turned = np.logical_xor.accumulate(is_open)
    return is_open | np.where(turned, wrong(~within), wrong(within))


def _judge(
    data: bytes,
    lines: _Lines,
    suspects: NDArray[np.bool_],
    dialect: Dialect,
    first: int,
    *,
    limits: Limits,
    final: bool,
) -> Found:
    """Reads the suspects by the grammar, with the lines that follow where one opens a quote. `first` is a number."""
    unclosed = grammar(dialect.delimiter).unclosed
    blanks, delimiter = _BLANKS[dialect.delimiter], dialect.delimiter.encode()
    is_record, ends = ~suspects, lines.ends.copy()
    bad = []
    whole = len(suspects)
    following = blank = 0
    numbers = np.flatnonzero(suspects)
    spans = zip(numbers.tolist(), lines.starts[numbers].tolist(), lines.ends[numbers].tolist(), strict=True)
    for place, start, end in spans:
        if place < following:
            continue  # it is in a record that began before
        if end - start > limits.line_bytes:
            bad.append(too_long(first + place, limits))
            continue
        line = data[start:end]
        if not line.strip(blanks) or not line.strip(delimiter):
            blank += 1
            continue
        if b'"' in line and unclosed.fullmatch(line):
            last = _last_line(data, lines, place, dialect, limits=limits, final=final)
            if last is None:
                whole = place
                break
            if last > place:
                is_record[place + 1 : last + 1] = False
                is_record[place] = True
                ends[place] = lines.ends[last]
                following = last + 1
                continue
        problem = _problem(line, dialect)
        if problem:
            bad.append(BadLine(first + place, id_in(line, dialect), problem))
        else:
            is_record[place] = True
    records = np.flatnonzero(is_record[:whole])
    return Found(lines.starts[records], ends[records], first + records, bad, whole, blank)


def _last_line(data: bytes, lines: _Lines, first: int, dialect: Dialect, *, limits: Limits, final: bool) -> int | None:
    """The last line of the record that begins at `first` and goes on over its end; None if that is not known yet.

    `first` itself where there is no such record.
    """
    rules = grammar(dialect.delimiter)
    start = int(lines.starts[first])
    window = min(lines.stop, start + limits.line_bytes + 1)
    record = rules.record.match(data, start, window)
    if record and record.end() < window and data[record.end()] in b"\r\n":
        last = int(np.searchsorted(lines.ends, record.end()))
        right = dialect.has_width(_columns(record[0], dialect)) and last - first < limits.record_lines
        if right and last > first and has_stray_quote(record[0], dialect):
            return first
        return last if right else first
    has_room = (
        len(data) - data.endswith(b"\r") - start <= limits.line_bytes
        and len(lines.starts) - first < limits.record_lines
    )
    return None if not final and has_room and rules.unclosed.fullmatch(data, start, window) else first


def _problem(line: bytes, dialect: Dialect) -> str | None:
    rules = grammar(dialect.delimiter)
    if b'"' in line:
        if rules.unclosed.fullmatch(line):
            return "A quote is opened that is not closed, or not so that one row of the header's columns comes of it."
        if rules.overrun.match(line):
            return "A quoted field goes on after its closing quote."
        if not rules.record.fullmatch(line):
            return "A quote is in the middle of a field that does not begin with one."
    columns = _columns(line, dialect)
    return None if dialect.has_width(columns) else _other_columns(columns, dialect.most)


@functools.lru_cache
def _other_columns(columns: int, wanted: int) -> str:
    # Kept, as a file that has another number of columns has it in each of its lines.
    return f"The line has {columns} column{'s' * (columns != 1)} where the header has {wanted}."


def _columns(record: bytes, dialect: Dialect) -> int:
    return 1 + _QUOTED.sub(b"", record).count(dialect.delimiter.encode())


def _text(data: bytes | bytearray, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> bytes | memoryview:
    r"""The bytes from each start to its end, each followed by \n: those that are there, if they are that already."""
    if not len(starts):
        return b""
    first, stop = int(starts[0]), int(ends[-1]) + 1
    text = np.frombuffer(data, np.uint8)
    is_gap = starts[1:] > ends[:-1] + 1
    if not is_gap.any() and (b"\r" not in data or (text[ends] == ord("\n")).all()):
        return memoryview(data)[first:stop]
    written = text[first:stop].copy()
    written[ends - first] = ord("\n")
    kept = np.ones(len(written), np.bool_)
    gaps, nexts = ends[:-1][is_gap] + 1 - first, starts[1:][is_gap] - first
    kept[gaps] = False
    for gap in np.flatnonzero(nexts - gaps > 1).tolist():
        kept[gaps[gap] : nexts[gap]] = False
    return written[kept].data


def _per_line(bits: Words, lines: _Lines) -> NDArray[np.int64]:
    """How many bits are set in each line; in line ends there is none."""
    counts: NDArray[np.int64] = np.diff(counts_before(bits, lines.ends), prepend=0)
    return counts
