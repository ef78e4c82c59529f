"""How often each offer was shown and taken, counted in the warehouse, and whether that is enough to learn it."""

from collections.abc import Iterable
from typing import NamedTuple

import ibis
from ibis.expr import types as ir

from training.config import Nbo
from training.warehouse.connection import Warehouse


class Exposures(NamedTuple):
    """An offer of the catalogue, or of the table where there is no catalogue: its code, its name, and counts."""

    offer: str
    name: str
    shown: int
    converted: int

    @property
    def refused(self) -> int:
        return self.shown - self.converted

    @property
    def title(self) -> str:
        """The code, and the name if it says more."""
        return self.offer if self.name == self.offer else f"{self.offer} ({self.name})"

    def reduced(self, share: float) -> "Exposures":
        """About what is left of it if so many of the exposures can be learnt from."""
        converted = round(self.converted * share)
        return self._replace(shown=converted + round(self.refused * share), converted=converted)

    def is_learnt(self, minimum: Nbo) -> bool:
        """Whether it would be recommended."""
        return self.converted >= minimum.minimum_conversions and self.refused >= minimum.minimum_refusals


def exposures(warehouse: Warehouse, table: ir.Table) -> list[Exposures]:
    """In the catalogue's order; without one, by code. table: Warehouse.offers(), or a part of it. Raises Problem."""
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
