"""The model features of customers as of a moment, from their transactions: Ibis expressions, for every warehouse.

Only what happened strictly before the moment is known. The definitions are those of docs/features.md.
"""

from datetime import datetime, timedelta

import ibis
from ibis.expr import types as ir

from loyalty_ml.customers.table import DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from training.config import Windows

DAY_SECONDS = 86_400
DAYS_SINCE_LAST = "days_since_last"
"""What says who is active."""
PURCHASES = ("repeat_days", "first_to_last_days", "first_to_moment_days")
RFM_WINDOW = ("rfm_transaction_count", "rfm_revenue")
"""RFM's frequency and money where rfm.window_days narrows them."""


def available(transactions: ir.Table) -> tuple[str, ...]:
    """The features that these transactions can give: product_count and service_count need a column of their own."""
    lacking = {f"{name}_count" for name in ("product", "service") if name not in transactions.columns}
    return (*(name for name in DEFAULT_FEATURES if name not in lacking), LIFETIME_TRANSACTION_COUNT)


def as_of(transactions: ir.Table, moment: datetime, windows: Windows, rfm_days: int | None = None) -> ir.Table:
    """A row for each customer with a transaction before the moment: customer_id, moment, the features that are
    available.

    Features are float64, and NULL where a customer has none: money in the warehouse's currency, spans in whole days,
    engagement in percent. A customer who only returned goods has a lifetime_transaction_count of 0, money, and NULL
    elsewhere. Then PURCHASES, what BG/NBD counts, in days, and with rfm_days also RFM_WINDOW, over so many days.
    transactions is Warehouse.transactions().
    """
    at = ibis.timestamp(windows.local(moment))
    known = transactions.filter(transactions.date < at).mutate(moment=at)
    return _aggregate(known, windows, rfm_days)


def as_of_each(transactions: ir.Table, moments: ir.Table, windows: Windows) -> ir.Table:
    """The same for each pair of customer_id and moment in `moments`, both as in transactions; pairs are unique."""
    pairs = moments.select("customer_id", "moment").distinct()
    known = pairs.join(transactions, "customer_id").filter(lambda joined: joined.date < joined.moment)
    return _aggregate(known, windows, None)


def bought_nothing(
    transactions: ir.Table, moment: datetime, horizon: timedelta, known: ir.Table, windows: Windows
) -> ir.Table:
    """`known`, a row a customer as of the moment, with happened: no purchase within the horizon from it.

    A return within the horizon is no purchase: who only brings goods back has churned.
    """
    start, end = (ibis.timestamp(windows.local(at)) for at in (moment, moment + horizon))
    receipts = _receipts(transactions.filter(transactions.date >= start, transactions.date < end), ["customer_id"])
    came_back = receipts.filter(receipts.is_purchase).select("customer_id").distinct()
    # A join, not NOT IN, which PostgreSQL does row by row if the ids are more than its work_mem.
    return known.left_join(came_back, "customer_id").select(known, happened=came_back.customer_id.isnull())


def purchases(transactions: ir.Table) -> ir.Table:
    """A row for each purchase, returns left out: customer_id, and its date, the last of its lines'."""
    receipts = _receipts(transactions, ["customer_id"])
    return receipts.filter(receipts.is_purchase).select("customer_id", date=receipts.last)


def _receipts(lines: ir.Table, by: list[str], **sums: ir.Value) -> ir.Table:
    """A row for each purchase or return: its keys, `first`, `last`, `is_purchase`, and the sums that are asked for.

    Lines share a receipt where they share the transaction and its customer and day, as receipt numbers restart;
    without a transaction (no such column, or NULL) a customer's day is one receipt. It is a return if its net amount
    is negative, or zero because goods came back. What was free, with no line below zero, was bought.
    """
    keys = [*by, "day", *(["transaction"] if "transaction" in lines.columns else [])]
    return (
        lines.mutate(day=lines.date.date())
        .group_by(keys)
        .aggregate(
            first=lines.date.min(),
            last=lines.date.max(),
            is_purchase=((lines.amount.sum() > 0) | (lines.amount.min() >= 0)).coalesce(False),
            **sums,
        )
    )


def _aggregate(known: ir.Table, windows: Windows, rfm_days: int | None) -> ir.Table:
    """known: lines before their `moment`; a row comes back for each customer and moment."""
    by = ["customer_id", "moment"]

    def within(dates: ir.Value, moments: ir.Value, days: int) -> ir.Value:
        return dates >= moments - ibis.interval(days=days)

    spans = {"revenue": windows.year_days, "monthly_revenue": windows.month_days}
    if rfm_days is not None:
        spans["rfm_revenue"] = rfm_days
    money = {
        name: known.amount.sum(where=within(known.date, known.moment, days)).coalesce(0) for name, days in spans.items()
    }
    receipts = _receipts(known, by, lifetime_value=known.amount.sum(), **money)
    bought = receipts.is_purchase

    seconds_ago = receipts.moment.epoch_seconds() - receipts.last.epoch_seconds()
    seconds_old = receipts.moment.epoch_seconds() - receipts.first.epoch_seconds()
    # The first week back is from seven days ago to the second, as the month is from 30 days ago.
    week = (seconds_ago / (7 * DAY_SECONDS)).ceil()
    columns = {
        **{name: receipts[name].sum() for name in ("lifetime_value", *money)},
        LIFETIME_TRANSACTION_COUNT: bought.sum(),
        "transaction_count": (bought & within(receipts.last, receipts.moment, windows.year_days)).sum(),
        "days_since_last": (seconds_ago.min(where=bought) / DAY_SECONDS).floor(),
        "customer_age_days": (seconds_old.max(where=bought) / DAY_SECONDS).floor(),
        "engagement_weeks": week.nunique(where=bought & (week <= windows.engagement_weeks)),
        "purchase_days": receipts.day.nunique(where=bought),
    }
    if rfm_days is not None:
        columns["rfm_transaction_count"] = (bought & within(receipts.last, receipts.moment, rfm_days)).sum()
    counted = receipts.group_by(by).aggregate(**{name: column.cast("float64") for name, column in columns.items()})
    of_purchases = [name for name in ("product", "service") if name in known.columns]
    if of_purchases:
        kinds = _kinds(known, receipts, by, of_purchases)
        counted = counted.left_join(kinds, by).select(
            counted, **{f"{name}_count": kinds[f"{name}_count"].cast("float64") for name in of_purchases}
        )
    # BG/NBD is fitted to whole days, as the literature has it.
    has_bought = counted[LIFETIME_TRANSACTION_COUNT] > 0
    return counted.mutate(
        transaction_count=has_bought.ifelse(counted.transaction_count, None),
        avg_transaction_value=(counted.transaction_count > 0).ifelse(
            counted.revenue / counted.transaction_count.nullif(0),
            counted.lifetime_value / counted[LIFETIME_TRANSACTION_COUNT].nullif(0),
        ),
        engagement_score=has_bought.ifelse(100 * counted.engagement_weeks / windows.engagement_weeks, None),
        repeat_days=has_bought.ifelse(counted.purchase_days - 1, None),
        first_to_last_days=counted.customer_age_days - counted.days_since_last,
        first_to_moment_days=counted.customer_age_days,
    ).select(*by, *available(known), *PURCHASES, *(RFM_WINDOW if rfm_days is not None else ()))


def _kinds(known: ir.Table, receipts: ir.Table, by: list[str], names: list[str]) -> ir.Table:
    """How many different products and services were in purchases.

    Returns are few, so leaving out their lines costs less than marking the lines of purchases.
    """
    returns = receipts.filter(~receipts.is_purchase)
    lines = known.mutate(day=known.date.date())
    same = [lines[key] == returns[key] for key in (*by, "day")]
    if "transaction" in known.columns:
        same.append(lines.transaction.identical_to(returns.transaction))  # also where both are NULL
    bought = lines.anti_join(returns, same)
    return bought.group_by(by).aggregate(**{f"{name}_count": bought[name].nunique() for name in names})
