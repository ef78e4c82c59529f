"""A file's rows as a table: ids and features.

Whatever the format, a value is a number or it is not: nothing is filled in, and a text where a number belongs stays
apart from no value at all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from loyalty_ml.arrow import Texts, batches, booleans, doubles, texts, texts_of
from loyalty_ml.files.text.numbers import Example, Examples, sql_examples


class Rows(NamedTuple):
    """n rows of a file.

    lines:   where each is in the file, int64 (n,): the line, or of Parquet the row, both from 1.
    ids:     empty where there is none.
    values:  float64 (n, f), NaN where there is no number.
    absent:  bool (n, f), True where nothing is written; None for nowhere.
    kept:    n texts for each column that travels along, of CSV; of JSON Lines one for all, the inside of an object; of
             Parquet none, as they are read when they are written.
    """

    lines: NDArray[np.int64]
    ids: Texts
    values: NDArray[np.float64]
    absent: NDArray[np.bool_] | None
    kept: tuple[Texts, ...] = ()

    def where(self, wanted: NDArray[np.bool_]) -> "Rows":
        """Those of a bool (n,)."""
        absent = None if self.absent is None else self.absent[wanted]
        kept = tuple(texts.where(wanted) for texts in self.kept)
        return Rows(self.lines[wanted], self.ids.where(wanted), self.values[wanted], absent, kept)


def no_rows(features: Sequence[str]) -> Rows:
    return Rows(np.empty(0, np.int64), texts_of([]), np.empty((0, len(features))), None)


def rows_of(
    relation: duckdb.DuckDBPyRelation, features: int, kept: int = 0
) -> Iterator[tuple[Texts, NDArray[np.float64], NDArray[np.bool_] | None, tuple[Texts, ...]]]:
    """Ids, values, what is absent and what is kept: of a relation of id, kept texts and numbers.

    There may be a flag for each number besides, whether it is absent.
    """
    first = 1 + kept
    for batch in batches(relation):
        view = batch.view()
        values = np.empty((view.length, features))
        absent = None
        for place in range(features):
            column, nulls = doubles(view.child(first + place))
            values[:, place] = column
            if nulls is not None:
                if absent is None:
                    absent = np.zeros(values.shape, np.bool_)
                absent[:, place] = nulls
        if absent is not None and view.n_children > first + features:
            # NULL may also be a text that is no number: the flags say which.
            for place in range(features):
                absent[:, place] = booleans(view.child(first + features + place))
        yield texts(view.child(0)), values, absent, tuple(texts(view.child(1 + place)) for place in range(kept))


def examples_in(
    texts: duckdb.DuckDBPyRelation, columns: Mapping[str, str], place: str, line_of: Callable[[int], int]
) -> Examples:
    """The first numbers among these columns of a relation of texts that tell a decimal comma, or a point.

    columns: the relation's names of them, each with the file's; place: the column that numbers the rows in order.
    """
    if not columns:
        return Examples(None, None)
    asked = ", ".join(each for name in columns for each in sql_examples(sql_name(name), place))
    (found,) = texts.aggregate(asked).fetchall()
    by_mark: list[list[Example]] = [[], []]
    for number, column in enumerate(columns.values()):
        for mark in (0, 1):
            first, text = found[4 * number + 2 * mark : 4 * number + 2 * mark + 2]
            if first is not None:
                by_mark[mark].append(Example(line_of(first), column, text))
    return Examples(*(min(some, default=None) for some in by_mark))


def sql_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
