"""From the warehouse to what training and materialising read: checked examples, and the features of everyone today."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Literal, NamedTuple

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr import types as ir

from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.manifest import LIFETIME_RFM_FEATURES
from training.config import Config, FeatureSource, names_of
from training.errors import Problem
from training.warehouse import features
from training.warehouse.connection import Warehouse
from training.warehouse.examples import Examples

YEAR_RFM_FEATURES = ("days_since_last", "transaction_count", "revenue")
"""What RFM reads of a features table that says nothing of all history."""


NO_PURCHASE, FEATURE_MISSING = "no purchase before it", "a feature is missing"
"""Why a row of use is no example."""


class SameLabel(Problem):
    """All examples have the same label, so there is nothing to tell apart."""


class CurrentFeatures(NamedTuple):
    """The whole customer base: `table` has customer_id (string) and the features `names` as float64, NULL for none.

    names: the configured features that there are, and then what RFM reads beside them.
    """

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
        name = str(warehouse.config.tables.features)
        if not rows:
            raise Problem(
                f"{name} has no rows, so there is nobody to work on: fill it, or name another as [tables] features."
            )
        if oldest is None or newest is None:
            raise Problem(
                f"{name} has no {warehouse.config.columns.features.updated_at} in any row, so nothing says how old "
                "they are: fill it in, or map another column as updated_at under [columns.features]."
            )
        _check_past(f"{name} has rows updated", newest)
        _say_unknown_categories(warehouse, "features")
        table, names = _with_rfm(warehouse, view, oldest)
        counted = LIFETIME_TRANSACTION_COUNT in names and LIFETIME_TRANSACTION_COUNT not in view.columns
        return _with_customers(warehouse, CurrentFeatures(table, names, oldest), counted=counted)
    transactions = warehouse.transactions()
    if transactions is None:
        raise Problem(
            "Features as of a date are computed from transactions: name their table as [tables] transactions."
        )
    first, end = transaction_span(warehouse, transactions)
    moment = as_of or min(end, datetime.now(UTC))
    _check_past("Features cannot be computed", moment)
    if moment <= first:
        raise Problem(
            f"There are no transactions before {moment:%Y-%m-%d}; the first is of {first:%Y-%m-%d}: give a later "
            "--as-of, or bring older data as [tables] transactions."
        )
    attributes = _names(warehouse.config.customer_features)
    configured = [name for name in _feature_names(warehouse, transactions) if name not in attributes]
    if as_of is not None:
        _check_as_of(warehouse, configured)
    names = tuple(dict.fromkeys((*configured, *_of_rfm(warehouse.config))))
    table = features.as_of(transactions, moment, warehouse.config.windows, warehouse.config.rfm.window_days)
    current = CurrentFeatures(table.select("customer_id", *names), names, moment)
    return _with_customers(warehouse, current, counted=True)


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
    if "registered_at" in customers.columns:
        moment = ibis.timestamp(current.as_of.astimezone(UTC).replace(tzinfo=None))
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
    )
    return CurrentFeatures(table, names, current.as_of)


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
    transactions = warehouse.transactions() if computed else None
    if transactions is None:
        return view.select("customer_id", *names), names
    known = features.as_of(transactions, moment, config.windows, config.rfm.window_days)
    columns = {name: known[name] for name in computed}
    if LIFETIME_TRANSACTION_COUNT in columns:
        # The view knows the customer, and the transactions have none of theirs.
        columns[LIFETIME_TRANSACTION_COUNT] = columns[LIFETIME_TRANSACTION_COUNT].coalesce(0)
    joined = view.left_join(known, "customer_id").select(view.customer_id, *(view[name] for name in names), **columns)
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
    return _examples(warehouse, labelled, transactions, str(warehouse.config.tables.churn), ("customer_id", "moment"))


def offer_examples(warehouse: Warehouse) -> Examples | None:
    """Every exposure of the offers table, converted or not; None where the configuration names no such table.

    Raises Problem where the warehouse cannot say it.
    """
    exposures = warehouse.offers()
    if exposures is None:
        return None
    _say_unknown_categories(warehouse, "offers")
    name = str(warehouse.config.tables.offers)
    found = _examples(warehouse, exposures, warehouse.transactions(), name, ("customer_id", "moment", "offer"))
    assert found.offers is not None
    unknown = sorted(set(np.unique(found.offers).tolist()) - set(range(len(warehouse.config.offers))))
    if unknown:
        raise Problem(
            f"{name} has offers {', '.join(map(str, unknown[:5]))}, which the catalogue of "
            f"{len(warehouse.config.offers)} offers does not: put them under [[offers]], or map another column as "
            "offer_id under [columns.offers]."
        )
    return found


def _churn_from_transactions(warehouse: Warehouse, transactions: ir.Table) -> Examples:
    windows = warehouse.config.windows
    horizon = timedelta(days=windows.churn_days)
    first, end = transaction_span(warehouse, transactions)
    moments = label_moments(first, end, windows.churn_days, windows.churn_snapshots)
    if not moments:
        raise Problem(
            f"Transactions run from {first:%Y-%m-%d} to {end:%Y-%m-%d}, too short to look {windows.churn_days} days "
            "ahead: lower [windows] churn_days, or bring older data as [tables] transactions."
        )
    labelled = [
        features.bought_nothing(transactions, moment, horizon, features.as_of(transactions, moment, windows))
        for moment in moments
    ]
    examples = ibis.union(*labelled) if len(labelled) > 1 else labelled[0]
    rows = warehouse.rows(_with_attributes(warehouse, examples))
    names = _feature_names(warehouse, transactions)
    return _checked(rows, str(warehouse.config.tables.transactions), names, ("customer_id", "moment"), horizon)


def _examples(
    warehouse: Warehouse, labelled: ir.Table, transactions: ir.Table | None, name: str, key: tuple[str, ...]
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
    return _checked(warehouse.rows(_with_attributes(warehouse, labelled)), name, names, key, horizon)


def _checked(
    rows: pa.Table, name: str, names: tuple[str, ...], key: tuple[str, ...], horizon: timedelta | None
) -> Examples:
    """The rows that are examples, in an order of their own: a warehouse gives them in any. Raises Problem."""
    if not rows.num_rows:
        raise Problem(
            f"{name} has no rows, so there is nothing to learn from: fill it, or name another table under [tables]."
        )
    left_out: dict[str, int] = {}
    for column, reason in (("customer_id", "no customer id"), ("moment", "no date"), ("happened", "no label")):
        kept = rows.filter(pc.is_valid(rows[column]))
        if kept.num_rows < rows.num_rows:
            left_out[reason] = rows.num_rows - kept.num_rows
        rows = kept
    if LIFETIME_TRANSACTION_COUNT in rows.column_names:
        kept = rows.filter(pc.fill_null(pc.not_equal(rows[LIFETIME_TRANSACTION_COUNT], 0), True))
        if kept.num_rows < rows.num_rows:
            left_out[NO_PURCHASE] = rows.num_rows - kept.num_rows
        rows = kept
    _check_infinite(rows, name, names)
    known = rows
    for feature in names:
        known = known.filter(pc.is_valid(known[feature]))
    if known.num_rows < rows.num_rows:
        left_out[FEATURE_MISSING] = rows.num_rows - known.num_rows
    rows = known.sort_by([(column, "ascending") for column in reversed(key)])
    if not rows.num_rows:
        raise Problem(
            f"No row of {name} is complete ({_reasons(left_out)}), so there is nothing to learn from: complete its "
            "data, or remove the features that are missing from [features]."
        )
    _check_past(f"{name} has rows of", _utc(pc.max(rows["moment"]).as_py()))
    _check_unique(rows, name, key)
    happened = _numpy(rows["happened"]).astype(np.bool_)
    # Of offers, those taken may be all that is known: then it is learnt which one was.
    if not happened.any() or (happened.all() and "offer" not in key):
        raise SameLabel(
            f"All {len(happened):,} examples of {name} have the same label, {bool(happened[0])}, so "
            "there is nothing to tell apart: correct its labels, map another column under [columns], or change "
            "[windows] churn_days if transactions make them."
        )
    has_purchases = set(features.PURCHASES) <= set(rows.column_names)
    return Examples(
        customer_ids=_numpy(rows["customer_id"]).astype(np.object_),
        moments=_numpy(rows["moment"]).astype("datetime64[us]"),
        names=names,
        features=_matrix(rows, names),
        happened=happened,
        offers=_numpy(rows["offer"]).astype(np.int64) if "offer" in key else None,
        purchases=_matrix(rows, features.PURCHASES) if has_purchases else None,
        horizon_days=horizon / timedelta(days=1) if horizon else None,
        left_out=left_out,
    )


def _check_infinite(rows: pa.Table, name: str, names: Sequence[str]) -> None:
    bad = [feature for feature in names if pc.any(pc.invert(pc.is_finite(rows[feature]))).as_py()]
    if bad:
        raise Problem(
            f"{name} has values that are infinite or not a number in {', '.join(bad)}: correct its data, or "
            "make them NULL."
        )


def _check_unique(rows: pa.Table, name: str, key: tuple[str, ...]) -> None:
    counts = rows.group_by(list(key)).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        example = ", ".join(f"{column} {twice[column][0].as_py()}" for column in key)
        raise Problem(
            f"{name} has {twice.num_rows:,} customers more than once at the same moment (such as {example}): "
            "which row is right is not known; remove the others from its data."
        )


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


def transaction_span(warehouse: Warehouse, transactions: ir.Table) -> tuple[datetime, datetime]:
    """The first transaction, and the midnight (UTC) after the last one."""
    name = warehouse.config.tables.transactions
    first, last, _ = _span(warehouse, transactions, "date")
    if first is None or last is None:
        raise Problem(
            f"{name} has no rows with a date, so there is nothing to work on: fill it, or map another column as date "
            "under [columns.transactions]."
        )
    _check_past(f"{name} has rows of", last)
    return first, datetime.combine(last.date() + timedelta(days=1), time(), UTC)


def _span(warehouse: Warehouse, table: ir.Table, column: str) -> tuple[datetime | None, datetime | None, int]:
    row = warehouse.rows(
        table.aggregate(first=table[column].min(), last=table[column].max(), rows=table.count())
    ).to_pylist()[0]
    return row["first"] and _utc(row["first"]), row["last"] and _utc(row["last"]), row["rows"]


def _check_past(what: str, moment: datetime) -> None:
    if moment > datetime.now(UTC):
        raise Problem(f"{what} {moment:%Y-%m-%d}, which is to come: correct the dates in the data.")


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _matrix(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    return np.column_stack([_numpy(rows[name]).astype(np.float64) for name in names])


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.combine_chunks().to_numpy(zero_copy_only=False)
    return values


def _reasons(left_out: dict[str, int]) -> str:
    return ", ".join(f"{count:,}: {reason}" for reason, count in left_out.items())
