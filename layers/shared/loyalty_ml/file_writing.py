"""Columns of answers as the bytes of a results file: CSV, JSON Lines or Parquet, and errors.csv.

Numbers are written so that they read back to the bit: a probability is the model's float32, as over HTTP.
"""

import csv
import gzip
import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from loyalty_ml import columns
from loyalty_ml.columns import Texts
from loyalty_ml.file_scoring import Failure, Question, Scored
from loyalty_ml.file_source import Format
from loyalty_ml.predictions import Scorer, Scores
from loyalty_ml.rfm import SEGMENT_NAMES, RfmScores, segment_codes
from loyalty_ml.scoring import RISKS, ChurnScores, OfferScores

FORMULA = re.compile(r"[=+\-@\t\r\n]")
"""What a spreadsheet may take for the beginning of a formula."""

_NUMBER = r"[+-]?[0-9]+(\.[0-9]+)?"
"""What begins like one and is harmless: a telephone number, a negative number."""

_FORMULA_FIRST = np.frombuffer(b"=+-@\t\r\n", np.uint8)

GZIP_LEVEL = 6


class Column(NamedTuple):
    """A column of a results file: its name, and its value as an SQL expression over the columns of `_arrays`."""

    name: str
    expression: str


def result_columns(asked: Question) -> list[Column]:
    """The columns after customer_id, by type and in the order of the types."""
    found: list[Column] = []
    for place, (name, scorer) in enumerate(zip(asked.types, asked.scorers, strict=True)):
        match name:
            case "churn":
                found += [
                    Column("churn_probability", f"c{place}_0"),
                    Column("churn_risk", _text_of(f"c{place}_1", RISKS)),
                ]
            case "nbo":
                found += [
                    Column("recommended_offer", f"c{place}_1"),
                    Column("offer_name", _text_of(f"c{place}_1", [offer.offer_name for offer in scorer.offers])),
                    Column("category", _text_of(f"c{place}_1", [offer.category for offer in scorer.offers])),
                    Column("confidence", f"c{place}_0"),
                    *(Column(f"offer_{offer}", f"c{place}_{2 + offer}") for offer in range(len(scorer.offers))),
                ]
            case "rfm":
                values = [Column(value, f"c{place}_{number}") for number, value in enumerate(RfmScores._fields)]
                r_score, f_score, m_score = (f"c{place}_{number}::INTEGER" for number in (3, 4, 5))
                found += [
                    *values,
                    Column("rfm_segment", f"(100 * {r_score} + 10 * {f_score} + {m_score})::VARCHAR"),
                    Column("segment", _text_of(f"c{place}_6", SEGMENT_NAMES)),
                ]
    if asked.is_mock:
        found.append(Column("mock", "true"))
    return found


class Writer:
    """Writes scored rows of one file; several threads may call it at once, each with a connection of its own."""

    def __init__(self, written: Format, delimiter: str, asked: Question, work: Path) -> None:
        self._format = written
        self._asked = asked
        self._work = work
        self._delimiter = delimiter
        self._columns = result_columns(asked)

    def header(self) -> bytes:
        """What comes before all rows."""
        if self._format.kind != "csv":
            return b""
        names = ["customer_id", *(column.name for column in self._columns)]
        return self._packed((self._delimiter.join(names) + "\n").encode())

    def rows(self, connection: duckdb.DuckDBPyConnection, scored: Scored) -> tuple[bytes, int]:
        """The rows' bytes, which can follow one another (of Parquet they are a file of its own), and how many rows."""
        arrays: dict[str, NDArray[Any]] = {}
        for place, (scorer, scores) in enumerate(zip(self._asked.scorers, scored.scores, strict=True)):
            arrays |= {f"c{place}_{number}": array for number, array in enumerate(_arrays(scores, scorer))}
        answers = columns.table(["customer_id", *arrays], [scored.ids, *arrays.values()])  # noqa: F841  DuckDB reads it
        expressions = ", ".join(f'{column.expression} AS "{column.name}"' for column in self._columns)
        with tempfile.NamedTemporaryFile(dir=self._work) as file:
            copied = connection.execute(
                f"COPY (SELECT {self._id(scored.ids)}, {expressions} FROM answers) "  # noqa: S608  our own names
                f"TO '{file.name}' ({self._options()})"
            ).fetchall()
            return self._packed(Path(file.name).read_bytes()), copied[0][0]

    def _id(self, ids: Texts) -> str:
        if self._format.kind != "csv" or not _has_formula(ids):
            return "customer_id"
        return (
            f"CASE WHEN regexp_matches(customer_id, '^{FORMULA.pattern}') "
            f"AND NOT regexp_full_match(customer_id, '{_NUMBER}') "
            "THEN '''' || customer_id ELSE customer_id END AS customer_id"
        )

    def _options(self) -> str:
        match self._format.kind:
            case "csv":
                return f"FORMAT csv, HEADER false, DELIMITER '{self._delimiter}'"
            case "jsonl":
                return "FORMAT json"
            case "parquet":
                return "FORMAT parquet, COMPRESSION zstd"

    def _packed(self, content: bytes) -> bytes:
        return gzip.compress(content, GZIP_LEVEL, mtime=0) if self._format.gzipped and content else content


ERRORS_HEADER = b"line,customer_id,code,error\n"


def error_rows(failures: Iterable[Failure]) -> bytes:
    """Rows of errors.csv."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        (failure.line, safe_text(failure.customer_id), failure.code, safe_text(failure.error)) for failure in failures
    )
    return text.getvalue().encode()


def safe_text(text: str) -> str:
    """The text, after a ' where a spreadsheet would run it."""
    return f"'{text}" if FORMULA.match(text) and not re.fullmatch(_NUMBER, text) else text


def _has_formula(ids: Texts) -> bool:
    starts = ids.offsets[:-1][ids.sizes > 0]
    return bool(np.isin(ids.data[starts], _FORMULA_FIRST).any())


def _arrays(scores: Scores, scorer: Scorer) -> Iterator[NDArray[Any]]:
    """The numbers that a scorer's columns are written from: float64 or int8, (n,) each."""
    match scores:
        case ChurnScores(probability, risk):
            yield probability.astype(np.float64)
            yield risk
        case OfferScores(probabilities, best):
            by_offer = probabilities.T.astype(np.float64)
            yield by_offer.max(axis=0)
            yield best
            yield from by_offer
        case RfmScores():
            yield from scores
            yield segment_codes(scores)


def _text_of(place: str, texts: Sequence[str]) -> str:
    cases = " ".join(f"WHEN {number} THEN '{text.replace(chr(39), chr(39) * 2)}'" for number, text in enumerate(texts))
    return f"CASE {place} {cases} END"
