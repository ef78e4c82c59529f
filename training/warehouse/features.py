"""The model features of customers as of a moment, from their transactions: Ibis expressions, for every warehouse.

Only what happened strictly before the moment is known. The definitions are those of docs/features.md.
"""

from datetime import datetime, timedelta

import ibis
from ibis.expr import types as ir

from loyalty_ml.customers.table import DEFAULT_FEATURES
from training.config import Windows

DAY_SECONDS = 86_400
PURCHASES = ("repeat_days", "first_to_last_days", "first_to_moment_days")


def available(transactions: ir.Table) -> tuple[str, ...]:
    """The features that these transactions can give: product_count and service_count need a column of their own."""
    lacking = {f"{name}_count" for name in ("product", "service") if name not in transactions.columns}
    return tuple(name for name in DEFAULT_FEATURES if name not in lacking)


def as_of(transactions: ir.Table, moment: datetime, windows: Windows) -> ir.Table:
    """A row for each customer with a purchase before the moment: customer_id, moment, the features that are available.

    Features are float64, and NULL where a customer has none: money in the warehouse's currency, spans in whole days,
    engagement in percent. Then PURCHASES, what BG/NBD counts, in days. transactions is Warehouse.transactions().
    """
    at = ibis.timestamp(windows.local(moment))
    known = transactions.filter(transactions.date < at)
    return _aggregate(known, known, at, windows, ["customer_id"]).mutate(moment=at)


def as_of_each(transactions: ir.Table, moments: ir.Table, windows: Windows) -> ir.Table:
    """The same for each pair of customer_id and moment in `moments`, both as in transactions; pairs are unique."""
    pairs = moments.select("customer_id", "moment").distinct()
    known = pairs.join(transactions, "customer_id").filter(lambda joined: joined.date < joined.moment)
    return _aggregate(transactions, known, known.moment, windows, ["customer_id", "moment"])


def bought_nothing(
    transactions: ir.Table, moment: datetime, horizon: timedelta, known: ir.Table, windows: Windows
) -> ir.Table:
    """`known`, a row a customer as of the moment, with happened: no purchase within the horizon from it."""
    start, end = (ibis.timestamp(windows.local(at)) for at in (moment, moment + horizon))
    later = transactions.filter(transactions.date >= start, transactions.date < end)
    # No NOT IN: that is true for nobody as soon as one id is NULL.
    came_back = later.select(returning=later.customer_id).distinct()
    joined = known.left_join(came_back, known.customer_id == came_back.returning)
    return joined.select(*(known[name] for name in known.columns), happened=joined.returning.isnull())


def _aggregate(transactions: ir.Table, known: ir.Table, at: ir.Value, windows: Windows, by: list[str]) -> ir.Table:
    in_year = known.date >= at - ibis.interval(days=windows.year_days)
    in_month = known.date >= at - ibis.interval(days=windows.month_days)
    seconds_ago = at.epoch_seconds() - known.date.epoch_seconds()
    # The first week back is from seven days ago to the second, as the month is from 30 days ago.
    week = (seconds_ago / (7 * DAY_SECONDS)).ceil()
    purchase = known.transaction if "transaction" in transactions.columns else None
    columns = {
        "revenue": known.amount.sum(where=in_year).coalesce(0),
        "transaction_count": in_year.sum() if purchase is None else purchase.nunique(where=in_year),
        "days_since_last": (seconds_ago.min() / DAY_SECONDS).floor(),
        "lifetime_value": known.amount.sum(),
        "customer_age_days": (seconds_ago.max() / DAY_SECONDS).floor(),
        "monthly_revenue": known.amount.sum(where=in_month).coalesce(0),
        **{f"{name}_count": known[name].nunique() for name in ("product", "service") if name in transactions.columns},
        "engagement_weeks": week.nunique(where=week <= windows.engagement_weeks),
        "purchase_days": known.date.date().nunique(),
    }
    counted = known.group_by(by).aggregate(**{name: column.cast("float64") for name, column in columns.items()})
    # BG/NBD is fitted to whole days, as the literature has it.
    return counted.mutate(
        avg_transaction_value=counted.revenue / counted.transaction_count.nullif(0),
        engagement_score=100 * counted.engagement_weeks / windows.engagement_weeks,
        repeat_days=counted.purchase_days - 1,
        first_to_last_days=counted.customer_age_days - counted.days_since_last,
        first_to_moment_days=counted.customer_age_days,
    ).select(*by, *available(transactions), *PURCHASES)
