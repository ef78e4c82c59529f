"""CSV text to records: each line that is not blank is in a good record or is a bad line, with its number.

Quotes and delimiters are looked at 64 bytes at a time, as bits of a word (as in Langdale and Lemire, "Parsing Gigabytes
of JSON per Second", 2019). What that does not show to be right is read once more, line by line, by the grammar.
"""

import functools
import re
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
    words,
    words_where,
)
from loyalty_ml.files.text.csv_dialect import DELIMITERS, Dialect, detect_dialect, fields, grammar, has_stray_quote
from loyalty_ml.files.text.lines import BLANKS, LIMITS, BadLine, Limits, State, leave_off, take_up, too_long
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS

__all__ = ["BadLine", "Dialect", "Limits", "Records", "State", "detect_dialect", "split_records"]

_QUOTED = re.compile(rb'"[^"]*"')
_BLANKS = {delimiter: BLANKS.replace(delimiter.encode(), b"") for delimiter in DELIMITERS}


class Records(NamedTuple):
    r"""The good records of a block, and its bad lines.

    text:   the records, one after the other, each ended by exactly \n, with their quotes as they were.
    lines:  the number of the line at which each begins, int64 (n,).
    bad:    in order of line.
    """

    text: bytes | memoryview
    lines: NDArray[np.int64]
    bad: list[BadLine]


class _Lines(NamedTuple):
    r"""The n whole lines of some bytes: where they begin and where their ends begin, int64 (n,).

    stop: where the last one's end ends.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    stop: int


def split_records(
    block: bytes, dialect: Dialect, state: State, *, final: bool, limits: Limits = LIMITS
) -> tuple[Records, State]:
    r"""The records of a block of UTF-8, after what an earlier one has left, and what it leaves.

    Lines end in \n, \r\n or \r, mixed as they come; those of blanks alone count as lines and are no rows; a quoted
    field may hold line ends. A quote that is not closed within the limits, or not so that the record has the header's
    number of columns, or only after lines that are rows themselves (has_stray_quote), makes its own line bad and no
    other. `final` says that no block follows.
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
    found = _Found(lines.starts, lines.ends, np.arange(state.line, state.line + count), [], count)
    suspects = _suspects(data, lines, dialect, limits)
    if suspects.any():
        found = _judge(data, lines, suspects, dialect, state.line, limits=limits, final=final)
    found = _without_unreadable(data, found, dialect)
    if found.whole < count:
        cut_off, left = [], State(data[lines.starts[found.whole] :], state.line + found.whole, skipping=False)
    else:
        cut_off, left = leave_off(data[lines.stop :], state.line + count, limits)
    return Records(_text(data, found.starts, found.ends), found.numbers, found.bad + cut_off), left


class _Found(NamedTuple):
    """The records among some lines.

    starts, ends:  of n good ones, int64 (n,), without the end of the last line of each.
    numbers:       of the lines at which they begin, int64 (n,).
    bad:           in order of line.
    whole:         how many lines there are before the record that is not whole yet, if there is one.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    numbers: NDArray[np.int64]
    bad: list[BadLine]
    whole: int


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
    columns = len(dialect.columns)
    text = np.frombuffer(data, np.uint8, lines.stop)
    suspects = lines.ends - lines.starts > limits.line_bytes
    if columns == 1:
        # In a file of more columns, a blank line has too few.
        suspects |= text[lines.starts] <= ord(" ")
    if b'"' in data:
        suspects |= _misquoted(text, dialect.delimiter, lines, columns)
    elif columns > 1 or dialect.delimiter.encode() in data:
        suspects |= _per_line(words_where(text, dialect.delimiter), lines) != columns - 1
    return suspects


def _misquoted(text: NDArray[np.uint8], delimiter: str, lines: _Lines, columns: int) -> NDArray[np.bool_]:
    """Bool (n,): the lines whose quotes are wrong or not all closed, or which have not that many columns."""
    quotes, delimiters = words_where(text, '"'), words_where(text, delimiter)
    edges = quotes | delimiters | words_where(text, "\n") | words_where(text, "\r")
    after_edge, before_edge = shifted_on(edges), shifted_back(edges)
    after_edge[:1] |= ONE

    def wrong(within: Words) -> NDArray[np.bool_]:
        # Of two quotes that stand for one, the first closes and the second opens: each is the other's edge.
        misplaced = quotes & ~np.bitwise_or(within & after_edge, ~within & before_edge)
        found: NDArray[np.bool_] = _per_line(delimiters & ~within, lines) != columns - 1
        return found | (_per_line(misplaced, lines) > 0)

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
) -> _Found:
    """Reads the suspects by the grammar, with the lines that follow where one opens a quote. `first` is a number."""
    unclosed, blanks = grammar(dialect.delimiter).unclosed, _BLANKS[dialect.delimiter]
    is_record, ends = ~suspects, lines.ends.copy()
    bad = []
    whole = len(suspects)
    following = 0
    numbers = np.flatnonzero(suspects)
    spans = zip(numbers.tolist(), lines.starts[numbers].tolist(), lines.ends[numbers].tolist(), strict=True)
    for place, start, end in spans:
        if place < following:
            continue  # it is in a record that began before
        if end - start > limits.line_bytes:
            bad.append(too_long(first + place, limits))
            continue
        line = data[start:end]
        if not line.strip(blanks):
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
            bad.append(BadLine(first + place, _customer_id(line, dialect), problem))
        else:
            is_record[place] = True
    records = np.flatnonzero(is_record[:whole])
    return _Found(lines.starts[records], ends[records], first + records, bad, whole)


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
        right = _columns(record[0], dialect) == len(dialect.columns) and last - first < limits.record_lines
        if right and last > first and has_stray_quote(record[0], dialect.delimiter, len(dialect.columns)):
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
    if columns == len(dialect.columns):
        return None
    return _other_columns(columns, len(dialect.columns))


@functools.lru_cache
def _other_columns(columns: int, wanted: int) -> str:
    # Kept, as a file that has another number of columns has it in each of its lines.
    return f"The line has {columns} column{'s' * (columns != 1)} where the header has {wanted}."


def _columns(record: bytes, dialect: Dialect) -> int:
    return 1 + _QUOTED.sub(b"", record).count(dialect.delimiter.encode())


def _customer_id(record: bytes, dialect: Dialect) -> str:
    """Of a bad record; "" where it cannot be told, since it is not there or what is before it may have moved it."""
    place = dialect.columns.index(CUSTOMER_ID)
    found = fields(record, dialect.delimiter)
    if place and len(found) != len(dialect.columns):
        return ""
    try:
        customer_id = found[place].decode()
    except (IndexError, UnicodeDecodeError):
        return ""
    return customer_id if len(customer_id) <= MAX_ID_CHARACTERS and "\0" not in customer_id else ""


def _without_unreadable(data: bytes, found: _Found, dialect: Dialect) -> _Found:
    """Of the records, those that are text: UTF-8 without NUL. The others are bad."""
    text = np.frombuffer(data, np.uint8)
    # Seen as signed numbers, the bytes that are neither NUL nor beyond ASCII are those above 0.
    if not len(found.numbers) or np.min(text.view(np.int8)) > 0:
        return found
    problems = {}
    if not _is_utf8(memoryview(data)[: found.ends[-1]]):
        for place in np.flatnonzero(_has(text > 127, found)).tolist():
            if not _is_utf8(data[found.starts[place] : found.ends[place]]):
                problems[place] = "The line is not valid UTF-8."
    for place in np.flatnonzero(_has(text == 0, found)).tolist():
        problems[place] = "The line has NUL bytes."
    if not problems:
        return found
    bad = [
        BadLine(
            int(found.numbers[place]), _customer_id(data[found.starts[place] : found.ends[place]], dialect), problem
        )
        for place, problem in problems.items()
    ]
    readable = np.ones(len(found.numbers), np.bool_)
    readable[list(problems)] = False
    return _Found(
        found.starts[readable],
        found.ends[readable],
        found.numbers[readable],
        sorted(found.bad + bad, key=lambda bad_line: bad_line.line),
        found.whole,
    )


def _is_utf8(data: bytes | memoryview) -> bool:
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _text(data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> bytes | memoryview:
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


def _has(flags: NDArray[np.bool_], found: _Found) -> NDArray[np.bool_]:
    bits = words(flags)
    has: NDArray[np.bool_] = counts_before(bits, found.starts) != counts_before(bits, found.ends)
    return has
