"""Where each feature of a table's rows comes from, in words for people: the console, the report and the dry run."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from training.warehouse import features
from training.warehouse.connection import Warehouse

FeatureTable = Literal["features", "churn", "offers"]


class Source(NamedTuple):
    """The table, and its column; None if the feature is computed from the table's rows."""

    table: str
    column: str | None

    def __str__(self) -> str:
        return f"computed from {self.table}" if self.column is None else f"column {self.column} of {self.table}"


def lineage(warehouse: Warehouse, table: FeatureTable) -> dict[str, Source]:
    """Each configured feature that rows of this table have, in the models' order. Raises Problem.

    A table's own columns come first. If it has none of them, or is not configured, transactions give what they can.
    """
    config = warehouse.config
    own = {"features": warehouse.features, "churn": warehouse.churn, "offers": warehouse.offers}[table]()
    if own is not None and set(config.features) <= set(own.columns):
        name = getattr(config.tables, table)
        return {feature: Source(name, column) for feature, column in config.features.items()}
    transactions = warehouse.transactions()
    if transactions is None:
        return {}
    computable = features.available(transactions)
    source = Source(str(config.tables.transactions), None)
    return {feature: source for feature in config.features if feature in computable}


def lines(sources: Mapping[str, Source]) -> list[str]:
    """A line for each table, with what comes from it: "computed from sales: revenue, transaction_count"."""
    by_place: dict[str, list[str]] = {}
    for feature, source in sources.items():
        if source.column is None:
            by_place.setdefault(f"computed from {source.table}", []).append(feature)
        else:
            renamed = "" if source.column == feature else f" (column {source.column})"
            by_place.setdefault(f"columns of {source.table}", []).append(f"{feature}{renamed}")
    return [f"{place}: {', '.join(names)}" for place, names in by_place.items()]
