"""A definition is previewed: what its segment would be, with nothing stored."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from functions.segment import app as segment_function
from loyalty_ml.api.http import entrypoint
from loyalty_ml.segments.preview import SegmentPreviewAnswer
from tests.functions.test_api import assert_error
from tests.segments.test_segments import HIGH_VALUE, Deployment, is_high_value, members, some_customers
from tests.service import Answer, Service, process

pytestmark = pytest.mark.moto


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    deployed = Deployment(service, tmp_path)
    deployed.write_customers(some_customers())
    return deployed


def preview(deployment: Deployment, **definition: Any) -> Answer:
    return deployment.service.call("POST", "/segments/preview", {"segment_name": "X", **definition})


def predicted(deployment: Deployment, ids: list[str], prediction_type: str) -> list[dict[str, Any]]:
    """What batches of these customers answer."""
    return [
        entry["result"]
        for start in range(0, len(ids), 100)
        for entry in deployment.service.predict_batch(ids[start : start + 100], prediction_type).body["results"]
    ]


def test_the_preview_is_what_the_members_are_one_by_one(deployment: Deployment) -> None:
    answer = preview(deployment, rule=HIGH_VALUE)
    assert answer.status == 200, answer.body
    body = TypeAdapter(SegmentPreviewAnswer).validate_python(answer.body)
    ids = members(deployment, is_high_value)
    assert body["answer"]["total_customers"] == len(ids)
    churn = predicted(deployment, ids, "churn")
    by_bin_and_risk = Counter(
        (min(19, int(result["churn_probability"] * 20)), result["churn_risk"]) for result in churn
    )
    assert {
        (place, risk): count
        for place, each in enumerate(body["bins"])
        for risk, count in each["by_risk"].items()
        if count
    } == by_bin_and_risk
    expected = sum(result["churn_probability"] for result in churn if result["churn_risk"] != "lapsed")
    assert sum(each["expected"] for each in body["bins"]) == pytest.approx(expected)
    assert (body["bins"][0]["begins"], body["bins"][-1]["ends"]) == (0, 1)
    cells = Counter(
        (result["r_score"], result["f_score"], result["segment"]) for result in predicted(deployment, ids, "rfm")
    )
    assert {
        (cell["r_score"], cell["f_score"], cell["segment"]): cell["members"] for cell in body["rfm"] if cell["members"]
    } == cells
    assert len(body["rfm"]) == 25
    cell_of = {
        result["customer_id"]: (result["r_score"], result["f_score"]) for result in predicted(deployment, ids, "rfm")
    }
    for cell in body["rfm"]:
        of_cell = [each for each in churn if cell_of[each["customer_id"]] == (cell["r_score"], cell["f_score"])]
        by_bin = Counter(min(19, int(result["churn_probability"] * 20)) for result in of_cell)
        assert {round(each["begins"] * 20): sum(each["by_risk"].values()) for each in cell["bins"]} == by_bin
        assert sum(each["expected"] for each in cell["bins"]) == pytest.approx(
            sum(result["churn_probability"] for result in of_cell if result["churn_risk"] != "lapsed")
        )


def test_a_preview_is_the_answer_of_the_segment_that_is_stored_afterwards(deployment: Deployment) -> None:
    shown = preview(deployment, churn_risk="high").body["answer"]
    assert deployment.service.call("GET", "/segments").body["segments"] == []
    deployment.define("high", churn_risk="high")
    stored = deployment.predict("high").body
    assert {name: shown[name] for name in shown.keys() - {"segment_id", "segment_name", "results"}} == {
        name: stored[name] for name in stored.keys() - {"segment_id", "segment_name", "results"}
    }


def test_nobody_is_zeros(deployment: Deployment) -> None:
    body = preview(deployment, customer_ids=["nobody"]).body
    assert (body["answer"]["total_customers"], body["answer"]["failed"]) == (1, 1)
    assert sum(count for each in body["bins"] for count in each["by_risk"].values()) == 0
    assert sum(cell["members"] for cell in body["rfm"]) == 0


def test_what_is_wrong_with_a_definition_is_said_before_it_is_stored(deployment: Deployment) -> None:
    assert_error(preview(deployment, rule={">=": [{"var": "shoe_size"}, 1]}), 400, "INVALID_REQUEST", "shoe_size")
    assert_error(preview(deployment, recommended_offer="NONE"), 400, "INVALID_REQUEST", "no offer NONE")
    assert_error(preview(deployment), 400, "INVALID_REQUEST", "at least one")


def test_a_preview_that_takes_too_long_says_what_to_do(deployment: Deployment) -> None:
    process().handlers["segment"] = entrypoint(
        segment_function.make_app(lambda: process().segment, reserve_seconds=math.inf)
    )
    assert_error(preview(deployment, rule={}), 503, "FEATURE_STORE_UNAVAILABLE", "store the segment")
