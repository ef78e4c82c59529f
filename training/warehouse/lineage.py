"""Where each feature of a table's rows comes from, in words for people: the console, the report and the dry run."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from training.config import OFFER_FEATURES, column_of, names_of
from training.warehouse.connection import Warehouse

FeatureTable = Literal["features", "churn", "offers"]


class Origin(NamedTuple):
    """The table, and its column; None if the feature is computed from the table's rows."""

    table: str
    column: str | None

    def __str__(self) -> str:
        return f"computed from {self.table}" if self.column is None else f"column {self.column} of {self.table}"


def lineage(warehouse: Warehouse, table: FeatureTable, names: Iterable[str]) -> dict[str, Origin]:
    """Where rows of this table have these features from: its own columns, or else computed. Raises Problem."""
    config = warehouse.config
    own = {"features": warehouse.features, "churn": warehouse.churn, "offers": warehouse.offers}[table]()
    columns = set(own.columns) if own is not None else set()
    own_columns = {made: column_of(source) for key, source in config.features.items() for made in names_of(key, source)}
    of_customers = {made for key, source in config.customer_features.items() for made in names_of(key, source)}

    def origin(name: str) -> Origin:
        if name in of_customers:
            return Origin(str(config.tables.customers), own_columns[name])
        if name in columns:
            return Origin(str(getattr(config.tables, table)), own_columns.get(name, name))
        return Origin(str(config.tables.offers if name in OFFER_FEATURES else config.tables.transactions), None)

    return {name: origin(name) for name in names}


def lines(sources: Mapping[str, Origin]) -> list[str]:
    """A line for each table, with what comes from it: "computed from sales: revenue, transaction_count"."""
    by_place: dict[str, list[str]] = {}
    for feature, source in sources.items():
        if source.column is None:
            by_place.setdefault(f"computed from {source.table}", []).append(feature)
        else:
            renamed = "" if source.column == feature else f" (column {source.column})"
            by_place.setdefault(f"columns of {source.table}", []).append(f"{feature}{renamed}")
    return [f"{place}: {', '.join(names)}" for place, names in by_place.items()]
