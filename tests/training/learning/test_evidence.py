"""Of which offers enough is known."""

import numpy as np
import pytest

from loyalty_ml.models.card import Offer
from training.config import CatalogueOffer, Nbo
from training.learning import offer_quality
from training.learning.evidence import OfferEvidence
from training.learning.gates import Gate
from training.warehouse.examples import Examples

pytestmark = pytest.mark.unit

RULE = Nbo(minimum_conversions=50, minimum_refusals=50)


def shown(*counts: tuple[int, int]) -> Examples:
    """Exposures of as many offers: of each, how many converted and how many did not."""
    offers = np.repeat(np.arange(len(counts)), [sum(count) for count in counts])
    happened = np.concatenate([np.arange(sum(count)) < count[0] for count in counts])
    return Examples(
        customer_ids=np.array([f"c{number}" for number in range(len(offers))], np.object_),
        moments=np.full(len(offers), np.datetime64("2025-01-01", "us")),
        names=("revenue",),
        features=np.ones((len(offers), 1)),
        happened=happened,
        offers=offers,
        purchases=None,
        horizon_days=None,
        left_out={},
        catalogue=tuple(
            Offer(offer_id=place, offer_code=f"code-{place}", offer_name=f"Offer {place}", category="offer")
            for place in range(len(counts))
        ),
    )


def gate(name: str, evidence: OfferEvidence) -> Gate:
    return next(gate for gate in offer_quality.of_choice(evidence) if gate.name == name)


def test_learnt_is_what_converted_and_was_refused_often_enough() -> None:
    found = OfferEvidence.of("conversion", shown((50, 50), (49, 900), (900, 49), (0, 0), (51, 70)), RULE)
    assert found.evidence == ("learnt", "too_few", "too_few", "too_few", "learnt")
    assert found.learnt.tolist() == [True, False, False, False, True]
    passed = gate(offer_quality.OFFERS_TO_CHOOSE_FROM, found)
    assert passed.passed
    assert passed.sentence == (
        "2 of 5 offers have 50 conversions and 50 refusals. Too little is known of Offer 2 (900 conversions and 49 "
        "refusals), Offer 1 (49 conversions and 900 refusals), Offer 3 (0 conversions and 0 refusals): these are not "
        "recommended."
    )


def test_the_card_has_the_evidence_and_who_explores() -> None:
    found = OfferEvidence.of("conversion", shown((50, 50), (0, 1), (1, 0)), RULE)
    configured = [CatalogueOffer(offer_id="code-1", explore=0.05), CatalogueOffer(offer_id="code-0")]
    offers = found.catalogue(configured)
    assert [(offer.evidence, offer.explore) for offer in offers] == [
        ("learnt", None),
        ("too_few", 0.05),
        ("too_few", None),
    ]
    assert [offer.offer_code for offer in offers] == ["code-0", "code-1", "code-2"]


def test_where_no_offer_is_learnt_the_counts_and_the_remedy_are_named() -> None:
    refused = gate(offer_quality.OFFERS_TO_CHOOSE_FROM, OfferEvidence.of("conversion", shown((1, 0), (20, 300)), RULE))
    assert not refused.passed
    assert refused.sentence == (
        "No offer has 50 conversions and 50 refusals in these exposures: Offer 1 (20 conversions and 300 "
        "refusals), Offer 0 (1 conversion and 0 refusals). Bring more exposures in the table of [tables] offers, or "
        "lower [nbo] minimum_conversions and minimum_refusals."
    )


def test_of_one_learnt_offer_there_is_no_choice() -> None:
    for counts in ([(60, 200)], [(60, 200), (1, 0)]):
        refused = gate(offer_quality.OFFERS_TO_CHOOSE_FROM, OfferEvidence.of("conversion", shown(*counts), RULE))
        assert not refused.passed
        assert refused.sentence.startswith(
            "Only Offer 0 (60 conversions and 200 refusals) has 50 conversions and 50 refusals, so there is no choice: "
            "send everyone Offer 0."
        )


def test_many_offers_of_which_too_little_is_known_are_not_all_named() -> None:
    found = OfferEvidence.of("conversion", shown((60, 60), (70, 70), *[(1, 2)] * 30), RULE)
    assert found.sentences() == [
        "Not recommended, because fewer than 50 conversions and 50 refusals are known of them: "
        + ", ".join(f"Offer {number} (1 conversion and 2 refusals)" for number in range(2, 7))
        + ", and 25 more."
    ]
    assert OfferEvidence.of("conversion", shown((60, 60), (70, 70)), RULE).sentences() == []


def test_of_offers_taken_alone_nobody_knows_what_works() -> None:
    found = OfferEvidence.of("choice", shown((50, 0), (49, 0), (70, 0)), RULE)
    assert found.evidence == (None, "too_few", None)
    assert found.learnt.tolist() == [True, False, True]
    refused = gate(offer_quality.KNOWS_WHAT_WORKS, found)
    assert not refused.passed
    assert refused.sentence == (
        "It knows what was taken where it used to be shown, not what works: bring exposures that did not convert in "
        "the table of [tables] offers (--force REASON overrules this)."
    )
    assert [gate.name for gate in offer_quality.of_choice(OfferEvidence.of("conversion", shown((60, 60)), RULE))] == [
        offer_quality.OFFERS_TO_CHOOSE_FROM
    ]
