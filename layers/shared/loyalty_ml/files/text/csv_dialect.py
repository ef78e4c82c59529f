"""What a CSV file's header says: the delimiter, the columns, and whether it can be scored at all."""

import functools
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.text.lines import LIMITS
from loyalty_ml.files.text.names import listed, meant, normal, without_ids
from loyalty_ml.vocabulary import CUSTOMER_ID, MAX_ID_CHARACTERS

DELIMITERS = (",", ";", "\t", "|")

_MAGIC = {
    b"\x1f\x8b": "a gzip file: name it .csv.gz or .jsonl.gz, by what is in it",
    b"\x28\xb5\x2f\xfd": "a Zstandard file: name it .csv.zst or .jsonl.zst, by what is in it",
    b"PAR1": "a Parquet file: name it .parquet",
    b"PK\x03\x04": "an Excel or zip file: save it as CSV, or unpack it",
}
_SEPARATOR_LINE = re.compile(rb'"?sep=(.)"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
"""By which Excel is told the delimiter, in the first line."""

_BLANK_LINE = re.compile(rb"[ \t,;|]*+(?:\r\n|\r|\n)")
"""Before the header: of blanks or delimiters alone, as Excel leaves them of empty rows."""
_MARKUP = re.compile(rb"\s*<(?:[!?]|html|head|meta|table|body)", re.IGNORECASE)
_JSON = re.compile(rb'\s*(\{|\[\s*([\[{"]|$))')


class Dialect(NamedTuple):
    """How the records of a file are written.

    delimiter:  one of DELIMITERS.
    columns:    the header's names, unquoted, without blanks around them; that of the ids is CUSTOMER_ID, however it is
                spelt, and that of a column without a name is "".
    nameless:   how many columns without a name follow these: Excel writes them in some lines and not in others.
    """

    delimiter: str
    columns: tuple[str, ...]
    nameless: int = 0

    @property
    def most(self) -> int:
        """Columns that a record can have; it has len(columns) at least."""
        return len(self.columns) + self.nameless

    def has_width(self, columns: int) -> bool:
        """Whether a record may have so many."""
        return len(self.columns) <= columns <= self.most


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


def has_stray_quote(record: bytes, dialect: Dialect) -> bool:
    """Whether a record of several lines is rows that a stray quote has swallowed, and not a field with line ends.

    It is if its first line and its last have a record's columns by themselves, quotes taken as text, and half of those
    between them at least. Who quotes more than one field writes quotes on purpose.
    """
    field, end = grammar(dialect.delimiter).field, dialect.delimiter.encode()
    quoted = [found for found in field.findall(record) if found.startswith(b'"')]
    if len(quoted) != 1:
        return False
    first, *between, last = (
        dialect.has_width(line.count(end) + 1) and bool(line.strip(b'" \t')) for line in record.splitlines() if line
    )
    return first and last and 2 * sum(between) >= len(between)


def detect_dialect(head: bytes, *, whole: bool) -> tuple[Dialect, int, int]:
    """The dialect of a CSV file, and what its header takes: bytes, and lines, with the blank ones before it.

    head:   its beginning as UTF-8 without a byte order mark: more than the longest line, or the `whole` file.

    The delimiter is the one by which the header has a column customer_id; where several could be, the one that a line
    sep=; names, or the one that gives the most columns. Raises InvalidFile, with what is wrong with the header.
    """
    _check_kind(head)
    line_end = b"\n" if whole and not head.endswith((b"\n", b"\r")) else b""
    text = head + line_end
    start = _after_blank_lines(text, 0)
    separator = _SEPARATOR_LINE.match(text, start)
    if separator:
        start = _after_blank_lines(text, separator.end())
    if start == len(text):
        raise InvalidFile(f"The file is empty: it needs a header with a column {CUSTOMER_ID}.")
    window = min(len(text), start + LIMITS.line_bytes + 1)
    found_by = {delimiter: _header(text, start, window, delimiter) for delimiter in DELIMITERS}
    headers = {delimiter: header for delimiter, header in found_by.items() if header}
    if not headers:
        raise _without_end(text, start, window)
    named = separator[1].decode("latin-1") if separator else None
    by_columns = sorted(headers, key=lambda each: (each == named, len(headers[each].columns)), reverse=True)
    delimiter = next((each for each in by_columns if _has_id(headers[each])), None)
    if delimiter is None:
        raise _without_customer_id(headers[by_columns[0]].columns)
    found = headers[delimiter]
    columns = _named(found.columns)
    # A \r that may be half of \r\n is left to the lines that follow, to which it is the end of a blank one.
    halved = not whole and found.stop == len(text) and text.endswith(b"\r")
    stop = found.stop - halved
    lines = len(text[:stop].splitlines()) - halved
    return Dialect(delimiter, columns, len(found.columns) - len(columns)), min(stop, len(head)), lines


class _Header(NamedTuple):
    columns: tuple[str, ...]
    stop: int  # of its line's end, too


def _header(text: bytes, start: int, window: int, delimiter: str) -> _Header | None:
    found = grammar(delimiter).record.match(text, start, window)
    if not found or found.end() == window or text[found.end()] not in b"\r\n":
        return None
    stop = found.end() + (2 if text.startswith(b"\r\n", found.end()) else 1)
    columns = tuple(_decoded(name).strip() for name in fields(found[0], delimiter))
    if len(found[0].splitlines()) > 1 and has_stray_quote(found[0], Dialect(delimiter, columns)):
        return None
    return _Header(columns, stop)


def _decoded(name: bytes) -> str:
    """A column's name; in the encoding of Excel's plain CSV if it is no UTF-8."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp1252", "replace")


def _named(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns up to the last one that has a name; that of the ids as CUSTOMER_ID. Raises InvalidFile."""
    while not columns[-1]:
        columns = columns[:-1]
    if any("\0" in name for name in columns):
        raise _binary()
    twice = [name for name, times in Counter(columns).items() if times > 1 and name]
    if twice:
        raise InvalidFile(f"The header has more than one column named {listed(twice)}: keep one of each.")
    ids = meant(columns, [CUSTOMER_ID])[CUSTOMER_ID]
    return tuple(CUSTOMER_ID if name == ids else name for name in columns)


def _has_id(header: _Header) -> bool:
    return normal(CUSTOMER_ID) in map(normal, header.columns)


def fields(record: bytes, delimiter: str) -> list[bytes]:
    """The fields of a record, or of its beginning as far as it follows the grammar, without their quotes."""
    if b'"' not in record:
        return record.split(delimiter.encode())
    return [unquoted(record[start:stop]) for start, stop in field_spans(record, delimiter)]


def field_spans(record: bytes, delimiter: str) -> Iterator[tuple[int, int]]:
    """Where the fields of a record begin and end, or of its beginning as far as it follows the grammar."""
    end, pattern, place = delimiter.encode(), grammar(delimiter).field, 0
    while field := pattern.match(record, place):
        stop = field.end()
        if stop < len(record) and not record.startswith(end, stop):
            return
        yield place, stop
        if stop == len(record):
            return
        place = stop + 1


def id_in(record: bytes, dialect: Dialect) -> str:
    """Of a bad record; "" where it cannot be told, since it is not there or what is before it may have moved it."""
    place = dialect.columns.index(CUSTOMER_ID)
    found = fields(record, dialect.delimiter)
    if place and not dialect.has_width(len(found)):
        return ""
    try:
        customer_id = found[place].decode()
    except (IndexError, UnicodeDecodeError):
        return ""
    return customer_id if len(customer_id) <= MAX_ID_CHARACTERS and "\0" not in customer_id else ""


def unquoted(field: bytes) -> bytes:
    return field[1:-1].replace(b'""', b'"') if field.startswith(b'"') else field


def _check_kind(head: bytes) -> None:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise InvalidFile(f"The file is named as CSV, but is {kind}.")
    if _MARKUP.match(head, 0, 1000):
        raise InvalidFile("The file is HTML or XML, which some programs name .xls: open it, and save it as CSV.")
    if _JSON.match(head, 0, 1000):
        raise InvalidFile("The file is named as CSV, but looks like JSON: write one object a line, and name it .jsonl.")


def _after_blank_lines(text: bytes, start: int) -> int:
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


def _without_customer_id(columns: tuple[str, ...]) -> InvalidFile:
    if any("\0" in name for name in columns):
        return _binary()
    quoted = [name for name in columns if re.sub(r"[\W_]", "", name.casefold()) == "customerid"]
    if quoted:
        return InvalidFile(f"The header has no column {CUSTOMER_ID}, but {listed(quoted)}: name it {CUSTOMER_ID}.")
    remedy = f"Put the names of the columns into the first line, with {CUSTOMER_ID} for the ids"
    return InvalidFile(f"The header has {without_ids(columns, remedy)}.")
