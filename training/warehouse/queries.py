"""From the warehouse to what training and materialising read: checked examples, and the features of everyone today."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr import types as ir

from loyalty_ml.models.card import Offer
from training.errors import Problem
from training.warehouse import catalogue, features
from training.warehouse.connection import Warehouse
from training.warehouse.examples import Examples


class CurrentFeatures(NamedTuple):
    """The whole customer base: `table` has customer_id (string) and the features `names` as float64, NULL for none."""

    table: ir.Table
    names: tuple[str, ...]
    as_of: datetime


def current_features(warehouse: Warehouse, as_of: datetime | None = None) -> CurrentFeatures:
    """From the feature view, or from transactions where there is none or where a moment is asked for.

    The view's moment is its oldest updated_at, as no row is older than that; that of transactions is the midnight
    after the last one, or now where that is to come. Raises Problem.
    """
    view = warehouse.features() if as_of is None else None
    if view is not None:
        oldest, newest, rows = _span(warehouse, view, "updated_at")
        name = warehouse.config.tables.features
        if not rows:
            raise Problem(f"{name} has no rows: there is nobody to work on.")
        if oldest is None or newest is None:
            raise Problem(f"{name} has no {warehouse.config.columns.features.updated_at}: nothing says how old it is.")
        _check_past(f"{name} has rows updated", newest)
        names = tuple(warehouse.config.features)
        return CurrentFeatures(view.select("customer_id", *names), names, oldest)
    transactions = warehouse.transactions()
    if transactions is None:
        raise Problem("Features as of a date are computed from transactions: name their table under [tables].")
    first, end = _transaction_span(warehouse, transactions)
    moment = as_of or min(end, datetime.now(UTC))
    _check_past("Features cannot be computed", moment)
    if moment <= first:
        raise Problem(f"There are no transactions before {moment:%Y-%m-%d}; the first is of {first:%Y-%m-%d}.")
    names = _feature_names(warehouse, transactions)
    table = features.as_of(transactions, moment, warehouse.config.windows)
    return CurrentFeatures(table.select("customer_id", *names), names, moment)


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
    return _examples(warehouse, labelled, transactions, str(warehouse.config.tables.churn), ("customer_id", "moment"))


def offer_examples(warehouse: Warehouse) -> Examples | None:
    """Every exposure of the offers table, converted or not; None where the configuration names no such table.

    Raises Problem where the warehouse cannot say it.
    """
    exposures = warehouse.offers()
    if exposures is None:
        return None
    name = str(warehouse.config.tables.offers)
    return _examples(warehouse, exposures, warehouse.transactions(), name, ("customer_id", "moment", "offer"))


def _churn_from_transactions(warehouse: Warehouse, transactions: ir.Table) -> Examples:
    windows = warehouse.config.windows
    horizon = timedelta(days=windows.churn_days)
    first, end = _transaction_span(warehouse, transactions)
    latest = end - horizon
    if latest <= first:
        raise Problem(
            f"Transactions run from {first:%Y-%m-%d} to {end:%Y-%m-%d}, too short to look {windows.churn_days} days "
            "ahead: lower windows.churn_days."
        )
    # As late as the labels allow, and earlier ones while there is as much history behind as there is ahead.
    moments = [latest - horizon * back for back in range(windows.churn_snapshots)]
    labelled = [
        features.bought_nothing(transactions, moment, horizon, features.as_of(transactions, moment, windows))
        for moment in moments
        if moment == latest or moment - horizon >= first
    ]
    rows = warehouse.rows(ibis.union(*labelled) if len(labelled) > 1 else labelled[0])
    names = _feature_names(warehouse, transactions)
    name = str(warehouse.config.tables.transactions)
    return _checked(warehouse, rows, name, names=names, key=("customer_id", "moment"), horizon=horizon)


def _examples(
    warehouse: Warehouse, labelled: ir.Table, transactions: ir.Table | None, name: str, key: tuple[str, ...]
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
    return _checked(warehouse, warehouse.rows(labelled), name, names=names, key=key, horizon=horizon)


def _checked(
    warehouse: Warehouse,
    rows: pa.Table,
    name: str,
    *,
    names: tuple[str, ...],
    key: tuple[str, ...],
    horizon: timedelta | None,
) -> Examples:
    """The rows that are examples, in an order of their own: a warehouse gives them in any. Raises Problem."""
    if not rows.num_rows:
        raise Problem(f"{name} has no rows: there is nothing to learn from.")
    left_out: dict[str, int] = {}
    reasons = [("customer_id", "no customer id"), ("moment", "no date"), ("happened", "no label")]
    if "offer" in key:
        reasons.append(("offer", catalogue.UNKNOWN))
    for column, reason in reasons:
        kept = rows.filter(pc.is_valid(rows[column]))
        if kept.num_rows < rows.num_rows:
            left_out[reason] = rows.num_rows - kept.num_rows
        rows = kept
    _check_infinite(rows, name, names)
    known = rows
    for feature in names:
        known = known.filter(pc.is_valid(known[feature]))
    if known.num_rows < rows.num_rows:
        left_out["a feature is missing"] = rows.num_rows - known.num_rows
    rows = known.sort_by([(column, "ascending") for column in reversed(key)])
    if not rows.num_rows:
        raise Problem(f"No row of {name} is complete ({_reasons(left_out)}): there is nothing to learn from.")
    _check_past(f"{name} has rows of", _utc(pc.max(rows["moment"]).as_py()))
    _check_unique(rows, name, key)
    happened = _numpy(rows["happened"]).astype(np.bool_)
    # Of offers, those taken may be all that is known: then it is learnt which one was.
    if not happened.any() or (happened.all() and "offer" not in key):
        raise Problem(
            f"All {len(happened):,} examples of {name} have the same label, {bool(happened[0])}: "
            "there is nothing to tell apart."
        )
    offers, known_offers = _offers(warehouse, rows, name) if "offer" in key else (None, ())
    has_purchases = set(features.PURCHASES) <= set(rows.column_names)
    return Examples(
        customer_ids=_numpy(rows["customer_id"]).astype(np.object_),
        moments=_numpy(rows["moment"]).astype("datetime64[us]"),
        names=names,
        features=_matrix(rows, names),
        happened=happened,
        offers=offers,
        purchases=_matrix(rows, features.PURCHASES) if has_purchases else None,
        horizon_days=horizon / timedelta(days=1) if horizon else None,
        left_out=left_out,
        catalogue=known_offers,
    )


def _offers(warehouse: Warehouse, rows: pa.Table, name: str) -> tuple[np.ndarray, tuple[Offer, ...]]:
    """The places of the offers shown, int64 (n,), and the catalogue that they are places in. Raises Problem."""
    codes = _numpy(rows["offer"]).astype(np.object_)
    known = warehouse.config.catalogue or catalogue.from_codes(codes, name)
    return catalogue.places_of(codes, known), known


def _check_infinite(rows: pa.Table, name: str, names: Sequence[str]) -> None:
    bad = [feature for feature in names if pc.any(pc.invert(pc.is_finite(rows[feature]))).as_py()]
    if bad:
        raise Problem(
            f"{name} has values that are infinite or not a number in {', '.join(bad)}: correct them, or make them NULL."
        )


def _check_unique(rows: pa.Table, name: str, key: tuple[str, ...]) -> None:
    counts = rows.group_by(list(key)).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        example = ", ".join(f"{column} {twice[column][0].as_py()}" for column in key)
        raise Problem(
            f"{name} has {twice.num_rows:,} customers more than once at the same moment (such as {example}): "
            "which row is right is not known; remove the others."
        )


def _feature_names(warehouse: Warehouse, transactions: ir.Table) -> tuple[str, ...]:
    """The configured features that transactions can give, in the configured order."""
    known = features.available(transactions)
    return tuple(name for name in warehouse.config.features if name in known)


def _transaction_span(warehouse: Warehouse, transactions: ir.Table) -> tuple[datetime, datetime]:
    """The first transaction, and the midnight (UTC) after the last one."""
    name = warehouse.config.tables.transactions
    first, last, _ = _span(warehouse, transactions, "date")
    if first is None or last is None:
        raise Problem(f"{name} has no rows with a date: there is nothing to work on.")
    _check_past(f"{name} has rows of", last)
    return first, datetime.combine(last.date() + timedelta(days=1), time(), UTC)


def _span(warehouse: Warehouse, table: ir.Table, column: str) -> tuple[datetime | None, datetime | None, int]:
    row = warehouse.rows(
        table.aggregate(first=table[column].min(), last=table[column].max(), rows=table.count())
    ).to_pylist()[0]
    return row["first"] and _utc(row["first"]), row["last"] and _utc(row["last"]), row["rows"]


def _check_past(what: str, moment: datetime) -> None:
    if moment > datetime.now(UTC):
        raise Problem(f"{what} {moment:%Y-%m-%d}, which is to come: correct the dates.")


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _matrix(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    return np.column_stack([_numpy(rows[name]).astype(np.float64) for name in names])


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values


def _reasons(left_out: dict[str, int]) -> str:
    return ", ".join(f"{count:,}: {reason}" for reason, count in left_out.items())
