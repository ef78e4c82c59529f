"""The one way to score: a table of customers in; columns of answers out, and why a customer has none.

Single predictions, batches, segments and files all come through here. They differ only in where the table comes from
and where the columns go.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.domains import Domains, outside_domains
from loyalty_ml.customers.table import FeatureTable, taking
from loyalty_ml.errors import InvalidFeatures, LoyaltyError, NotExplained
from loyalty_ml.scoring.explainers import Explain, Explanation
from loyalty_ml.scoring.scorers import Scorer, Scores

Columns = Callable[[NDArray[Any]], NDArray[Any]]
"""From a table's columns to those that a scorer reads."""

IdsOf = Callable[[NDArray[np.intp]], Sequence[str]]
"""Rows of a table, int (k,), to the ids of their customers."""


class Scored(NamedTuple):
    """What the n rows of a table came to.

    answered:  the rows that every scorer answered, bool (n,); None for all of them.
    scores:    by scorer, the columns of those rows, in their order.
    problem:   why a row has no answer: of several reasons the first.
    explanations: by scorer, of those rows too; empty if they were not asked for.
    """

    answered: NDArray[np.bool_] | None
    scores: Sequence[Scores]
    problem: Callable[[int], LoyaltyError]
    explanations: Sequence[Sequence[Explanation]] = ()


def scoring(
    scorers: Sequence[Scorer], names: Sequence[str], most_rows: int | None = None, *, most_reasons: int | None = 0
) -> Callable[[FeatureTable, IdsOf], Scored]:
    """How tables with these columns are scored, from any thread.

    most_rows:  of a table: then each thread keeps the memory of its matrices, as memory that is new to a process costs
                as much as what is done with it here.
    most_reasons: how many reasons each row that is answered has, None for all: one that has none has no answer.
    Raises NoBaseline where that is asked of a scorer without one.
    The function that is given back asks for ids of rows only if a scorer needs them.
    """
    columns = [taking(scorer.features, names) for scorer in scorers]
    domains = Domains(names, [scorer.domains for scorer in scorers])
    needs_ids = any(scorer.needs_ids for scorer in scorers)
    explainers = [scorer.explainer() for scorer in scorers] if most_reasons != 0 else []
    matrices_of = _new_matrices(scorers, columns) if most_rows is None else _kept_matrices(scorers, columns, most_rows)

    def score(table: FeatureTable, ids_of: IdsOf) -> Scored:
        matrices = matrices_of(table.values)
        dtypes = [matrix.dtype for matrix in matrices]
        answered = table.usable
        for matrix in matrices:
            finite = np.isfinite(matrix)
            if not finite.all():  # which is known in a tenth of the time that it takes to know it row by row
                usable = finite.all(axis=1)
                answered = usable if answered is None else answered & usable
        outside = domains.outside(table.values)
        if outside is not None:
            answered = ~outside if answered is None else answered & ~outside
        if answered is not None:
            matrices = [matrix[answered] for matrix in matrices]
        ids = ids_of(_rows(answered, len(table.values))) if needs_ids else ()
        scores = [_score(scorer, ids, matrix) for scorer, matrix in zip(scorers, matrices, strict=True)]
        unanswerable: dict[int, Scorer] = {}
        if not all(np.isfinite(columns[0]).all() for columns in scores):
            answered, scores, unanswerable = _only_finite(scorers, answered, scores, len(table.values))

        explanations: list[list[Explanation]] = []
        unexplained: set[int] = set()
        if explainers:
            answered, scores, explanations, unexplained = _explained(
                explainers, [take(table.values) for take in columns], answered, scores, most_reasons
            )

        def problem(row: int) -> LoyaltyError:
            if row in unexplained:
                return NotExplained()
            if row in unanswerable:
                return InvalidFeatures(unanswerable[row].features, "The model gives no finite answer for")
            return _problem(row, table, scorers, columns, dtypes)

        return Scored(answered, scores, problem, explanations)

    return score


def _new_matrices(
    scorers: Sequence[Scorer], columns: Sequence[Columns]
) -> Callable[[NDArray[np.float64]], list[NDArray[Any]]]:
    return lambda values: [scorer.matrix(take(values)) for scorer, take in zip(scorers, columns, strict=True)]


def _kept_matrices(
    scorers: Sequence[Scorer], columns: Sequence[Columns], most_rows: int
) -> Callable[[NDArray[np.float64]], list[NDArray[Any]]]:
    of_thread = threading.local()

    def matrices_of(values: NDArray[np.float64]) -> list[NDArray[Any]]:
        if not hasattr(of_thread, "kept"):
            of_thread.kept = [np.empty((most_rows, len(scorer.features)), np.float32) for scorer in scorers]
        return [
            scorer.matrix(take(values), matrix[: len(values)])
            for scorer, take, matrix in zip(scorers, columns, of_thread.kept, strict=True)
        ]

    return matrices_of


def _score(scorer: Scorer, ids: Sequence[str], matrix: NDArray[Any]) -> Scores:
    if not len(matrix):
        nobody: Scores = scorer.answers.nobody()
        return nobody
    return scorer.score(ids, matrix)


def _only_finite(
    scorers: Sequence[Scorer], answered: NDArray[np.bool_] | None, scores: list[Scores], rows: int
) -> tuple[NDArray[np.bool_] | None, list[Scores], dict[int, Scorer]]:
    """The same without the rows that a scorer gave a number for that is not finite, and those rows with that scorer."""
    unanswerable: dict[int, Scorer] = {}
    kept = None
    for scorer, columns in zip(scorers, scores, strict=True):
        finite = np.isfinite(columns[0])
        if finite.all():
            continue
        good = finite.reshape(len(finite), -1).all(axis=1)
        for row in _rows(answered, rows)[~good].tolist():
            unanswerable.setdefault(row, scorer)
        kept = good if kept is None else kept & good
    if kept is None:
        return answered, scores, unanswerable
    all_answered = np.ones(rows, np.bool_) if answered is None else answered.copy()
    all_answered[list(unanswerable)] = False
    return all_answered, [_those(columns, kept) for columns in scores], unanswerable


def _explained(
    explainers: Sequence[Explain],
    values: Sequence[NDArray[np.float64]],
    answered: NDArray[np.bool_] | None,
    scores: list[Scores],
    most_reasons: int | None,
) -> tuple[NDArray[np.bool_] | None, list[Scores], list[list[Explanation]], set[int]]:
    """Each row's reasons, and the rows that have none by one of the scorers, which are then not answered.

    values: by scorer, float64 (n, f), of all rows.
    """
    rows = _rows(answered, len(values[0]))
    found = [
        explain(of_scorer[rows], columns, most_reasons) if len(rows) else []
        for explain, of_scorer, columns in zip(explainers, values, scores, strict=True)
    ]
    kept = np.array([None not in of_row for of_row in zip(*found, strict=True)], np.bool_)
    explanations = [[each for each, keep in zip(own, kept.tolist(), strict=True) if keep and each] for own in found]
    if kept.all():
        return answered, scores, explanations, set()
    all_answered = np.zeros(len(values[0]), np.bool_)
    all_answered[rows[kept]] = True
    return all_answered, [_those(columns, kept) for columns in scores], explanations, set(rows[~kept].tolist())


def _problem(
    row: int,
    table: FeatureTable,
    scorers: Sequence[Scorer],
    columns: Sequence[Columns],
    dtypes: Sequence[Any],
) -> LoyaltyError:
    """Why the row was not scored, as the first scorer sees it that cannot: what that does not read may be missing."""
    one = slice(row, row + 1)
    for scorer, wanted, dtype in zip(scorers, columns, dtypes, strict=True):
        view = FeatureTable(
            customer_ids=(),
            names=tuple(scorer.features),
            values=wanted(table.values[one]),
            absent=None if table.absent is None else wanted(table.absent[one]),
            found=None if table.found is None else table.found[one],
            as_of=None,
            purchases=None if table.purchases is None else table.purchases[one],
            undated=None if table.undated is None else table.undated[one],
        )
        is_found = view.usable is None
        if is_found and not np.isnan(view.values).any():
            outside = outside_domains(view.names, view.values[0], scorer.domains)
            if outside is not None:
                return outside
        with np.errstate(over="ignore"):
            is_usable = np.isfinite(view.values.astype(dtype)).all()
        if not is_usable or not is_found:
            return view.problem(0, dtype)
    raise AssertionError("The row can be scored")


def _rows(answered: NDArray[np.bool_] | None, rows: int) -> NDArray[np.intp]:
    return np.arange(rows) if answered is None else np.flatnonzero(answered)


def _those(columns: Scores, wanted: NDArray[np.bool_]) -> Scores:
    of_kind: Any = type(columns)
    kept: Scores = of_kind(*(column[wanted] for column in columns))
    return kept
