"""The same feature twice: a features view's column beside what the service computes from transactions."""

from typing import NamedTuple

import ibis
import numpy as np

from training.warehouse import features
from training.warehouse.connection import Warehouse
from training.warehouse.sample import sample

RELATIVE = ABSOLUTE = 1e-6
"""How far two values may be apart and count as the same: sums of money differ by how they were rounded."""


class Difference(NamedTuple):
    """A feature of which `customers` differ, and one of those customers with both values, None for NULL."""

    feature: str
    customers: int
    customer_id: str
    in_view: float | None
    computed: float | None

    def __str__(self) -> str:
        return (
            f"{self.feature} differs for {self.customers:,}, such as customer {self.customer_id}: "
            f"{_value(self.in_view)} in the view, {_value(self.computed)} computed"
        )


class Comparison(NamedTuple):
    """How many customers were compared, in which features, and what differs."""

    customers: int
    features: tuple[str, ...]
    differences: tuple[Difference, ...]

    def lines(self, warehouse: Warehouse) -> list[str]:
        """What to show a person: one line for each feature that differs, with both values."""
        tables = warehouse.config.tables
        head = f"{tables.features} beside what {tables.transactions} gives, for {self.customers:,} customers: "
        if not self.differences:
            return [f"{head}all {len(self.features)} features agree."]
        differences = [f"  {difference}" for difference in self.differences]
        return [f"{head}{len(differences)} of {len(self.features)} features differ.", *differences]


def compare(warehouse: Warehouse) -> Comparison | None:
    """A sample of the features view's customers, each as of that row's updated_at.

    None if there is no view, no transactions, or no feature that both give. Raises Problem.
    """
    everyone = warehouse.features()
    if everyone is None:
        return None
    customers = warehouse.rows(everyone.aggregate(customers=everyone.count()))["customers"][0].as_py()
    part = sample(warehouse, customers)
    view, transactions = part.features(), part.transactions()
    if view is None or transactions is None:
        return None
    computable = features.available(transactions)
    names = tuple(name for name in warehouse.config.table_features if name in computable)
    if not names:
        return None
    dated = view.filter(view.updated_at.notnull()).rename(moment="updated_at")
    known = features.as_of_each(transactions, dated, warehouse.config.windows)
    known = known.select("customer_id", "moment", **{f"computed_{name}": known[name] for name in names})
    both = dated.left_join(known, ["customer_id", "moment"])
    rows = warehouse.rows(
        both.select("customer_id", *names, *(f"computed_{name}" for name in names)).order_by(ibis._.customer_id)
    )
    ids = rows["customer_id"].to_pylist()
    found = []
    for name in names:
        ours = rows[f"computed_{name}"].to_numpy().astype(np.float64)
        theirs = rows[name].to_numpy().astype(np.float64)
        apart = np.flatnonzero(~np.isclose(theirs, ours, RELATIVE, ABSOLUTE, equal_nan=True))
        if len(apart):
            first = apart[0]
            found.append(Difference(name, len(apart), ids[first], _known(theirs[first]), _known(ours[first])))
    return Comparison(rows.num_rows, names, tuple(found))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _value(value: float | None) -> str:
    return "NULL" if value is None else f"{value:.10g}"
