"""A file's rows, scored: columns of answers for the rows that have them, and why the others have none.

By the scorers of every other mode, so that a row says what a single prediction of the same features says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.arrow import Texts, texts_of
from loyalty_ml.customers.population import Population
from loyalty_ml.customers.table import DEFAULT_FEATURES, FeatureTable, purchases_in
from loyalty_ml.files.table import Rows
from loyalty_ml.models.card import ModelInfo
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.explainers import SHOWN_IN_FILES, texts_for_files
from loyalty_ml.scoring.reasons import scored_rows
from loyalty_ml.scoring.scored import scoring
from loyalty_ml.scoring.scorers import Scorer, Scores, scorer_for
from loyalty_ml.vocabulary import MAX_ID_CHARACTERS, PREDICTION_TYPES, FileType, MockMode, PredictionType

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
    """The rows of some that have answers, in order, with the columns of each scorer; and the failures of the others.

    lines, kept: of the rows that have answers, as in Rows; only for columns that are kept.
    reasons:     the columns of reasons of those rows, in the order of Question.reasons.
    """

    ids: Texts
    scores: Sequence[Scores]
    failures: list[Failure]
    lines: NDArray[np.int64] | None = None
    kept: tuple[Texts, ...] = ()
    reasons: Sequence[Texts] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is predicted, by what: a scorer for each type that is asked for.

    wanted:  the features that they read, each once.
    known:   what counts as a feature in a file: mock answers read none, and a file with features has them anyhow.
    explain: whether rows have their reasons.
    """

    types: Sequence[PredictionType]
    scorers: Sequence[Scorer]
    wanted: Sequence[str]
    known: Sequence[str]
    explain: bool = False

    @property
    def reasons(self) -> list[str]:
        """The names of the columns of reasons, the largest reason first; of several types each has its own."""
        places = range(1, SHOWN_IN_FILES + 1) if self.explain else ()
        if len(self.types) == 1:
            return [f"reason_{place}" for place in places]
        return [f"{name}_reason_{place}" for name in self.types for place in places]

    @property
    def explaining_rows(self) -> int:
        """How many rows are scored for the reasons of one row, at most: groups of features need fewer."""
        return sum(scored_rows(len(scorer.features)) for scorer in self.scorers)

    @property
    def is_mock(self) -> bool:
        return any(scorer.is_mock for scorer in self.scorers)

    @property
    def models(self) -> dict[str, ModelInfo]:
        """What answers, by type."""
        return {name: scorer.info for name, scorer in zip(self.types, self.scorers, strict=True)}


def question(kind: FileType, models: ModelSet, mock_mode: MockMode, *, explain: bool = False) -> Question:
    """Raises ModelUnavailable where a type has no model that may answer, NoBaseline where one has no reasons."""
    types: Sequence[PredictionType] = PREDICTION_TYPES if kind == "all" else (kind,)
    scorers = [scorer_for(each, models, mock_mode) for each in types]
    if explain:
        for scorer in scorers:
            scorer.explainer()
    wanted = tuple(dict.fromkeys(name for scorer in scorers for name in scorer.features))
    usual = DEFAULT_FEATURES if any(scorer.is_mock for scorer in scorers) else ()
    return Question(types, scorers, wanted, tuple(dict.fromkeys((*wanted, *usual))), explain)


def answering(asked: Question, features: Sequence[str], population: Population | None) -> Callable[[Rows], Scored]:
    """How rows are scored.

    features:    the columns of the rows' values; where there are none, they are the population's.
    population:  the customers that rows without features are looked up among; None where rows have their own.
    """
    names = features if population is None else population.features
    score = scoring(asked.scorers, names, most_reasons=SHOWN_IN_FILES if asked.explain else 0)

    def answer(rows: Rows) -> Scored:
        named = _has_usable_id(rows.ids)
        failures = []
        if not named.all():
            failures = _unnamed(rows, np.flatnonzero(~named).tolist())
            rows = rows.where(named)
        scored = score(_table(rows, names, population), lambda places: rows.ids.to_list(places.tolist()))
        ids, lines, kept = rows.ids, rows.lines, rows.kept
        if scored.answered is not None:
            places = np.flatnonzero(~scored.answered).tolist()
            for place, customer_id in zip(places, ids.to_list(places), strict=True):
                problem = scored.problem(place)
                failures.append(Failure(int(rows.lines[place]), customer_id, problem.code, problem.message))
            ids, lines = ids.where(scored.answered), lines[scored.answered]
            kept = tuple(texts.where(scored.answered) for texts in kept)
        reasons = [texts_of(texts) for of_type in scored.explanations for texts in texts_for_files(of_type)]
        return Scored(ids, scored.scores, sorted(failures), lines, kept, reasons)

    return answer


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
    return FeatureTable((), tuple(names), values, absent, found, None, purchases_in(names, values))


def _unnamed(rows: Rows, places: Sequence[int]) -> list[Failure]:
    """The rows at these places, whose ids cannot be used."""
    failures = []
    for place, customer_id in zip(places, rows.ids.to_list(places), strict=True):
        line = int(rows.lines[place])
        problem = f"The customer_id has more than {MAX_ID_CHARACTERS} characters."
        if not customer_id:
            problem = "The row has no customer_id."
        failures.append(Failure(line, customer_id[:MAX_ID_CHARACTERS], INVALID_CUSTOMER_ID, problem))
    return failures
