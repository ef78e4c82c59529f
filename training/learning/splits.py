"""Which rows a model learns from, and which it is measured on: by customer, and in time."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.warehouse.examples import Examples

VALIDATION_SHARE = 0.15
LATER_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """The rows of a split in time, bool (n,) each: every label of `earlier` was known when `later` begins."""

    earlier: NDArray[np.bool_]
    later: NDArray[np.bool_]


def held_out(customer_ids: Iterable[str], split: int, share: float) -> NDArray[np.bool_]:
    """bool (n,): about `share` of the customers, others for each number of `split`, from 0.

    The splits are disjoint folds of one draw: split i holds out those whose draw is in [i * share, (i + 1) * share).
    By the id alone: a customer held out by a split is held out by it whatever else the data holds, and in every later
    training. So a later model can be compared with today's on customers from whom neither has learnt.
    """
    drawn = _drawn(customer_ids, "held out, split 0")
    return (split * share <= drawn) & (drawn < (split + 1) * share)


def for_stopping(customer_ids: Iterable[str]) -> NDArray[np.bool_]:
    """bool (n,): 15% of the customers, by the id alone, by which early stopping decides; not for those held out."""
    return _drawn(customer_ids, "validation") < VALIDATION_SHARE


def into_folds(customer_ids: Iterable[str], folds: int) -> NDArray[np.int64]:
    """int64 (n,): a fold for each customer, 0..folds-1, by the id alone; to choose by among those not held out."""
    return (_drawn(customer_ids, "choice of the form") * folds).astype(np.int64)


def in_time(examples: Examples) -> TimeSplit | None:
    """The last moment, or for offers the last fifth of the time, against what was over before it; None if nothing was.

    Labels look `horizon_days` ahead of their moment, so that rows whose window reaches into the later part are in
    neither. Where the horizon is not known, all earlier moments are taken as over.
    """
    first, last = np.min(examples.moments), np.max(examples.moments)
    begins = last if examples.offers is None else first + (last - first) * (1 - LATER_SHARE)
    later = examples.moments >= begins
    window = np.timedelta64(round((examples.horizon_days or 0) * 86_400_000_000), "us")
    earlier = ~later & (examples.moments + window <= np.min(examples.moments[later]))
    return TimeSplit(earlier, later) if earlier.any() else None


def _drawn(customer_ids: Iterable[str], salt: str) -> NDArray[Any]:
    """float64 (n,), uniform in 0..1: a hash of each id, which is the same on every machine and Python."""
    key = salt.encode()
    hashes = (blake2b(customer_id.encode(), digest_size=8, key=key).digest() for customer_id in customer_ids)
    return np.frombuffer(b"".join(hashes), dtype=">u8").astype(np.float64) / 2.0**64
