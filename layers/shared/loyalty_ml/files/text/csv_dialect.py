"""What a CSV file's header says: the delimiter, the columns, and whether it can be scored at all."""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.text.lines import LIMITS
from loyalty_ml.vocabulary import CUSTOMER_ID

DELIMITERS = (",", ";", "\t", "|")

_NAMES_SHOWN = 20

_MAGIC = {
    b"\x1f\x8b": "a gzip file: name it .csv.gz or .jsonl.gz, by what is in it",
    b"PAR1": "a Parquet file: name it .parquet",
    b"PK\x03\x04": "an Excel or zip file: save it as CSV, or unpack it",
}
_BLANK_LINE = re.compile(rb"[ \t]*(?:\r\n|\r|\n)")
_JSON = re.compile(rb'\s*(\{|\[\s*([\[{"]|$))')


class Dialect(NamedTuple):
    """delimiter: one of DELIMITERS; columns: the header's names, unquoted, without blanks around them."""

    delimiter: str
    columns: tuple[str, ...]


class Grammar(NamedTuple):
    r"""RFC 4180 with one delimiter, as patterns of bytes; a field that does not begin with a quote has none.

    field:     one field, with its quotes.
    record:    as much as is one or more whole fields; it is a record if a line ends after it.
    unclosed:  the beginning of a record, the last field of which is quoted and not closed.
    overrun:   the beginning of a record, the last field of which goes on after its closing quote.
    """

    field: re.Pattern[bytes]
    record: re.Pattern[bytes]
    unclosed: re.Pattern[bytes]
    overrun: re.Pattern[bytes]


@functools.cache
def grammar(delimiter: str) -> Grammar:
    end = re.escape(delimiter.encode())
    unclosed = rb'"[^"]*+(?:""[^"]*+)*'  # possessive, so that a quote that is never closed costs one pass
    field = rb'(?:%s"|[^"\r\n%s]*)' % (unclosed, end)
    return Grammar(
        re.compile(field),
        re.compile(rb"%s(?:%s%s)*" % (field, end, field)),
        re.compile(rb"(?:%s%s)*%s" % (field, end, unclosed)),
        re.compile(rb'(?:%s%s)*%s"[^\r\n"%s]' % (field, end, unclosed, end)),
    )


def has_stray_quote(record: bytes, delimiter: str, columns: int) -> bool:
    """Whether a record of several lines is rows that a stray quote has swallowed, and not a field with line ends.

    It is if its only quoted field has lines that are rows of this many columns by themselves, quotes taken as text: all
    lines between its first and its last, or most if these two are such rows as well. Of two lines both must be. Who
    quotes more than one field writes quotes on purpose.
    """
    field, end = grammar(delimiter).field, delimiter.encode()
    quoted = [found for found in field.findall(record) if found.startswith(b'"')]
    if len(quoted) != 1:
        return False
    first, *between, last = (line.count(end) == columns - 1 for line in record.splitlines() if line.strip())
    ends_are_rows = first and last
    return all(between) if between and not ends_are_rows else ends_are_rows and 2 * sum(between) >= len(between)


def detect_dialect(head: bytes, *, whole: bool) -> tuple[Dialect, int, int]:
    """The dialect of a CSV file, and what its header takes: bytes, and lines, with the blank ones before it.

    head:   its beginning as UTF-8 without a byte order mark: more than the longest line, or the `whole` file.

    The delimiter is the one by which the header has a column customer_id; where several could be, the one that gives
    the most columns. Raises InvalidFile, with what is wrong with the header.
    """
    _check_kind(head)
    line_end = b"\n" if whole and not head.endswith((b"\n", b"\r")) else b""
    text = head + line_end
    start = _after_blank_lines(text)
    if start == len(text):
        raise InvalidFile(f"The file is empty: it needs a header with a column {CUSTOMER_ID}.")
    window = min(len(text), start + LIMITS.line_bytes + 1)
    headers = {delimiter: _header(text, start, window, delimiter) for delimiter in DELIMITERS}
    if not any(headers.values()):
        raise _without_end(text, start, window)
    by_columns = sorted(headers.values(), key=lambda found: len(found.columns) if found else 0, reverse=True)
    found = next((found for found in by_columns if found and CUSTOMER_ID in found.columns), None)
    if found is None:
        assert by_columns[0]
        raise _without_customer_id(by_columns[0].columns)
    delimiter = next(delimiter for delimiter in DELIMITERS if headers[delimiter] is found)
    _check_names(found.columns)
    # A \r that may be half of \r\n is left to the lines that follow, to which it is the end of a blank one.
    halved = not whole and found.stop == len(text) and text.endswith(b"\r")
    stop = found.stop - halved
    lines = len(text[:stop].splitlines()) - halved
    return Dialect(delimiter, found.columns), min(stop, len(head)), lines


class _Header(NamedTuple):
    columns: tuple[str, ...]
    stop: int  # of its line's end, too


def _header(text: bytes, start: int, window: int, delimiter: str) -> _Header | None:
    found = grammar(delimiter).record.match(text, start, window)
    if not found or found.end() == window or text[found.end()] not in b"\r\n":
        return None
    stop = found.end() + (2 if text.startswith(b"\r\n", found.end()) else 1)
    try:
        columns = tuple(name.decode().strip() for name in fields(found[0], delimiter))
    except UnicodeDecodeError as error:
        raise InvalidFile("The header is not valid UTF-8: save the file as UTF-8.") from error
    if len(found[0].splitlines()) > 1 and has_stray_quote(found[0], delimiter, len(columns)):
        return None
    return _Header(columns, stop)


def fields(record: bytes, delimiter: str) -> list[bytes]:
    """The fields of a record, or of its beginning as far as it follows the grammar, without their quotes."""
    end = delimiter.encode()
    if b'"' not in record:
        return record.split(end)
    found = []
    place = 0
    pattern = grammar(delimiter).field
    while field := pattern.match(record, place):
        place = field.end()
        if place < len(record) and not record.startswith(end, place):
            break
        found.append(unquoted(field[0]))
        if place == len(record):
            break
        place += 1
    return found


def unquoted(field: bytes) -> bytes:
    return field[1:-1].replace(b'""', b'"') if field.startswith(b'"') else field


def _check_kind(head: bytes) -> None:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise InvalidFile(f"The file is named as CSV, but is {kind}.")
    if _JSON.match(head, 0, 1000):
        raise InvalidFile("The file is named as CSV, but looks like JSON: write one object a line, and name it .jsonl.")


def _after_blank_lines(text: bytes) -> int:
    start = 0
    while line := _BLANK_LINE.match(text, start):
        start = line.end()
    return start


def _without_end(text: bytes, start: int, window: int) -> InvalidFile:
    first = re.compile(rb"[^\r\n]*").match(text, start, window)
    assert first
    if b"\0" in first[0]:
        return _binary()
    if first.end() - start > LIMITS.line_bytes:
        return InvalidFile(
            f"The header is longer than {LIMITS.line_bytes:,} bytes: put the names of the columns on one line."
        )
    return InvalidFile("The header has a misplaced quote: quote whole names.")


def _binary() -> InvalidFile:
    return InvalidFile("The header has NUL bytes, so this is not a text file: save the file as CSV in UTF-8.")


def _check_names(columns: tuple[str, ...]) -> None:
    if columns.count("") > 1:
        raise InvalidFile(f"The header has {columns.count('')} columns without a name: name or remove them.")
    twice = [name for name, times in Counter(columns).items() if times > 1]
    if twice:
        raise InvalidFile(f"The header has more than one column named {shown(twice)}: keep one of each.")
    if any("\0" in name for name in columns):
        raise _binary()


def _without_customer_id(columns: tuple[str, ...]) -> InvalidFile:
    if any("\0" in name for name in columns):
        return _binary()
    meant = [name for name in columns if re.sub(r"[\W_]", "", name.casefold()) == "customerid"]
    if meant:
        return InvalidFile(
            f"The header has no column {CUSTOMER_ID}, but {shown(meant)}: name it {CUSTOMER_ID} exactly."
        )
    return InvalidFile(f"The header has no column {CUSTOMER_ID}: its columns are {shown(columns)}.")


def shown(names: Sequence[str]) -> str:
    """Names as a sentence lists them: the first ones, and how many more there are."""
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(repr(name[:100]) for name in names[:_NAMES_SHOWN]) + more
