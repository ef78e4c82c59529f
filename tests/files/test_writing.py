"""Results as bytes: numbers to the bit, texts that a spreadsheet does not run, parts that can follow one another."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from loyalty_ml.arrow import NO_EXTENSIONS, texts_of
from loyalty_ml.files.scoring import Failure, Question, Scored, question
from loyalty_ml.files.source import FORMATS
from loyalty_ml.files.writing import ERRORS_HEADER, Writer, error_rows, safe_text
from loyalty_ml.models.card import Offer
from loyalty_ml.scoring.answers import OfferAnswers
from loyalty_ml.scoring.rfm import RfmScores
from loyalty_ml.scoring.scorers import Scores
from loyalty_ml.scoring.scores import ChurnScores, OfferScores, score_offers
from loyalty_ml.vocabulary import FileType
from tests import sample_set
from tests.examples import examples
from tests.files.writings import unpacked, written_as

pytestmark = pytest.mark.unit

MODELS = sample_set.model_set()
EXTENSIONS = tuple(FORMATS)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={**NO_EXTENSIONS, "threads": 1})


def asked(kind: FileType) -> Question:
    return question(kind, MODELS, "false")


def writer(extension: str, kind: FileType, work: Path, delimiter: str = ",") -> Writer:
    return Writer(written_as(f"a.{extension}"), delimiter, asked(kind), work)


def churn(probability: NDArray[np.float32]) -> ChurnScores:
    return ChurnScores(probability, (np.arange(len(probability)) % 4).astype(np.int8))


def read_rows(extension: str, content: bytes) -> list[dict[str, Any]]:
    if extension == "parquet":
        return [dict(row) for row in pq.read_table(io.BytesIO(content)).to_pylist()]
    text = unpacked(extension, content)
    if extension.startswith("csv"):
        return list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    return [json.loads(line) for line in text.splitlines()]


def as_written(
    connection: duckdb.DuckDBPyConnection, extension: str, kind: FileType, work: Path, ids: Sequence[str], scores: Any
) -> list[dict[str, Any]]:
    to = writer(extension, kind, work)
    content, count = to.rows(connection, Scored(texts_of(ids), scores, []))
    assert count == len(ids)
    return read_rows(extension, to.header() + content + (b"" if count else to.nobody()))


def bits(number: Any) -> str:
    return float(number).hex()


@pytest.mark.parametrize("extension", EXTENSIONS)
@given(arrays(np.float32, st.integers(1, 30), elements=st.floats(0, 1, width=32)))
@settings(max_examples=examples(25))
def test_a_probability_is_read_back_to_the_bit(
    connection: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    extension: str,
    probability: NDArray[np.float32],
) -> None:
    ids = [str(number) for number in range(len(probability))]
    work = tmp_path_factory.getbasetemp()
    rows = as_written(connection, extension, "churn", work, ids, [churn(probability)])
    assert [bits(row["churn_probability"]) for row in rows] == [bits(number) for number in probability]
    assert [row["churn_risk"] for row in rows] == [("high", "medium", "low", "lapsed")[n % 4] for n in range(len(ids))]


@pytest.mark.parametrize("extension", EXTENSIONS)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(max_examples=examples(25))
def test_any_float64_of_a_customer_is_too(
    connection: duckdb.DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    extension: str,
    values: list[float],
) -> None:
    column, score = np.array(values), np.full(len(values), 3, np.int8)
    scores = RfmScores(column, column, column, score, score, score)
    work = tmp_path_factory.getbasetemp()
    rows = as_written(connection, extension, "rfm", work, ["a"] * len(values), [scores])
    assert [bits(row["monetary"]) for row in rows] == [bits(value) for value in values]
    assert {row["rfm_segment"] for row in rows} == {"333"}
    assert {row["segment"] for row in rows} == {"Need Attention"}


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_offer_is_written_with_its_name_and_all_probabilities(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, extension: str
) -> None:
    offers = asked("nbo").scorers[0].offers
    probabilities = np.eye(8, dtype=np.float32)[[5, 0]] * np.float32(0.7)
    scores = OfferScores(probabilities, np.array([5, 0], np.int8))
    first, second = as_written(connection, extension, "nbo", tmp_path, ["a", "b"], [scores])
    assert (first["offer_code"], first["offer_name"]) == (offers[5].offer_code, offers[5].offer_name)
    assert first["category"] == offers[5].category
    assert (int(second["recommended_offer"]), second["offer_name"]) == (0, offers[0].offer_name)
    assert bits(first["confidence"]) == bits(first["offer_5"]) == bits(np.float32(0.7))


def test_names_of_offers_are_texts_whatever_is_in_them(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    one = asked("nbo")
    names = ["it's", 'say "hi"', "a,b", "x'; DROP TABLE answers; --", "$1", "ü\\", "{}", "%s"]
    offers = [Offer(offer_id=n, offer_code=name, offer_name=name, category="c") for n, name in enumerate(names)]
    one.scorers[0].answers = OfferAnswers(offers)
    scores = OfferScores(np.eye(8, dtype=np.float32), np.arange(8, dtype=np.int8))
    to = Writer(written_as("a.csv"), ",", one, tmp_path)
    content, _ = to.rows(connection, Scored(texts_of(["a"] * 8), [scores], []))
    rows = read_rows("csv", to.header() + content)
    assert [row["offer_name"] for row in rows] == [row["offer_code"] for row in rows] == names


@pytest.mark.parametrize("count", [2, 127, 128, 200])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_as_many_offers_as_a_catalogue_may_have_are_written_each_at_its_place(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, extension: str, count: int
) -> None:
    one = asked("nbo")
    offers = [Offer(offer_id=n, offer_code=f"c-{n}", offer_name=f"Offer {n}", category="c") for n in range(count)]
    one.scorers[0].answers = OfferAnswers(offers)
    eye = np.eye(count, dtype=np.float32)
    scores = score_offers(eye, lambda matrix: matrix)
    to = Writer(written_as(f"a.{extension}"), ",", one, tmp_path)
    content, written = to.rows(connection, Scored(texts_of(["a"] * count), [scores], []))
    rows = read_rows(extension, to.header() + content)
    assert written == count
    nobody = one.scorers[0].answers.nobody()
    assert [column.dtype for column in nobody] == [column.dtype for column in scores]
    assert [(int(row["recommended_offer"]), row["offer_code"]) for row in rows] == [(n, f"c-{n}") for n in range(count)]


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("kind", ["churn", "nbo", "rfm", "all"])
def test_of_no_rows_there_is_a_header_at_most(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, extension: str, kind: FileType
) -> None:
    none, nothing = np.empty(0, np.int8), np.empty(0)
    scores: dict[str, Scores] = {
        "churn": ChurnScores(np.empty(0, np.float32), none),
        "nbo": OfferScores(np.empty((0, 8), np.float32), none),
        "rfm": RfmScores(nothing, nothing, nothing, none, none, none),
    }
    one = asked(kind)
    assert as_written(connection, extension, kind, tmp_path, [], [scores[name] for name in one.types]) == []
    if extension == "parquet":
        content, _ = writer(extension, kind, tmp_path).rows(
            connection, Scored(texts_of([]), [scores[name] for name in one.types], [])
        )
        header = writer("csv", kind, tmp_path).header().decode()
        assert pq.read_schema(io.BytesIO(content)).names == header.rstrip("\n").split(",")


@pytest.mark.parametrize("extension", [extension for extension in EXTENSIONS if extension != "parquet"])
def test_blocks_can_follow_one_another_and_their_bytes_are_always_the_same(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, extension: str
) -> None:
    scores = churn(np.linspace(0, 1, 10, dtype=np.float32))
    ids = [f"c{number}" for number in range(10)]

    def written(first: int, stop: int) -> bytes:
        part = ChurnScores(scores.probability[first:stop], scores.risk[first:stop])
        return to.rows(connection, Scored(texts_of(ids[first:stop]), [part], []))[0]

    to = writer(extension, "churn", tmp_path)
    blocks = to.header() + written(0, 4) + written(4, 10)
    assert blocks == to.header() + written(0, 4) + written(4, 10)
    assert read_rows(extension, blocks) == read_rows(extension, to.header() + written(0, 10))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_an_id_with_anything_in_it_is_one_field(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, delimiter: str
) -> None:
    ids = [
        "a,b",
        "a;b",
        "a\tb",
        "a|b",
        'a"b',
        '"',
        "a\nb",
        "a\r\nb",
        "a\rb",
        " a ",
        "#a",
        "NULL",
        "\\N",
        "a\\",
        "ü",
        "'a",
    ]
    to = writer("csv", "churn", tmp_path, delimiter)
    content, _ = to.rows(connection, Scored(texts_of(ids), [churn(np.zeros(len(ids), np.float32))], []))
    text = io.StringIO((to.header() + content).decode(), newline="")
    assert [row["customer_id"] for row in csv.DictReader(text, delimiter=delimiter)] == ids


SAFE: Mapping[str, str] = {
    "=1+1": "'=1+1",
    "+cmd": "'+cmd",
    "-2+3": "'-2+3",
    "@SUM(A1)": "'@SUM(A1)",
    "\tx": "'\tx",
    "\r=1": "'\r=1",
    "\n=1": "'\n=1",
    "-": "'-",
    "-1\n": "'-1\n",
    "-1.": "'-1.",
    "+1 2": "'+1 2",
    "-12": "-12",
    "+491701234567": "+491701234567",
    "-1.5": "-1.5",
    "": "",
    "a=1": "a=1",
    "'=1": "'=1",
}


@pytest.mark.parametrize("text", SAFE)
def test_a_text_that_a_spreadsheet_would_run_begins_with_an_apostrophe(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, text: str
) -> None:
    assert safe_text(text) == SAFE[text]
    (row,) = as_written(connection, "csv", "churn", tmp_path, [text], [churn(np.zeros(1, np.float32))])
    assert row["customer_id"] == SAFE[text]
    (row,) = as_written(connection, "jsonl", "churn", tmp_path, [text], [churn(np.zeros(1, np.float32))])
    assert row["customer_id"] == text


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("=+-@\t\r\n.0"), max_size=6))
@settings(max_examples=examples(150))
def test_predictions_and_errors_agree_on_which_texts_these_are(
    connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    work = tmp_path_factory.getbasetemp()
    (row,) = as_written(connection, "csv", "churn", work, [text], [churn(np.zeros(1, np.float32))])
    assert row["customer_id"] == safe_text(text)


def test_errors_are_csv_whatever_is_in_them() -> None:
    failures = [
        Failure(2, "a", "INVALID_LINE", 'The line has "quotes", and commas.'),
        Failure(5, "a\nb,c", "MISSING_FEATURES", "The customer has no value for: revenue"),
        Failure(7, "", "INVALID_CUSTOMER_ID", "The row has no customer_id."),
        Failure(8, "=1", "CUSTOMER_NOT_FOUND", "=SUM(A1)"),
    ]
    found = list(csv.reader(io.StringIO((ERRORS_HEADER + error_rows(failures)).decode(), newline="")))
    assert found[0] == ["line", "customer_id", "code", "error"]
    assert found[1:4] == [[str(line), *rest] for line, *rest in failures[:3]]
    assert found[4] == ["8", "'=1", "CUSTOMER_NOT_FOUND", "'=SUM(A1)"]
    assert error_rows([]) == b""
