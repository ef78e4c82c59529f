"""Lines of a text that comes in blocks: where they end, which are too long, and what is left for the next block."""

from typing import NamedTuple

import numpy as np

BLANKS = b" \t"
"""A line of these alone is no row."""

NOT_UTF8 = 'The line is not valid UTF-8: save the file as UTF-8, which Excel calls "CSV UTF-8".'


class Limits(NamedTuple):
    """What may be kept of a text that is not a whole record yet.

    line_bytes:    of a line, and of a record; a longer line is dropped as it is read.
    record_lines:  of a record, so that a quote that is never closed costs no more.
    """

    line_bytes: int = 1_000_000
    record_lines: int = 1_000


LIMITS = Limits()


class BadLine(NamedTuple):
    """A line that is no record.

    line:         its number in the file, from 1.
    customer_id:  "" where it cannot be told.
    problem:      a sentence.
    lines:        how many lines it takes: more than one of a record over several that cannot be read.
    """

    line: int
    customer_id: str
    problem: str
    lines: int = 1


class Lines(NamedTuple):
    """The lines of a block that are not blank, each with its number and without its end; and what the others are.

    bad:    those too long, in order.
    blank:  how many are.
    """

    lines: list[tuple[int, bytes]]
    bad: list[BadLine]
    blank: int


class State(NamedTuple):
    """What one block leaves for the next.

    rest:      what is not yet a whole record, at most a line's most bytes and one.
    line:      the number of the line at which `rest` begins.
    skipping:  whether that is a line that was too long, of which all to its end is dropped.
    """

    rest: bytes
    line: int
    skipping: bool


def split_lines(block: bytes, state: State, *, final: bool, limits: Limits = LIMITS) -> tuple[Lines, State]:
    r"""The lines of a block of JSON Lines, after what an earlier one has left, and what it leaves.

    Lines end in \n, \r\n or \r, mixed as they come; `final` says that no block follows. Whether a line is UTF-8 and
    JSON is for its reader to say. The result does not depend on where a text is cut into blocks.
    """
    data, state = take_up(block, state, final=final)
    if state.skipping:
        return Lines([], [], 0), state
    # A \r at the very end may be half of \r\n.
    stop = len(data) if final else max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
    numbered = list(enumerate(data[:stop].splitlines(), state.line))
    most = limits.line_bytes
    lines = [(number, line) for number, line in numbered if len(line) <= most and line.strip(BLANKS)]
    bad = [too_long(number, limits) for number, line in numbered if len(line) > most]
    blank = sum(not line.strip(BLANKS) for _, line in numbered if len(line) <= most)
    cut_off, state = leave_off(data[stop:], state.line + len(numbered), limits)
    return Lines(lines, bad + cut_off, blank), state


def take_up(block: bytes, state: State, *, final: bool) -> tuple[bytes, State]:
    """What is to be split now: what was left, with the block, without the end of a line that was too long.

    The state has the number of its first line; it is still skipping where that line goes on.
    """
    data = state.rest + block if state.rest else block
    if not state.skipping:
        return data, state._replace(rest=b"")
    end = min((place for place in (data.find(b"\n"), data.find(b"\r")) if place >= 0), default=len(data))
    if end >= len(data) - data.endswith(b"\r") and not final:
        return b"", state._replace(rest=data[end:])
    end += 2 if data.startswith(b"\r\n", end) else 1
    return data[end:], State(b"", state.line + 1, skipping=False)


def leave_off(rest: bytes, line: int, limits: Limits) -> tuple[list[BadLine], State]:
    r"""The state to go on from after a block that ends in `rest`, the beginning of a line, perhaps with half of \r\n.

    The line is bad, and skipped from here on, if it is too long already.
    """
    half = rest.endswith(b"\r")
    if len(rest) - half > limits.line_bytes:
        return [too_long(line, limits)], State(b"\r" if half else b"", line, skipping=True)
    return [], State(rest, line, skipping=False)


def too_long(line: int, limits: Limits) -> BadLine:
    return BadLine(line, "", f"The line is longer than {limits.line_bytes:,} bytes.")


def line_ends(text: bytes | memoryview) -> int:
    r"""How many lines end in a text: in \n, \r\n or \r, mixed as they come."""
    data = np.frombuffer(text, np.uint8)
    newlines = int(np.count_nonzero(data == ord("\n")))
    is_return = data == ord("\r")
    returns = int(np.count_nonzero(is_return))
    if not returns:
        return newlines
    return newlines + returns - int(np.count_nonzero(is_return[:-1] & (data[1:] == ord("\n"))))
