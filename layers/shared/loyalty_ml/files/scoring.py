"""A file's rows, scored: columns of answers for the rows that have them, and why the others have none.

By the scorers of every other mode, so that a row says what a single prediction of the same features says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.arrow import Texts
from loyalty_ml.customers.population import Population
from loyalty_ml.customers.table import DEFAULT_FEATURES, FeatureTable, taking
from loyalty_ml.errors import InvalidFeatures, LoyaltyError
from loyalty_ml.files.table import Rows
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.scorers import ModelInfo, Scorer, Scores, scorer_for
from loyalty_ml.vocabulary import MAX_ID_CHARACTERS, FileType, MockMode, PredictionType

INVALID_CUSTOMER_ID = "INVALID_CUSTOMER_ID"
INVALID_LINE = "INVALID_LINE"
"""Codes beside those of a customer's failure: without an id there is no customer."""


class Failure(NamedTuple):
    """A row of errors.csv. line: where it is in the file; customer_id: empty where there is none."""

    line: int
    customer_id: str
    code: str
    error: str


class Scored(NamedTuple):
    """The rows of some that have answers, in order, with the columns of each scorer; and the failures of the others."""

    ids: Texts
    scores: Sequence[Scores]
    failures: list[Failure]


@dataclass(frozen=True, slots=True)
class Question:
    """What is predicted, by what: a scorer for each type that is asked for.

    wanted:  the features that they read, each once.
    known:   what counts as a feature in a file: mock answers read none, and a file with features has them anyhow.
    """

    types: Sequence[PredictionType]
    scorers: Sequence[Scorer]
    wanted: Sequence[str]
    known: Sequence[str]

    @property
    def is_mock(self) -> bool:
        return any(scorer.is_mock for scorer in self.scorers)

    @property
    def models(self) -> dict[str, ModelInfo]:
        """What answers, by type."""
        return {name: scorer.info for name, scorer in zip(self.types, self.scorers, strict=True)}


def question(kind: FileType, models: ModelSet, mock_mode: MockMode) -> Question:
    """Raises ModelUnavailable where a type has no model that may answer."""
    types: Sequence[PredictionType] = ("churn", "nbo", "rfm") if kind == "all" else (kind,)
    scorers = [scorer_for(each, models, mock_mode) for each in types]
    wanted = tuple(dict.fromkeys(name for scorer in scorers for name in scorer.features))
    usual = DEFAULT_FEATURES if any(scorer.is_mock for scorer in scorers) else ()
    return Question(types, scorers, wanted, tuple(dict.fromkeys((*wanted, *usual))))


def answering(asked: Question, features: Sequence[str], population: Population | None) -> Callable[[Rows], Scored]:
    """How rows are scored.

    features:    the columns of the rows' values; where there are none, they are the population's.
    population:  the customers that rows without features are looked up among; None where rows have their own.
    """
    names = features if population is None else population.features
    columns = [taking(scorer.features, names) for scorer in asked.scorers]

    def score(rows: Rows) -> Scored:
        named = _has_usable_id(rows.ids)
        table = _table(rows, names, population)
        good = named if table.found is None else named & table.found
        matrices = [scorer.matrix(wanted(table.values)) for scorer, wanted in zip(asked.scorers, columns, strict=True)]
        for matrix in matrices:
            finite = np.isfinite(matrix)
            if not finite.all():
                good = good & finite.all(axis=1)
        failures: list[Failure] = []
        ids, lines = rows.ids, rows.lines
        if not good.all():
            views = [_seen_by(scorer, wanted, table) for scorer, wanted in zip(asked.scorers, columns, strict=True)]
            failures = _failures(rows, np.flatnonzero(~good).tolist(), named, views)
            ids, lines = ids.where(good), lines[good]
            matrices = [matrix[good] for matrix in matrices]
        texts = ids.to_list() if asked.is_mock else ()
        scores = [scorer.score(texts, matrix) for scorer, matrix in zip(asked.scorers, matrices, strict=True)]
        return _only_finite(ids, lines, scores, failures, asked)

    return score


def _has_usable_id(ids: Texts) -> NDArray[np.bool_]:
    sizes = ids.sizes
    usable = sizes > 0
    long = np.flatnonzero(sizes > MAX_ID_CHARACTERS).tolist()  # bytes: each may still be of few characters
    usable[long] = [len(customer_id) <= MAX_ID_CHARACTERS for customer_id in ids.to_list(long)]
    return usable


def _table(rows: Rows, names: Sequence[str], population: Population | None) -> FeatureTable:
    values, absent, found = rows.values, rows.absent, None
    if population is not None:
        numbers = population.numbers(rows.ids)
        found = numbers >= 0
        values = population.values(numbers)
        absent = None if found.all() and not np.isnan(values).any() else np.isnan(values)
    return FeatureTable((), tuple(names), values, absent, found, None)


class _View(NamedTuple):
    """The table as a scorer sees it, to whom what it does not read may be missing; dtype: what it reads numbers as."""

    table: FeatureTable
    dtype: Any


def _seen_by(scorer: Scorer, wanted: Callable[[NDArray[Any]], NDArray[Any]], table: FeatureTable) -> _View:
    absent = None if table.absent is None else wanted(table.absent)
    seen = FeatureTable((), tuple(scorer.features), wanted(table.values), absent, table.found, None)
    return _View(seen, scorer.matrix(np.empty((0, len(scorer.features)))).dtype)


def _failures(rows: Rows, places: Sequence[int], named: NDArray[np.bool_], views: Sequence[_View]) -> list[Failure]:
    """Why the rows at these places have no answer: of several reasons the first."""
    failures = []
    for place, customer_id in zip(places, rows.ids.to_list(places), strict=True):
        line = int(rows.lines[place])
        if named[place]:
            problem = _problem(place, views)
            failures.append(Failure(line, customer_id, problem.code, problem.message))
        else:
            failures.append(_unnamed(line, customer_id))
    return failures


def _problem(place: int, views: Sequence[_View]) -> LoyaltyError:
    for table, dtype in views:
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(table.values[place].astype(dtype)).all()
        if (table.found is not None and not table.found[place]) or not is_finite:
            return table.problem(place, dtype)
    raise AssertionError("The row can be scored")


def _unnamed(line: int, customer_id: str) -> Failure:
    if not customer_id:
        return Failure(line, "", INVALID_CUSTOMER_ID, "The row has no customer_id.")
    problem = f"The customer_id has more than {MAX_ID_CHARACTERS} characters."
    return Failure(line, customer_id[:MAX_ID_CHARACTERS], INVALID_CUSTOMER_ID, problem)


def _only_finite(
    ids: Texts, lines: NDArray[np.int64], scores: list[Scores], failures: list[Failure], asked: Question
) -> Scored:
    answered = np.ones(len(lines), np.bool_)
    for scorer, columns in zip(asked.scorers, scores, strict=True):
        finite = np.isfinite(columns[0])
        if finite.all():  # as of no rows
            continue
        places = np.flatnonzero(answered & ~finite.reshape(len(lines), -1).all(axis=1)).tolist()
        problem = InvalidFeatures(scorer.features, "The model gives no finite answer for")
        failures += [
            Failure(int(lines[place]), customer_id, problem.code, problem.message)
            for place, customer_id in zip(places, ids.to_list(places), strict=True)
        ]
        answered[places] = False
    if answered.all():
        return Scored(ids, scores, failures)
    return Scored(ids.where(answered), [_those(columns, answered) for columns in scores], sorted(failures))


def _those(columns: Scores, wanted: NDArray[np.bool_]) -> Scores:
    columns_of: Any = type(columns)
    kept: Scores = columns_of(*(column[wanted] for column in columns))
    return kept
