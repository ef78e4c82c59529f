"""How often each offer was shown and taken, counted in the warehouse."""

from typing import NamedTuple

import ibis

from training.config import Config
from training.warehouse.connection import Warehouse

FEW_CONVERSIONS = 50
"""Fewer, and what is learnt of an offer is mostly chance."""


class Exposures(NamedTuple):
    """An offer of the table or of the catalogue; `name` is None if the catalogue has no such offer."""

    offer: str
    name: str | None
    shown: int
    converted: int


def exposures(warehouse: Warehouse) -> list[Exposures]:
    """In the catalogue's order, then those that it lacks. Raises Problem."""
    table = warehouse.offers()
    if table is None:
        return []
    counts = (
        table.filter(table.offer.notnull())
        .group_by("offer")
        .aggregate(shown=ibis._.count(), converted=ibis._.happened.sum())
    )
    known = {str(row["offer"]): (row["shown"], row["converted"] or 0) for row in warehouse.rows(counts).to_pylist()}
    names = catalogue(warehouse.config)
    return [
        Exposures(offer, names.get(offer), *known.get(offer, (0, 0)))
        for offer in {**names, **dict.fromkeys(sorted(known))}
    ]


def catalogue(config: Config) -> dict[str, str]:
    return {str(offer.offer_id): offer.offer_name for offer in config.offers}
