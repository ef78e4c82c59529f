"""Columns of answers as the bytes of a results file: CSV, JSON Lines or Parquet, and errors.csv.

Numbers are written so that they read back to the bit: a probability is the model's float32, as over HTTP.
"""

import itertools
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import duckdb
import numpy as np
from numpy.typing import NDArray

from loyalty_ml import arrow
from loyalty_ml.arrow import Texts
from loyalty_ml.files.compression import CODECS
from loyalty_ml.files.scoring import Failure, Question, Scored
from loyalty_ml.files.source import Format
from loyalty_ml.files.table import sql_name
from loyalty_ml.files.text import columns
from loyalty_ml.models.card import MAX_OFFERS
from loyalty_ml.scoring.answers import Column
from loyalty_ml.scoring.scorers import Scores
from loyalty_ml.vocabulary import CUSTOMER_ID

FORMULA = re.compile(r"[=+\-@\t\r\n]")
"""What a spreadsheet may take for the beginning of a formula."""

_NUMBER = r"[+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?"
"""What begins like one and is harmless: a telephone number, a negative number, however it is written."""

_FORMULA_FIRST = b"=+-@\t\r\n"
_QUOTED = b'"\r\n,;\t|'
"""Whichever is the delimiter: a spreadsheet may take another one for it, and what follows that for a formula."""

_TO_QUOTE = re.compile(f"[{_QUOTED.decode()}]")

_INTEGERS = [str(number) for number in range(MAX_OFFERS)]
"""The texts of places and scores that are shown as numbers."""


class Writer:
    """Writes scored rows of one file; several threads may call it at once, each with a connection of its own."""

    def __init__(self, written: Format, delimiter: str, asked: Question, work: Path) -> None:
        self._format = written
        self._asked = asked
        self._work = work
        self._delimiter = delimiter
        self._keep: tuple[str, ...] = ()
        self._input: Path | None = None

    def keeping(self, keep: tuple[str, ...], path: Path | None) -> Self:
        """The same, which writes columns of the file after the answer. path: of a Parquet file."""
        self._keep, self._input = keep, path if keep else None
        return self

    @property
    def names(self) -> list[str]:
        """The columns of an answer."""
        found = self._columns([scorer.answers.nobody() for scorer in self._asked.scorers])
        mock = ["mock"] if self._asked.is_mock else []
        return [CUSTOMER_ID, *(column.name for column in found), *mock, *self._asked.reasons]

    def header(self) -> bytes:
        """What comes before all rows."""
        if self._format.kind != "csv":
            return b""
        names = [*self.names, *map(_csv_text, self._keep)]
        return self._packed((self._delimiter.join(names) + "\n").encode())

    def nobody(self) -> bytes:
        """What makes a file of the header alone whole: without a byte it would be nothing that is compressed."""
        how = self._format.compression
        return CODECS[how].compressed(b"") if how and not self.header() else b""

    def rows(self, connection: duckdb.DuckDBPyConnection, scored: Scored) -> tuple[bytes, int]:
        """The rows' bytes, which can follow one another (of Parquet they are a file of its own), and how many rows."""
        found = self._columns(scored.scores)
        if self._format.kind == "csv":
            content = self._csv(scored, found)
            return self._packed(content), len(scored.ids.offsets) - 1
        content, rows = self._copied(connection, scored, found)
        if scored.kept:
            content = _with_kept(content, scored.kept[0])
        return self._packed(content), rows

    def _columns(self, scores: Sequence[Scores]) -> list[Column]:
        """The columns after customer_id, by type and in the order of the types."""
        pairs = zip(self._asked.scorers, scores, strict=True)
        return [column for scorer, columns_of in pairs for column in scorer.answers.columns(columns_of)]

    def _csv(self, scored: Scored, found: Sequence[Column]) -> bytes:
        ids = scored.ids
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
        written += [columns.of_texts(_csv_texts(texts)) for texts in (*scored.reasons, *scored.kept)]
        return columns.delimited(written, self._delimiter)

    def _copied(
        self, connection: duckdb.DuckDBPyConnection, scored: Scored, found: Sequence[Column]
    ) -> tuple[bytes, int]:
        names = [f"c{place}" for place in range(len(found))]
        values = [
            column.values.astype(np.int8) if column.values.dtype == np.bool_ else column.values for column in found
        ]
        lines = {"line": scored.lines} if self._input and scored.lines is not None else {}
        reasons = self._asked.reasons
        every = [CUSTOMER_ID, *names, *reasons, *lines]
        answers = arrow.table(every, [scored.ids, *values, *scored.reasons, *lines.values()])  # noqa: F841  DuckDB reads it
        selected = [
            f'{_expression(f"answers.{name}", column)} AS "{column.name}"'
            for name, column in zip(names, found, strict=True)
        ]
        if self._asked.is_mock:
            selected.append("true AS mock")
        selected += [f"answers.{name}" for name in reasons]
        selected += [f"kept.{sql_name(name)}" for name in (self._keep if self._input else ())]
        rows_of = f"answers {self._join(scored.lines)}" if scored.lines is not None and self._input else "answers"
        options = "FORMAT json" if self._format.kind == "jsonl" else "FORMAT parquet, COMPRESSION zstd"
        with tempfile.NamedTemporaryFile(dir=self._work) as file:
            ((rows,),) = connection.execute(
                f"COPY (SELECT answers.{CUSTOMER_ID}, {', '.join(selected)} FROM {rows_of}) "  # noqa: S608  quoted
                f"TO '{file.name}' ({options})"
            ).fetchall()
            return Path(file.name).read_bytes(), rows

    def _join(self, lines: NDArray[np.int64]) -> str:
        """Beside the answers of these rows, what a Parquet file has of them, in its own types."""
        first, last = (int(lines[0]), int(lines[-1])) if len(lines) else (1, 0)
        return (
            f"JOIN (SELECT * FROM read_parquet('{self._input}', file_row_number = true) "  # noqa: S608  our own path
            f"WHERE file_row_number BETWEEN {first - 1} AND {last - 1}) AS kept "
            "ON kept.file_row_number = answers.line - 1 ORDER BY answers.line"
        )

    def _packed(self, content: bytes) -> bytes:
        how = self._format.compression
        return CODECS[how].compressed(content) if how and content else content


def _with_kept(lines: bytes, kept: Texts) -> bytes:
    """JSON Lines with more in each object: of `kept` the inside of one each, which may be empty."""
    pairs = zip(lines.splitlines(), kept.to_list(), strict=True)
    return b"".join(b"%b%b}\n" % (line[:-1], b"," + inside.encode() if inside else b"") for line, inside in pairs)


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
