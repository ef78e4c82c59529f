"""From the warehouse to what training and materialising read: checked examples, and the features of everyone today."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr import types as ir

from training.config import Windows
from training.errors import Problem
from training.warehouse import features
from training.warehouse.cleaning import LeftOut
from training.warehouse.connection import TableName, Warehouse
from training.warehouse.examples import Examples


class CurrentFeatures(NamedTuple):
    """The whole customer base: `table` has customer_id (string) and the features `names` as float64, NULL for none."""

    table: ir.Table
    names: tuple[str, ...]
    as_of: datetime


def current_features(warehouse: Warehouse, as_of: datetime | None = None) -> CurrentFeatures:
    """From the feature view, or from transactions where there is none or where a moment is asked for.

    The view's moment is its oldest updated_at, as no row is older than that; that of transactions is the midnight
    (of windows.time_zone) after the last one, or now where that is to come. Raises Problem.
    """
    if warehouse.config.tables.features is not None and as_of is None:
        return _view(warehouse)
    if warehouse.transactions() is None:
        raise Problem("Features as of a date are computed from transactions: name their table under [tables].")
    if as_of is not None and as_of > warehouse.now:
        raise Problem(f"Features cannot be computed as of {as_of:%Y-%m-%d}, which is to come: give an earlier moment.")
    first, end = _transaction_span(warehouse)
    moment = as_of or min(end, warehouse.now)
    if moment <= first:
        raise Problem(f"There are no transactions before {moment:%Y-%m-%d}; the first is of {first:%Y-%m-%d}.")
    # Until the moment, not until now: the same moment is the same query, by which a run that was stopped is known.
    transactions = _required(warehouse.transactions(until=moment))
    names = _feature_names(warehouse, transactions)
    table = features.as_of(transactions, moment, warehouse.config.windows)
    return CurrentFeatures(table.select("customer_id", *names), names, moment.astimezone(UTC))


def _view(warehouse: Warehouse) -> CurrentFeatures:
    _required(warehouse.features())  # refused first if too much of it is bad
    windows, counts = warehouse.config.windows, warehouse.left_out("features")
    if counts.first is None or counts.last is None:
        raise Problem(f"{warehouse.config.tables.features} has no rows {_of_use(counts)}: there is nobody to work on.")
    # Until its newest row, not until now, as above.
    view = _required(warehouse.features(until=windows.instant(counts.last)))
    names = tuple(warehouse.config.features)
    return CurrentFeatures(view.select("customer_id", *names), names, windows.instant(counts.first))


def matrix(warehouse: Warehouse, table: ir.Table, names: Sequence[str]) -> np.ndarray:
    """The columns as float64 (n, len(names)), NaN for NULL. Raises Problem."""
    return _matrix(warehouse.rows(table.select(*names)), names)


def churn_examples(warehouse: Warehouse) -> Examples:
    """From the churn table; where there is none, from transactions: who bought nothing for windows.churn_days.

    Raises Problem where the warehouse cannot say it.
    """
    labelled = warehouse.churn()
    transactions = warehouse.transactions()
    if labelled is None:
        if transactions is None:
            raise Problem("There is neither a churn table nor transactions: name one under [tables].")
        return _churn_from_transactions(warehouse, transactions)
    return _examples(warehouse, labelled, transactions, "churn", ("customer_id", "moment"))


def offer_examples(warehouse: Warehouse) -> Examples | None:
    """Every exposure of the offers table, converted or not; None where the configuration names no such table.

    Raises Problem where the warehouse cannot say it.
    """
    exposures = warehouse.offers()
    if exposures is None:
        return None
    return _examples(warehouse, exposures, warehouse.transactions(), "offers", ("customer_id", "moment", "offer"))


def _churn_from_transactions(warehouse: Warehouse, transactions: ir.Table) -> Examples:
    windows = warehouse.config.windows
    horizon = timedelta(days=windows.churn_days)
    first, end = _transaction_span(warehouse)
    latest = end - horizon
    if latest <= first:
        raise Problem(
            f"Transactions run from {first:%Y-%m-%d} to {end:%Y-%m-%d}, too short to look {windows.churn_days} days "
            "ahead: lower windows.churn_days."
        )
    # As late as the labels allow, and earlier ones while there is as much history behind as there is ahead.
    moments = [latest - horizon * back for back in range(windows.churn_snapshots)]
    labelled = [
        features.bought_nothing(transactions, moment, horizon, features.as_of(transactions, moment, windows), windows)
        for moment in moments
        if moment == latest or moment - horizon >= first
    ]
    rows = warehouse.rows(ibis.union(*labelled) if len(labelled) > 1 else labelled[0])
    names = _feature_names(warehouse, transactions)
    return _checked(warehouse, rows, "transactions", names=names, key=("customer_id", "moment"), horizon=horizon)


def _examples(
    warehouse: Warehouse, labelled: ir.Table, transactions: ir.Table | None, source: TableName, key: tuple[str, ...]
) -> Examples:
    """What the warehouse has labelled itself, with features from transactions where the table has none of its own."""
    names: tuple[str, ...] = tuple(warehouse.config.features)
    if transactions is not None:
        known = features.as_of_each(transactions, labelled, warehouse.config.windows)
        if not set(names) <= set(labelled.columns):
            names = _feature_names(warehouse, transactions)
            labelled = labelled.left_join(known, ["customer_id", "moment"]).select(
                *labelled.columns, *names, *features.PURCHASES
            )
        elif "offer" not in labelled.columns:
            labelled = labelled.left_join(known, ["customer_id", "moment"]).select(
                *(labelled[column] for column in labelled.columns), *(known[column] for column in features.PURCHASES)
            )
    horizon = None if "offer" in labelled.columns else timedelta(days=warehouse.config.windows.churn_days)
    return _checked(warehouse, warehouse.rows(labelled), source, names=names, key=key, horizon=horizon)


def _checked(
    warehouse: Warehouse,
    rows: pa.Table,
    source: TableName,
    *,
    names: tuple[str, ...],
    key: tuple[str, ...],
    horizon: timedelta | None,
) -> Examples:
    """The rows that are examples, in an order of their own: a warehouse gives them in any. Raises Problem."""
    name = getattr(warehouse.config.tables, source)
    left_out = _left_out(warehouse, source)
    if not rows.num_rows:
        raise Problem(f"{name} has no rows {_of_use(warehouse.left_out(source))}: there is nothing to learn from.")
    known = rows
    for feature in names:
        known = known.filter(pc.is_valid(known[feature]))
    if known.num_rows < rows.num_rows:
        left_out["a feature is missing"] = rows.num_rows - known.num_rows
    rows = known.sort_by([(column, "ascending") for column in reversed(key)])
    if not rows.num_rows:
        raise Problem(f"No row of {name} is complete ({_reasons(left_out)}): there is nothing to learn from.")
    happened = _numpy(rows["happened"]).astype(np.bool_)
    # Of offers, those taken may be all that is known: then it is learnt which one was.
    if not happened.any() or (happened.all() and "offer" not in key):
        raise Problem(
            f"All {len(happened):,} examples of {name} have the same label, {bool(happened[0])}: "
            "there is nothing to tell apart."
        )
    has_purchases = set(features.PURCHASES) <= set(rows.column_names)
    return Examples(
        customer_ids=_numpy(rows["customer_id"]).astype(np.object_),
        moments=_instants(_numpy(rows["moment"]).astype("datetime64[us]"), warehouse.config.windows),
        names=names,
        features=_matrix(rows, names),
        happened=happened,
        offers=_numpy(rows["offer"]).astype(np.int64) if "offer" in key else None,
        purchases=_matrix(rows, features.PURCHASES) if has_purchases else None,
        horizon_days=horizon / timedelta(days=1) if horizon else None,
        left_out=left_out,
    )


def _left_out(warehouse: Warehouse, source: TableName) -> dict[str, int]:
    """Rows that were left out by reason, of the table itself and of the transactions that its features are from."""
    found = {reason: one.count for reason, one in warehouse.left_out(source).reasons.items()}
    if source != "transactions":
        name = warehouse.config.tables.transactions
        found |= {f"{name}: {reason}": one.count for reason, one in warehouse.left_out("transactions").reasons.items()}
    return found


def _feature_names(warehouse: Warehouse, transactions: ir.Table) -> tuple[str, ...]:
    """The configured features that transactions can give, in the configured order."""
    known = features.available(transactions)
    return tuple(name for name in warehouse.config.features if name in known)


def _transaction_span(warehouse: Warehouse) -> tuple[datetime, datetime]:
    """The first transaction, and the midnight after the last one, both in windows.time_zone."""
    counts, zone = warehouse.left_out("transactions"), warehouse.config.windows.zone
    if counts.first is None or counts.last is None:
        name = warehouse.config.tables.transactions
        raise Problem(f"{name} has no rows {_of_use(counts)}: there is nothing to work on.")
    # In the zone, days later are the same time of day, also where clocks are changed between.
    return counts.first.replace(tzinfo=zone), datetime.combine(counts.last.date() + timedelta(days=1), time(), zone)


def _instants(local: np.ndarray, windows: Windows) -> np.ndarray:
    """datetime64 (n,) on the clock of the zone, as UTC."""
    if windows.time_zone == "UTC":
        return local
    moments, places = np.unique(local, return_inverse=True)
    instants = [windows.instant(moment).replace(tzinfo=None) for moment in moments.tolist()]
    return np.array(instants, "datetime64[us]")[places]


def _required(table: ir.Table | None) -> ir.Table:
    """A table that the configuration names."""
    assert table is not None
    return table


def _of_use(counts: LeftOut) -> str:
    if not counts.rows:
        return "at all"
    return f"that can be used ({_reasons({reason: one.count for reason, one in counts.reasons.items()})})"


def _matrix(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    return np.column_stack([_numpy(rows[name]).astype(np.float64) for name in names])


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values


def _reasons(left_out: dict[str, int]) -> str:
    return ", ".join(f"{count:,}: {reason}" for reason, count in left_out.items())
