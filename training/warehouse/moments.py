"""The moments that a warehouse's data is of, and those at which labels are made."""

from datetime import datetime, time, timedelta

import numpy as np

from training.config import Windows
from training.errors import Problem
from training.warehouse.cleaning import NO_CUSTOMER, map_another
from training.warehouse.connection import Warehouse
from training.warehouse.rows import of_use


def transaction_span(warehouse: Warehouse) -> tuple[datetime, datetime]:
    """The first transaction, and the midnight after the last one, both in windows.time_zone."""
    counts, zone = warehouse.left_out("transactions"), warehouse.config.windows.zone
    if counts.first is None or counts.last is None:
        name = warehouse.config.tables.transactions
        other = map_another("customer_id" if NO_CUSTOMER in counts.reasons else "date", "transactions")
        if not counts.rows:
            other = "name another table or query as [tables] transactions"
        raise Problem(f"{name} has no rows {of_use(counts)}, so there is nothing to work on: fill it, or {other}.")
    # In the zone, days later are the same time of day, also where clocks are changed between.
    return counts.first.replace(tzinfo=zone), datetime.combine(counts.last.date() + timedelta(days=1), time(), zone)


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


def instants(local: np.ndarray, windows: Windows) -> np.ndarray:
    """datetime64 (n,) on the clock of the zone, as UTC."""
    if windows.time_zone == "UTC":
        return local
    moments, places = np.unique(local, return_inverse=True)
    instants = [windows.instant(moment).replace(tzinfo=None) for moment in moments.tolist()]
    return np.array(instants, "datetime64[us]")[places]
