"""Every name and type of the configuration against the warehouse: all that is wrong, not only the first."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ibis.expr import types as ir

from training.config import Attribute, FeatureSource, column_of
from training.errors import Problem, did_you_mean
from training.warehouse.chosen_features import computable
from training.warehouse.connection import Warehouse, has_features, id_of
from training.warehouse.source import listed

Read = Callable[[ir.Table, str, str], ir.Value]
"""read(table, its name, column) gives the column as a type, or raises Problem."""


class Key(NamedTuple):
    """A key of the configuration that names a column, and how the column is read."""

    section: str
    name: str
    column: str
    read: Read


def _any(table: ir.Table, _: str, column: str) -> ir.Value:
    return table[column]


def name_problems(warehouse: Warehouse) -> dict[str, list[str]]:
    """A sentence for each name and type that is wrong, by the table's key under [tables]; empty if all are right."""
    found = {
        table: list(_of(warehouse, table)) for table in ("features", "transactions", "offers", "churn", "customers")
    }
    return {table: sentences for table, sentences in found.items() if sentences}


def _of(warehouse: Warehouse, table: str) -> Iterator[str]:
    config = warehouse.config
    source = getattr(config.tables, table)
    if source is None:
        return
    name = str(source)
    try:
        columns = warehouse.table(name)
    except Problem as problem:
        yield f"[tables] {table}: {problem}"
        return
    wrong = False
    for key in _keys(warehouse, table, columns):
        if sentence := _problem(columns, name, key):
            wrong = True
            yield f"[{key.section}] {key.name}: {sentence}"
    if wrong:
        return
    try:  # what is not about one column
        getattr(warehouse, table)()
    except Problem as problem:
        yield f"[tables] {table}: {problem}"


def _keys(warehouse: Warehouse, table: str, columns: ir.Table) -> Iterator[Key]:
    config, kinds = warehouse.config, warehouse.kinds
    reads: dict[str, dict[str, Read]] = {
        "features": {"customer_id": id_of, "updated_at": kinds.moment},
        "transactions": {"customer_id": id_of, "date": kinds.moment, "amount": kinds.number},
        "offers": {"customer_id": id_of, "offer_id": id_of, "converted": kinds.label, "created_at": kinds.moment},
        "churn": {"customer_id": id_of, "churned": kinds.label, "snapshot_date": kinds.moment},
        "customers": {"customer_id": id_of, "registered_at": kinds.moment},
    }
    for name, column in getattr(config.columns, table).model_dump().items():
        if column is not None:
            yield Key(f"columns.{table}", name, column, reads[table].get(name, _any))
    if table == "transactions":
        return
    if table == "customers":
        yield from _of_features(warehouse, config.customer_features)
        return
    # As Warehouse reads it: with transactions, the labelled tables have all of the features or none.
    optional, features = table != "features" and config.tables.transactions is not None, warehouse.own_features(columns)
    if not optional or has_features(columns, features):
        yield from _of_features(warehouse, features)


def _of_features(warehouse: Warehouse, sources: Mapping[str, FeatureSource]) -> Iterator[Key]:
    for feature, source in sources.items():
        has_categories = isinstance(source, Attribute) and source.categories
        yield Key("features", feature, column_of(source), _any if has_categories else warehouse.kinds.feature)


def _problem(table: ir.Table, name: str, key: Key) -> str:
    if key.column not in table.columns:
        return (
            f"{name} has no column {key.column}{did_you_mean(key.column, table.columns)}; it has "
            f"{listed(table.columns)}: put the right one there."
        )
    try:
        key.read(table, name, key.column)
    except Problem as problem:
        return str(problem)
    return ""


def feature_problems(warehouse: Warehouse) -> list[str]:
    """A sentence for each configured feature that nothing gives, if transactions are what features come from."""
    config, transactions = warehouse.config, warehouse.transactions()
    if transactions is None or config.tables.features is not None or not config.features_are_chosen:
        return []
    sentences = []
    for feature in config.table_features:
        try:
            config.check_computable([feature], computable(warehouse, transactions))
        except ValueError as error:
            sentences.append(f"{error}.")
    return sentences
