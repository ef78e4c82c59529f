"""Model sets that were made before models knew who has lapsed and of which offers too little is known: they go on
serving, and the status says what they do not know."""

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from loyalty_ml.models.card import Card, card_key, model_key
from loyalty_ml.scoring.scores import RISKS
from tests import sample_set
from tests.segments.test_segments import HIGH_VALUE, MOMENT, Deployment, look_again, serve_segments, some_customers
from tests.service import Service, process
from training.registry import publish
from training.registry.model_set import TrainedModel, write_model_set
from training.snapshot.parts import PartSizes

pytestmark = pytest.mark.moto

NEW_FIELDS = ("active", "baseline", "churn_quality", "offer_quality")


def old_card(name: str, version: str) -> dict[str, Any]:
    """The card of a sample model as it was written for a trained model before there were these fields."""
    active = sample_set.manifest().models[name]
    card = json.loads(sample_set.file_of(card_key(name, active.version)).read_bytes())
    for field in NEW_FIELDS:
        card.pop(field, None)
    for offer in card["offers"]:
        offer.pop("evidence")
    return {**card, "version": version, "placeholder": False}


def publish_cards(deployment: Deployment, folder: Path, cards: list[dict[str, Any]], advice: Any = None) -> None:
    models = []
    for card in cards:
        active = sample_set.manifest().models[card["name"]]
        model = sample_set.file_of(model_key(card["name"], active.version)).read_bytes()
        models.append(TrainedModel(Card.model_validate(card), model))
    write_model_set(folder, models, MOMENT, advice=advice or {})
    publish(deployment.service.s3, deployment.service.model_bucket, folder)
    look_again()
    for parts in (process().predict, process().batch):
        parts.models._next_look = None


def status_of(deployment: Deployment, name: str) -> dict[str, Any]:
    status: dict[str, Any] = deployment.service.call("GET", "/config/ml/status").body["models"][name]
    return status


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    deployed = Deployment(service, tmp_path / "work", sizes=PartSizes(row_group=150, part_bytes=40_000))
    serve_segments(block_rows=64)
    deployed.write_customers(some_customers(customers=250))
    publish_cards(deployed, tmp_path / "old", [old_card("churn", "old"), old_card("nbo", "old")])
    return deployed


def test_an_old_set_answers_in_each_mode_as_it_did(deployment: Deployment) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    results = deployment.one_by_one("churn", sorted(deployment.customers)).values()
    answered = [result for result in results if "code" not in result]
    assert len(answered) > 200
    for result in answered:
        chance = result["churn_probability"]
        assert result["churn_risk"] == ("high" if chance >= 0.7 else "medium" if chance >= 0.4 else "low")
    for result in deployment.one_by_one("nbo", sorted(deployment.customers)).values():
        if "code" not in result:
            assert {offer["evidence"] for offer in result["offers"]} == {"unknown"}
            assert result["confidence"] == max(result["offer_scores"])
    churn = deployment.predict("high-value", "churn", top=20).body
    assert churn["results"] == deployment.predict("high-value", "churn", top=20, include="lapsed").body["results"]
    counted = churn["aggregated_stats"]
    assert counted["lapsed"] == 0
    assert counted["avg_probability_active"] == counted["avg_probability"]
    deployment.define("lapsed", churn_risk="lapsed")
    assert deployment.predict("lapsed", "churn").body["total_customers"] == 0
    stats = deployment.stats("high-value").body["stats"]["churn"]
    assert (stats["lapsed"], stats["lapsed_percentage"]) == (0, 0)
    assert sum(stats[f"{risk}_percentage"] for risk in RISKS) == pytest.approx(100)


def test_the_status_says_what_an_old_set_does_not_know_and_to_train_again(deployment: Deployment) -> None:
    churn, nbo = status_of(deployment, "churn"), status_of(deployment, "nbo")
    assert (churn["loaded"], churn["active"], churn["quality"]) == (True, "unknown", [])
    assert (nbo["loaded"], nbo["evidence"], nbo["quality"]) == (True, "unknown", [])
    assert "evidence" not in churn
    assert "active" not in nbo
    assert churn["message"] == (
        "The churn model does not say which customers have lapsed, so nobody has: train it again with 'loyalty train', "
        "and publish it."
    )
    assert nbo["message"] == (
        "The nbo model does not say of which offers too little is known, so that any may be recommended: train it "
        "again with 'loyalty train', on exposures that did not convert too, and publish it."
    )


def test_the_status_says_what_models_know_of_themselves(deployment: Deployment, tmp_path: Path) -> None:
    ranged = {"value": 131.0, "low": 120.0, "high": 141.0}
    sentence = "Of 200 that you can write to, this finds 131, your 45-day rule 104, chance 62."
    churn = old_card("churn", "new") | {
        "active": {"feature": "days_since_last", "days": 60},
        "churn_quality": {
            "customers": 2000, "left": 620, "bands": [], "tenths": [],
            "lists": [{
                "share": 0.1, "customers": 200, "found": ranged, "rule": ranged, "rule_days": 45, "chance": ranged,
                "word": "useful", "sentence": sentence,
            }],
        },
    }  # fmt: skip
    nbo = old_card("nbo", "new")
    for offer in nbo["offers"]:
        offer["evidence"] = "too_few" if offer["offer_id"] in (2, 5) else "learnt"
    nbo["offer_quality"] = {
        "exposures": 900, "clipped": 0, "best_offer": "1", "sentence": "Better than what was shown.",
        **dict.fromkeys(("recommended", "shown", "best_single", "over_shown", "over_best_single"), ranged),
    }  # fmt: skip
    publish_cards(deployment, tmp_path / "new", [churn, nbo])
    found = status_of(deployment, "churn")
    assert found["active"] == {"feature": "days_since_last", "days": 60}
    assert found["quality"] == [sentence]
    assert "message" not in found
    assert "advice" not in found
    offers = status_of(deployment, "nbo")
    assert offers["evidence"] == {"learnt": ["0", "1", "3", "4", "6", "7"], "too_few": ["2", "5"]}
    assert offers["quality"] == ["Better than what was shown."]
    assert "message" not in offers


def test_history_tells_the_lapsed_of_a_new_model_from_those_whom_nobody_counted(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.define("all", rule={})
    before = deployment.stats("all").body["stats"]["churn"]
    new = old_card("churn", "new") | {"active": {"feature": "days_since_last", "days": 90}}
    publish_cards(deployment, tmp_path / "new", [new])
    entries = deployment.stats("all").body["history"]
    after = entries[-1]["stats"]["churn"]
    model = entries[-1]["change"]["model"]
    assert after["lapsed"] > 50
    assert model["lapsed_percentage"] == after["lapsed_percentage"] - before["lapsed_percentage"]
    assert model["avg_probability"] == pytest.approx(0)
    assert model["avg_probability_active"] < 0


def test_a_rule_may_be_of_a_feature_that_the_network_does_not_read(deployment: Deployment, tmp_path: Path) -> None:
    """A customer without a value of it has no answer, as without a feature of the network's own."""
    new = old_card("churn", "new") | {"active": {"feature": "lifetime_transaction_count", "days": 30}}
    publish_cards(deployment, tmp_path / "new", [new])
    customers = some_customers(customers=250)
    customers["c-1"]["lifetime_transaction_count"] = None
    deployment.write_customers(customers, MOMENT + timedelta(days=1))
    outcomes = deployment.one_by_one("churn", sorted(customers))
    assert (outcomes["c-1"]["code"], "lifetime_transaction_count" in outcomes["c-1"]["error"]) == (
        "MISSING_FEATURES", True,
    )  # fmt: skip
    lapsed = {name for name, outcome in outcomes.items() if outcome.get("churn_risk") == "lapsed"}
    assert lapsed == {
        name
        for name, row in customers.items()
        if (row["lifetime_transaction_count"] or 0) > 30 and "code" not in outcomes[name]
    }
    look_again()
    deployment.define("lapsed", churn_risk="lapsed")
    assert deployment.predict("lapsed", "rfm").body["total_customers"] == len(lapsed)


def test_a_card_with_an_unknown_word_of_evidence_is_refused_and_the_old_set_goes_on(
    deployment: Deployment, tmp_path: Path
) -> None:
    card = old_card("nbo", "odd")
    card["offers"][0]["evidence"] = "plenty"
    service = deployment.service
    assert service.predict("c-1", "nbo").status == 200
    entry = put_card(service, card)
    manifest = json.loads(service.s3.get_object(Bucket=service.model_bucket, Key="models/manifest.json")["Body"].read())
    manifest["models"]["nbo"] = entry
    service.s3.put_object(Bucket=service.model_bucket, Key="models/manifest.json", Body=json.dumps(manifest))
    for parts in (process().predict, process().batch):
        parts.models._next_look = None
    assert service.predict("c-1", "nbo").body["model"]["version"] == "old"
    message = status_of(deployment, "nbo")["message"]
    assert "offers.0.evidence: must be 'learnt' or 'too_few'" in message
    assert "Meanwhile the version named here answers" in message


def put_card(service: Service, card: dict[str, Any]) -> dict[str, str]:
    """Puts the card beside its model into the bucket, past all checks; returns its entry for the manifest."""
    text = json.dumps(card).encode()
    active = sample_set.manifest().models[card["name"]]
    model = sample_set.file_of(model_key(card["name"], active.version)).read_bytes()
    service.s3.put_object(Bucket=service.model_bucket, Key=model_key(card["name"], card["version"]), Body=model)
    service.s3.put_object(Bucket=service.model_bucket, Key=card_key(card["name"], card["version"]), Body=text)
    return {"version": card["version"], "card_sha256": sha256(text).hexdigest()}


def test_reasons_of_a_set_without_a_baseline_say_to_train_again(deployment: Deployment) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    ids = sorted(deployment.customers)[:2]
    for prediction_type in ("churn", "nbo", "all"):
        asked = {"type": prediction_type, "explain": True}
        for path, body in {
            "/ml/predict": {"customer_id": ids[0], **asked},
            "/ml/predict/batch": {"customer_ids": ids, **asked},
            "/segments/high-value/ml/predict": asked,
        }.items():
            answer = deployment.service.call("POST", path, body)
            assert (answer.status, answer.body["code"]) == (409, "NO_BASELINE"), answer.body
            assert "Train again" in answer.body["error"]
