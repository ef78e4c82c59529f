"""Offers by the codes that a warehouse has for them: as a catalogue, and as places in a model's output."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import MAX_CODE_CHARACTERS, MAX_OFFERS, Offer
from loyalty_ml.models.catalogue import listed
from training.config import MIN_OFFERS
from training.errors import Problem
from training.warehouse.examples import NothingToLearn


def from_codes(codes: NDArray[np.object_], name: str) -> tuple[Offer, ...]:
    """The catalogue of a warehouse that is configured without one: each code is a name too. name: the table's.

    Sorted: numbers by their size, other codes as text after them. Raises Problem if there are too many, NothingToLearn
    if there are too few to choose from.
    """
    found = sorted(
        set(codes.tolist()), key=lambda code: (not code.isdecimal(), len(code) if code.isdecimal() else 0, code)
    )
    if not MIN_OFFERS <= len(found) <= MAX_OFFERS:
        kind = NothingToLearn if len(found) < MIN_OFFERS else Problem
        raise kind(
            f"{name} has {len(found):,} different offer{'s' * (len(found) != 1)}, but a model has {MIN_OFFERS} to "
            f"{MAX_OFFERS}: put the offers that count under [[offers]], or map another column as [columns.offers] "
            "offer_id."
        )
    too_long = next((code for code in found if len(code) > MAX_CODE_CHARACTERS), None)
    if too_long is not None:
        raise Problem(
            f"{name} has an offer whose code has more than {MAX_CODE_CHARACTERS} characters ({too_long[:40]}...): map "
            "another column as [columns.offers] offer_id."
        )
    return tuple(
        Offer(offer_id=place, offer_code=code, offer_name=code, category="offer") for place, code in enumerate(found)
    )


def places_of(codes: NDArray[np.object_], catalogue: Sequence[Offer]) -> NDArray[np.int64]:
    """int64 (n,): the place of each code, all of which the catalogue has."""
    places = {offer.offer_code: offer.offer_id for offer in catalogue}
    return np.array([places[code] for code in codes.tolist()], np.int64)


def never_shown(shown: NDArray[np.int64], catalogue: Sequence[Offer]) -> str:
    """A sentence on the offers of the catalogue that no example is of; empty if there are none."""
    missing = [offer for offer in catalogue if offer.offer_id not in set(np.unique(shown).tolist())]
    if not missing:
        return ""
    return f"The catalogue has offers that no example is of, of which nothing can be learnt: {listed(missing)}."
