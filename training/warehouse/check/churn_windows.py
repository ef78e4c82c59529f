"""What would count as churn: for several windows, who would have churned, and who of them came back by themselves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import ibis
from ibis.expr import types as ir

from training.warehouse import features
from training.warehouse.connection import Warehouse
from training.warehouse.queries import label_moments

DAYS = (14, 30, 45, 60, 90, 120, 180)
RETURN_DAYS = 180
"""How long after a window returns are counted, if the data is long enough; else as long as the window."""


class Moment(NamedTuple):
    """A moment that labels are made at: `customers` who had bought before it, `churned` of them."""

    at: datetime
    customers: int
    churned: int


class ChurnWindow(NamedTuple):
    """A definition of churn by `days` without a purchase.

    moments:     as training would take them, the last first; none if the data is too short for the window.
    returned:    the share of those who churned at an earlier moment and bought within `return_days` after the window;
                 None if the data is too short to say.
    """

    days: int
    moments: tuple[Moment, ...]
    returned: float | None
    return_days: int

    @property
    def examples(self) -> int:
        return sum(moment.customers for moment in self.moments)

    @property
    def customers(self) -> int:
        return max((moment.customers for moment in self.moments), default=0)

    @property
    def churned(self) -> int:
        return sum(moment.churned for moment in self.moments)


def churn_windows(
    warehouse: Warehouse, transactions: ir.Table, span: tuple[datetime, datetime], days: Sequence[int]
) -> list[ChurnWindow]:
    """One pass over the purchases, in the warehouse. span: the first purchase, and the midnight after the last one.

    Raises Problem.
    """
    first, end = span
    snapshots = warehouse.config.windows.churn_snapshots
    moments = {each: label_moments(first, end, each, snapshots) for each in days}
    returns = {each: _return_moment(first, end, each) for each in days}
    by_customer, counted = dict[str, ir.Value](), dict[str, ir.Value]()
    purchases = features.purchases(transactions)
    date = purchases.date
    for each in days:
        for number, moment in enumerate(moments[each]):
            at = f"{each}_{number}"
            by_customer[f"before_{at}"] = (date < _utc(moment)).any()
            by_customer[f"within_{at}"] = _between(date, moment, moment + timedelta(days=each)).any()
        if returning := returns[each]:
            moment, later = returning
            stop = moment + timedelta(days=each)
            by_customer[f"before_{each}_return"] = (date < _utc(moment)).any()
            by_customer[f"within_{each}_return"] = _between(date, moment, stop).any()
            by_customer[f"after_{each}_return"] = _between(date, stop, stop + timedelta(days=later)).any()
    if not by_customer:
        return [ChurnWindow(each, (), None, 0) for each in days]
    customers = purchases.group_by("customer_id").aggregate(**by_customer)
    for name in by_customer:
        kind, _, at = name.partition("_")
        if kind == "before":
            churned = customers[name] & ~customers[f"within_{at}"]
            counted[f"known_{at}"] = customers[name].sum()
            counted[f"churned_{at}"] = churned.sum()
        if kind == "after":
            churned = customers[f"before_{at}"] & ~customers[f"within_{at}"]
            counted[f"returned_{at}"] = (churned & customers[name]).sum()
    row = warehouse.rows(customers.aggregate(**counted)).to_pylist()[0]
    return [_window(each, moments[each], returns[each], row) for each in days]


def _return_moment(first: datetime, end: datetime, days: int) -> tuple[datetime, int] | None:
    """The moment before the window, and how many days after it are looked at."""
    for later in (RETURN_DAYS, days):
        moment = end - timedelta(days=days + later)
        if moment - timedelta(days=days) >= first:
            return moment, later
    return None


def _window(
    days: int, moments: Sequence[datetime], returns: tuple[datetime, int] | None, row: dict[str, int | None]
) -> ChurnWindow:
    def count(name: str) -> int:
        return row[name] or 0

    churned = count(f"churned_{days}_return") if returns else 0
    return ChurnWindow(
        days,
        tuple(
            Moment(moment, count(f"known_{days}_{number}"), count(f"churned_{days}_{number}"))
            for number, moment in enumerate(moments)
        ),
        count(f"returned_{days}_return") / churned if churned else None,
        returns[1] if returns else 0,
    )


def _between(date: ir.TimestampValue, start: datetime, end: datetime) -> ir.BooleanValue:
    return (date >= _utc(start)) & (date < _utc(end))


def _utc(moment: datetime) -> ir.TimestampScalar:
    return ibis.timestamp(moment.replace(tzinfo=None))
