"""How often each offer was shown and taken, counted in the warehouse."""

from collections.abc import Iterable
from typing import NamedTuple

import ibis

from training.warehouse.connection import Warehouse

FEW_CONVERSIONS = 50
"""Fewer, and what is learnt of an offer is mostly chance."""


class Exposures(NamedTuple):
    """An offer of the catalogue, or of the table where there is no catalogue: its code, its name, and counts."""

    offer: str
    name: str
    shown: int
    converted: int


def exposures(warehouse: Warehouse) -> list[Exposures]:
    """In the catalogue's order; without one, by code. Raises Problem."""
    table = warehouse.offers()
    if table is None:
        return []
    counts = (
        table.filter(table.offer.notnull())
        .group_by("offer")
        .aggregate(shown=ibis._.count(), converted=ibis._.happened.sum())
    )
    known = {str(row["offer"]): (row["shown"], row["converted"] or 0) for row in warehouse.rows(counts).to_pylist()}
    names = {offer.offer_code: offer.offer_name for offer in warehouse.config.catalogue}
    return [Exposures(code, name, *known.get(code, (0, 0))) for code, name in (names or _by_code(known)).items()]


def _by_code(codes: Iterable[str]) -> dict[str, str]:
    return {code: code for code in sorted(codes)}
