"""Who of the examples is a customer to lose, at each moment: the others have lapsed."""

import numpy as np

from training.warehouse.check.findings import Findings, share
from training.warehouse.examples import Examples

MOMENTS = 12
"""So many of the last moments are shown."""


def show_active(sample: Examples, days: int, findings: Findings) -> None:
    """sample: of churn; of others nothing is shown. days: who bought within so many is active."""
    if sample.days_since_last is None:
        return
    is_active = sample.days_since_last <= days
    moments = np.unique(sample.moments)[::-1]
    rows = [("moment", "sampled", f"active, {days} days", "of them left")]
    for moment in moments[:MOMENTS]:
        here = sample.moments == moment
        active = int((here & is_active).sum())
        left = int((here & is_active & sample.happened).sum())
        shown = f"{active:,} ({share(active, int(here.sum()))})"
        rows.append((np.datetime_as_string(moment, "D"), f"{here.sum():,}", shown, f"{left:,} ({share(left, active)})"))
    findings.show(rows)
    if len(moments) > MOMENTS:
        findings.say(f"  and {len(moments) - MOMENTS:,} earlier moments")
    if not is_active.any():
        findings.wrong(
            f"churn: nobody of {len(sample):,} sampled examples bought within {days} days, so there is no customer to "
            "lose: raise [windows] active_days."
        )
