"""Values outside their domains in a warehouse: such a customer gets no answer, so nothing is learnt from the row."""

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ibis
import numpy as np
from ibis.expr import types as ir
from numpy.typing import NDArray

from loyalty_ml.customers.domains import Domains
from loyalty_ml.models.domain import Domain
from training.warehouse.connection import Warehouse

_OUTSIDE = " is outside its domain ("


class Inside(NamedTuple):
    """rows: bool (n,), those whose values are all in their domains; left_out: how many others by reason, each once."""

    rows: NDArray[np.bool_]
    left_out: dict[str, int]


def inside_domains(names: Sequence[str], values: NDArray[np.float64], domains: Mapping[str, Domain]) -> Inside:
    """values: float64 (n, f), of the named columns; NaN is in every domain."""
    inside = np.ones(len(values), np.bool_)
    left_out: dict[str, int] = {}
    for place, name in enumerate(names):
        if name not in domains:
            continue
        outside = Domains([name], [domains]).outside(values[:, [place]])
        if outside is not None and (first := outside & inside).any():
            left_out[reason(name, domains[name])] = int(first.sum())
            inside &= ~outside
    return Inside(inside, left_out)


def count_outside(warehouse: Warehouse, table: ir.Table, domains: Mapping[str, Domain]) -> dict[str, int]:
    """By column, how many rows of a table are outside its domain, of those that have any. Raises Problem."""
    conditions = {name: is_outside(table[name], domain) for name, domain in domains.items()}
    sums = {name: condition.ifelse(1, 0).sum() for name, condition in conditions.items()}
    counts = warehouse.rows(table.aggregate(**sums))
    found = {name: counts[name][0].as_py() or 0 for name in domains}
    return {name: count for name, count in found.items() if count}


def is_outside(column: ir.Column, domain: Domain) -> ir.BooleanValue:
    """The condition in a warehouse; NULL for NULL."""
    low, high = domain.bounds
    conditions = [ibis.literal(False)]
    if low > -math.inf:
        conditions.append(column < low)
    if high < math.inf:
        conditions.append(column > high)
    if domain.whole:
        conditions.append(column.cast("float64").floor().cast("float64") != column)
    return functools.reduce(operator.or_, conditions)


def reason(name: str, domain: Domain) -> str:
    """Such as "engagement_score is outside its domain (a number, at least 0 and at most 100)"."""
    return f"{name}{_OUTSIDE}{domain})"


def is_of_domain(left_out: str) -> bool:
    """Whether a reason that rows are left out for is one of these."""
    return _OUTSIDE in left_out
