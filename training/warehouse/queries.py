"""From the warehouse to what training and materialising read: checked examples, and the features of everyone today."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr import types as ir

from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.card import Offer
from training.errors import Problem
from training.warehouse import catalogue, features, young
from training.warehouse.chosen_features import (
    feature_names,
    features_left_out,
    names_in,
    offer_features,
    say_unknown_categories,
)
from training.warehouse.connection import TableName, Warehouse
from training.warehouse.current import YEAR_RFM_FEATURES, CurrentFeatures, base, current_features, rfm_features
from training.warehouse.domains import inside_domains
from training.warehouse.examples import Examples, NothingToLearn
from training.warehouse.identity import strangers
from training.warehouse.moments import instants, label_moments, transaction_span
from training.warehouse.offer_history import with_history, with_history_each
from training.warehouse.rows import matrix, matrix_of, numpy_of, of_use, reasons, required

__all__ = [
    "FEATURE_MISSING",
    "NOT_FINITE",
    "NO_PURCHASE",
    "YEAR_RFM_FEATURES",
    "CurrentFeatures",
    "SameLabel",
    "base",
    "churn_examples",
    "current_features",
    "features_left_out",
    "label_moments",
    "matrix",
    "offer_examples",
    "rfm_features",
    "transaction_span",
]

NO_PURCHASE, FEATURE_MISSING = "no purchase before it", "a feature is missing"
NOT_FINITE = "a feature is infinite or not a number"
"""Why a row of use is no example."""


class SameLabel(NothingToLearn):
    """All examples have the same label, so there is nothing to tell apart."""


def churn_examples(warehouse: Warehouse) -> Examples:
    """From the churn table; where there is none, from transactions: who bought nothing for windows.churn_days.

    Raises Problem where the warehouse cannot say it.
    """
    labelled = warehouse.churn()
    if labelled is None:
        transactions = warehouse.transactions()
        if transactions is None:
            raise Problem("There is neither a churn table nor transactions: name churn or transactions under [tables].")
        return _churn_from_transactions(warehouse, transactions)
    say_unknown_categories(warehouse, "churn")
    return _examples(warehouse, "churn", labelled, ("customer_id", "moment"), {})


def offer_examples(warehouse: Warehouse) -> Examples | None:
    """Every exposure of the offers table, converted or not; None where the configuration names no such table.

    Those that are younger than windows.offer_days where the data ends are left out and counted: they look refused, and
    may yet be taken. Raises Problem where the warehouse cannot say it.
    """
    exposures = warehouse.offers()
    if exposures is None:
        return None
    say_unknown_categories(warehouse, "offers")
    old, young_ones = young.old_enough(warehouse, exposures)
    left_out = {young.reason(warehouse): young_ones} if young_ones else {}
    return _examples(warehouse, "offers", old, ("customer_id", "moment", "offer"), left_out)


def _churn_from_transactions(warehouse: Warehouse, transactions: ir.Table) -> Examples:
    windows = warehouse.config.windows
    horizon = timedelta(days=windows.churn_days)
    first, end = transaction_span(warehouse)
    moments = label_moments(first, end, windows.churn_days, windows.churn_snapshots)
    if not moments:
        raise Problem(
            f"Transactions run from {first:%Y-%m-%d} to {end:%Y-%m-%d}, too short to look {windows.churn_days} days "
            "ahead: lower [windows] churn_days, or bring older data as [tables] transactions."
        )
    of_offers = offer_features(warehouse)
    exposures = warehouse.offers() if of_offers else None

    def known(moment: datetime) -> ir.Table:
        found = features.as_of(transactions, moment, windows)
        return with_history(found, exposures, moment, of_offers, windows) if exposures is not None else found

    labelled = [features.bought_nothing(transactions, moment, horizon, known(moment), windows) for moment in moments]
    examples = ibis.union(*labelled) if len(labelled) > 1 else labelled[0]
    rows = warehouse.rows(_with_attributes(warehouse, examples))
    names = feature_names(warehouse, transactions)
    return _checked(
        warehouse, rows, "transactions", names=names, key=("customer_id", "moment"), horizon=horizon, left_out={}
    )


def _examples(
    warehouse: Warehouse, source: TableName, labelled: ir.Table, key: tuple[str, ...], left_out: Mapping[str, int]
) -> Examples:
    """What the warehouse has labelled itself, with computed features where the table has none of its own.

    left_out: rows of the table that are not among `labelled`, by reason.
    """
    names, transactions = warehouse.config.feature_names, warehouse.transactions()
    of_offers = offer_features(warehouse, labelled.columns)
    of_table = set(names_in(warehouse.config.table_features)) - set(of_offers)
    is_offers = "offer" in labelled.columns
    pairs = labelled
    if of_offers:
        exposures = required(warehouse.offers())
        labelled = with_history_each(labelled, exposures, of_offers, warehouse.config.windows)
    if transactions is not None:
        known = features.as_of_each(transactions, pairs, warehouse.config.windows)
        columns: dict[str, ir.Value] = {}
        if not of_table <= set(labelled.columns):
            names = feature_names(warehouse, transactions, labelled.columns)
            columns = {name: known[name] for name in (*names, *features.PURCHASES) if name in known.columns}
            # Who has no transactions before the moment has no purchase either.
            columns[LIFETIME_TRANSACTION_COUNT] = known[LIFETIME_TRANSACTION_COUNT].coalesce(0)
        elif not is_offers:
            columns = {name: known[name] for name in features.PURCHASES}
        if not is_offers and features.DAYS_SINCE_LAST not in labelled.columns:
            columns[features.DAYS_SINCE_LAST] = known[features.DAYS_SINCE_LAST]
        if columns:
            labelled = labelled.left_join(known, ["customer_id", "moment"]).select(
                *(labelled[column] for column in labelled.columns), **columns
            )
    windows = warehouse.config.windows
    horizon = timedelta(days=windows.offer_days if is_offers else windows.churn_days)
    rows = warehouse.rows(_with_attributes(warehouse, labelled))
    return _checked(warehouse, rows, source, names=names, key=key, horizon=horizon, left_out=left_out)


def _with_attributes(warehouse: Warehouse, examples: ir.Table) -> ir.Table:
    """Examples with the features that the customers table has: as they are today, whatever their moment."""
    customers, attributes = warehouse.customers(), names_in(warehouse.config.customer_features)
    if customers is None or not attributes:
        return examples
    return examples.left_join(customers, "customer_id").select(
        *(examples[column] for column in examples.columns if column not in attributes),
        *(customers[name] for name in attributes),
    )


def _checked(
    warehouse: Warehouse,
    rows: pa.Table,
    source: TableName,
    *,
    names: tuple[str, ...],
    key: tuple[str, ...],
    horizon: timedelta,
    left_out: Mapping[str, int],
) -> Examples:
    """The rows that are examples, in an order of their own: a warehouse gives them in any.

    Raises Problem, NothingToLearn if there are none.
    """
    name = getattr(warehouse.config.tables, source)
    left_out = {**_left_out(warehouse, source), **left_out}
    if not rows.num_rows:
        raise NothingToLearn(
            f"{name} has no rows {of_use(warehouse.left_out(source))}, so there is nothing to learn from: fill it, or "
            f"name another table as [tables] {source}."
        )
    if LIFETIME_TRANSACTION_COUNT in rows.column_names:
        kept = rows.filter(pc.fill_null(pc.not_equal(rows[LIFETIME_TRANSACTION_COUNT], 0), True))
        if kept.num_rows < rows.num_rows:
            left_out[NO_PURCHASE] = rows.num_rows - kept.num_rows
        rows = kept
    known = rows
    for feature in names:
        known = known.filter(pc.is_valid(known[feature]))
    if known.num_rows < rows.num_rows:
        left_out[FEATURE_MISSING] = rows.num_rows - known.num_rows
    finite = known
    for feature in names:  # of the customers table; rows of other tables that have one are left out where they are read
        finite = finite.filter(pc.is_finite(finite[feature]))
    if finite.num_rows < known.num_rows:
        left_out[NOT_FINITE] = known.num_rows - finite.num_rows
    # A churn model's active rule reads the days too, also where the network does not.
    read = dict.fromkeys((*names, *([features.DAYS_SINCE_LAST] if "offer" not in key else [])))
    checked = [feature for feature in read if feature in finite.column_names]
    inside = inside_domains(checked, matrix_of(finite, checked), warehouse.config.domains_of(checked))
    left_out |= inside.left_out
    outside, most = sum(inside.left_out.values()), warehouse.config.reading.max_rejected_share
    if outside > most * finite.num_rows or outside == finite.num_rows > 0:
        raise NothingToLearn(
            f"{outside:,} of {finite.num_rows:,} examples of {name} have a value outside its feature's domain "
            f"({reasons(inside.left_out)}), and [reading] max_rejected_share is {most:g}: correct the data, or give "
            "the feature another domain under [domains]."
        )
    finite = finite.filter(pa.array(inside.rows))
    if not finite.num_rows:
        raise NothingToLearn(
            f"No row of {name} is complete ({reasons(left_out)}), so there is nothing to learn from: "
            f"{_what_completes(warehouse, source, rows, names)}."
        )
    rows = finite.sort_by([(column, "ascending") for column in reversed(key)])
    happened = numpy_of(rows["happened"]).astype(np.bool_)
    # Of offers, those taken may be all that is known: then it is learnt which one was.
    if not happened.any() or (happened.all() and "offer" not in key):
        remedy = (
            "change [windows] churn_days, which makes them"
            if source == "transactions"
            else f"correct its labels, or map another column under [columns.{source}]"
        )
        raise SameLabel(
            f"All {len(happened):,} examples of {name} have the same label, {bool(happened[0])}, so "
            f"there is nothing to tell apart: {remedy}."
        )
    days_since_last = None if "offer" in key else _days_since_last(warehouse, rows, source)
    offers, known_offers = _offers(warehouse, rows, str(name)) if "offer" in key else (None, ())
    has_purchases = set(features.PURCHASES) <= set(rows.column_names)
    return Examples(
        customer_ids=numpy_of(rows["customer_id"]).astype(np.object_),
        moments=instants(numpy_of(rows["moment"]).astype("datetime64[us]"), warehouse.config.windows),
        names=names,
        features=matrix_of(rows, names),
        happened=happened,
        offers=offers,
        purchases=matrix_of(rows, features.PURCHASES) if has_purchases else None,
        horizon_days=horizon / timedelta(days=1),
        left_out=left_out,
        catalogue=known_offers,
        days_since_last=days_since_last,
    )


def _days_since_last(warehouse: Warehouse, rows: pa.Table, source: TableName) -> np.ndarray:
    """float64 (n,), whether or not the models read it, as it says who is active. Raises Problem if nothing gives it."""
    if features.DAYS_SINCE_LAST not in rows.column_names:
        raise Problem(
            f"[windows] active_days needs {features.DAYS_SINCE_LAST}, which {getattr(warehouse.config.tables, source)} "
            "does not give: map its column under [features], or name the transactions under [tables]."
        )
    return matrix_of(rows, [features.DAYS_SINCE_LAST])[:, 0]


def _what_completes(warehouse: Warehouse, source: TableName, rows: pa.Table, names: Sequence[str]) -> str:
    """What to change if no example is complete. rows: those of customers who had bought. Raises Problem."""
    labelled = required(warehouse.transactions() if source == "transactions" else getattr(warehouse, source)())
    of_customers = names_in(warehouse.config.customer_features)
    others: dict[TableName, ir.Table | None] = {"transactions": warehouse.transactions() if not len(rows) else None}
    if any(rows[name].null_count == len(rows) for name in names if name in of_customers):
        others["customers"] = warehouse.customers()
    for key, other in others.items():
        told = _strangers(warehouse, source, labelled, key, other) if other is not None and key != source else ""
        if told:
            return told
    if not len(rows):
        return (
            f"none of these customers had bought before. Correct the dates under [columns.{source}], bring older "
            "purchases as [tables] transactions, or, if purchases are negative there, turn the sign of amount of "
            "[columns.transactions] in a query"
        )
    missing = [name for name in names if rows[name].null_count]
    return (
        f"complete its data, or remove the features that are missing ({', '.join(missing) or 'none'}) from [features]"
    )


def _strangers(warehouse: Warehouse, source: TableName, one: ir.Table, key: TableName, other: ir.Table) -> str:
    """If no customer of one table is in the other: that, with ids of both. Raises Problem."""
    found = strangers(warehouse, one, other)
    if found is None:
        return ""
    shown = [
        f"{getattr(warehouse.config.tables, table)} ({'it has none' if first is None else f'such as {first!r}'})"
        for table, first in zip((source, key), found, strict=True)
    ]
    return (
        f"no customer of {shown[0]} is in {shown[1]}. Write the ids in the same way in both, by a query under "
        f"[tables], or map another column as customer_id under [columns.{key}]"
    )


def _offers(warehouse: Warehouse, rows: pa.Table, name: str) -> tuple[np.ndarray, tuple[Offer, ...]]:
    """The places of the offers shown, int64 (n,), and the catalogue that they are places in. Raises Problem."""
    codes = numpy_of(rows["offer"]).astype(np.object_)
    known = warehouse.config.catalogue or catalogue.from_codes(codes, name)
    return catalogue.places_of(codes, known), known


def _left_out(warehouse: Warehouse, source: TableName) -> dict[str, int]:
    """Rows that were left out by reason, of the table itself and of the transactions that its features are from."""
    found = {reason: one.count for reason, one in warehouse.left_out(source).reasons.items()}
    if source != "transactions":
        name = warehouse.config.tables.transactions
        found |= {f"{name}: {reason}": one.count for reason, one in warehouse.left_out("transactions").reasons.items()}
    return found
