"""What a customer was offered before a moment, and what came of it: Ibis expressions, for every warehouse.

An exposure counts once windows.offer_days have passed from it: of a younger one it is not known at the moment whether
it is taken. So the exposure that is asked about is never in its own features. docs/features.md has the definitions.
"""

from collections.abc import Collection
from datetime import datetime

import ibis
from ibis.expr import types as ir

from training.config import Windows
from training.warehouse.features import DAY_SECONDS

MORE_TAKEN, MORE_SEEN = 1, 10
"""offer_take_rate is as if ten more exposures had been seen and one of them taken, so that it is never of nothing."""
_SEEN, _TAKEN, _SHOWN = "_offers_seen", "_offers_taken", "_last_shown"
"""Columns beside the warehouse's own. No feature's name begins with _, so none is taken for them."""


def with_history(
    customers: ir.Table, exposures: ir.Table, moment: datetime, names: Collection[str], windows: Windows
) -> ir.Table:
    """`customers` with the features `names` as of the moment.

    customers:  a row a customer, with customer_id.
    exposures:  Warehouse.offers().
    """
    at = ibis.timestamp(windows.local(moment))
    old = exposures.filter(exposures.moment <= at - ibis.interval(days=windows.offer_days))
    return _joined(customers, _counted(old, ["customer_id"]), at, names, windows)


def with_history_each(rows: ir.Table, exposures: ir.Table, names: Collection[str], windows: Windows) -> ir.Table:
    """The same for rows that have a moment each: customer_id and moment, as in exposures."""
    pairs = rows.select("customer_id", "moment").distinct()
    shown = exposures.select("customer_id", "happened", shown=exposures.moment)
    # One join by the customer, then one aggregation, however many moments a customer has.
    old = pairs.join(shown, "customer_id").filter(
        lambda joined: joined.shown <= joined.moment - ibis.interval(days=windows.offer_days)
    )
    counted = _counted(old.rename(asked="moment", moment="shown"), ["customer_id", "asked"]).rename(moment="asked")
    return _joined(rows, counted, rows.moment, names, windows)


def _counted(exposures: ir.Table, by: list[str]) -> ir.Table:
    return exposures.group_by(by).aggregate(
        **{
            _SEEN: exposures.count(),
            _TAKEN: exposures.happened.sum(),
            _SHOWN: exposures.moment.max(),
        }
    )


def _joined(rows: ir.Table, counted: ir.Table, at: ir.Value, names: Collection[str], windows: Windows) -> ir.Table:
    """Who was shown nothing has no row in counted, and lacks none of the features all the same."""
    by = [name for name in ("customer_id", "moment") if name in counted.columns]
    seen, taken = (counted[name].cast("float64").coalesce(0.0) for name in (_SEEN, _TAKEN))
    days = ((at.epoch_seconds() - counted[_SHOWN].epoch_seconds()) / DAY_SECONDS).floor().cast("float64")
    columns = {
        "offers_seen": seen,
        "offers_taken": taken,
        "offer_take_rate": (taken + MORE_TAKEN) / (seen + MORE_SEEN),
        "days_since_offer": ibis.least(days, float(windows.year_days)).coalesce(float(windows.year_days)),
    }
    return rows.left_join(counted, by).select(
        *(rows[column] for column in rows.columns), **{name: columns[name] for name in names}
    )
