"""From the warehouse to what training and materialising read: checked examples, and the features of everyone today."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Literal, NamedTuple

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr import types as ir

from loyalty_ml.customers.online_store import AS_OF
from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.card import Offer
from loyalty_ml.models.manifest import LIFETIME_RFM_FEATURES
from training.config import Config, FeatureSource, Windows, names_of
from training.errors import Problem
from training.warehouse import catalogue, features
from training.warehouse.cleaning import NO_CUSTOMER, LeftOut, map_another
from training.warehouse.connection import TableName, Warehouse
from training.warehouse.examples import Examples
from training.warehouse.identity import strangers

YEAR_RFM_FEATURES = ("days_since_last", "transaction_count", "revenue")
"""What RFM reads of a features table that says nothing of all history."""


NO_PURCHASE, FEATURE_MISSING = "no purchase before it", "a feature is missing"
NOT_FINITE = "a feature is infinite or not a number"
"""Why a row of use is no example."""


class SameLabel(Problem):
    """All examples have the same label, so there is nothing to tell apart."""


class CurrentFeatures(NamedTuple):
    """The whole customer base: `table` has customer_id (string) and the features `names` as float64, NULL for none.

    names: the configured features that there are, and then what RFM reads beside them.
    as_of: the snapshot's moment. Where the features view has another for each customer, `table` has it as the last
           column, features_as_of (timestamp in UTC), NULL for who is only in the customers table.
    newest: the latest moment that a customer's features are of; as_of where there is one for all.
    """

    table: ir.Table
    names: tuple[str, ...]
    as_of: datetime
    newest: datetime


def current_features(warehouse: Warehouse, as_of: datetime | None = None) -> CurrentFeatures:
    """From the feature view, or from transactions where there is none or where a moment is asked for.

    The view's moment is now, and the table says in features_as_of what moment each customer's row is of. That of
    transactions is the midnight (of windows.time_zone) after the last one, or now where that is to come.

    Raises Problem.
    """
    if warehouse.config.tables.features is not None and as_of is None:
        return _view(warehouse)
    if warehouse.transactions() is None:
        raise Problem(
            "Features as of a date are computed from transactions: name their table as [tables] transactions."
        )
    if as_of is not None and as_of > warehouse.now:
        raise Problem(
            f"Features cannot be computed as of {as_of:%Y-%m-%d}, which is to come: give an earlier moment to --as-of."
        )
    first, end = transaction_span(warehouse)
    moment = as_of or min(end, warehouse.now)
    if moment <= first:
        raise Problem(
            f"There are no transactions before {moment:%Y-%m-%d}; the first is of {first:%Y-%m-%d}: give a later "
            "--as-of, or bring older data as [tables] transactions."
        )
    # Until the moment, not until now: the same moment is the same query, by which a run that was stopped is known.
    transactions = _required(warehouse.transactions(until=moment))
    if as_of is not None:
        _check_as_of(warehouse, features.available(transactions))
    attributes = _names(warehouse.config.customer_features)
    configured = [name for name in _feature_names(warehouse, transactions) if name not in attributes]
    names = tuple(dict.fromkeys((*configured, *_of_rfm(warehouse.config))))
    table = features.as_of(transactions, moment, warehouse.config.windows, warehouse.config.rfm.window_days)
    current = CurrentFeatures(
        table.select("customer_id", *names), names, moment.astimezone(UTC), moment.astimezone(UTC)
    )
    return _with_customers(warehouse, current, counted=True)


def _view(warehouse: Warehouse) -> CurrentFeatures:
    _required(warehouse.features())  # refused first if too much of it is bad
    windows, counts = warehouse.config.windows, warehouse.left_out("features")
    if counts.first is None or counts.last is None:
        raise Problem(
            f"{warehouse.config.tables.features} has no rows {_of_use(counts)}, so there is nobody to work on: fill "
            "it, or name another as [tables] features."
        )
    newest = windows.instant(counts.last)
    # Until its newest row, not until now, as above.
    view = _required(warehouse.features(until=newest))
    _say_unknown_categories(warehouse, "features")
    table, names = _with_rfm(warehouse, view, newest)
    counted = LIFETIME_TRANSACTION_COUNT in names and LIFETIME_TRANSACTION_COUNT not in view.columns
    run = warehouse.now.astimezone(UTC).replace(microsecond=0)
    current = CurrentFeatures(table, names, run, newest.astimezone(UTC))
    return _with_customers(warehouse, current, counted=counted)


def _with_customers(warehouse: Warehouse, current: CurrentFeatures, *, counted: bool) -> CurrentFeatures:
    """With the features that the customers table has, and its members who have not bought.

    counted: whether transactions say how often everyone bought. Then the count of those members is 0, which is how they
             are known to have no purchase.
    """
    customers, config = warehouse.customers(), warehouse.config
    if customers is None:
        return current
    _say_unknown_categories(warehouse, "customers")
    buyers, attributes = current.table, _names(config.customer_features)
    joined = buyers.outer_join(customers, "customer_id")
    dates = {AS_OF: buyers[AS_OF]} if AS_OF in buyers.columns else {}
    if "registered_at" in customers.columns and not dates:
        moment = ibis.timestamp(config.windows.local(current.as_of))
        # Whoever has bought is known, whatever the customers table says.
        joined = joined.filter(buyers.customer_id.notnull() | (customers.registered_at < moment).fill_null(True))
    columns = {name: buyers[name] for name in current.names}
    if counted and LIFETIME_TRANSACTION_COUNT in columns:
        columns[LIFETIME_TRANSACTION_COUNT] = columns[LIFETIME_TRANSACTION_COUNT].coalesce(0)
    columns |= {name: customers[name] for name in attributes}
    configured = [name for name in config.feature_names if name in columns]
    names = tuple(dict.fromkeys((*configured, *columns)))
    table = joined.select(
        customer_id=ibis.coalesce(buyers.customer_id, customers.customer_id),
        **{name: columns[name] for name in names},
        **dates,
    )
    return current._replace(table=table, names=names)


def _with_attributes(warehouse: Warehouse, examples: ir.Table) -> ir.Table:
    """Examples with the features that the customers table has: as they are today, whatever their moment."""
    customers, attributes = warehouse.customers(), _names(warehouse.config.customer_features)
    if customers is None or not attributes:
        return examples
    return examples.left_join(customers, "customer_id").select(
        *(examples[column] for column in examples.columns), *(customers[name] for name in attributes)
    )


def _names(sources: Mapping[str, FeatureSource]) -> tuple[str, ...]:
    return tuple(made for name, source in sources.items() for made in names_of(name, source))


def _say_unknown_categories(warehouse: Warehouse, table: Literal["customers", "features", "churn", "offers"]) -> None:
    for feature, rows, example in warehouse.unknown_categories(table):
        print(
            f"  {getattr(warehouse.config.tables, table)}: {rows:,} rows have a category that is not under [features] "
            f"{feature}, such as {example!r}: they count as none of its categories.",
            flush=True,
        )


def rfm_features(config: Config, names: Sequence[str]) -> tuple[str, str, str]:
    """What recency, frequency and monetary are read from, of a customer base with these features. Raises Problem."""
    chosen = _rfm_features(config, names)
    missing = set(chosen) - set(names)
    if missing:
        raise Problem(f"RFM needs {', '.join(sorted(missing))}: map them under [features].")
    return chosen


def _rfm_features(config: Config, names: Sequence[str]) -> tuple[str, str, str]:
    if config.rfm.window_days is not None:
        return ("days_since_last", *features.RFM_WINDOW)
    if config.tables.transactions or set(LIFETIME_RFM_FEATURES) <= set(names):
        return LIFETIME_RFM_FEATURES
    return YEAR_RFM_FEATURES


def _of_rfm(config: Config) -> tuple[str, ...]:
    """What is computed from transactions beside the configured features."""
    return (*LIFETIME_RFM_FEATURES, *(features.RFM_WINDOW if config.rfm.window_days is not None else ()))


def _with_rfm(warehouse: Warehouse, view: ir.Table, moment: datetime) -> tuple[ir.Table, tuple[str, ...]]:
    """The view's features, and what RFM reads: the view's own columns, or else computed from transactions."""
    config = warehouse.config
    of_view = [name for name in LIFETIME_RFM_FEATURES if name in view.columns]
    names = tuple(dict.fromkeys((*_names(config.table_features), *of_view)))
    computed = [name for name in _of_rfm(config) if name not in names]
    transactions = warehouse.transactions(until=moment) if computed else None
    dates = {AS_OF: warehouse.in_utc(view.updated_at)}
    if transactions is None:
        return view.select("customer_id", *names, **dates), names
    known = features.as_of(transactions, moment, config.windows, config.rfm.window_days)
    columns = {name: known[name] for name in computed}
    if LIFETIME_TRANSACTION_COUNT in columns:
        # The view knows the customer, and the transactions have none of theirs.
        columns[LIFETIME_TRANSACTION_COUNT] = columns[LIFETIME_TRANSACTION_COUNT].coalesce(0)
    joined = view.left_join(known, "customer_id").select(
        view.customer_id, *(view[name] for name in names), **columns, **dates
    )
    return joined, (*names, *computed)


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
            raise Problem("There is neither a churn table nor transactions: name churn or transactions under [tables].")
        return _churn_from_transactions(warehouse, transactions)
    _say_unknown_categories(warehouse, "churn")
    return _examples(warehouse, labelled, transactions, "churn", ("customer_id", "moment"))


def offer_examples(warehouse: Warehouse) -> Examples | None:
    """Every exposure of the offers table, converted or not; None where the configuration names no such table.

    Raises Problem where the warehouse cannot say it.
    """
    exposures = warehouse.offers()
    if exposures is None:
        return None
    _say_unknown_categories(warehouse, "offers")
    return _examples(warehouse, exposures, warehouse.transactions(), "offers", ("customer_id", "moment", "offer"))


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
    labelled = [
        features.bought_nothing(transactions, moment, horizon, features.as_of(transactions, moment, windows), windows)
        for moment in moments
    ]
    examples = ibis.union(*labelled) if len(labelled) > 1 else labelled[0]
    rows = warehouse.rows(_with_attributes(warehouse, examples))
    names = _feature_names(warehouse, transactions)
    return _checked(warehouse, rows, "transactions", names=names, key=("customer_id", "moment"), horizon=horizon)


def _examples(
    warehouse: Warehouse, labelled: ir.Table, transactions: ir.Table | None, source: TableName, key: tuple[str, ...]
) -> Examples:
    """What the warehouse has labelled itself, with features from transactions where the table has none of its own."""
    names = warehouse.config.feature_names
    of_table = set(_names(warehouse.config.table_features))
    if transactions is not None:
        known = features.as_of_each(transactions, labelled, warehouse.config.windows)
        if not of_table <= set(labelled.columns):
            names = _feature_names(warehouse, transactions)
            computed = [name for name in names if name in known.columns]
            # Who has no transactions before the moment has no purchase either.
            bought = known[LIFETIME_TRANSACTION_COUNT].coalesce(0)
            labelled = labelled.left_join(known, ["customer_id", "moment"]).select(
                *(labelled[column] for column in labelled.columns),
                *(known[name] for name in (*computed, *features.PURCHASES) if name != LIFETIME_TRANSACTION_COUNT),
                **{LIFETIME_TRANSACTION_COUNT: bought},
            )
        elif "offer" not in labelled.columns:
            labelled = labelled.left_join(known, ["customer_id", "moment"]).select(
                *(labelled[column] for column in labelled.columns), *(known[column] for column in features.PURCHASES)
            )
    horizon = None if "offer" in labelled.columns else timedelta(days=warehouse.config.windows.churn_days)
    rows = warehouse.rows(_with_attributes(warehouse, labelled))
    return _checked(warehouse, rows, source, names=names, key=key, horizon=horizon)


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
        raise Problem(
            f"{name} has no rows {_of_use(warehouse.left_out(source))}, so there is nothing to learn from: fill it, or "
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
    if not finite.num_rows:
        raise Problem(
            f"No row of {name} is complete ({_reasons(left_out)}), so there is nothing to learn from: "
            f"{_what_completes(warehouse, source, rows, names)}."
        )
    rows = finite.sort_by([(column, "ascending") for column in reversed(key)])
    happened = _numpy(rows["happened"]).astype(np.bool_)
    # Of offers, those taken may be all that is known: then it is learnt which one was.
    if not happened.any() or (happened.all() and "offer" not in key):
        raise SameLabel(
            f"All {len(happened):,} examples of {name} have the same label, {bool(happened[0])}, so "
            "there is nothing to tell apart: correct its labels, map another column under [columns], or change "
            "[windows] churn_days if transactions make them."
        )
    offers, known_offers = _offers(warehouse, rows, str(name)) if "offer" in key else (None, ())
    has_purchases = set(features.PURCHASES) <= set(rows.column_names)
    return Examples(
        customer_ids=_numpy(rows["customer_id"]).astype(np.object_),
        moments=_instants(_numpy(rows["moment"]).astype("datetime64[us]"), warehouse.config.windows),
        names=names,
        features=_matrix(rows, names),
        happened=happened,
        offers=offers,
        purchases=_matrix(rows, features.PURCHASES) if has_purchases else None,
        horizon_days=horizon / timedelta(days=1) if horizon else None,
        left_out=left_out,
        catalogue=known_offers,
    )


def _what_completes(warehouse: Warehouse, source: TableName, rows: pa.Table, names: Sequence[str]) -> str:
    """What to change if no example is complete. rows: those of customers who had bought. Raises Problem."""
    labelled = _required(warehouse.transactions() if source == "transactions" else getattr(warehouse, source)())
    of_customers = _names(warehouse.config.customer_features)
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
    codes = _numpy(rows["offer"]).astype(np.object_)
    known = warehouse.config.catalogue or catalogue.from_codes(codes, name)
    return catalogue.places_of(codes, known), known


def _left_out(warehouse: Warehouse, source: TableName) -> dict[str, int]:
    """Rows that were left out by reason, of the table itself and of the transactions that its features are from."""
    found = {reason: one.count for reason, one in warehouse.left_out(source).reasons.items()}
    if source != "transactions":
        name = warehouse.config.tables.transactions
        found |= {f"{name}: {reason}": one.count for reason, one in warehouse.left_out("transactions").reasons.items()}
    return found


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


def label_moments(first: datetime, end: datetime, days: int, snapshots: int) -> list[datetime]:
    """At which moments who buys nothing for so many days is labelled, the last first; none if the data is too short.

    They are as late as the labels allow, and earlier ones while there is as much history behind as there is ahead.
    """
    horizon = timedelta(days=days)
    latest = end - horizon
    if latest <= first:
        return []
    moments = [latest - horizon * back for back in range(snapshots)]
    return [moment for moment in moments if moment == latest or moment - horizon >= first]


def _check_as_of(warehouse: Warehouse, computed: Sequence[str]) -> None:
    """Raises Problem for features that only the features table has: it tells of now, not of another moment."""
    view = warehouse.config.tables.features
    lost = [name for name in _names(warehouse.config.table_features) if name not in computed]
    if view and lost:
        raise Problem(
            f"Features as of a date are computed from transactions, which cannot give {', '.join(lost)}; only {view} "
            "has them, as they are now. Leave out --as-of, or use a configuration without them under [features]."
        )


def _feature_names(warehouse: Warehouse, transactions: ir.Table) -> tuple[str, ...]:
    """The configured features, which transactions have to give; those that are configured by default, if they can.

    Raises Problem.
    """
    config, known = warehouse.config, features.available(transactions)
    if config.features_are_chosen:
        try:
            config.check_computable(config.table_features, known)
        except ValueError as error:
            raise Problem(f"{error}.") from error
    given = (*known, *_names(config.customer_features))
    return tuple(name for name in config.feature_names if name in given)


def transaction_span(warehouse: Warehouse) -> tuple[datetime, datetime]:
    """The first transaction, and the midnight after the last one, both in windows.time_zone."""
    counts, zone = warehouse.left_out("transactions"), warehouse.config.windows.zone
    if counts.first is None or counts.last is None:
        name = warehouse.config.tables.transactions
        other = map_another("customer_id" if NO_CUSTOMER in counts.reasons else "date", "transactions")
        if not counts.rows:
            other = "name another table or query as [tables] transactions"
        raise Problem(f"{name} has no rows {_of_use(counts)}, so there is nothing to work on: fill it, or {other}.")
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
