"""Of which offers enough is known to recommend them: by how often they converted, and how often they did not.

The same rule as Amazon Personalize's, which wants interactions of either kind with what it recommends; how many is
configured (`[nbo] minimum_conversions`, `minimum_refusals`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Evidence, Offer
from training.config import CatalogueOffer, Nbo
from training.learning.contenders import Kind, shown
from training.warehouse.examples import Examples

NAMED = 5
"""So many offers are named in a sentence."""


class Count(NamedTuple):
    """How often an offer was shown and converted, and how often it was shown and did not."""

    offer: Offer
    conversions: int
    refusals: int


@dataclass(frozen=True, slots=True)
class OfferEvidence:
    """Of each offer of the catalogue, in its order, how often it was shown, and what follows from that.

    A choice has no refusals: where only what was taken is known, conversions alone decide, and what was taken often is
    of unknown evidence, as nobody knows how often it was refused.
    """

    kind: Kind
    counts: tuple[Count, ...]
    nbo: Nbo

    @classmethod
    def of(cls, kind: Kind, examples: Examples, nbo: Nbo) -> Self:
        """Of examples of offers."""
        offers, size = shown(examples), len(examples.catalogue)
        converted = np.bincount(offers[examples.happened], minlength=size).tolist()
        refused = np.bincount(offers[~examples.happened], minlength=size).tolist()
        return cls(kind, tuple(map(Count, examples.catalogue, converted, refused)), nbo)

    @property
    def evidence(self) -> tuple[Evidence | None, ...]:
        enough: Evidence | None = None if self.kind == "choice" else "learnt"
        return tuple(enough if self._is_enough(count) else "too_few" for count in self.counts)

    @property
    def learnt(self) -> NDArray[np.bool_]:
        """bool (offers,): which may be recommended."""
        return np.array([self._is_enough(count) for count in self.counts], np.bool_)

    @property
    def too_few(self) -> list[Count]:
        return [count for count in self.counts if not self._is_enough(count)]

    @property
    def enough(self) -> list[Count]:
        return [count for count in self.counts if self._is_enough(count)]

    def catalogue(self, configured: Sequence[CatalogueOffer]) -> tuple[Offer, ...]:
        """The offers for a card: with their evidence, and the share of customers who are to explore them.

        configured: the catalogue of the configuration; offers that it does not have are not explored.
        """
        shares = {offer.offer_id: offer.explore or None for offer in configured}
        return tuple(
            count.offer.model_copy(update={"evidence": evidence, "explore": shares.get(count.offer.offer_code)})
            for count, evidence in zip(self.counts, self.evidence, strict=True)
        )

    def rule(self) -> str:
        """How much is asked for, as a part of a sentence."""
        conversions = f"{self.nbo.minimum_conversions:,} conversions"
        return conversions if self.kind == "choice" else f"{conversions} and {self.nbo.minimum_refusals:,} refusals"

    def sentences(self) -> list[str]:
        """For people: of which offers too little is known, and how much is."""
        few = self.too_few
        if not few:
            return []
        return [f"Not recommended, because fewer than {self.rule()} are known of them: {self.listed(few)}."]

    def listed(self, counts: Sequence[Count]) -> str:
        """The first of them by name with their counts, those with most conversions first, and how many there are."""
        ranked = sorted(counts, key=lambda count: (-count.conversions, -count.refusals))
        named = [self._described(count) for count in ranked[:NAMED]]
        more = [f"and {len(ranked) - NAMED:,} more"] if len(ranked) > NAMED else []
        return ", ".join([*named, *more])

    def _described(self, count: Count) -> str:
        refusals = "" if self.kind == "choice" else f" and {_counted(count.refusals, 'refusal')}"
        return f"{count.offer.offer_name} ({_counted(count.conversions, 'conversion')}{refusals})"

    def _is_enough(self, count: Count) -> bool:
        refused_enough = self.kind == "choice" or count.refusals >= self.nbo.minimum_refusals
        return count.conversions >= self.nbo.minimum_conversions and refused_enough


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
