"""Every name and type of the configuration against the warehouse: all that is wrong, not only the first."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from ibis.expr import types as ir

from training.config import Config
from training.errors import Problem
from training.warehouse import connection, features
from training.warehouse.connection import Warehouse

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
    found = {table: list(_of(warehouse, table)) for table in ("features", "transactions", "offers", "churn")}
    return {table: sentences for table, sentences in found.items() if sentences}


def _of(warehouse: Warehouse, table: str) -> Iterator[str]:
    config = warehouse.config
    name = getattr(config.tables, table)
    if name is None:
        return
    try:
        columns = warehouse._table(name, ())
    except Problem as problem:
        yield f"[tables] {table}: {problem}"
        return
    wrong = False
    for key in _keys(config, table, columns):
        if sentence := _problem(columns, name, key):
            wrong = True
            yield f"[{key.section}] {key.name}: {sentence}"
    if wrong:
        return
    try:  # what is not about one column
        getattr(warehouse, table)()
    except Problem as problem:
        yield f"[tables] {table}: {problem}"


def _keys(config: Config, table: str, columns: ir.Table) -> Iterator[Key]:
    moment, number, label, whole = connection._moment, connection._number, connection._label, connection._whole_number
    reads: dict[str, dict[str, Read]] = {
        "features": {"customer_id": _any, "updated_at": moment},
        "transactions": {"customer_id": _any, "date": moment, "amount": number},
        "offers": {"customer_id": _any, "offer_id": whole, "converted": label, "created_at": moment},
        "churn": {"customer_id": _any, "churned": label, "snapshot_date": moment},
    }
    for name, column in getattr(config.columns, table).model_dump().items():
        if column is not None:
            yield Key(f"columns.{table}", name, column, reads[table].get(name, _any))
    if table == "transactions":
        return
    # As Warehouse reads it: with transactions, the labelled tables have all of the features or none.
    optional = table != "features" and config.tables.transactions is not None
    if not optional or any(column in columns.columns for column in config.features.values()):
        for feature, column in config.features.items():
            yield Key("features", feature, column, number)


def _problem(table: ir.Table, name: str, key: Key) -> str:
    if key.column not in table.columns:
        near = get_close_matches(key.column, table.columns, 1, 0.5)
        hint = f"the nearest is {near[0]}; " if near else ""
        return (
            f"{name} has no column {key.column}; {hint}it has {connection._listed(table.columns)}: "
            "put the right one there."
        )
    try:
        key.read(table, name, key.column)
    except Problem as problem:
        return str(problem)
    return ""


def feature_problems(warehouse: Warehouse) -> list[str]:
    """A sentence for each configured feature that nothing gives, where transactions are what features come from."""
    config, transactions = warehouse.config, warehouse.transactions()
    if transactions is None or warehouse.features() is not None:
        return []
    computable = features.available(transactions)
    sentences = []
    for feature in config.features:
        if feature in computable:
            continue
        if feature in ("product_count", "service_count"):
            key = feature.removesuffix("_count")
            remedy = f"name its column as {key} under [columns.transactions], or leave {feature} out of [features]"
        else:
            remedy = "name a table that has it as features under [tables], or leave it out of [features]"
        sentences.append(f"[features] {feature}: {config.tables.transactions} does not give it: {remedy}.")
    return sentences
