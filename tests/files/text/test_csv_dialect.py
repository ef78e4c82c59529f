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
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b""])
@pytest.mark.parametrize("before", [b"", b"\n \t\r\n"])
def test_the_delimiter_is_the_one_that_gives_a_customer_id(
    header: bytes, dialect: Dialect, end: bytes, before: bytes
) -> None:
    head = before + header + end
    lines = (2 if before else 0) + (2 if b"\n" in header else 1)
    assert detect_dialect(head, whole=True) == (dialect, len(head), lines)
    if end:
        assert detect_dialect(head + b"1,2,3\n", whole=False) == (dialect, len(head), lines)


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
        (b"id;revenue\n1;2\n", "The header has no column customer_id: its columns are 'id', 'revenue'."),
        (
            ",".join(f"c{number}" for number in range(23)).encode(),
            "The header has no column customer_id: its columns are "
            + ", ".join(f"'c{number}'" for number in range(20))
            + " and 3 more.",
        ),
        (
            b'"Customer_ID",revenue\n',
            "The header has no column customer_id, but 'Customer_ID': name it customer_id exactly.",
        ),
        (
            b"revenue|'customer_id'\n",
            "The header has no column customer_id, but \"'customer_id'\": name it customer_id exactly.",
        ),
        (
            b"customer_id,a,customer_id,a\n",
            "The header has more than one column named 'customer_id', 'a': keep one of each.",
        ),
        (b"customer_id,,\n", "The header has 2 columns without a name: name or remove them."),
        (b"customer_id,\0\n", "The header has NUL bytes, so this is not a text file: save the file as CSV in UTF-8."),
        (b"\x7fELF\0\0\n", "The header has NUL bytes, so this is not a text file: save the file as CSV in UTF-8."),
        (b"customer_id,\xfc\n", "The header is not valid UTF-8: save the file as UTF-8."),
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
