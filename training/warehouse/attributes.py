"""Features that are a column as it stands: a number, yes or no, or a text by a list of its categories.

The same expressions make them for training and for materialize, whichever table has the column.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import ibis
from ibis.expr import datatypes as dt
from ibis.expr import types as ir

from training.config import Attribute, FeatureSource, column_of, names_of
from training.warehouse import cleaning

Number = Callable[[ir.Table, str], ir.Value]
"""Reads a column that holds numbers. Raises Problem if it holds something else."""


class UnknownCategories(NamedTuple):
    """Rows of a table whose text is none of a feature's categories, with one of those texts."""

    feature: str
    rows: int
    example: str


def values(table: ir.Table, sources: Mapping[str, FeatureSource], number: Number) -> dict[str, ir.Value]:
    """A float64 column for each feature: for one with categories a column for each, which is 1, 0, or NULL for NULL."""
    columns: dict[str, ir.Value] = {}
    for name, source in sources.items():
        if not isinstance(source, Attribute) or source.categories is None:
            columns[name] = _float(table, column_of(source), number)
            continue
        text = _text(table, source.column)
        for feature, category in zip(names_of(name, source), source.categories, strict=True):
            columns[feature] = _one_or_zero(text == category)
    return columns


def unknown_categories(table: ir.Table, sources: Mapping[str, FeatureSource]) -> ir.Table | None:
    """One row: for each feature with categories how many rows have another text, and one such text.

    None if no feature has categories.
    """
    counts: dict[str, ir.Value] = {}
    for place, source in enumerate(sources.values()):
        if isinstance(source, Attribute) and source.categories is not None:
            text = _text(table, source.column)
            is_unknown = text.notnull() & ~text.isin(source.categories)
            counts[f"rows_{place}"] = is_unknown.sum()
            counts[f"example_{place}"] = text.min(where=is_unknown)
    return table.aggregate(**counts) if counts else None


def unknown_in(row: Mapping[str, object], sources: Mapping[str, FeatureSource]) -> list[UnknownCategories]:
    """What the row of unknown_categories() says of each feature that has such rows."""
    return [
        UnknownCategories(name, int(str(rows)), str(row[f"example_{place}"]))
        for place, name in enumerate(sources)
        if (rows := row.get(f"rows_{place}"))
    ]


def _float(table: ir.Table, column: str, number: Number) -> ir.Value:
    if isinstance(table[column].type(), dt.Boolean):
        return _one_or_zero(table[column])
    return number(table, column).cast("float64")


def _one_or_zero(flag: ir.Value) -> ir.Value:
    # PostgreSQL casts no boolean to a number of this size.
    return ibis.ifelse(flag.isnull(), ibis.null("float64"), flag.ifelse(1.0, 0.0))


def _text(table: ir.Table, column: str) -> ir.Value:
    # As ids: a column of a fixed width pads its texts with blanks, and 1.00 and 1 are the same.
    values = table[column]
    if isinstance(values.type(), dt.Floating | dt.Decimal):
        return cleaning.id_text(values).coalesce(values.cast("string"))
    return values.cast("string").rstrip()
