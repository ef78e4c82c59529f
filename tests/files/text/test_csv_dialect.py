"""A header says the delimiter and the columns, or one sentence says why the file cannot be scored."""

import pytest

from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.text.csv_dialect import Dialect, detect_dialect
from loyalty_ml.files.text.csv_lines import State, split_records
from loyalty_ml.files.text.lines import LIMITS

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("header", "dialect"),
    [
        (b"customer_id,revenue", Dialect(",", ("customer_id", "revenue"))),
        (b"revenue;customer_id;a,b", Dialect(";", ("revenue", "customer_id", "a,b"))),
        (b"customer_id\trevenue", Dialect("\t", ("customer_id", "revenue"))),
        (b"customer_id|revenue", Dialect("|", ("customer_id", "revenue"))),
        (b"customer_id", Dialect(",", ("customer_id",))),
        (b' customer_id , revenue\t,"a ""b"", c"', Dialect(",", ("customer_id", "revenue", 'a "b", c'))),
        (b'"customer_id","two\r\nlines"', Dialect(",", ("customer_id", "two\r\nlines"))),
        # By both there is a customer_id: by the semicolon there are more columns.
        (b"customer_id;a,customer_id,b;c;d", Dialect(";", ("customer_id", "a,customer_id,b", "c", "d"))),
        # By the comma there are more columns, and none is customer_id.
        (b"customer_id;a,b,c,d", Dialect(";", ("customer_id", "a,b,c,d"))),
        ("customer_id,größe".encode(), Dialect(",", ("customer_id", "größe"))),
        (b",customer_id", Dialect(",", ("", "customer_id"))),
        (b",,customer_id,,a", Dialect(",", ("", "", "customer_id", "", "a"))),
        (b"customer_id,a,,,", Dialect(",", ("customer_id", "a"), nameless=3)),
        (b'customer_id;" ";', Dialect(";", ("customer_id",), nameless=2)),
        ("a,\ufeffCustomer\u00a0ID".encode(), Dialect(",", ("a", "customer_id"))),
        (b"a,CustomerId,customer_id", Dialect(",", ("a", "CustomerId", "customer_id"))),
        # In the encoding of Excel's plain CSV.
        (b"customer_id,gr\xf6\xdfe", Dialect(",", ("customer_id", "größe"))),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b""])
@pytest.mark.parametrize("before", [b"", b"\n \t\r\n", b",,,\n;;;\r\n", b"\t\t\r|| |\n"])
def test_the_delimiter_is_the_one_that_gives_a_customer_id(
    header: bytes, dialect: Dialect, end: bytes, before: bytes
) -> None:
    head = before + header + end
    lines = (2 if before else 0) + (2 if b"\n" in header else 1)
    assert detect_dialect(head, whole=True) == (dialect, len(head), lines)
    if end:
        assert detect_dialect(head + b"1,2,3\n", whole=False) == (dialect, len(head), lines)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    ("separator", "header", "dialect"),
    [
        (b"sep=;", b"customer_id;name", Dialect(";", ("customer_id", "name"))),
        (b'"SEP=,"', b"customer_id,name;note", Dialect(",", ("customer_id", "name;note"))),
        (b"sep=\t", b"customer_id\ta,b,c", Dialect("\t", ("customer_id", "a,b,c"))),
        # More columns by the comma.
        (b"sep=;", b"customer_id;a,customer_id,b,c", Dialect(";", ("customer_id", "a,customer_id,b,c"))),
        # What it says is not so.
        (b"sep=;", b"customer_id,name", Dialect(",", ("customer_id", "name"))),
        (b"sep=:", b"customer_id,name", Dialect(",", ("customer_id", "name"))),
    ],
)
def test_the_line_by_which_excel_is_told_the_delimiter_is_read(
    separator: bytes, header: bytes, dialect: Dialect, end: bytes
) -> None:
    head = separator + end + header + end
    assert detect_dialect(head + b"1", whole=True) == (dialect, len(head), 2)


@pytest.mark.parametrize(
    "line",
    [
        b"1001,first@example.org,+490000000001",
        b"Anna;Schmidt;1990-02-28;10115",
        b"c-1001\tAnna\tx",
        b"Anna|anna@example.org",
        b"+490000000001",
        b"550e8400-e29b-41d4-a716-446655440000,Anna",
        b"K4711;Anna Schmidt;Berlin",
        b"a1b2c3",
        b",,AB 123,",
    ],
)
def test_a_message_shows_no_customer_of_a_file_without_a_header(line: bytes) -> None:
    with pytest.raises(InvalidFile) as refused:
        detect_dialect(line + b"\n" + line + b"\n", whole=True)
    assert refused.value.message == (
        "The header has no column customer_id, but what looks like values: write the names of the columns into the "
        "first line."
    )


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
def test_a_line_end_that_is_cut_in_half_counts_once(end: bytes) -> None:
    dialect, taken, lines = detect_dialect(b"customer_id\r", whole=False)
    found, state = split_records(b"customer_id\r"[taken:], dialect, State(b"", 1 + lines, skipping=False), final=False)
    assert not found.text
    found, _ = split_records(end[1:] + b"7\n", dialect, state, final=True)
    assert (bytes(found.text), found.lines.tolist()) == (b"7\n", [2])


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"", "The file is empty: it needs a header with a column customer_id."),
        (b" \r\n\n\t", "The file is empty: it needs a header with a column customer_id."),
        (
            b"id;revenue\n1;2\n",
            "The header has no column customer_id: its columns are 'id', 'revenue'. Put the names of the columns into "
            "the first line, with customer_id for the ids.",
        ),
        (
            b"Customers of November\n\ncustomer_id;name\n1;a\n",
            "The header has no column customer_id: its columns are 'Customers of November'. Put the names of the "
            "columns into the first line, with customer_id for the ids.",
        ),
        (
            ",".join(f"c{number}" for number in range(23)).encode(),
            "The header has no column customer_id: its columns are "
            + ", ".join(f"'c{number}'" for number in range(20))
            + " and 3 more. Put the names of the columns into the first line, with customer_id for the ids.",
        ),
        (b",,\nid,,name,\n", "The header has no column customer_id: its columns are 'id', 'name'."),
        (b",,\n;;\n", "The file is empty: it needs a header with a column customer_id."),
        (
            b'"Customer_ID",customer-id\n',
            "The file has the columns 'Customer_ID', 'customer-id', which both mean customer_id: keep one of them.",
        ),
        (
            b"revenue|'customer_id'\n",
            "The header has no column customer_id, but \"'customer_id'\": name it customer_id.",
        ),
        (
            b"customer_id,a,customer_id,a\n",
            "The header has more than one column named 'customer_id', 'a': keep one of each.",
        ),
        (b"customer_id,\0\n", "The header has NUL bytes, so this is not a text file: save the file as CSV in UTF-8."),
        (b"customer_id,2017,2017\n", "The header has more than one column named '2017': keep one of each."),
        (b"\x7fELF\0\0\n", "The header has NUL bytes, so this is not a text file: save the file as CSV in UTF-8."),
        (
            b'customer_id,"a\n1,2\n',
            "The header has a misplaced quote: quote whole names.",
        ),
        (
            b'customer_id,"a\n1,2\n3,4"\n5,6\n',
            "The header has a misplaced quote: quote whole names.",
        ),
        (
            b'customer_id,a"b"\n',
            "The header has a misplaced quote: quote whole names.",
        ),
        (
            b"customer_id," + b"x" * LIMITS.line_bytes + b"\n",
            "The header is longer than 1,000,000 bytes: put the names of the columns on one line.",
        ),
        (
            b"\x1f\x8b\x08\0\0\0\n",
            "The file is named as CSV, but is a gzip file: name it .csv.gz or .jsonl.gz, by what is in it.",
        ),
        (b"PAR1\x15\0\n", "The file is named as CSV, but is a Parquet file: name it .parquet."),
        (
            b"PK\x03\x04\0\0\n",
            "The file is named as CSV, but is an Excel or zip file: save it as CSV, or unpack it.",
        ),
        *(
            (head, "The file is HTML or XML, which some programs name .xls: open it, and save it as CSV.")
            for head in (
                b"<html><table><tr><td>customer_id</td></tr></table></html>",
                b'\r\n  <!DOCTYPE html>\n<meta charset="utf-8">',
                b'<?xml version="1.0"?>\n<Workbook>\n',
                b"<TABLE border=1>\n",
            )
        ),
        (
            b'{"customer_id": "1"}\n',
            "The file is named as CSV, but looks like JSON: write one object a line, and name it .jsonl.",
        ),
        (
            b'\n[\n {"customer_id": "1"}]\n',
            "The file is named as CSV, but looks like JSON: write one object a line, and name it .jsonl.",
        ),
    ],
)
def test_a_header_that_will_not_do_is_refused_with_a_sentence(head: bytes, sentence: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        detect_dialect(head, whole=True)
    assert refused.value.message == sentence


def test_a_header_may_be_as_long_as_a_line() -> None:
    name = "x" * (LIMITS.line_bytes - len("customer_id,"))
    head = f"customer_id,{name}\n".encode()
    dialect, taken, lines = detect_dialect(head, whole=True)
    assert (dialect.columns, taken, lines) == (("customer_id", name), len(head), 1)
    with pytest.raises(InvalidFile, match="longer than"):
        detect_dialect(head[:-1] + b"x" * 10, whole=False)
