"""Any mix of good and bad lines, and what is to come of them."""

import random
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT, FeatureTable
from loyalty_ml.errors import LoyaltyError
from loyalty_ml.scoring.predictions import predict
from tests import sample_set
from tests.files.deployed import TYPES, Files, assert_same, in_csv, side_by_side
from tests.service import SNAPSHOT_FEATURES

MODELS = sample_set.model_set()


class Line(NamedTuple):
    r"""A line of a file (or several, where an id has line ends), and what is to come of it.

    row:  the id and the values that are read, None for nothing there and NaN for no number; or the code of an error
          that is told before any value is looked at; or None for a line that is no row.
    """

    text: bytes
    row: tuple[str, Sequence[float | None]] | str | None


NAN, INFINITY = float("nan"), float("inf")
UNNAMED, BROKEN = "INVALID_CUSTOMER_ID", "INVALID_LINE"
NUMBERS = st.floats(0, 1e5, width=32) | st.floats(allow_nan=False, allow_infinity=False, width=32)
WRITTEN: list[tuple[str, float | None]] = [
    ("", None),
    ("abc", NAN),
    ("1.5.2", NAN),
    ("0x10", NAN),
    ("٣", NAN),
    ("nan", NAN),
    ("-inf", -INFINITY),
    ("1e400", INFINITY),
    ("1e39", 1e39),
    ("-1e39", -1e39),
    (" 2.5 ", 2.5),
    ("1E3", 1000.0),
    ("-0", -0.0),
    ("1e-400", 0.0),
]
"""Values as texts, and what they are read as."""

ids = st.one_of(
    st.text(st.sampled_from("ab1 ,;|\t\"\n\r=+-@'ü\ufeff\\#"), min_size=1, max_size=6),
    st.sampled_from(["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\tx", "\rx", "-12", "+491701234567", "x" * 256, "ü" * 256]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8),
)


def any_number(draw: random.Random) -> float:
    """A likely value, or any that float32 can hold."""
    if draw.random() < 0.7:
        return round(draw.lognormvariate(3, 2), 2)
    number = float(np.frombuffer(draw.randbytes(4), np.float32)[0])
    return number if np.isfinite(number) else -0.0


def up_to(count: int, lines: st.SearchStrategy[Line]) -> st.SearchStrategy[list[Line]]:
    """As often many as few, where a list by itself is mostly short."""
    return st.integers(0, count).flatmap(lambda size: st.lists(lines, min_size=size, max_size=size))


@st.composite
def values(draw: st.DrawFn) -> tuple[list[str], list[float | None]]:
    """A row's values as they are written, and as they are read."""
    seeded = random.Random(draw(st.integers(0, 2**32)))  # ten draws a row would leave room for few rows in a file
    numbers: list[float | None] = [any_number(seeded) for _ in SNAPSHOT_FEATURES]
    texts = [repr(number) for number in numbers]
    for place in draw(st.sets(st.integers(0, 9), max_size=2)):
        texts[place], numbers[place] = draw(st.sampled_from(WRITTEN))
    return texts, numbers


def lines_in(text: bytes) -> int:
    return len(re.findall(rb"\r\n|\r|\n", text))


def joined_lines(lines: Sequence[Line], first: int) -> tuple[bytes, list[tuple[int, Line]]]:
    r"""The text of the lines, and those that are rows with their numbers; no \r ends one where an empty \n follows."""
    text, numbered = b"", []
    for line in lines:
        if text.endswith(b"\r") and line.text.startswith(b"\n"):
            text += b" "  # else the two were one line end
        number = first + lines_in(text)
        text += line.text
        if line.row is not None:
            numbered.append((number, line))
    return text, numbered


def expected_of(
    rows: Sequence[tuple[int, Line]], kind: str
) -> tuple[list[tuple[str, dict[str, Any]]], list[tuple[int, str, str | None]]]:
    """What a service that has these numbers of these customers answers each, and the error of the others."""
    read = {str(place): line.row for place, (_, line) in enumerate(rows) if isinstance(line.row, tuple)}

    def read_features(places: Sequence[str], names: Sequence[str]) -> FeatureTable:
        columns = [SNAPSHOT_FEATURES.index(name) for name in names]
        given = [[read[place][1][column] for column in columns] for place in places]
        absent = np.array([[value is None for value in row] for row in given], np.bool_)
        numbers = np.array([[NAN if value is None else value for value in row] for row in given], np.float64)
        shape = (len(places), len(columns))
        counts = [read[place][1][SNAPSHOT_FEATURES.index(LIFETIME_TRANSACTION_COUNT)] for place in places]
        purchases = np.array([NAN if count is None else count for count in counts], np.float64)
        return FeatureTable(places, tuple(names), numbers.reshape(shape), absent.reshape(shape), None, None, purchases)

    outcomes: dict[str, dict[str, Any]] = {place: {} for place in read}
    for name in TYPES[kind]:
        if read:
            for place, outcome in predict(name, list(read), MODELS, read_features, "false").outcomes.items():
                failure = (outcome.code, outcome.message) if isinstance(outcome, LoyaltyError) else None
                outcomes[place][name] = failure or outcome
    answers: list[tuple[str, dict[str, Any]]] = []
    refusals: list[tuple[int, str, str | None]] = []
    for row, (number, line) in enumerate(rows):
        if isinstance(line.row, tuple):
            result = side_by_side(outcomes[str(row)], TYPES[kind])
            if isinstance(result, tuple):
                refusals.append((number, *result))
            else:
                answers.append((line.row[0], result))
        elif line.row is not None:
            refusals.append((number, line.row, None))
    return answers, refusals


def assert_all_told(files: Files, key: str, content: bytes, rows: Sequence[tuple[int, Line]]) -> None:
    """Scores the file: each row is answered or refused, in order, as it should be."""
    ran = files.score(key, content, worker=files.small)
    predictions, errors = files.results(ran)
    answers, refusals = expected_of(rows, key.split("/")[1])
    assert ran.summary is not None
    assert ran.summary["rows"] == len(rows)
    assert [(int(error["line"]), error["code"]) for error in errors] == [refusal[:2] for refusal in refusals]
    for error, (_, _, sentence) in zip(errors, refusals, strict=True):
        assert error["error"] == sentence or (sentence is None and error["error"].endswith("."))
    assert len(predictions) == len(answers)
    for found, (customer_id, columns) in zip(predictions, answers, strict=True):
        assert_same(found, in_csv(customer_id) if ".csv" in key else customer_id, columns)
