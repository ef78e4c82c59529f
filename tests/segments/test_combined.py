"""Segments of several conditions, some on columns and some on predictions: who is in them is what batches say."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from loyalty_ml.models.card import DEFAULT_OFFERS
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.predictions import Ranking
from loyalty_ml.vocabulary import PREDICTION_TYPES, PredictionType
from tests.functions.test_api import assert_error
from tests.segments.test_segments import HIGH_VALUE, Deployment, Row, is_high_value, serve_segments, some_customers
from tests.service import Service, process
from training.snapshot.parts import PartSizes

pytestmark = pytest.mark.moto

OFFER = DEFAULT_OFFERS[1].offer_code


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    """Several parts and blocks; a tenth of the customers have no answer of some type."""
    deployed = Deployment(service, tmp_path / "work", sizes=PartSizes(row_group=150, part_bytes=40_000))
    serve_segments(block_rows=64)
    deployed.write_customers(some_customers(customers=400))
    return deployed


def var(name: str, *default: Any) -> dict[str, Any]:
    return {"var": [name, *default]} if default else {"var": name}


Answers = Mapping[PredictionType, Any]
"""Of one customer, by type: a result, or an error, which has a code."""


def of(answers: Answers, prediction_type: PredictionType, field: str) -> Any:
    """None if there is no answer."""
    return answers[prediction_type].get(field)


def risk(answers: Answers) -> str | None:
    return cast("str | None", of(answers, "churn", "churn_risk"))


def is_best(answers: Answers) -> bool:
    best = of(answers, "nbo", "top_offer")
    return best is not None and best["offer_code"] == OFFER


IS_RISKY = {"in": [var("churn_risk"), ["high", "medium"]]}
DEFINITIONS: list[tuple[dict[str, Any], Callable[[str, Row, Answers], bool]]] = [
    (
        {"rule": HIGH_VALUE, "churn_risk": "high"},
        lambda _, row, answers: is_high_value(row) and risk(answers) == "high",
    ),
    (
        {"rule": {"and": [HIGH_VALUE, {"==": [var("churn_risk"), "high"]}]}},
        lambda _, row, answers: is_high_value(row) and risk(answers) == "high",
    ),
    (
        {"rule": {"or": [HIGH_VALUE, IS_RISKY]}},
        lambda _, row, answers: is_high_value(row) or risk(answers) in ("high", "medium"),
    ),
    (
        {"rule": {"!": {"or": [HIGH_VALUE, IS_RISKY]}}},
        lambda _, row, answers: (
            row["revenue"] is not None and not is_high_value(row) and risk(answers) in ("low", "lapsed")
        ),
    ),
    (
        {"rule": {"==": [var("churn_probability"), None]}},
        lambda _, __, answers: of(answers, "churn", "churn_probability") is None,
    ),
    (
        {"rule": {">=": [var("churn_probability", 1), 0.5]}},
        lambda _, __, answers: (of(answers, "churn", "churn_probability") or 1) >= 0.5,
    ),
    (
        {"rule": {"<": [0.2, var("churn_probability"), 0.9]}, "rfm_segment": "At Risk"},
        lambda _, __, answers: (
            0.2 < (of(answers, "churn", "churn_probability") or 0) < 0.9 and of(answers, "rfm", "segment") == "At Risk"
        ),
    ),
    (
        {"rule": {"and": [{"==": [var("recommended_offer"), OFFER]}, {">=": [var("m_score"), 3]}]}},
        lambda _, __, answers: is_best(answers) and (of(answers, "rfm", "m_score") or 0) >= 3,
    ),
    (
        {"recommended_offer": OFFER, "rule": {"!=": [var("rfm_segment"), "Champions"]}},
        lambda _, __, answers: is_best(answers) and of(answers, "rfm", "segment") not in (None, "Champions"),
    ),
    (
        {"rule": {"<": [var("monetary"), var("revenue")]}, "churn_risk": "low"},
        lambda _, row, answers: (
            risk(answers) == "low"
            and row["revenue"] is not None
            and of(answers, "rfm", "monetary") is not None
            and of(answers, "rfm", "monetary") < row["revenue"]
        ),
    ),
    (
        {"rule": {"or": [{"in": [var("customer_id"), ["c-1", "c-7", "c-399", "nobody"]]}, IS_RISKY]}},
        lambda name, _, answers: name in ("c-1", "c-7", "c-399") or risk(answers) in ("high", "medium"),
    ),
    (
        {"customer_ids": [f"c-{number}" for number in range(150)] + ["nobody"], "rule": IS_RISKY},
        lambda name, _, answers: int(name[2:]) < 150 and risk(answers) in ("high", "medium"),
    ),
    (
        {"customer_ids": [f"c-{number}" for number in range(150)], "churn_risk": "lapsed", "rfm_segment": "At Risk"},
        lambda name, _, answers: (
            int(name[2:]) < 150 and risk(answers) == "lapsed" and of(answers, "rfm", "segment") == "At Risk"
        ),
    ),
]


def test_who_is_in_a_combined_segment_is_what_batches_say(deployment: Deployment) -> None:
    ids = sorted(deployment.customers)
    outcomes = {kind: deployment.one_by_one(kind, ids) for kind in PREDICTION_TYPES}
    answers = {name: {kind: outcomes[kind][name] for kind in PREDICTION_TYPES} for name in ids}
    counts = []
    for definition, is_member in DEFINITIONS:
        expected = {name for name in ids if is_member(name, deployment.customers[name], answers[name])}
        counts.append(len(expected))
        deployment.define("combined", **definition)
        stored = deployment.service.call("GET", "/segments/combined").body
        assert {name: stored[name] for name in definition} == definition
        for kind in PREDICTION_TYPES:
            body = deployment.predict("combined", kind).body
            good = {name for name in expected if "code" not in outcomes[kind][name]}
            assert (body["total_customers"], body["successful"]) == (len(expected), len(good)), (definition, kind)
            shown = {entry["customer_id"]: entry["result"] for entry in body["results"]}
            assert shown.items() <= {name: outcomes[kind][name] for name in good}.items()
            assert len(shown) == min(100, len(good))
            assert {entry["customer_id"] for entry in body["errors"]} <= expected - good
            assert sum(count for name, count in body["aggregated_stats"].items() if "avg" not in name) == len(good)
        stats = deployment.stats("combined").body
        assert stats["member_count"] == len(expected)
        assert stats["stats"]["rfm"]["count"] + stats["stats"]["rfm"]["failed"] == len(expected)
        preview = deployment.service.call("POST", "/segments/preview", {"segment_name": "X", **definition}).body
        assert preview["answer"]["total_customers"] == len(expected)
        assert sum(sum(each["by_risk"].values()) for each in preview["bins"]) == preview["answer"]["successful"]
    assert all(counts), str(counts)
    assert max(counts) < len(ids)


def test_a_combined_segment_is_ranked_exported_and_answered_by_a_job(deployment: Deployment) -> None:
    definition, is_member = DEFINITIONS[0]
    deployment.define("vip", **definition)
    ids = sorted(deployment.customers)
    churn = deployment.one_by_one("churn", ids)
    expected = [name for name in ids if is_member(name, deployment.customers[name], {"churn": churn[name]})]
    likeliest = sorted(expected, key=lambda name: -churn[name]["churn_probability"])
    shown = [entry["customer_id"] for entry in deployment.predict("vip", "churn", top=3).body["results"]]
    assert shown == likeliest[:3]
    service = process().segment.service
    assert [name for some in service.member_ids("vip") for name in some] == expected
    assert [name for some in service.member_ids("vip", Ranking(3)) for name in some] == likeliest[:3]
    queued = deployment.predict("vip", "rfm", {"prefer": "respond-async"}).body
    deployment.work_off_the_queue()
    job = process().segment.jobs.get(queued["job_id"])
    assert job.status == "succeeded"
    (entry,) = deployment.stats("vip").body["history"]
    assert (entry["definition"], entry["member_count"]) == (1, len(expected))


def test_the_list_of_segments_says_that_one_is_combined(deployment: Deployment) -> None:
    deployment.define("vip", **DEFINITIONS[0][0])
    (summary,) = deployment.service.call("GET", "/segments").body["segments"]
    assert summary["kind"] == "combined"


def test_a_change_between_the_two_spellings_is_a_change_of_the_definition_alone(deployment: Deployment) -> None:
    deployment.define("vip", **DEFINITIONS[0][0])
    before = deployment.stats("vip").body
    deployment.define("vip", **DEFINITIONS[1][0])
    after = deployment.stats("vip").body
    assert after["stats"] == before["stats"]
    (entry,) = after["history"]
    assert entry["change"]["definition"]["member_count"] == 0
    assert not entry["change"].keys() & {"customers", "model", "inseparable"}


def test_a_definition_that_was_stored_before_answers_the_same(deployment: Deployment) -> None:
    """An item as it was written when a definition had one field, by the bytes."""
    deployment.define("old", churn_risk="high")
    stored = SegmentDefinition.model_validate_json(b'{"segment_name":"old","churn_risk":"high"}')
    assert process().segment.segments.get("old").definition == stored
    assert process().segment.segments.put("old", stored)[0].version == 1


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ({"==": [var("churn_risk"), "hihg"]}, 'churn_risk is never \\"hihg\\"'),
        ({"==": [var("recommended_offer"), "NONE"]}, 'recommended_offer is never \\"NONE\\": it is one of 0, 1'),
        ({"==": [var("churn_score"), 1]}, "there is no column"),
    ],
)
def test_what_no_prediction_is_is_refused_when_it_is_stored(deployment: Deployment, rule: Any, part: str) -> None:
    answer = deployment.service.call("PUT", "/segments/x", {"segment_name": "X", "rule": rule})
    assert_error(answer, 400, "INVALID_REQUEST", part.replace("\\", ""))


def test_a_rule_needs_the_model_that_it_reads_and_no_other(empty_service: Service, tmp_path: Path) -> None:
    deployed = Deployment(empty_service, tmp_path)
    deployed.write_customers(some_customers(customers=50))
    empty_service.call("GET", "/segments")
    parts = process().segment
    parts.settings = parts.settings.model_copy(update={"ml_mock_mode": "false"})
    serve_segments()
    deployed.define("rfm", rule={"==": [var("rfm_segment"), "Champions"]})
    assert deployed.predict("rfm", "rfm").status == 200
    deployed.define("risky", rule=IS_RISKY)
    assert_error(deployed.predict("risky", "rfm"), 503, "MODEL_UNAVAILABLE", "churn")
    offer = deployed.service.call(
        "PUT", "/segments/o", {"segment_name": "O", "rule": {"!=": [var("recommended_offer"), None]}}
    )
    assert_error(offer, 503, "MODEL_UNAVAILABLE", "nbo")


def test_mock_predictions_are_variables_too(empty_service: Service, tmp_path: Path) -> None:
    deployed = Deployment(empty_service, tmp_path)
    deployed.write_customers(some_customers(customers=100))
    answers = deployed.one_by_one("churn", sorted(deployed.customers))
    deployed.define("risky", rule=IS_RISKY)
    risky = [name for name, answer in answers.items() if answer["churn_risk"] in ("high", "medium")]
    body = deployed.predict("risky").body
    assert (body["total_customers"], body["mock"]) == (len(risky), True)
