"""What CSV alone has: delimiters, quotes, line ends, encodings, a header; and formulas that a spreadsheet runs."""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_ml.files.sizes import Sizes
from tests.examples import examples
from tests.files.deployed import TYPES, Answered, Files, assert_all_answered
from tests.files.disturbed import SMALL, Blocks, Jobs, rows_with_features, score
from tests.files.generated import BROKEN, UNNAMED, Line, assert_all_told, ids, joined_lines, lines_in, up_to, values
from tests.files.writings import HEADER, as_csv, in_members, packed
from tests.service import GOOD, SNAPSHOT_FEATURES

pytestmark = pytest.mark.moto


@st.composite
def csv_files(draw: st.DrawFn) -> tuple[bytes, list[Line]]:
    """A CSV file's header and its lines."""
    delimiter = draw(st.sampled_from(",;\t|"))
    columns = draw(
        st.permutations([*HEADER, *draw(st.lists(st.sampled_from(["note", "Revenue", 'a\n"b']), unique=True))])
    )
    line_ends = st.sampled_from(["\n", "\r\n", "\r"])

    def field(text: str) -> str:
        must = any(character in text for character in f'{delimiter}"\r\n') or not text.strip(" \t")
        return '"' + text.replace('"', '""') + '"' if must or draw(st.booleans()) else text

    def joined(cells: Mapping[str, str]) -> str:
        return delimiter.join(cells[name] for name in columns)

    @st.composite
    def line(draw: st.DrawFn) -> Line:
        end = draw(line_ends)
        customer_id = draw(ids)
        texts, numbers = draw(values())
        cells = {name: field(text) for name, text in zip(SNAPSHOT_FEATURES, texts, strict=True)}
        cells = {"customer_id": field(customer_id), **{name: "x" for name in columns if name not in HEADER}, **cells}
        match draw(
            st.sampled_from(
                ["good"] * 6 + ["few", "many", "quote", "after", "not UTF-8", "NUL", "unnamed", "long", "blank"]
            )
        ):
            case "few":
                return Line((joined(cells | {"customer_id": "few"}).rpartition(delimiter)[0] + end).encode(), BROKEN)
            case "many":
                return Line((joined(cells | {"customer_id": "many"}) + delimiter + end).encode(), BROKEN)
            case "quote":
                return Line((joined(cells | {"customer_id": 'a"b'}) + end).encode(), BROKEN)
            case "after":
                return Line((joined(cells | {"customer_id": '"a"b'}) + end).encode(), BROKEN)
            case "not UTF-8":
                text = joined(cells | {"customer_id": "latin-1"})
                return Line((text + end).encode().replace(b"latin-1", b"M\xfcller"), BROKEN)
            case "NUL":
                return Line((joined(cells | {"customer_id": "a\0b"}) + end).encode(), BROKEN)
            case "unnamed":
                return Line(
                    (joined(cells | {"customer_id": draw(st.sampled_from(["", '""']))}) + end).encode(), UNNAMED
                )
            case "long":
                return Line((joined(cells | {"customer_id": "x" * 257}) + end).encode(), UNNAMED)
            case "blank":
                return Line((draw(st.sampled_from(["", " ", "   "])) + end).encode(), None)
        return Line((joined(cells) + end).encode(), (customer_id, numbers))

    header = delimiter.join('"' + name.replace('"', '""') + '"' for name in columns) + draw(line_ends)
    lines = draw(up_to(25, line()))
    if draw(st.booleans()):
        unclosed = dict.fromkeys(columns, "1") | {"customer_id": '"unclosed'}
        lines.append(Line(joined(unclosed).encode(), BROKEN))
    return header.encode(), lines


@given(csv_files(), st.sampled_from(["csv", "csv.gz", "csv.zst"]), st.sampled_from(list(TYPES)), st.booleans())
@settings(max_examples=examples(50))
def test_any_csv_adds_up_and_its_good_rows_are_answered_as_over_http(
    files: Files,
    written: tuple[bytes, list[Line]],
    extension: str,
    kind: str,
    utf_16: bool,  # noqa: FBT001 (hypothesis gives it by its place)
) -> None:
    header, lines = written
    text, rows = joined_lines(lines, 1 + lines_in(header))
    if header.endswith(b"\r") and text.startswith(b"\n"):
        header = header[:-1] + b"\n\n"  # the same two lines
    content = header + text
    if utf_16 and b"M\xfc" not in content:
        content = content.decode().encode("utf-16")
    assert_all_told(files, files.key(extension, kind), packed(extension, content), rows)


WRITINGS: dict[str, tuple[str, Callable[[list[list[Any]]], bytes]]] = {
    "comma": ("csv", as_csv),
    "semicolon": ("csv", lambda rows: as_csv(rows, delimiter=";")),
    "tab": ("csv", lambda rows: as_csv(rows, delimiter="\t")),
    "bar": ("CSV", lambda rows: as_csv(rows, delimiter="|")),
    "quoted, CRLF": ("csv", lambda rows: as_csv(rows, quoting=csv.QUOTE_ALL, lineterminator="\r\n")),
    "CR": ("csv", lambda rows: as_csv(rows, lineterminator="\r")),
    "without a last line end": ("csv", lambda rows: as_csv(rows).rstrip(b"\n")),
    "UTF-8 with a mark": ("csv", lambda rows: as_csv(rows).decode().encode("utf-8-sig")),
    "UTF-16 LE with a mark": ("csv", lambda rows: b"\xff\xfe" + as_csv(rows).decode().encode("utf-16-le")),
    "UTF-16 BE with a mark": ("csv", lambda rows: b"\xfe\xff" + as_csv(rows).decode().encode("utf-16-be")),
    "UTF-16 LE": ("csv", lambda rows: as_csv(rows).decode().encode("utf-16-le")),
    "UTF-16 BE": ("csv", lambda rows: as_csv(rows).decode().encode("utf-16-be")),
    "gzip": ("csv.gz", lambda rows: gzip.compress(as_csv(rows))),
    "gzip of several members": ("csv.gz", lambda rows: in_members("csv.gz", as_csv(rows))),
    "Zstandard": ("csv.zst", lambda rows: zstd.compress(as_csv(rows))),
    "Zstandard of several frames": ("CSV.zst", lambda rows: in_members("csv.zst", as_csv(rows))),
    "gzip of UTF-16": ("csv.gz", lambda rows: gzip.compress(as_csv(rows).decode().encode("utf-16"))),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_one_table_has_the_same_answers_however_it_is_written(files: Files, answered: Answered, writing: str) -> None:
    extension, write = WRITINGS[writing]
    assert_all_answered(files, answered, extension, write(files.rows()))


def test_utf_16_that_takes_many_invocations_has_the_bytes_of_one(jobs: Jobs) -> None:
    """A block may end within a character."""
    rows = rows_with_features()
    content = as_csv(rows[: len(rows) // 2]).decode().encode("utf-16")
    sizes = replace(SMALL, block_bytes=1_601)
    job = jobs.put("incoming/all/customers.csv", content)
    expected = jobs.undisturbed(job, sizes)
    invocations = 1
    while (ran := score(jobs.worker(sizes=sizes), job, Blocks(1))).outcome == "unfinished":
        invocations += 1
    assert ran.outcome == "finished"
    assert invocations > 3
    assert jobs.results(job) == expected


@pytest.mark.parametrize("content", [b"customer_id", b"\xef\xbb\xbf\r\ncustomer_id;note\r\n\r\n"])
def test_a_header_may_be_all_there_is(files: Files, content: bytes) -> None:
    ran = files.score(files.key("csv"), content)
    assert files.results(ran) == ([], [])
    assert ran.summary is not None
    delimiter = ";" if b";" in content else ","
    predictions = files.read(ran.summary["files"]["predictions"]).decode()
    assert predictions == delimiter.join(["customer_id", "churn_probability", "churn_risk"]) + "\n"


def test_columns_of_any_name_are_ignored_and_named(files: Files) -> None:
    names = ["note", "Revenue", "c0", "c0_0", "answers", "select", "a\nb", 'a"b', "a\\b", "", "file_row_number"]
    content = as_csv([["a", *GOOD.values(), *names]], [*HEADER, *names])
    ran = files.score(files.key("csv"), content)
    plain = files.score(files.key("csv"), as_csv([["a", *GOOD.values()]]))
    assert files.results(ran) == files.results(plain)
    assert ran.summary is not None
    assert ran.summary["ignored_columns"] == names


def test_a_thousand_columns_more_change_no_answer(files: Files) -> None:
    names = [f"x{number}" for number in range(1000)]
    rows = [["a", *GOOD.values(), *range(1000)], ["b", "abc", *list(GOOD.values())[1:], *range(1000)]]
    ran = files.score(files.key("csv"), as_csv(rows, [*HEADER, *names]))
    predictions, errors = files.results(ran)
    assert [row["customer_id"] for row in predictions] == ["a"]
    assert [error["code"] for error in errors] == ["INVALID_FEATURES"]
    assert ran.summary is not None
    assert ran.summary["ignored_columns"] == names[:100]


def zipped(content: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", content)
    return written.getvalue()


CSV = as_csv([["a", *GOOD.values()]])

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "a CSV of blank lines": ("csv", b"\n \r\n\n", "The file is empty: it needs a header with a column customer_id."),
    "an empty gzip": ("csv.gz", gzip.compress(b""), "The file is empty"),
    "a column twice": ("csv", b"customer_id,x,x\n1,2,3\n", "The header has more than one column named 'x'"),
    "customer_id twice": ("csv", b"customer_id,customer_id\n1,1\n", "The header has more than one column named"),
    "a header of 2 MB": ("csv", b"x" * 2_000_000 + b"\n1\n", "The header is longer than 1,000,000 bytes"),
    "a gzip bomb": (
        "csv.gz",
        gzip.compress(b"customer_id\n" + b"0\n" * 10**6),
        "expands to more than 200 times its size",
    ),
    "an empty Zstandard": ("csv.zst", zstd.compress(b""), "The file is empty"),
    "a Zstandard bomb": (
        "csv.zst",
        zstd.compress(b"customer_id\n" + b"0\n" * 10**6),
        "expands to more than 200 times its size (a Zstandard bomb)",
    ),
    "a workbook named .csv": ("csv", zipped(CSV), "The file is named as CSV, but is an Excel or zip file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_csv_that_cannot_be_scored_says_why(files: Files, name: str) -> None:
    extension, content, sentence = REFUSED[name]
    assert sentence in files.refused(extension, content)


def test_a_mark_in_the_middle_is_part_of_an_id_wherever_its_block_begins(files: Files) -> None:
    rows = [[f"\ufeff{number}", *GOOD.values()] for number in range(50)]
    ran = files.score(files.key("csv"), as_csv(rows), worker=files.worker(Sizes(block_bytes=700)))
    predictions, errors = files.results(ran)
    assert ([row["customer_id"] for row in predictions], errors) == ([row[0] for row in rows], [])


def test_mixed_line_ends_are_counted_as_an_editor_does(files: Files) -> None:
    content = b"customer_id\r\nc-1\nnobody\rc-3\r\n\r\nnobody\n\rc-4"
    predictions, errors = files.results(files.score(files.key("csv"), content))
    assert [row["customer_id"] for row in predictions] == ["c-1", "c-3", "c-4"]
    assert [error["line"] for error in errors] == ["3", "6"]


DANGEROUS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1;2)", "\tx", "\r=1", "\n=1", "=", "-", "+1 2", "-1\n"]
HARMLESS = ["-12", "+491701234567", "-1.5", "0", "a=b", "'x", " =1", "1+1"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_a_spreadsheet_would_run_is_written_as_text(files: Files, delimiter: str) -> None:
    ids = [*DANGEROUS, *HARMLESS]
    written = [f"'{customer_id}" for customer_id in DANGEROUS] + HARMLESS
    content = as_csv([[customer_id, *GOOD.values()] for customer_id in ids], delimiter=delimiter)
    predictions, _ = files.results(files.score(files.key("csv"), content))
    assert [row["customer_id"] for row in predictions] == written
    content = as_csv([[customer_id, "x"] for customer_id in ids], ["customer_id", "note"], delimiter=delimiter)
    _, errors = files.results(files.score(files.key("csv"), content))
    assert [error["customer_id"] for error in errors] == written, "in errors.csv too"
