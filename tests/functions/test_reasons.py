"""Reasons and what-if over HTTP: they add up, they are the same in every mode, and each wrong request has its error."""

import math
from typing import Any

import pytest
from pydantic import TypeAdapter

from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.manifest import FIXED_CUT_POINTS
from loyalty_ml.scoring.contracts import AllAnswer, SingleAnswer
from tests.service import GOOD, LAPSED, Answer, Service

pytestmark = pytest.mark.moto
TYPES = ["churn", "nbo", "rfm"]


def explained(service: Service, customer_id: str, prediction_type: str, **fields: Any) -> Any:
    asked = {"customer_id": customer_id, "type": prediction_type, "explain": True, **fields}
    answer = service.call("POST", "/ml/predict", asked)
    assert answer.status == 200, answer.body
    return TypeAdapter(SingleAnswer).validate_python(answer.body)["result"]


def score_of(result: Any) -> float:
    """What the reasons of a result explain, from the rest of it."""
    if "churn_probability" in result:
        return float(result["churn_probability"])
    if "offers" in result:
        others = [offer["probability"] for offer in result["offers"][1:]]
        return float(result["confidence"]) - math.fsum(others) / len(others)
    return float(result["r_score"] + result["f_score"] + result["m_score"])


@pytest.mark.parametrize("customer_id", ["good", "lapsed"])
def test_reasons_add_up_to_what_was_answered(service: Service, customer_id: str) -> None:
    for prediction_type in TYPES:
        adds_up(service, prediction_type, customer_id)


def adds_up(service: Service, prediction_type: str, customer_id: str) -> None:
    result = explained(service, customer_id, prediction_type)
    own, reasons = result["explained"], result["reasons"]
    assert own["score"] == pytest.approx(score_of(result), abs=1e-6)
    added = math.fsum(reason["contribution"] for reason in reasons)
    assert own["baseline_score"] + added == pytest.approx(own["score"], abs=1e-5)
    assert own["method"] == "exact"
    sizes = [abs(reason["contribution"]) for reason in reasons]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0
    names = FIXED_CUT_POINTS.features if prediction_type == "rfm" else DEFAULT_FEATURES
    stored = GOOD if customer_id == "good" else LAPSED
    assert {reason["feature"]: reason["value"] for reason in reasons} == {name: stored[name] for name in names}
    # All else is the answer that it is without.
    without = service.predict(customer_id, prediction_type).body["result"]
    assert {name: value for name, value in result.items() if name not in {"explained", "reasons"}} == without


def test_a_reason_says_value_typical_and_contribution_in_words(service: Service) -> None:
    reasons = {reason["feature"]: reason for reason in explained(service, "lapsed", "churn")["reasons"]}
    recency = reasons["days_since_last"]
    contribution = recency["contribution"]
    assert recency["words"] == f"no purchase for 250 days, typical 7: {contribution:+.2f}"
    assert contribution > 0.1
    of_rfm = {reason["feature"]: reason["words"] for reason in explained(service, "lapsed", "rfm")["reasons"]}
    assert of_rfm["days_since_last"] == "no purchase for 250 days, typical 90: -2"


def test_single_batch_both_forms_and_all_give_the_same_reasons(service: Service) -> None:
    for prediction_type in TYPES:
        alone = [explained(service, customer_id, prediction_type) for customer_id in ("good", "lapsed")]
        asked = {"customer_ids": ["good", "nobody", "lapsed", "good"], "type": prediction_type, "explain": True}
        for path in ("/ml/predict/batch", "/config/ml/test"):
            batch = service.call("POST", path, asked).body
            assert [each["result"] for each in batch["results"]] == [*alone, alone[0]]
            assert batch["failed"] == 1
    body = {"customer_id": "good", "type": "all", "explain": True}
    together = TypeAdapter(AllAnswer).validate_python(service.call("POST", "/ml/predict", body).body)
    assert together["results"] == {name: explained(service, "good", name) for name in TYPES}
    batch = service.call("POST", "/ml/predict/batch", {"customer_ids": ["good"], "type": "all", "explain": True}).body
    assert batch["results"][0]["results"] == together["results"]


def test_what_if_says_what_was_overridden_and_how_far_the_score_moved(service: Service) -> None:
    asked = {"customer_id": "lapsed", "overrides": {"days_since_last": 3, "engagement_score": 60.5}}
    before = service.predict("lapsed").body["result"]
    result = service.call("POST", "/ml/predict", asked).body["result"]
    service.put_customer("other", {**LAPSED, "days_since_last": 3, "engagement_score": 60.5})
    as_other = service.predict("other").body["result"]
    assert result["churn_probability"] == as_other["churn_probability"]
    assert (before["churn_risk"], result["churn_risk"]) == ("lapsed", as_other["churn_risk"])
    assert result["what_if"] == {
        "overrides": {
            "days_since_last": {"before": 250, "after": 3},
            "engagement_score": {"before": 0, "after": 60.5},
        },
        "score_before": before["churn_probability"],
        "score_after": result["churn_probability"],
        "moved": result["churn_probability"] - before["churn_probability"],
    }


def test_what_if_of_all_shows_each_type_what_it_reads(service: Service) -> None:
    overrides = {"days_since_last": 1, "lifetime_transaction_count": 40, "product_count": 3}
    asked = {"customer_id": "lapsed", "type": "all", "overrides": overrides, "explain": True, "features": True}
    body = TypeAdapter(AllAnswer).validate_python(service.call("POST", "/ml/predict", asked).body)
    results: Any = body["results"]
    shown = {name: set(result["what_if"]["overrides"]) for name, result in results.items()}
    assert shown["churn"] == shown["nbo"] == {"days_since_last", "product_count"}
    assert shown["rfm"] == {"days_since_last", "lifetime_transaction_count"}
    assert body["features"].items() >= overrides.items()
    rfm = results["rfm"]
    assert (rfm["r_score"], rfm["f_score"]) == (5, 5)
    assert rfm["what_if"]["moved"] == 4 + 3 == rfm["what_if"]["score_after"] - rfm["what_if"]["score_before"]
    assert math.fsum(reason["contribution"] for reason in rfm["reasons"]) == rfm["explained"]["score"] - 9


def test_of_nbo_the_offer_that_is_recommended_as_if_is_compared_with_itself(service: Service) -> None:
    before = service.predict("good", "nbo").body["result"]
    asked = {"customer_id": "good", "type": "nbo", "overrides": {"revenue": 10, "transaction_count": 1}}
    result = service.call("POST", "/ml/predict", asked).body["result"]
    what_if, best = result["what_if"], result["recommended_offer"]
    assert what_if["score_after"] == result["confidence"]
    assert what_if["score_before"] == before["offer_scores"][best]
    assert what_if["moved"] == what_if["score_after"] - what_if["score_before"]


def test_what_if_can_give_a_customer_what_it_lacks(service: Service) -> None:
    lacking = {name: value for name, value in GOOD.items() if name != "product_count"}
    service.put_customer("lacking", lacking)
    assert service.predict("lacking").body["code"] == "MISSING_FEATURES"
    asked = {"customer_id": "lacking", "overrides": {"product_count": GOOD["product_count"]}}
    result = service.call("POST", "/ml/predict", asked).body["result"]
    assert result["churn_probability"] == service.predict("good").body["result"]["churn_probability"]
    what_if = result["what_if"]
    assert what_if["overrides"]["product_count"] == {"before": None, "after": GOOD["product_count"]}
    assert (what_if["score_before"], what_if["moved"]) == (None, None)


def test_what_if_names_what_a_customer_without_purchases_lacks_still(service: Service) -> None:
    service.put_customer("registered", {"lifetime_transaction_count": 0})

    def as_if(**overrides: float) -> Answer:
        asked = {"customer_id": "registered", "overrides": overrides, "explain": True}
        return service.call("POST", "/ml/predict", asked)

    assert service.predict("registered").body["code"] == "NO_PURCHASES"
    read = {name: value for name, value in GOOD.items() if name in DEFAULT_FEATURES}
    some = {name: value for name, value in read.items() if name not in ("revenue", "product_count")}
    refused(as_if(**some), 422, "MISSING_FEATURES", "revenue", "product_count")
    assert (
        as_if(**read).body["result"]["churn_probability"]
        == (service.predict("good").body["result"]["churn_probability"])
    )


def refused(answer: Answer, status: int, code: str, *parts: str) -> None:
    assert (answer.status, answer.body["code"]) == (status, code), answer.body
    for part in parts:
        assert part in answer.body["error"]


BAD_OVERRIDES: list[tuple[Any, int, str, str]] = [
    ({"shoe_size": 43}, 400, "INVALID_REQUEST", "overrides.shoe_size"),
    ({"lifetime_transaction_count": 4}, 400, "INVALID_REQUEST", "overrides.lifetime_transaction_count"),
    ({"": 4}, 400, "INVALID_REQUEST", "overrides."),
    ({"revenue": "many"}, 400, "INVALID_REQUEST", "overrides.revenue"),
    ({"revenue": "12"}, 400, "INVALID_REQUEST", "overrides.revenue"),
    ({"revenue": True}, 400, "INVALID_REQUEST", "overrides.revenue"),
    ({"revenue": None}, 400, "INVALID_REQUEST", "overrides.revenue"),
    ({"revenue": [1]}, 400, "INVALID_REQUEST", "overrides.revenue"),
    ([1], 400, "INVALID_REQUEST", "overrides"),
    ({f"f{number}": 1 for number in range(1001)}, 400, "INVALID_REQUEST", "overrides"),
    ({"days_since_last": -1}, 422, "INVALID_FEATURES", "days_since_last is -1, but must be a whole number"),
    ({"days_since_last": 2.5}, 422, "INVALID_FEATURES", "days_since_last is 2.5"),
    ({"engagement_score": 100.5}, 422, "INVALID_FEATURES", "at least 0 and at most 100"),
    ({"revenue": 1e300}, 422, "INVALID_FEATURES", "revenue"),
]


def test_overrides_that_cannot_be(service: Service) -> None:
    for overrides, status, code, part in BAD_OVERRIDES:
        asked = {"customer_id": "good", "overrides": overrides}
        refused(service.call("POST", "/ml/predict", asked), status, code, part)


def test_bad_what_ifs_of_all_and_of_batches(service: Service) -> None:
    bad = {"customer_id": "good", "type": "all", "overrides": {"lifetime_transaction_count": -4}}
    refused(service.call("POST", "/ml/predict", bad), 422, "INVALID_FEATURES", "The overrides are outside")
    nobody = {"customer_id": "nobody", "overrides": {"revenue": 1}}
    refused(service.call("POST", "/ml/predict", nobody), 404, "CUSTOMER_NOT_FOUND")
    several = {"customer_ids": ["good"], "overrides": {"revenue": 1}}
    refused(service.call("POST", "/config/ml/test", several), 400, "INVALID_REQUEST", "one customer")
    refused(service.call("POST", "/ml/predict/batch", several), 400, "INVALID_REQUEST", "overrides")
    # An infinite number is no JSON, and 1e400 is one that is too large for a float64.
    body = '{"customer_id": "good", "overrides": {"revenue": 1e400}}'
    refused(service.call("POST", "/ml/predict", body), 400, "INVALID_REQUEST")
    yes = {"customer_id": "good", "explain": "yes"}
    refused(service.call("POST", "/ml/predict", yes), 400, "INVALID_REQUEST", "explain: must be true or false")


def test_mock_data_has_no_reasons(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_MOCK_MODE", "true")
    for prediction_type in ("churn", "nbo", "all"):
        asked = {"customer_id": "good", "type": prediction_type, "explain": True}
        refused(service.call("POST", "/ml/predict", asked), 409, "NO_BASELINE", "mock data")
    assert explained(service, "good", "rfm")["reasons"], "which is calculated"
    what_if = {"customer_id": "good", "overrides": {"revenue": 1}}
    refused(service.call("POST", "/ml/predict", what_if), 400, "INVALID_REQUEST", "mock data")
