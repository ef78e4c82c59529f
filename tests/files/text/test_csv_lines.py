"""Text is split into records exactly, wherever it is cut into blocks, and nothing of it vanishes."""

import csv
import io
import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loyalty_ml.files.text import bit_words, csv_lines
from loyalty_ml.files.text.csv_lines import BadLine, Dialect, Records, State, split_records
from loyalty_ml.files.text.lines import Limits, line_ends, split_lines
from tests.examples import examples

pytestmark = pytest.mark.unit

DIALECT = Dialect(",", ("customer_id", "revenue", "note"))
LINE_BYTES, RECORD_LINES = SMALL = Limits(line_bytes=40, record_lines=4)
"""What a line and a record may have in the tests, so that a short text can exceed it."""

Found = tuple[list[tuple[int, bytes]], list[BadLine]]


def found_in(blocks: Sequence[bytes], dialect: Dialect = DIALECT, line: int = 1) -> Found:
    """The records with their lines, and the bad lines, of a text in blocks."""
    state = State(b"", line, skipping=False)
    records, bad, counted = [], [], 0
    for number, block in enumerate(blocks, 1):
        found, state = split_records(block, dialect, state, final=number == len(blocks), limits=SMALL)
        records += numbered(found)
        bad += found.bad
        counted += found.blank + line_ends(found.text) + sum(each.lines for each in found.bad)
        assert len(state.rest) <= LINE_BYTES + 1
    assert (state.rest, state.skipping) == (b"", False)
    assert counted == state.line - line == len(physical_lines(b"".join(blocks))), "each line is of one kind"
    return records, bad


def numbered(found: Records) -> list[tuple[int, bytes]]:
    r"""Each record with the line at which it begins; a \n ends one where as many quotes are opened as are closed."""
    records, record = [], b""
    for part in bytes(found.text).splitlines(keepends=True):
        record += part
        if record.endswith(b"\n") and record.count(b'"') % 2 == 0:
            records.append(record)
            record = b""
    assert not record
    return list(zip(found.lines.tolist(), records, strict=True))


def physical_lines(text: bytes) -> list[tuple[bytes, bytes]]:
    """Each line with its end, read byte by byte."""
    lines, line, place = [], b"", 0
    while place < len(text):
        end = b"\r\n" if text[place : place + 2] == b"\r\n" else text[place : place + 1]
        place += len(end)
        if end in (b"\r\n", b"\r", b"\n"):
            lines.append((line, end))
            line = b""
        else:
            line += end
    return [*lines, (line, b"\n")] if line else lines


def read_record(text: bytes, delimiter: bytes) -> tuple[str, int]:
    """'whole', 'open' or 'wrong', and how many fields there are, read byte by byte."""
    state, columns = "begin", 1
    for byte in (text[place : place + 1] for place in range(len(text))):
        if state == "quoted":
            state = "quote" if byte == b'"' else "quoted"
        elif byte == delimiter:
            state, columns = "begin", columns + 1
        elif byte == b'"':
            if state == "plain":
                return "wrong", columns
            state = "quoted"  # the field's first, or the second of a doubled one
        elif state == "quote":
            return "wrong", columns
        else:
            state = "plain"
    return ("open" if state == "quoted" else "whole"), columns


def swallows_rows(record: bytes, delimiter: bytes, wanted: range) -> bool:
    """Whether lines of the only quoted field are rows by themselves: its first, its last and half of the others."""
    begins_field = [place for place in range(len(record)) if place == 0 or record[place - 1 : place] == delimiter]
    outside = [place for place in begins_field if not record[:place].count(b'"') % 2]
    if sum(record[place : place + 1] == b'"' for place in outside) != 1:
        return False
    written = [line for line, _ in physical_lines(record) if line]
    rows = [line.count(delimiter) + 1 in wanted and line.strip(b'" \t') != b"" for line in written]
    return rows[0] and rows[-1] and sum(rows[1:-1]) >= len(rows[1:-1]) / 2


def expected(text: bytes, dialect: Dialect = DIALECT) -> tuple[list[tuple[int, bytes]], dict[int, str]]:
    """By the rules as a person would follow them: the records, and of each bad line a word of its problem."""
    delimiter = dialect.delimiter.encode()
    wanted = range(len(dialect.columns), len(dialect.columns) + dialect.nameless + 1)
    lines = physical_lines(text)
    records, bad, place = [], {}, 0
    while place < len(lines):
        number, (line, _) = place + 1, lines[place]
        taken = 1
        if len(line) > LINE_BYTES:
            bad[number] = "longer"
        elif line.strip(b" \t".replace(delimiter, b"")) and line.strip(delimiter):
            first, columns = read_record(line, delimiter)
            record = line
            read = first
            while read == "open" and taken < RECORD_LINES and place + taken < len(lines):
                record += lines[place + taken - 1][1] + lines[place + taken][0]
                taken += 1
                if len(record) > LINE_BYTES:
                    break
                read, columns = read_record(record, delimiter)
            is_swallowed = taken > 1 and swallows_rows(record, delimiter, wanted)
            if read != "whole" or columns not in wanted or len(record) > LINE_BYTES or is_swallowed:
                taken = 1
                bad[number] = "column" if first == "whole" else "quote"
            elif b"\0" in record and b"\xff" in record:
                bad[number] = ""  # either is the problem
            elif b"\0" in record:
                bad[number] = "NUL"
            elif b"\xff" in record:
                bad[number] = "UTF-8"
            else:
                records.append((number, record + b"\n"))
        place += taken
    return records, bad


# fmt: off
pieces = st.sampled_from(
    [b"x" * LINE_BYTES, b"y" * (LINE_BYTES - 3), "é€".encode(), b"\xff", b"\0", b"a", b"1.5", b" ", b"\t", b";", b",",
     b",", b'"', b'"', b'""', b'","', b',"', b'",', b"\n", b"\n", b"\r\n", b"\r\n", b"\r", b'"\n', b'"\r\n', b'\n"']
)
lines = st.sampled_from(
    [b"1,2,3", b'"1","2","3"', b'1,"a ""b"", c",3', b'1,"two\nlines",3', b'1,"a\r\nb\rc",3', b'1,2,""', b",,", b"1,2",
     b"1,2,3,4", b'1,2,"3', b'1,"2,3', b'1,2",3', b'1,"2"x,3', b"1,\xff,3", b"1,\0,3", b'"\xff",2,3', b"", b"  ",
     b"1," + b"x" * (LINE_BYTES - 3) + b",", b"1," + b"x" * (LINE_BYTES - 4) + b",", '"é",2,"€"'.encode()]
)
# fmt: on
whole_lines = st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b"\r"])).map(b"".join), max_size=12)
texts = st.one_of(st.lists(pieces, max_size=40), whole_lines, st.lists(st.one_of(pieces, lines), max_size=25)).map(
    b"".join
)
dialects = st.sampled_from(
    [
        DIALECT,
        Dialect(",", ("customer_id",)),
        Dialect(";", ("customer_id", "revenue")),
        Dialect("\t", ("a", "customer_id")),
        Dialect(",", ("customer_id", "revenue"), nameless=2),
        Dialect(",", ("customer_id",), nameless=1),
    ]
)


def cut(text: bytes, places: Sequence[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:stop] for start, stop in itertools.pairwise(ends)]


@given(text=texts, dialect=dialects)
@settings(max_examples=examples(400))
def test_every_line_is_where_the_rules_put_it(text: bytes, dialect: Dialect) -> None:
    records, bad = found_in([text], dialect)
    wanted, problems = expected(text, dialect)
    assert records == wanted
    assert [line.line for line in bad] == list(problems)
    for line in bad:
        assert problems[line.line] in line.problem


@given(text=texts, dialect=dialects, places=st.lists(st.integers(0, 10**6), max_size=6))
@settings(max_examples=examples(400))
def test_blocks_may_be_cut_anywhere(text: bytes, dialect: Dialect, places: list[int]) -> None:
    assert found_in(cut(text, places), dialect) == found_in([text], dialect)


@given(text=texts, dialect=dialects)
@settings(max_examples=examples(200))
def test_blocks_may_be_of_one_byte(text: bytes, dialect: Dialect) -> None:
    assert found_in(cut(text, range(len(text))), dialect) == found_in([text], dialect)


fields = st.text(st.sampled_from('ab ,;"\r\n\té€'), max_size=6)


@given(
    rows=st.lists(st.tuples(st.text("abé", min_size=1, max_size=4), fields, fields), max_size=8),
    style=st.sampled_from(
        [
            {"lineterminator": "\n", "quoting": csv.QUOTE_ALL},
            {"lineterminator": "\r\n", "quoting": csv.QUOTE_ALL},
            {"lineterminator": "\r\n", "quoting": csv.QUOTE_MINIMAL},
        ]
    ),
)
@settings(max_examples=examples(200))
def test_what_a_writer_of_csv_wrote_is_read_again(rows: list[tuple[str, str, str]], style: dict[str, Any]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, **style).writerows(rows)
    # A field of which each line looks like a row cannot be told from rows between two stray quotes.
    assume(not any("," in field and ("\n" in field or "\r" in field) for row in rows for field in row))
    found, _ = split_records(written.getvalue().encode(), DIALECT, State(b"", 1, skipping=False), final=True)
    read = csv.reader(io.StringIO(bytes(found.text).decode(), newline=""))
    assert [tuple(row) for row in read] == rows
    assert found.bad == []


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_a_record_may_be_as_large_as_its_limits_and_no_larger(end: bytes, excess: int) -> None:
    quoted = b'1,"' + end * (RECORD_LINES - 1 + excess) + b'",3'
    long = b'1,"' + end + b"x" * (LINE_BYTES - len(b'1,"' + end + b'",3') + excess) + b'",3'
    plain = b"1,2," + b"x" * (LINE_BYTES - len(b"1,2,") + excess)
    for record in (quoted, long, plain):
        text = record + end + b"4,5,6" + end
        records, problems = expected(text)
        assert bool(problems) == (excess > 0)
        for place in range(len(text) + 1):
            found, bad = found_in([text[:place], text[place:]])
            assert (found, [line.line for line in bad]) == (records, list(problems))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_that_are_quoted_right_are_not_read_one_by_one(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(str(number), "a, b" * (number % 5), '"' * (number % 7)) for number in range(200)]
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    monkeypatch.delattr(csv_lines, "_judge")
    found, _ = split_records(written.getvalue().encode(), DIALECT, State(b"", 1, skipping=False), final=True)
    assert list(map(tuple, csv.reader(io.StringIO(bytes(found.text).decode())))) == rows


def test_a_stray_quote_makes_its_own_line_bad_and_no_other() -> None:
    text = b'1,"2,3\n' + b"".join(b"%d,2,3\n" % number for number in range(2, 30))
    records, bad = found_in([text])
    assert [line for line, _ in records] == list(range(2, 30))
    sentence = "A quote is opened that is not closed, or not so that one row of the header's columns comes of it."
    assert bad == [BadLine(1, "1", sentence)]


STRAY = {
    "the beginning": b'%d,"x,3',
    "the end": b'%d,x,3"',
    "the middle": b'%d,x"x,3',
    "the id": b'"%d,x,3',
    "the id's end": b'%d",x,3',
    "a field of its own": b'%d,",3',
}


@given(
    strays=st.dictionaries(st.integers(0, 19), st.sampled_from(list(STRAY.values())), max_size=6),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    blanks=st.sets(st.integers(0, 19), max_size=3),
    has_last_end=st.booleans(),
    place=st.integers(0, 300),
)
@settings(max_examples=examples(300))
def test_stray_quotes_swallow_nobody(
    strays: dict[int, bytes],
    end: bytes,
    blanks: set[int],
    has_last_end: bool,  # noqa: FBT001 (hypothesis gives it by its place)
    place: int,
) -> None:
    """Of rows that are written without quoting, those with a quote may be bad, and all others are read."""
    written = [strays.get(number, b"%d,x,3") % number + end * (1 + (number in blanks)) for number in range(20)]
    text = b"".join(written) if has_last_end else b"".join(written).rstrip(b"\r\n")
    state = State(b"", 1, skipping=False)
    read, bad = [], []
    for block, final in ((text[:place], False), (text[place:], True)):
        found, state = split_records(block, DIALECT, state, final=final)
        read += bytes(found.text).splitlines()
        bad += found.bad
    assert [row for row in read if b'"' not in row] == [b"%d,x,3" % n for n in range(20) if n not in strays]
    assert len(read) + len(bad) == 20
    assert len(bad) == len(strays)


@pytest.mark.parametrize(
    "field",
    [
        b"Dear Sir,\nthank you\nfor your letter",
        b"one, two\n\nthree",
        b"Road 1,\nTown\nCountry",
        b'a ""quoted"" word\n, and more',
        b"1,2,3\n1,2,3\nand so on",
    ],
)
def test_a_field_of_several_lines_is_one_field(field: bytes) -> None:
    text = b'1,"' + field + b'",3\n'
    found, _ = split_records(text, DIALECT, State(b"", 1, skipping=False), final=True)
    assert (bytes(found.text), found.bad) == (text, [])


def test_a_bad_line_says_whose_it_is_where_that_is_certain() -> None:
    second = Dialect(",", ("revenue", "customer_id"))
    text = b'a,1\n"b"\n5\n\xff,c\nd,\xff\n6,7,8\n9,"x\n'
    _, bad = found_in([text], second)
    assert [(line.line, line.customer_id) for line in bad] == [(2, ""), (3, ""), (4, "c"), (5, ""), (6, ""), (7, "")]
    _, bad = found_in([text.replace(b"a,1", b'"a, ""1""",2,3,4')])
    assert [line.customer_id for line in bad] == ['a, "1"', "b", "5", "", "d", "9"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"1", "The line has 1 column where the header has 3."),
        (b"1,2,3,4", "The line has 4 columns where the header has 3."),
        (b'1,2",3', "A quote is in the middle of a field that does not begin with one."),
        (b'1,"2" ,3', "A quoted field goes on after its closing quote."),
        (
            b"1,\xff,3",
            'The line is not valid UTF-8: save the file as UTF-8, which Excel calls "CSV UTF-8".',
        ),
        (b"1,\0,3", "The line has NUL bytes."),
        (b"1,2," + b"3" * LINE_BYTES, "The line is longer than 40 bytes."),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: bytes, problem: str) -> None:
    records, bad = found_in([b"1,2,3\n\n" + line + b"\n4,5,6\n"], line=2)
    assert [number for number, _ in records] == [2, 5]
    assert [(found.line, found.problem) for found in bad] == [(4, problem)]


UNREADABLE = st.sampled_from([b"\xff", b"\xfcber", b"M\xfcller", b"a\0b", b"\xed\xa0\x80", b'"\xe9, ""\xe9"""'])


@given(
    rows=st.lists(st.tuples(*[st.one_of(st.just(b"a"), st.just("é".encode()), UNREADABLE)] * 3), max_size=8),
    read=st.sets(st.sampled_from(DIALECT.columns)),
    place=st.integers(0, 100),
)
@settings(max_examples=examples(200))
def test_what_is_no_text_matters_where_it_is_read(rows: list[tuple[bytes, ...]], read: set[str], place: int) -> None:
    text = b"".join(b",".join(row) + b"\n" for row in rows)
    state = State(b"", 1, skipping=False)
    read_rows, bad = [], []
    for block, final in ((text[:place], False), (text[place:], True)):
        found, state = split_records(block, DIALECT, state, final=final, read=read)
        read_rows += list(csv.reader(io.StringIO(bytes(found.text).decode())))  # all of it is UTF-8
        bad += found.bad

    def is_good(row: tuple[bytes, ...]) -> bool:
        return all(field.isascii() or field == "é".encode() for field in row_of(row)) and b"\0" not in b"".join(
            row_of(row)
        )

    def row_of(row: tuple[bytes, ...]) -> list[bytes]:
        return [field for name, field in zip(DIALECT.columns, row, strict=True) if name in read]

    assert [line.line for line in bad] == [number for number, row in enumerate(rows, 1) if not is_good(row)]
    good = [row for row in rows if is_good(row)]
    for row, cells in zip(good, read_rows, strict=True):
        wanted = [field.decode() for field in row_of(row)]
        assert [cell for name, cell in zip(DIALECT.columns, cells, strict=True) if name in read] == wanted


def test_a_record_over_several_lines_that_cannot_be_read_is_all_of_them() -> None:
    _, bad = found_in([b'1,"two\r\n\xff\nlines",3\n\n4,5,6\n7,"\0\n",8\n'])
    assert [(line.line, line.lines) for line in bad] == [(1, 3), (6, 2)]


@given(text=st.text(st.sampled_from("a\r\n"), max_size=12))
def test_line_ends_are_counted_as_they_come(text: str) -> None:
    assert line_ends(text.encode()) == len(re.findall("\r\n|\r|\n", text))


def test_a_block_without_a_flaw_is_not_copied() -> None:
    block = b"1,2,3\n4,5,6\n7,8"
    found, state = split_records(block, DIALECT, State(b"", 2, skipping=False), final=False, limits=SMALL)
    assert isinstance(found.text, memoryview)
    assert found.text.obj is block
    assert (bytes(found.text), found.lines.tolist(), found.bad) == (b"1,2,3\n4,5,6\n", [2, 3], [])
    assert state == State(b"7,8", 4, skipping=False)


def test_of_a_line_that_is_too_long_nothing_is_kept() -> None:
    state = State(b"", 1, skipping=False)
    bad = []
    for _ in range(5):
        found, state = split_records(b"x" * 1000, DIALECT, state, final=False, limits=SMALL)
        bad += found.bad
        assert state == State(b"", 1, skipping=True)
    found, state = split_records(b"x\r\n1,2,3\n", DIALECT, state, final=True, limits=SMALL)
    assert [line.line for line in bad] == [1]
    assert numbered(found) == [(2, b"1,2,3\n")]


@given(
    text=st.lists(st.one_of(pieces, st.sampled_from([b'{"customer_id": "1"}', b"{}\n"])), max_size=25).map(b"".join),
    places=st.lists(st.integers(0, 10**6), max_size=6),
)
@settings(max_examples=examples(200))
def test_lines_of_json_are_all_there_or_bad_wherever_blocks_are_cut(text: bytes, places: list[int]) -> None:
    state = State(b"", 1, skipping=False)
    blocks = cut(text, places)
    read, bad, blank = [], [], 0
    for number, block in enumerate(blocks, 1):
        found, state = split_lines(block, state, final=number == len(blocks), limits=SMALL)
        read += found.lines
        bad += [line.line for line in found.bad]
        blank += found.blank
    physical = [(number, line) for number, (line, _) in enumerate(physical_lines(text), 1)]
    assert read == [(number, line) for number, line in physical if len(line) <= LINE_BYTES and line.strip(b" \t")]
    assert bad == [number for number, line in physical if len(line) > LINE_BYTES]
    assert len(read) + len(bad) + blank == len(physical) == state.line - 1


def test_bits_are_counted_the_same_with_numpy_1(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.random.default_rng(5).integers(0, 2**64, 100, np.uint64)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert bit_words.bit_counts(words).tolist() == [int(word).bit_count() for word in words]


@pytest.mark.parametrize("density", [0.0, 0.001, 0.01, 0.5, 1.0])
def test_the_places_of_bits_are_those_of_the_flags(density: float) -> None:
    flags = np.random.default_rng(5).random(300_000) < density
    assert bit_words.places(bit_words.words(flags)).tolist() == np.flatnonzero(flags).tolist()
