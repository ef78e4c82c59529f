"""Offers by their codes: a stored segment, `top=&offer=` and history mean the same whatever the next model offers."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from loyalty_ml.models.card import Card, card_key, model_key
from loyalty_ml.segments.definition import SegmentDefinition
from tests import sample_set
from tests.segments.test_segments import MOMENT, Deployment, look_again, serve_segments, some_customers
from tests.service import BASE, Service, process
from training.registry import publish
from training.registry.model_set import TrainedModel, write_model_set
from training.snapshot.parts import PartSizes

pytestmark = pytest.mark.moto

FIRST = ("FREE_SHIP", "VIP NIGHT", "7", "ZOË", "BONUS", "REFER", "FLASH", "TIER")
"""The codes of the first model's offers, in the order of its output; "7" is one, and a place of another."""
SECOND = ("NEW", "TIER", "FLASH", "REFER", "7", "ZOË", "VIP NIGHT", "FREE_SHIP")
"""Of the second: in another order, without BONUS, and with a new one."""


CUSTOMERS = 250
"""So that each offer is some customers' best, in more blocks than one."""


def name_of(code: str) -> str:
    return f"The offer {code}"


def publish_offers(deployment: Deployment, folder: Path, version: str, codes: Sequence[str]) -> None:
    """Another version of the sample offer model, whose outputs are of these offers."""
    active = sample_set.manifest().models["nbo"]
    card = json.loads(sample_set.file_of(card_key("nbo", active.version)).read_bytes())
    card |= {
        "version": version,
        "offers": [
            {"offer_id": place, "offer_code": code, "offer_name": name_of(code), "category": "offer"}
            for place, code in enumerate(codes)
        ],
    }
    model = sample_set.file_of(model_key("nbo", active.version)).read_bytes()
    write_model_set(folder, [TrainedModel(Card.model_validate(card), model)], MOMENT)
    publish(deployment.service.s3, deployment.service.model_bucket, folder)
    look_again()
    for parts in (process().predict, process().batch):
        parts.models._next_look = None


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    deployed = Deployment(service, tmp_path / "work", sizes=PartSizes(row_group=150, part_bytes=40_000))
    serve_segments(block_rows=64)
    deployed.write_customers(some_customers(customers=CUSTOMERS))
    publish_offers(deployed, tmp_path / "first", "v1", FIRST)
    return deployed


def best_codes(deployment: Deployment) -> dict[str, str]:
    """The code of each customer's best offer, as single predictions say it, for those who have one."""
    outcomes = deployment.one_by_one("nbo", sorted(deployment.customers))
    return {
        customer_id: outcome["top_offer"]["offer_code"]
        for customer_id, outcome in outcomes.items()
        if "code" not in outcome
    }


def test_an_answer_names_each_offer_by_its_code(deployment: Deployment) -> None:
    result = deployment.service.predict("c-1", "nbo").body["result"]
    assert {offer["offer_id"]: offer["offer_code"] for offer in result["offers"]} == dict(enumerate(FIRST))
    assert result["top_offer"] == result["offers"][0]
    assert FIRST[result["recommended_offer"]] == result["top_offer"]["offer_code"]


def test_a_stored_segment_is_of_the_same_offer_whatever_its_place(deployment: Deployment, tmp_path: Path) -> None:
    best = best_codes(deployment)
    wanted = max((code for code in set(best.values()) & set(SECOND)), key=list(best.values()).count)
    for segment_id, named in (("by-code", wanted), ("by-place", FIRST.index(wanted))):
        deployment.define(segment_id, recommended_offer=named)
        stored = deployment.service.call("GET", f"/segments/{segment_id}").body
        assert stored["recommended_offer"] == wanted

    publish_offers(deployment, tmp_path / "second", "v2", SECOND)
    now = best_codes(deployment)
    expected = sorted(customer_id for customer_id, code in now.items() if code == wanted)
    assert sorted(best) == sorted(now)
    assert expected != sorted(customer_id for customer_id, code in best.items() if code == wanted)
    for segment_id in ("by-code", "by-place"):
        answer = deployment.predict(segment_id, "nbo").body
        assert answer["total_customers"] == len(expected)
        assert {entry["result"]["top_offer"]["offer_code"] for entry in answer["results"]} <= {wanted}


def test_a_segment_of_a_retired_offer_is_refused_and_not_another_offers(deployment: Deployment, tmp_path: Path) -> None:
    deployment.define("bonus", recommended_offer="BONUS")
    publish_offers(deployment, tmp_path / "second", "v2", SECOND)
    for answer in (deployment.predict("bonus", "nbo"), deployment.predict("bonus", "rfm"), deployment.stats("bonus")):
        assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
        assert (
            "the segment is of offer BONUS, but the model has only offers NEW (The offer NEW), TIER"
            in (answer.body["error"])
        )
    publish_offers(deployment, tmp_path / "first-again", "v3", FIRST)
    assert deployment.predict("bonus", "nbo").status == 200


def test_a_number_that_was_stored_before_codes_is_no_place_of_a_later_model(deployment: Deployment) -> None:
    """Which offer was at the place then is not known any more, so none is guessed; a code that is a number is one."""
    segments = process().segment.segments
    segments.put("third", SegmentDefinition(segment_name="Third", recommended_offer=3))
    assert "the segment is of offer 3" in deployment.predict("third", "nbo").body["error"]
    segments.put("seven", SegmentDefinition(segment_name="Seven", recommended_offer=7))
    answer = deployment.predict("seven", "nbo").body
    assert {entry["result"]["recommended_offer"] for entry in answer["results"]} <= {FIRST.index("7")}


def test_the_best_for_an_offer_are_asked_for_by_code_or_place(deployment: Deployment) -> None:
    deployment.define("all", rule={})
    everyone = deployment.one_by_one("nbo", sorted(deployment.customers)).values()
    for named, code in {
        "VIP NIGHT": "VIP NIGHT", "ZOË": "ZOË", "1": "VIP NIGHT", "0": "FREE_SHIP", "7": "7",
    }.items():  # fmt: skip
        shown = deployment.predict("all", "nbo", top=50, offer=named).body["results"]
        place = FIRST.index(code)
        expected = sorted((one["offer_scores"][place] for one in everyone if "code" not in one), reverse=True)
        assert [entry["result"]["offer_scores"][place] for entry in shown] == expected[:50]


def test_the_same_question_by_code_is_of_the_same_offer_of_the_next_model(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.define("all", rule={})
    publish_offers(deployment, tmp_path / "second", "v2", SECOND)
    shown = deployment.predict("all", "nbo", top=5, offer="FREE_SHIP").body["results"]
    place = SECOND.index("FREE_SHIP")
    chances = [entry["result"]["offer_scores"][place] for entry in shown]
    everyone = deployment.one_by_one("nbo", sorted(deployment.customers)).values()
    assert chances == sorted((one["offer_scores"][place] for one in everyone if "code" not in one), reverse=True)[:5]
    refused = deployment.predict("all", "nbo", top=5, offer="BONUS")
    assert "there is no offer BONUS: choose one of NEW (The offer NEW), " in refused.body["error"]
    queued = deployment.predict("all", "nbo", {"prefer": "respond-async"}, top=5, offer="FREE_SHIP").body
    deployment.work_off_the_queue()
    job = deployment.service.call("GET", queued["location"].removeprefix(BASE)).body
    assert job["answer"]["results"] == shown


@pytest.mark.parametrize("offer", ["8", "-1", "07", "1.0", "vip night", "VIP"])
def test_what_is_neither_a_code_nor_a_place_is_refused(deployment: Deployment, offer: str) -> None:
    deployment.define("all", rule={})
    answer = deployment.predict("all", "nbo", top=5, offer=offer)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert f"there is no offer {offer}: choose one of FREE_SHIP (The offer FREE_SHIP), " in answer.body["error"]
    unknown = deployment.service.call("PUT", "/segments/none", {"segment_name": "None", "recommended_offer": offer})
    assert (unknown.status, unknown.body["code"]) == (400, "INVALID_REQUEST")


def test_history_counts_by_code_in_each_entry(deployment: Deployment, tmp_path: Path) -> None:
    deployment.define("all", rule={})
    best = best_codes(deployment)
    first = deployment.stats("all").body["stats"]["nbo"]
    assert first["by_code"] == {code: list(best.values()).count(code) for code in FIRST}
    assert first["distribution"] == {name_of(code): count for code, count in first["by_code"].items()}

    publish_offers(deployment, tmp_path / "second", "v2", SECOND)
    deployment.write_customers(some_customers(2, CUSTOMERS), MOMENT + timedelta(days=1))
    look_again()
    history = deployment.stats("all").body["history"]
    assert history[0]["stats"]["nbo"] == first
    now = best_codes(deployment)
    assert history[1]["stats"]["nbo"]["by_code"] == {code: list(now.values()).count(code) for code in SECOND}


def test_a_card_without_codes_has_its_places_for_codes() -> None:
    assert [offer.offer_code for offer in sample_set.model_set().loaded["nbo"].card.offers] == list("01234567")


@pytest.mark.parametrize("codes", [("A", "A", "B", "C", "D", "E", "F", "G"), ("", "A", "B", "C", "D", "E", "F", "G")])
def test_a_card_whose_codes_do_not_tell_its_offers_apart_is_refused(codes: Sequence[str]) -> None:
    active = sample_set.manifest().models["nbo"]
    card = json.loads(sample_set.file_of(card_key("nbo", active.version)).read_bytes())
    card["offers"] = [{**offer, "offer_code": code} for offer, code in zip(card["offers"], codes, strict=True)]
    with pytest.raises(ValidationError, match="code"):
        Card.model_validate(card)
