"""The one way to score: rows without an answer are told apart, and a new kind of answer needs no edit of a mode."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loyalty_ml.arrow import texts_of
from loyalty_ml.customers.table import FeatureTable, model_matrix
from loyalty_ml.files.scoring import Question, Scored
from loyalty_ml.files.source import Format
from loyalty_ml.files.writing import Writer
from loyalty_ml.scoring.answers import Column
from loyalty_ml.scoring.explainers import Explain
from loyalty_ml.scoring.scored import scoring
from loyalty_ml.scoring.scorers import Scorer
from loyalty_ml.segments.aggregates import aggregate, statistics, tally

pytestmark = pytest.mark.unit

NAMES = ("a", "b", "c")
NOT_FINITE = 13.0
"""What the scorer below has no answer for."""


class Spend(NamedTuple):
    amount: NDArray[np.float32]


class SpendAnswers:
    """A kind of answer that no mode has heard of: what a customer will spend."""

    groups = ("little", "much")
    codes = None
    value_name = "amount"
    summary = None
    choices = 0
    is_ranked = True
    inactive = None

    def nobody(self) -> Spend:
        return Spend(np.empty(0, np.float32))

    def results(self, customer_ids: Sequence[str], scores: Spend) -> Any:
        return [
            {"customer_id": customer_id, "amount": amount}
            for customer_id, amount in zip(customer_ids, scores.amount.tolist(), strict=True)
        ]

    def columns(self, scores: Spend) -> list[Column]:
        return [Column("amount", scores.amount.astype(np.float64)), Column("group", self.group_of(scores), self.groups)]

    def group_of(self, scores: Spend) -> NDArray[np.int8]:
        return (scores.amount >= 10).astype(np.int8)

    def value(self, scores: Spend) -> NDArray[np.float32]:
        return scores.amount

    def rank(self, scores: Spend, choice: int | None) -> NDArray[np.float32]:
        return -scores.amount

    def score_of(self, result: Any, after: Any) -> float:
        return float(result["amount"])


def no_explainer() -> Explain:
    raise AssertionError("Nobody asks why")


def spend_scorer(features: Sequence[str], *, needs_ids: bool = False) -> Scorer:
    def score(_: Sequence[str], matrix: NDArray[np.float32]) -> Spend:
        amount = matrix.sum(axis=1)
        return Spend(np.where(amount == NOT_FINITE, np.float32(np.nan), amount))

    info: Any = {"name": "spend", "version": "v1", "placeholder": False}
    return Scorer(features, model_matrix, score, SpendAnswers(), info, no_explainer, needs_ids=needs_ids)


def table_of(rows: Sequence[Sequence[float]], found: Sequence[bool] | None = None) -> FeatureTable:
    values = np.array(rows, np.float64).reshape(len(rows), len(NAMES))
    return FeatureTable(
        customer_ids=[str(row) for row in range(len(rows))],
        names=NAMES,
        values=values,
        absent=np.isnan(values),
        found=None if found is None else np.array(found),
        as_of=None,
    )


def no_ids(_: NDArray[np.intp]) -> Sequence[str]:
    raise AssertionError("No scorer needs ids")


def test_rows_without_an_answer_are_told_with_their_reasons() -> None:
    rows = [(1, 2, 3), (np.nan, 2, 3), (1, np.inf, 3), (1, 2, 10), (1, 1e300, 3), (4, 5, 6), (1, 1, 1)]
    table = table_of(rows, [True] * 6 + [False])
    scored = scoring([spend_scorer(NAMES)], NAMES)(table, no_ids)
    assert scored.answered is not None
    assert scored.answered.tolist() == [True, False, False, False, False, True, False]
    assert scored.scores[0][0].tolist() == [6, 15]
    problems = {row: scored.problem(row) for row in np.flatnonzero(~scored.answered).tolist()}
    assert {row: problem.code for row, problem in problems.items()} == {
        1: "MISSING_FEATURES", 2: "INVALID_FEATURES", 3: "INVALID_FEATURES", 4: "INVALID_FEATURES",
        6: "CUSTOMER_NOT_FOUND",
    }  # fmt: skip
    assert problems[1].details == {"features": ["a"]}
    assert problems[2].details == problems[4].details == {"features": ["b"]}
    assert "no finite answer" in problems[3].message


def test_of_several_scorers_every_one_must_answer_and_what_one_does_not_read_may_be_missing() -> None:
    table = table_of([(1, 2, 3), (np.nan, 2, 3), (1, 2, np.nan), (6, 7, 1)])
    scored = scoring([spend_scorer(("a", "b")), spend_scorer(("c",))], NAMES)(table, no_ids)
    assert scored.answered is not None
    assert scored.answered.tolist() == [True, False, False, False]
    assert [columns[0].tolist() for columns in scored.scores] == [[3], [3]]
    assert [scored.problem(row).details for row in (1, 2)] == [{"features": ["a"]}, {"features": ["c"]}]
    assert scored.problem(3).details == {"features": ["a", "b"]}, "the first scorer has no finite answer"


values = st.sampled_from([0.0, 1.0, 2.5, NOT_FINITE, np.nan, np.inf, 1e300])


@given(rows=st.lists(st.tuples(values, values, values), max_size=20), found=st.data())
def test_a_row_is_scored_as_if_it_were_alone(rows: list[tuple[float, float, float]], found: st.DataObject) -> None:
    known = found.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    score = scoring([spend_scorer(("c", "a")), spend_scorer(("b",))], NAMES, most_rows=20)
    together = score(table_of(rows, known), no_ids)
    answered = np.ones(len(rows), np.bool_) if together.answered is None else together.answered
    place = 0
    for row in range(len(rows)):
        alone = scoring([spend_scorer(("c", "a")), spend_scorer(("b",))], NAMES)(
            table_of(rows[row : row + 1], known[row : row + 1]), no_ids
        )
        assert (alone.answered is None) == bool(answered[row])
        if answered[row]:
            assert [columns[0][0] for columns in alone.scores] == [columns[0][place] for columns in together.scores]
            place += 1
        else:
            assert alone.problem(0).message == together.problem(row).message


def test_ids_are_asked_for_if_answers_are_made_of_them_and_only_of_rows_that_can_be_scored() -> None:
    rows: list[int] = []

    def ids_of(places: NDArray[np.intp]) -> list[str]:
        rows.extend(places.tolist())
        return [str(place) for place in places.tolist()]

    table = table_of([(1, 1, 1), (1, 1, 1), (1, 1, 1)], [True, False, True])
    scoring([spend_scorer(NAMES, needs_ids=True)], NAMES)(table, ids_of)
    assert rows == [0, 2]


def test_a_new_kind_of_answer_is_counted_and_written_with_no_edit_of_a_mode(tmp_path: Any) -> None:
    scorer = spend_scorer(NAMES)
    scored = scoring([scorer], NAMES)(table_of([(1, 2, 3), (4, 5, 6)]), no_ids)
    counted = tally(scorer.answers, scored.scores[0], Counter(NO_PURCHASES=1))
    assert aggregate(scorer.answers, counted) == {"little": 1, "much": 1, "avg_amount": 10.5}
    assert statistics(scorer.answers, counted) == {
        "little": 1, "much": 1, "avg_amount": 10.5, "count": 2, "failed": 1, "failed_by_code": {"NO_PURCHASES": 1},
        "little_percentage": 50, "much_percentage": 50,
    }  # fmt: skip
    spend: Any = "spend"
    writer = Writer(Format("csv"), ",", Question([spend], [scorer], NAMES, NAMES), tmp_path)
    with duckdb.connect() as connection:
        content, rows = writer.rows(connection, Scored(texts_of(["x", "y"]), scored.scores, []))
    assert (writer.header() + content, rows) == (b"customer_id,amount,group\nx,6.0,little\ny,15.0,much\n", 2)
