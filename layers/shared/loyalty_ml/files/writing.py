"""Columns of answers as the bytes of a results file: CSV, JSON Lines or Parquet, and errors.csv.

Numbers are written so that they read back to the bit: a probability is the model's float32, as over HTTP.
"""

import gzip
import itertools
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from loyalty_ml import arrow
from loyalty_ml.arrow import Texts
from loyalty_ml.files.scoring import Failure, Question, Scored
from loyalty_ml.files.source import Format
from loyalty_ml.files.text import columns
from loyalty_ml.models.card import MAX_OFFERS
from loyalty_ml.scoring.answers import Column
from loyalty_ml.scoring.scorers import Scores
from loyalty_ml.vocabulary import CUSTOMER_ID

FORMULA = re.compile(r"[=+\-@\t\r\n]")
"""What a spreadsheet may take for the beginning of a formula."""

_NUMBER = r"[+-]?[0-9]+(\.[0-9]+)?"
"""What begins like one and is harmless: a telephone number, a negative number."""

_FORMULA_FIRST = b"=+-@\t\r\n"
_QUOTED = b'"\r\n,;\t|'
"""Whichever is the delimiter: a spreadsheet may take another one for it, and what follows that for a formula."""

_TO_QUOTE = re.compile(f"[{_QUOTED.decode()}]")

GZIP_LEVEL = 6

_INTEGERS = [str(number) for number in range(MAX_OFFERS)]
"""The texts of places and scores that are shown as numbers."""


class Writer:
    """Writes scored rows of one file; several threads may call it at once, each with a connection of its own."""

    def __init__(self, written: Format, delimiter: str, asked: Question, work: Path) -> None:
        self._format = written
        self._asked = asked
        self._work = work
        self._delimiter = delimiter

    def header(self) -> bytes:
        """What comes before all rows."""
        if self._format.kind != "csv":
            return b""
        names = [column.name for column in self._columns([scorer.answers.nobody() for scorer in self._asked.scorers])]
        flags = ["mock"] if self._asked.is_mock else []
        return self._packed((self._delimiter.join([CUSTOMER_ID, *names, *flags]) + "\n").encode())

    def rows(self, connection: duckdb.DuckDBPyConnection, scored: Scored) -> tuple[bytes, int]:
        """The rows' bytes, which can follow one another (of Parquet they are a file of its own), and how many rows."""
        found = self._columns(scored.scores)
        if self._format.kind == "csv":
            content = self._csv(scored.ids, found)
            return self._packed(content), len(scored.ids.offsets) - 1
        content, rows = self._copied(connection, scored.ids, found)
        return self._packed(content), rows

    def _columns(self, scores: Sequence[Scores]) -> list[Column]:
        """The columns after customer_id, by type and in the order of the types."""
        pairs = zip(self._asked.scorers, scores, strict=True)
        return [column for scorer, columns_of in pairs for column in scorer.answers.columns(columns_of)]

    def _csv(self, ids: Texts, found: Sequence[Column]) -> bytes:
        written = [columns.of_texts(_csv_texts(ids))]
        for column in found:
            if column.values.dtype.kind == "f":
                written.append(columns.of_numbers(column.values))
            elif column.values.dtype == np.bool_:
                written.append(columns.of_choices(column.values.astype(np.int8), ["false", "true"]))
            else:
                choices = [_csv_text(text) for text in column.texts or _INTEGERS]
                written.append(columns.of_choices(column.values, choices))
        if self._asked.is_mock:
            written.append(columns.of_choices(np.zeros(len(ids.offsets) - 1, np.int8), ["true"]))
        return columns.delimited(written, self._delimiter)

    def _copied(self, connection: duckdb.DuckDBPyConnection, ids: Texts, found: Sequence[Column]) -> tuple[bytes, int]:
        names = [f"c{place}" for place in range(len(found))]
        values = [
            column.values.astype(np.int8) if column.values.dtype == np.bool_ else column.values for column in found
        ]
        answers = arrow.table([CUSTOMER_ID, *names], [ids, *values])  # noqa: F841  DuckDB reads it
        selected = [
            f'{_expression(name, column)} AS "{column.name}"' for name, column in zip(names, found, strict=True)
        ]
        if self._asked.is_mock:
            selected.append("true AS mock")
        options = "FORMAT json" if self._format.kind == "jsonl" else "FORMAT parquet, COMPRESSION zstd"
        with tempfile.NamedTemporaryFile(dir=self._work) as file:
            ((rows,),) = connection.execute(
                f"COPY (SELECT {CUSTOMER_ID}, {', '.join(selected)} FROM answers) "  # noqa: S608  our own names
                f"TO '{file.name}' ({options})"
            ).fetchall()
            return Path(file.name).read_bytes(), rows

    def _packed(self, content: bytes) -> bytes:
        return gzip.compress(content, GZIP_LEVEL, mtime=0) if self._format.gzipped and content else content


ERRORS_HEADER = b"line,customer_id,code,error\n"
ERRORS_AT_A_TIME = 10_000
"""Rows that are texts of their own at one time, of which a block may have millions."""


def error_rows(failures: Iterable[Failure]) -> bytes:
    """Rows of errors.csv."""
    rows = (
        f"{line},{_csv_text(customer_id)},{code},{_csv_text(error)}\n" for line, customer_id, code, error in failures
    )
    return b"".join(iter(lambda: "".join(itertools.islice(rows, ERRORS_AT_A_TIME)).encode(), b""))


def safe_text(text: str) -> str:
    """The text, after a ' where a spreadsheet would run it."""
    return f"'{text}" if FORMULA.match(text) and not re.fullmatch(_NUMBER, text) else text


def _csv_texts(ids: Texts) -> Texts:
    """The texts as CSV has them: quoted where that must be, safe for a spreadsheet."""
    first = ids.data[ids.offsets[:-1][ids.sizes > 0]]
    if not _has_any(ids.data, _QUOTED) and not _has_any(first, _FORMULA_FIRST):
        return ids
    return arrow.texts_of([_csv_text(text) for text in ids.to_list()])


def _has_any(data: NDArray[np.uint8], wanted: bytes) -> bool:
    # One by one, which takes a twentieth of what np.isin takes.
    return any((data == byte).any() for byte in wanted)


def _csv_text(text: str) -> str:
    safe = safe_text(text)
    return '"' + safe.replace('"', '""') + '"' if _TO_QUOTE.search(safe) else safe


def _expression(name: str, column: Column) -> str:
    if column.values.dtype == np.bool_:
        return f"{name} = 1"
    return _chosen(name, column.texts) if column.texts else name


def _chosen(name: str, texts: Sequence[str]) -> str:
    cases = " ".join(f"WHEN {number} THEN '{text.replace(chr(39), chr(39) * 2)}'" for number, text in enumerate(texts))
    return f"CASE {name} {cases} END"
