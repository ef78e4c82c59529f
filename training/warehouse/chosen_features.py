"""Which features the configuration asks for, and which of them the warehouse gives."""

from collections.abc import Collection, Mapping
from typing import Literal

from ibis.expr import types as ir

from training.config import OFFER_FEATURES, FeatureSource, names_of
from training.errors import Problem
from training.warehouse import features
from training.warehouse.connection import Warehouse


def names_in(sources: Mapping[str, FeatureSource]) -> tuple[str, ...]:
    return tuple(made for name, source in sources.items() for made in names_of(name, source))


def computable(warehouse: Warehouse, transactions: ir.Table) -> tuple[str, ...]:
    """The features that transactions and offers give."""
    return (*features.available(transactions), *(OFFER_FEATURES if warehouse.config.tables.offers else ()))


def offer_features(warehouse: Warehouse, own: Collection[str] = ()) -> tuple[str, ...]:
    """Those of the configured features that are computed from offers, for a table that has columns `own`."""
    config = warehouse.config
    if config.tables.offers is None:
        return ()
    return tuple(name for name in names_in(config.table_features) if name in OFFER_FEATURES and name not in own)


def feature_names(warehouse: Warehouse, transactions: ir.Table, own: Collection[str] = ()) -> tuple[str, ...]:
    """The configured features, which transactions and offers have to give; those of the default, if they can.

    own: columns that the table has of its own. Raises Problem.
    """
    config, known = warehouse.config, (*computable(warehouse, transactions), *own)
    if config.features_are_chosen:
        try:
            config.check_computable(config.table_features, known)
        except ValueError as error:
            raise Problem(f"{error}.") from error
    given = (*known, *names_in(config.customer_features))
    return tuple(name for name in config.feature_names if name in given)


def features_left_out(warehouse: Warehouse) -> str:
    """Which features of the default configuration the transactions cannot give to a table that lacks them.

    Empty if there are none, or if [features] is in the file: then they are refused. Raises Problem.
    """
    config, transactions = warehouse.config, warehouse.transactions()
    if transactions is None or config.features_are_chosen:
        return ""
    tables = [warehouse.features(), warehouse.churn(), *([warehouse.offers()] if config.tables.offers else [])]
    if all(table is not None and set(config.table_features) <= set(table.columns) for table in tables):
        return ""
    left_out = [name for name in config.table_features if name not in features.available(transactions)]
    if not left_out:
        return ""
    return f"left out: {', '.join(left_out)}, for which [columns.transactions] names no column"


def say_unknown_categories(warehouse: Warehouse, table: Literal["customers", "features", "churn", "offers"]) -> None:
    for feature, rows, example in warehouse.unknown_categories(table):
        print(
            f"  {getattr(warehouse.config.tables, table)}: {rows:,} rows have a category that is not under [features] "
            f"{feature}, such as {example!r}: they count as none of its categories.",
            flush=True,
        )
