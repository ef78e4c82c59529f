"""The same feature twice: a dated table's column beside what the service computes as of the same moments.

Of a features view a difference is worth a look. In a table of labels it may be a leak: features that were computed
later than their moment know something of the answer, and a model of them passes every gate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from ibis.expr import types as ir
from numpy.typing import NDArray

from training.config import OFFER_FEATURES
from training.errors import Problem
from training.warehouse import features
from training.warehouse.connection import KEYS, Warehouse
from training.warehouse.lineage import FeatureTable
from training.warehouse.offer_history import with_history_each
from training.warehouse.rows import matrix_of, required
from training.warehouse.sample import CUSTOMERS, sample

RELATIVE = ABSOLUTE = 1e-6
"""How far two values may be apart and count as the same: sums of money differ by how they were rounded."""
MAX_DIFFERENT_SHARE = 0.01
"""The share of rows that may differ in a table of labels, as of corrections that came later."""
SHOWN_ROWS = 3
"""Of as many customers."""
SHOWN_FEATURES = 3


class Difference(NamedTuple):
    """A feature in which `rows` differ, and the first of them with both values, None for NULL."""

    feature: str
    rows: int
    customer_id: str
    in_table: float | None
    computed: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows of a table, and what is computed for them.

    table, sources: what messages call the table, and what the features are computed from.
    moment:         the table's own name of the column that the rows' moments are in.
    features:       those that both give.
    customer_ids:   n ids; moments: n, on the clock of windows.time_zone.
    in_table, computed: float64 (n, features), NaN for NULL.
    """

    table: str
    sources: str
    moment: str
    features: tuple[str, ...]
    customer_ids: Sequence[str]
    moments: Sequence[datetime]
    in_table: NDArray[np.float64]
    computed: NDArray[np.float64]

    @property
    def different(self) -> NDArray[np.bool_]:
        """bool (n, features)."""
        return ~np.isclose(self.in_table, self.computed, RELATIVE, ABSOLUTE, equal_nan=True)

    @property
    def differences(self) -> tuple[Difference, ...]:
        found = []
        for place, (name, apart) in enumerate(zip(self.features, self.different.T, strict=True)):
            if apart.any():
                first = int(np.argmax(apart))
                in_table, computed = self.in_table[first, place], self.computed[first, place]
                rows, customer = int(apart.sum()), self.customer_ids[first]
                found.append(Difference(name, rows, customer, _known(in_table), _known(computed)))
        return tuple(found)

    def lines(self) -> list[str]:
        """What to show a person: one line for each feature that differs, with both values."""
        head = f"{self.table} beside what is computed from {self.sources}, for {len(self.customer_ids):,} rows: "
        if not self.differences:
            return [f"{head}all {len(self.features)} features agree."]
        lines = [
            f"  {one.feature} differs for {one.rows:,}, such as customer {one.customer_id}: "
            f"{_value(one.in_table)} in the table, {_value(one.computed)} computed"
            for one in self.differences
        ]
        return [f"{head}{len(lines)} of {len(self.features)} features differ.", *lines]

    def refusal(self) -> str | None:
        """Why nothing is learnt from the table; None if no more than MAX_DIFFERENT_SHARE of the rows differ.

        A row in which the table lacks a value does not count: nothing is learnt from it.
        """
        complete = ~np.isnan(self.in_table).any(axis=1)
        rows = np.flatnonzero(self.different.any(axis=1) & complete)
        if len(rows) <= MAX_DIFFERENT_SHARE * complete.sum():
            return None
        first_of_each = {self.customer_ids[row]: row for row in rows[::-1].tolist()}
        chosen = sorted(first_of_each.values())[:SHOWN_ROWS]
        shown = "; ".join(map(self._side_by_side, chosen))
        wrong = ", ".join(np.array(self.features)[self.different[rows].any(axis=0)])
        return (
            f"{len(rows):,} of {complete.sum():,} sampled rows of {self.table} have other features than are "
            f"computed from {self.sources} as of their {self.moment} ({wrong}), so they may know what came later: "
            f"compute them from what was before {self.moment}, map other columns under [features], give those that "
            "mean something else names of their own there, or leave these columns out of the table, so that they are "
            f"computed. Such as {shown}."
        )

    def _side_by_side(self, row: int) -> str:
        places = np.flatnonzero(self.different[row])
        values = [
            f"{self.features[place]} {_value(_known(self.in_table[row, place]))} in the table and "
            f"{_value(_known(self.computed[row, place]))} computed"
            for place in places[:SHOWN_FEATURES]
        ]
        more = f" and {len(places) - SHOWN_FEATURES} more" if len(places) > SHOWN_FEATURES else ""
        return f"customer {self.customer_ids[row]} as of {self.moments[row]:%Y-%m-%d %H:%M}: {', '.join(values)}{more}"


def compare(warehouse: Warehouse, table: FeatureTable) -> Comparison | None:
    """A sample of about a thousand of the table's rows, each as of its moment.

    None if there is no such table, or if it has no feature that can be computed. Raises Problem.
    """
    everything = _read(warehouse, table)
    if everything is None:
        return None
    tables = warehouse.config.tables
    transactions = warehouse.transactions()
    computable = features.available(transactions) if transactions is not None else ()
    own = [name for name in warehouse.config.table_features if name in everything.columns]
    of_transactions = tuple(name for name in own if name in computable)
    of_offers = tuple(name for name in own if name in OFFER_FEATURES) if tables.offers else ()
    names = (*of_transactions, *of_offers)
    if not names:
        return None
    rows = warehouse.rows(everything.aggregate(rows=everything.count()))["rows"][0].as_py()
    part = sample(warehouse, rows, CUSTOMERS)
    both = _both(part, required(_read(part, table)), of_transactions, of_offers)
    read = warehouse.rows(both.order_by("customer_id", "moment"))
    sources = [str(source) for source in (tables.transactions, tables.offers) if source]
    if not of_offers or not of_transactions:
        sources = [str(tables.offers if of_offers else tables.transactions)]
    return Comparison(
        table=str(getattr(tables, table)),
        sources=" and ".join(sources),
        moment=getattr(getattr(warehouse.config.columns, table), KEYS[table][0]),
        features=names,
        customer_ids=read["customer_id"].to_pylist(),
        moments=read["moment"].to_pylist(),
        in_table=matrix_of(read, names),
        computed=matrix_of(read, [f"computed_{name}" for name in names]),
    )


def check_recomputed(warehouse: Warehouse, table: FeatureTable, say: Callable[[str], None]) -> None:
    """Says how the features that a table of labels brings agree with computed ones. Raises Problem if they do not."""
    compared = compare(warehouse, table)
    if compared is None:
        return
    for line in compared.lines():
        say(line)
    if refusal := compared.refusal():
        raise Problem(refusal)


def _read(warehouse: Warehouse, table: FeatureTable) -> ir.Table | None:
    rows = {"features": warehouse.features, "churn": warehouse.churn, "offers": warehouse.offers}[table]()
    return rows.rename(moment="updated_at") if rows is not None and table == "features" else rows


def _both(part: Warehouse, rows: ir.Table, of_transactions: Sequence[str], of_offers: Sequence[str]) -> ir.Table:
    """customer_id, moment, and each feature twice: as the table has it, and computed_ before its name."""
    windows, by = part.config.windows, ["customer_id", "moment"]
    both = rows.select(*by, *of_transactions, *of_offers)
    pairs = rows.select(*by).distinct()
    if of_transactions:
        known = features.as_of_each(required(part.transactions()), pairs, windows)
        both = _beside(both, known, by, of_transactions)
    if of_offers:
        both = _beside(both, with_history_each(pairs, required(part.offers()), of_offers, windows), by, of_offers)
    return both


def _beside(rows: ir.Table, known: ir.Table, by: list[str], names: Sequence[str]) -> ir.Table:
    computed = known.select(*by, **{f"computed_{name}": known[name] for name in names})
    return rows.left_join(computed, by).select(rows, *(computed[f"computed_{name}"] for name in names))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _value(value: float | None) -> str:
    return "NULL" if value is None else f"{value:.10g}"
