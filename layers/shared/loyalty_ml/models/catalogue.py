"""Which offer of a catalogue is meant: offers are named by their codes, and by their places for old callers."""

from collections.abc import Sequence

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.models.card import Offer

SHOWN = 20
"""Offers that a sentence names."""


def place_of_code(offers: Sequence[Offer], code: str) -> int | None:
    """The place in the model's output of the offer with this code; None if there is none."""
    return next((offer.offer_id for offer in offers if offer.offer_code == code), None)


def place_of(offers: Sequence[Offer], named: str) -> int | None:
    """The same; a number that is no code is the place itself. None if there is no such offer."""
    place = place_of_code(offers, named)
    if place is not None:
        return place
    return next((offer.offer_id for offer in offers if str(offer.offer_id) == named), None)


def asked_place(offers: Sequence[Offer], named: str) -> int:
    """The place of the offer that a request names, as place_of has it. Raises InvalidRequest if there is none."""
    place = place_of(offers, named)
    if place is None:
        raise InvalidRequest.of("offer", f"there is no offer {named}: choose one of {listed(offers)}")
    return place


def listed(offers: Sequence[Offer]) -> str:
    """The codes, with the names if they differ, for a sentence; of many offers the first."""
    shown = ", ".join(
        offer.offer_code if offer.offer_code == offer.offer_name else f"{offer.offer_code} ({offer.offer_name})"
        for offer in offers[:SHOWN]
    )
    return f"{shown} and {len(offers) - SHOWN} more" if len(offers) > SHOWN else shown
