"""A warehouse with fewer customers: those whose id has a certain hash, so the same ones each time."""

import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from ibis.expr import types as ir

from training.warehouse.connection import Warehouse

CUSTOMERS = 1_000
"""About how many customers a sample has."""
LARGER = 10
"""How many times as large the second sample is, by which the time for all is estimated."""

Rows = TypeVar("Rows")


class Sampled(Warehouse):
    """The same tables, filtered in the warehouse to one customer in `every`. What reads a warehouse reads this one."""

    def __init__(self, warehouse: Warehouse, every: int) -> None:
        self.__dict__.update(warehouse.__dict__)  # also what has been asked of all rows, to ask it once
        self.every = every

    def transactions(self, *args: Any, **named: Any) -> ir.Table | None:
        return self._filtered(super().transactions(*args, **named))

    def features(self, *args: Any, **named: Any) -> ir.Table | None:
        return self._filtered(super().features(*args, **named))

    def churn(self) -> ir.Table | None:
        return self._filtered(super().churn())

    def offers(self, *args: Any, **named: Any) -> ir.Table | None:
        return self._filtered(super().offers(*args, **named))

    def customers(self) -> ir.Table | None:
        return self._filtered(super().customers())

    def _filtered(self, table: ir.Table | None) -> ir.Table | None:
        if table is None or self.every == 1:
            return table
        return table.filter(table.customer_id.hash() % self.every == 0)


class Reading(NamedTuple, Generic[Rows]):
    """What a sample gave, and for how many seconds reading all customers would take, by a straight line."""

    rows: Rows
    seconds: float


def sample(warehouse: Warehouse, customers: int, size: int = CUSTOMERS) -> Sampled:
    """About `size` of `customers`, or all if there are fewer."""
    return Sampled(warehouse, max(1, round(customers / size)))


def read_sample(warehouse: Warehouse, customers: int, read: Callable[[Warehouse], Rows]) -> Reading[Rows]:
    """Reads about a thousand of `customers`, then ten times as many, to know how the time grows. Raises Problem."""
    small = sample(warehouse, customers)
    rows, first = _timed(small, read)
    if small.every == 1:
        return Reading(rows, first)
    large = sample(warehouse, customers, CUSTOMERS * LARGER)
    _, second = _timed(large, read)
    return Reading(rows, seconds_for_all(small.every, first, large.every, second))


def seconds_for_all(small_every: int, small_seconds: float, large_every: int, large_seconds: float) -> float:
    """On the straight line through samples of one in small_every and one in large_every; never less than a sample."""
    slope = (large_seconds - small_seconds) / (1 / large_every - 1 / small_every) if large_every < small_every else 0.0
    return large_seconds + max(0.0, slope) * (1 - 1 / large_every)


def _timed(warehouse: Warehouse, read: Callable[[Warehouse], Rows]) -> tuple[Rows, float]:
    started = time.perf_counter()
    rows = read(warehouse)
    return rows, time.perf_counter() - started
