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
    """

    lines: NDArray[np.int64]
    ids: Texts
    values: NDArray[np.float64]
    absent: NDArray[np.bool_] | None


def no_rows(features: Sequence[str]) -> Rows:
    return Rows(np.empty(0, np.int64), texts_of([]), np.empty((0, len(features))), None)


def rows_of(
    relation: duckdb.DuckDBPyRelation, features: int
) -> Iterator[tuple[Texts, NDArray[np.float64], NDArray[np.bool_] | None]]:
    """Ids, values and what is absent: of a relation of id and numbers, or with a flag for each number besides."""
    for batch in batches(relation):
        view = batch.view()
        values = np.empty((view.length, features))
        absent = None
        for place in range(features):
            column, nulls = doubles(view.child(1 + place))
            values[:, place] = column
            if nulls is not None:
                if absent is None:
                    absent = np.zeros(values.shape, np.bool_)
                absent[:, place] = nulls
        if absent is not None and view.n_children > 1 + features:
            # NULL may also be a text that is no number: the flags say which.
            for place in range(features):
                absent[:, place] = booleans(view.child(1 + features + place))
        yield texts(view.child(0)), values, absent


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
