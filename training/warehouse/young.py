"""Exposures that look refused and are not: shown so late that the data ends before windows.offer_days have passed."""

from datetime import datetime, time, timedelta

import ibis
from ibis.expr import types as ir

from training.warehouse.connection import Warehouse
from training.warehouse.examples import NothingToLearn


class AllYoung(NothingToLearn):
    """No exposure is old enough to say whether it is taken."""


def end_of_data(warehouse: Warehouse) -> datetime | None:
    """Until when purchases and conversions are known, on the clock of windows.time_zone; None if there is no row.

    The later of the midnight after the last transaction and of the newest exposure, and not after now.
    """
    ends = []
    if last := warehouse.left_out("transactions").last:
        ends.append(datetime.combine(last.date() + timedelta(days=1), time()))
    if last := warehouse.left_out("offers").last:
        ends.append(last)
    return min(max(ends), warehouse.config.windows.local(warehouse.now)) if ends else None


def reason(warehouse: Warehouse) -> str:
    return f"shown less than {warehouse.config.windows.offer_days} days before the data ends"


def old_enough(warehouse: Warehouse, exposures: ir.Table) -> tuple[ir.Table, int]:
    """The exposures of which it is known whether they were taken, and how many others there are.

    Raises Problem, AllYoung if there are only others.
    """
    end = end_of_data(warehouse)
    if end is None:
        return exposures, 0
    is_old = exposures.moment <= ibis.timestamp(end - timedelta(days=warehouse.config.windows.offer_days))
    (counts,) = warehouse.rows(exposures.aggregate(rows=exposures.count(), old=is_old.sum())).to_pylist()
    rows, old = counts["rows"], counts["old"] or 0
    if rows and not old:
        raise AllYoung(
            f"All {rows:,} exposures of {warehouse.config.tables.offers} were {reason(warehouse)} ({end:%Y-%m-%d}), so "
            "it is not known which of them are refused: lower [windows] offer_days, or bring exposures that are older."
        )
    return exposures.filter(is_old), rows - old
