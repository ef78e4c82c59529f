"""The features of everyone as they are now: what materialize writes, and what a model will be asked about."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import ibis
import numpy as np
from ibis.expr import types as ir

from loyalty_ml.customers.table import AS_OF, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.manifest import LIFETIME_RFM_FEATURES
from training.config import Config
from training.errors import Problem
from training.warehouse import features
from training.warehouse.chosen_features import (
    computable,
    feature_names,
    names_in,
    offer_features,
    say_unknown_categories,
)
from training.warehouse.connection import Warehouse
from training.warehouse.domains import inside_domains
from training.warehouse.examples import Base
from training.warehouse.moments import transaction_span
from training.warehouse.offer_history import with_history, with_history_each
from training.warehouse.rows import matrix_of, numpy_of, of_use, required

YEAR_RFM_FEATURES = ("days_since_last", "transaction_count", "revenue")
"""What RFM reads of a features table that says nothing of all history."""


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
    transactions = required(warehouse.transactions(until=moment))
    if as_of is not None:
        _check_as_of(warehouse, computable(warehouse, transactions))
    attributes, of_offers = names_in(warehouse.config.customer_features), offer_features(warehouse)
    configured = [name for name in feature_names(warehouse, transactions) if name not in attributes]
    names = tuple(dict.fromkeys((*configured, *_of_rfm(warehouse.config))))
    table = features.as_of(transactions, moment, warehouse.config.windows, warehouse.config.rfm.window_days)
    if of_offers:
        exposures = required(warehouse.offers(until=moment))
        table = with_history(table, exposures, moment, of_offers, warehouse.config.windows)
    current = CurrentFeatures(
        table.select("customer_id", *names), names, moment.astimezone(UTC), moment.astimezone(UTC)
    )
    return _with_customers(warehouse, current, of_offers, counted=True)


def _view(warehouse: Warehouse) -> CurrentFeatures:
    required(warehouse.features())  # refused first if too much of it is bad
    windows, counts = warehouse.config.windows, warehouse.left_out("features")
    if counts.first is None or counts.last is None:
        raise Problem(
            f"{warehouse.config.tables.features} has no rows {of_use(counts)}, so there is nobody to work on: fill "
            "it, or name another as [tables] features."
        )
    newest = windows.instant(counts.last)
    # Until its newest row, not until now, as above.
    view = required(warehouse.features(until=newest))
    say_unknown_categories(warehouse, "features")
    of_offers = offer_features(warehouse, view.columns)
    if of_offers:
        exposures = required(warehouse.offers(until=newest))
        dated = view.rename(moment="updated_at")
        view = with_history_each(dated, exposures, of_offers, windows).rename(updated_at="moment")
    table, names = _with_rfm(warehouse, view, newest)
    counted = LIFETIME_TRANSACTION_COUNT in names and LIFETIME_TRANSACTION_COUNT not in view.columns
    run = warehouse.now.astimezone(UTC).replace(microsecond=0)
    current = CurrentFeatures(table, names, run, newest.astimezone(UTC))
    return _with_customers(warehouse, current, of_offers, counted=counted)


def _with_customers(
    warehouse: Warehouse, current: CurrentFeatures, of_offers: Sequence[str], *, counted: bool
) -> CurrentFeatures:
    """With the features that the customers table has, and its members who have not bought.

    of_offers: features that are computed from offers: these members were shown some too.
    counted: whether transactions say how often everyone bought. Then the count of those members is 0, which is how they
             are known to have no purchase.
    """
    customers, config = warehouse.customers(), warehouse.config
    if customers is None:
        return current
    say_unknown_categories(warehouse, "customers")
    if of_offers:
        exposures = required(warehouse.offers(until=current.newest))
        customers = with_history(customers, exposures, current.newest, of_offers, config.windows)
    buyers, attributes = current.table, names_in(config.customer_features)
    joined = buyers.outer_join(customers, "customer_id")
    dates = {AS_OF: buyers[AS_OF]} if AS_OF in buyers.columns else {}
    if "registered_at" in customers.columns and not dates:
        moment = ibis.timestamp(config.windows.local(current.as_of))
        # Whoever has bought is known, whatever the customers table says.
        joined = joined.filter(buyers.customer_id.notnull() | (customers.registered_at < moment).fill_null(True))
    columns = {name: buyers[name] for name in current.names}
    if counted and LIFETIME_TRANSACTION_COUNT in columns:
        columns[LIFETIME_TRANSACTION_COUNT] = columns[LIFETIME_TRANSACTION_COUNT].coalesce(0)
    columns |= {name: ibis.coalesce(buyers[name], customers[name]) for name in of_offers}
    columns |= {name: customers[name] for name in attributes}
    configured = [name for name in config.feature_names if name in columns]
    names = tuple(dict.fromkeys((*configured, *columns)))
    table = joined.select(
        customer_id=ibis.coalesce(buyers.customer_id, customers.customer_id),
        **{name: columns[name] for name in names},
        **dates,
    )
    return current._replace(table=table, names=names)


def base(warehouse: Warehouse, names: Sequence[str]) -> Base:
    """Everyone as materialize would write them now, in the order of their ids, with the features `names` of a model.

    Customers with a value outside its domain, who would get no answer, are left out, and counted on the terminal.
    Raises Problem, also for features that nobody would have where the model is asked.
    """
    current = current_features(warehouse)
    lacking = [name for name in names if name not in current.names]
    if lacking:
        tables = warehouse.config.tables
        raise Problem(
            f"The models would read {', '.join(lacking)}, which {tables.features or tables.transactions} does not give "
            "for the customers of now: give it there too, or remove it from [features]."
        )
    last = [features.DAYS_SINCE_LAST] if features.DAYS_SINCE_LAST in current.names else []
    read = tuple(dict.fromkeys((*names, *last)))
    rows = warehouse.rows(current.table.select("customer_id", *read)).sort_by("customer_id")
    values = matrix_of(rows, read)
    inside = inside_domains(read, values, warehouse.config.domains_of(read))
    for reason, count in inside.left_out.items():
        print(f"  {count:,} customers of now are left out: {reason}", flush=True)
    values = values[inside.rows]
    return Base(
        customer_ids=numpy_of(rows["customer_id"]).astype(np.object_)[inside.rows],
        names=tuple(names),
        features=values[:, [read.index(name) for name in names]],
        days_since_last=values[:, read.index(last[0])] if last else None,
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
    names = tuple(dict.fromkeys((*names_in(config.table_features), *of_view)))
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


def _check_as_of(warehouse: Warehouse, computed: Sequence[str]) -> None:
    """Raises Problem for features that only the features table has: it tells of now, not of another moment."""
    view = warehouse.config.tables.features
    lost = [name for name in names_in(warehouse.config.table_features) if name not in computed]
    if view and lost:
        raise Problem(
            f"Features as of a date are computed from transactions, which cannot give {', '.join(lost)}; only {view} "
            "has them, as they are now. Leave out --as-of, or use a configuration without them under [features]."
        )
