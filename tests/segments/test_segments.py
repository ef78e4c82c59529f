"""Segments over a whole deployment in moto: what is answered of all members is what is answered of each."""

import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import ibis
import numpy as np
import pyarrow as pa
import pytest
from botocore.client import BaseClient
from scipy.stats import chi2_contingency

from functions.segment import app as segment_function
from functions.segment_worker import app as refresh
from functions.segment_worker import app as segment_worker
from loyalty_ml.api.http import entrypoint
from loyalty_ml.customers.snapshot import CURRENT_KEY
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.card import DEFAULT_OFFERS
from loyalty_ml.models.domain import DEFAULT_DOMAINS
from loyalty_ml.models.manifest import FIXED_CUT_POINTS
from loyalty_ml.scoring.scores import RISKS
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.drift import band, psi
from loyalty_ml.segments.service import SegmentService
from loyalty_ml.segments.statistics import Measured, measure_segment
from tests.service import BASE, CONTEXT, SNAPSHOT_FEATURES, Answer, Service, process, put_in_place
from training.registry import publish
from training.snapshot.materialize import materialize
from training.snapshot.parts import PART_SIZES, PartSizes

pytestmark = pytest.mark.moto

MOMENT = datetime(2018, 1, 2, tzinfo=UTC)
CUSTOMERS = 400
CODES = ", ".join(f"{offer.offer_code} ({offer.offer_name})" for offer in DEFAULT_OFFERS)
NO_RISKS: dict[str, int] = {risk: 0 for risk in RISKS}  # noqa: C420  dict.fromkeys has no type of its own here
HIGH_VALUE = {">=": [{"var": "revenue"}, 500]}
Row = dict[str, float | None]


def some_customers(seed: int = 1, customers: int = CUSTOMERS) -> dict[str, Row]:
    """Customers by id: most whole, some without a value, one with a value outside its domain."""
    draw = random.Random(seed)
    rows: dict[str, Row] = {}
    for number in range(customers):
        row: Row = {name: round(draw.lognormvariate(3, 1.5), 2) for name in DEFAULT_FEATURES}
        row |= {name: round(row[name] or 0) for name in DEFAULT_FEATURES if DEFAULT_DOMAINS[name].whole}
        row["engagement_score"] = min(row["engagement_score"] or 0, 100)
        row |= {"days_since_last": float(draw.randrange(365)), "transaction_count": float(draw.randrange(1, 60))}
        row["revenue"] = round(draw.lognormvariate(6, 1.5), 2)
        row["lifetime_transaction_count"] = row["transaction_count"]
        if draw.random() < 0.1:
            row[draw.choice(DEFAULT_FEATURES)] = None
        rows[f"c-{number}"] = row
    rows["c-7"]["lifetime_value"] = 1e39
    return rows


@dataclass
class Deployment:
    """A service whose customers are in both stores."""

    service: Service
    work: Path
    customers: dict[str, Row] = field(default_factory=dict)
    sizes: PartSizes = PART_SIZES

    def write_customers(self, customers: dict[str, Row], as_of: datetime = MOMENT) -> None:
        self.customers = customers
        columns = {"customer_id": pa.array(list(customers), pa.string())}
        for name in next(iter(customers.values())):
            columns[name] = pa.array([row[name] for row in customers.values()], pa.float64())
        materialize(
            ibis.memtable(pa.table(columns)),
            as_of,
            self.service.s3,
            self.service.dynamodb,
            bucket=self.service.ids["DataBucket"],
            table=self.service.ids["CustomersTable"],
            work=self.work,
            max_removed_share=1.0,
            sizes=self.sizes,
        )

    def define(self, segment_id: str, **definition: Any) -> None:
        answer = self.service.call("PUT", f"/segments/{segment_id}", {"segment_name": segment_id, **definition})
        assert answer.status in (200, 201), answer.body

    def predict(self, segment_id: str, prediction_type: str = "churn", headers: Any = None, **query: Any) -> Answer:
        return self.service.call(
            "POST",
            f"/segments/{segment_id}/ml/predict",
            {"type": prediction_type},
            queryStringParameters={name: str(value) for name, value in query.items()},
            headers={"content-type": "application/json"} | (headers or {}),
        )

    def stats(self, segment_id: str, **headers: str) -> Answer:
        return self.service.call("GET", f"/segments/{segment_id}/ml/stats", headers=headers)

    def work_off_the_queue(self) -> None:
        """What Lambda does with the segment queue, until it is empty."""
        sqs = boto3.client("sqs")
        queue = process().segment.settings.segment_queue_url
        while messages := sqs.receive_message(QueueUrl=queue, MessageSystemAttributeNames=["All"]).get("Messages"):
            for message in messages:
                record = {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                }
                refresh.handler({"Records": [record]}, CONTEXT)
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    def one_by_one(self, prediction_type: str, ids: list[str]) -> dict[str, Any]:
        """What batches say of each: a result, or an error."""
        outcomes: dict[str, Any] = {}
        for start in range(0, len(ids), 100):
            answer = self.service.predict_batch(ids[start : start + 100], prediction_type)
            assert answer.status == 200, answer.body
            outcomes |= {entry["customer_id"]: entry["result"] for entry in answer.body["results"]}
            outcomes |= {entry["customer_id"]: entry for entry in answer.body["errors"]}
        return outcomes


def serve_segments(**others: Any) -> None:
    """Gives the process a segment service with other arguments than a deployment's."""
    parts = process().segment
    service = SegmentService(
        parts.segments,
        parts.snapshots,
        parts.statistics,
        parts.models,
        parts.settings.ml_mock_mode,
        **others,
    )
    put_in_place(parts, service=service)


@pytest.fixture
def deployment(service: Service, tmp_path: Path) -> Deployment:
    """Several parts and blocks, as a million customers have, with as few as a test can read one by one."""
    deployed = Deployment(service, tmp_path / "work", sizes=PartSizes(row_group=75, part_bytes=20_000))
    serve_segments(block_rows=32)
    deployed.write_customers(some_customers())
    return deployed


def members(deployment: Deployment, is_member: Callable[[Row], bool]) -> list[str]:
    return sorted(customer_id for customer_id, row in deployment.customers.items() if is_member(row))


def is_high_value(row: Row) -> bool:
    return row["revenue"] is not None and row["revenue"] >= 500


def expected_aggregate(prediction_type: str, results: list[Any]) -> dict[str, Any]:
    match prediction_type:
        case "churn":
            risks = Counter(result["churn_risk"] for result in results)
            average = sum(result["churn_probability"] for result in results) / len(results)
            active = [result["churn_probability"] for result in results if result["churn_risk"] != "lapsed"]
            return {risk: risks[risk] for risk in RISKS} | {
                "avg_probability": pytest.approx(average, rel=1e-12),
                "avg_probability_active": pytest.approx(np.mean(active), rel=1e-12),
            }
        case "nbo":
            return dict(Counter(result["top_offer"]["offer_name"] for result in results))
        case _:
            return dict(Counter(result["segment"] for result in results))


@pytest.mark.smoke
@pytest.mark.parametrize("prediction_type", ["churn", "nbo", "rfm"])
def test_a_segment_is_what_its_members_are_one_by_one(deployment: Deployment, prediction_type: str) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    answer = deployment.predict("high-value", prediction_type)
    ids = members(deployment, is_high_value)
    outcomes = deployment.one_by_one(prediction_type, ids)
    results = [outcomes[customer_id] for customer_id in ids if "code" not in outcomes[customer_id]]
    errors = [outcomes[customer_id] for customer_id in ids if "code" in outcomes[customer_id]]
    assert answer.status == 200, answer.body
    body = answer.body
    assert len(ids) > 120
    assert body["total_customers"] == body["processed"] == len(ids)
    assert (body["successful"], body["failed"]) == (len(results), len(errors))
    assert [entry["result"] for entry in body["results"]] == results[:100]
    assert body["errors"] == errors[:10]
    assert body["has_more_results"] is True
    assert {name: count for name, count in body["aggregated_stats"].items() if count} == expected_aggregate(
        prediction_type, results
    )
    assert body["features_as_of"] == "2018-01-02T00:00:00Z"
    assert (body["segment_id"], body["type"], body["mode"], body["mock"]) == (
        "high-value", prediction_type, "segment", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "definition",
    [
        {"rule": HIGH_VALUE},
        {"rule": {}},
        {"rule": {"<": [{"var": "revenue"}, -1]}},
        {"churn_risk": "high"},
        {"customer_ids": ["c-5", "zz", "c-3", "absent", "c-7"]},
    ],
    ids=["rule", "everyone", "nobody", "churn_risk", "list"],
)
def test_all_of_a_segment_is_each_type_of_it_side_by_side(deployment: Deployment, definition: Any) -> None:
    deployment.define("some", **definition)
    body = deployment.predict("some", "all").body
    alone = {name: deployment.predict("some", name).body for name in ("churn", "nbo", "rfm")}
    for name, each in alone.items():
        assert body["aggregated_stats"][name] == each["aggregated_stats"]
        assert body["failed_by_type"][name] == each["failed"]
        assert body["models"][name] == each["model"]
        assert body["total_customers"] == body["processed"] == each["total_customers"]
    assert body["total_customers"] == body["successful"] + body["failed"]
    assert body["has_more_results"] is (body["successful"] > len(body["results"]))
    shown = [entry["customer_id"] for entry in [*body["results"], *body["errors"]]]
    if shown:
        batch = deployment.service.predict_batch(shown[:100], "all").body
        told = {entry["customer_id"]: entry for entry in batch["results"] + batch["errors"]}
        for entry in body["results"][:100]:
            assert entry == told.get(entry["customer_id"], entry)
        for entry in body["errors"]:
            assert entry == told.get(entry["customer_id"], entry)
    assert [entry["customer_id"] for entry in body["results"]] == sorted(
        entry["customer_id"] for entry in body["results"]
    )


def test_all_of_a_segment_has_no_ranking_and_may_be_a_job(deployment: Deployment) -> None:
    deployment.define("some", rule={})
    for query in ({"top": 5}, {"top": 5, "offer": "4"}, {"top": 5, "include": "lapsed"}):
        answer = deployment.predict("some", "all", **query)
        assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
        assert "ask for churn or nbo" in answer.body["error"]
    started = deployment.predict("some", "all", headers={"prefer": "respond-async"})
    assert started.status == 202
    deployment.work_off_the_queue()
    job = deployment.service.call("GET", f"/ml/jobs/{started.body['job_id']}").body
    assert job["answer"] == deployment.predict("some", "all").body


def test_an_empty_rule_is_everyone(deployment: Deployment) -> None:
    deployment.define("all", rule={})
    answer = deployment.predict("all", "rfm").body
    assert answer["total_customers"] == CUSTOMERS == answer["successful"] + answer["failed"]
    assert answer["failed"] == len(
        members(
            deployment,
            lambda row: any(
                value is None or not DEFAULT_DOMAINS[name].holds(value)
                for name, value in row.items()
                if name in FIXED_CUT_POINTS.features
            ),
        )
    )


def test_a_list_answers_its_customers_once_and_reports_who_is_none(deployment: Deployment) -> None:
    without_revenue = members(deployment, lambda row: row["revenue"] is None)[0]
    deployment.define("list", customer_ids=["c-5", "zz", "c-3", "c-5", without_revenue, "absent", "c-7"])
    answer = deployment.predict("list").body
    # In order of id; c-7 has a value that is outside its domain.
    assert [entry["customer_id"] for entry in answer["results"]] == ["c-3", "c-5"]
    assert [(entry["customer_id"], entry["code"]) for entry in answer["errors"]] == sorted(
        [
            ("absent", "CUSTOMER_NOT_FOUND"),
            ("c-7", "INVALID_FEATURES"),
            (without_revenue, "MISSING_FEATURES"),
            ("zz", "CUSTOMER_NOT_FOUND"),
        ]
    )
    assert (answer["total_customers"], answer["successful"], answer["failed"]) == (6, 2, 4)
    assert answer["has_more_results"] is False
    stats = deployment.stats("list").body
    assert stats["member_count"] == 6
    assert (stats["stats"]["churn"]["count"], stats["stats"]["churn"]["failed"]) == (2, 4)
    reasons = {"CUSTOMER_NOT_FOUND": 2, "INVALID_FEATURES": 1, "MISSING_FEATURES": 1}
    assert answer["failed_by_code"] == stats["stats"]["churn"]["failed_by_code"] == reasons


@pytest.mark.parametrize(
    ("definition", "prediction_type", "is_member"),
    [
        ({"churn_risk": "high"}, "churn", lambda result: result["churn_risk"] == "high"),
        ({"churn_risk": "low"}, "churn", lambda result: result["churn_risk"] == "low"),
        ({"churn_risk": "lapsed"}, "churn", lambda result: result["churn_risk"] == "lapsed"),
        ({"recommended_offer": 1}, "nbo", lambda result: result["recommended_offer"] == 1),
        ({"rfm_segment": "At Risk"}, "rfm", lambda result: result["segment"] == "At Risk"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_segment_can_be_a_prediction(
    deployment: Deployment, definition: Any, prediction_type: str, is_member: Callable[[Any], bool]
) -> None:
    outcomes = deployment.one_by_one(prediction_type, sorted(deployment.customers))
    expected = [name for name, outcome in outcomes.items() if "code" not in outcome and is_member(outcome)]
    deployment.define("band", **definition)
    other = "rfm" if prediction_type == "churn" else "churn"
    answer = deployment.predict("band", other).body
    assert len(expected) > 5
    assert answer["total_customers"] == len(expected)
    shown = [entry["customer_id"] for entry in [*answer["results"], *answer["errors"]]]
    assert set(shown) <= set(expected)
    assert deployment.predict("band", prediction_type).body["failed"] == 0


def test_who_should_get_an_offer_comes_best_first(deployment: Deployment) -> None:
    outcomes = deployment.one_by_one("nbo", sorted(deployment.customers))
    chances = {
        name: outcome["offer_scores"][1]
        for name, outcome in outcomes.items()
        if "code" not in outcome and outcome["recommended_offer"] == 1
    }
    deployment.define("for-free-shipping", recommended_offer=1)
    expected = sorted(chances, key=lambda name: (-chances[name], name))
    shown = deployment.predict("for-free-shipping", "nbo").body["results"]
    assert [entry["customer_id"] for entry in shown] == expected[:100]
    assert [entry["result"]["offer_scores"][1] for entry in shown] == [chances[name] for name in expected[:100]]


def test_the_best_of_any_segment_for_an_offer(deployment: Deployment) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    ids = members(deployment, is_high_value)
    outcomes = deployment.one_by_one("nbo", ids)
    chances = {name: outcome["offer_scores"][3] for name, outcome in outcomes.items() if "code" not in outcome}
    answer = deployment.predict("high-value", "nbo", top=25, offer=3).body
    assert [entry["customer_id"] for entry in answer["results"]] == sorted(
        chances, key=lambda name: (-chances[name], name)
    )[:25]
    assert (answer["total_customers"], answer["has_more_results"]) == (len(ids), True)


def test_who_is_the_likeliest_to_leave_are_the_active_unless_the_lapsed_are_included(deployment: Deployment) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    outcomes = deployment.one_by_one("churn", members(deployment, is_high_value))
    results = {name: outcome for name, outcome in outcomes.items() if "code" not in outcome}
    best_first = sorted(results, key=lambda name: (-results[name]["churn_probability"], name))
    active = [name for name in best_first if results[name]["churn_risk"] != "lapsed"]
    assert 10 < len(active) < len(best_first) - 10
    assert [customer for customer in best_first[:25] if customer not in active], "the rule makes a difference"
    for top in (25, 1000):
        answer = deployment.predict("high-value", "churn", top=top).body
        assert [entry["customer_id"] for entry in answer["results"]] == active[:top]
        assert (answer["successful"], answer["has_more_results"]) == (len(results), True), "all are counted"
        everyone = deployment.predict("high-value", "churn", top=top, include="lapsed").body
        assert [entry["customer_id"] for entry in everyone["results"]] == best_first[:top]
        assert [entry["result"] for entry in everyone["results"]] == [results[name] for name in best_first[:top]]
        assert everyone["aggregated_stats"] == answer["aggregated_stats"]
    assert everyone["has_more_results"] is False


def test_a_segment_of_a_band_shows_its_members_best_first_also_the_lapsed(deployment: Deployment) -> None:
    outcomes = deployment.one_by_one("churn", sorted(deployment.customers))
    for risk in RISKS:
        chances = {
            name: outcome["churn_probability"]
            for name, outcome in outcomes.items()
            if "code" not in outcome and outcome["churn_risk"] == risk
        }
        assert len(chances) > 5
        deployment.define(risk, churn_risk=risk)
        expected = sorted(chances, key=lambda name: (-chances[name], name))
        for top, query in ((100, {}), (20, {"top": 20}), (20, {"top": 20, "include": "lapsed"})):
            shown = [entry["customer_id"] for entry in deployment.predict(risk, "churn", None, **query).body["results"]]
            assert shown == expected[:top]


def test_a_job_ranks_as_its_request_said(deployment: Deployment) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    for query in ({"top": 30}, {"top": 30, "include": "lapsed"}):
        started = deployment.predict("high-value", headers={"prefer": "respond-async"}, **query)
        assert started.status == 202
        deployment.work_off_the_queue()
        job_id = started.body["job_id"]
        body = deployment.service.s3.get_object(
            Bucket=deployment.service.ids["DataBucket"], Key=f"results/{job_id}/answer.json"
        )["Body"].read()
        assert json.loads(body) == deployment.predict("high-value", **query).body


@pytest.mark.parametrize(
    ("prediction_type", "query", "problem"),
    [
        ("rfm", {"top": 5}, "top: RFM has no probability to order by: ask for churn or nbo"),
        ("churn", {"top": 5, "offer": 1}, "offer: churn has no offers: ask for nbo"),
        ("nbo", {"top": 5}, "top: this needs offer for nbo: add offer, the code of the offer to order by"),
        ("nbo", {"offer": 5}, "offer: this works only with top: add top, the number of members to show"),
        ("nbo", {"top": 5, "offer": 8}, "offer: there is no offer 8: choose one of " + CODES),
        ("nbo", {"top": 0, "offer": 1}, "top: must be 1 or more"),
        ("churn", {"include": "lapsed"}, "include: this works only with top: add top, the number of members to show"),
        ("churn", {"top": 5, "include": "foo"}, "include: must be 'lapsed'"),
        (
            "nbo",
            {"top": 5, "offer": 1, "include": "lapsed"},
            "include: nbo says of nobody that they have lapsed: ask for churn",
        ),
        ("rfm", {"include": "lapsed"}, "include: rfm says of nobody that they have lapsed: ask for churn"),
        ("churn", {"top": 1001}, "top: must be 1,000 or less"),
        ("churn", {"top": "many"}, "top: must be a whole number"),
        (
            "churn",
            {"topp": 5},
            "topp: this route has no such query parameter: remove it, or use one of top, offer, include",
        ),
    ],
)
def test_what_cannot_be_ordered_is_refused(
    deployment: Deployment, prediction_type: str, query: Any, problem: str
) -> None:
    deployment.define("all", rule={})
    answer = deployment.predict("all", prediction_type, **query)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert answer.body["error"] == f"The request is not valid: {problem}."
    assert deployment.predict("all", prediction_type).status == 200


def test_a_segment_of_nobody_has_counts_of_zero_and_no_averages(deployment: Deployment) -> None:
    deployment.define("nobody", rule={"<": [{"var": "revenue"}, 0]})
    answer = deployment.predict("nobody").body
    assert answer["aggregated_stats"] == {
        **NO_RISKS, "avg_probability": None, "avg_probability_active": None,
    }  # fmt: skip
    assert (answer["total_customers"], answer["results"], answer["has_more_results"]) == (0, [], False)
    stats = deployment.stats("nobody").body
    assert stats["member_count"] == 0
    assert stats["stats"]["churn"] == {
        **NO_RISKS, "count": 0, "failed": 0, "failed_by_code": {},
        "avg_probability": None, "avg_probability_active": None, **{f"{risk}_percentage": None for risk in RISKS},
    }  # fmt: skip
    assert stats["stats"]["nbo"]["top_offers"] == stats["stats"]["rfm"]["top_segments"] == []
    assert {found["band"] for found in stats["drift"]["segment"]["churn"]["features"].values()} == {"too_few"}


@pytest.mark.smoke
def test_statistics_are_the_aggregates_of_the_three_types(deployment: Deployment) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    stats = deployment.stats("high-value").body
    churn, nbo, rfm = (deployment.predict("high-value", name).body for name in ("churn", "nbo", "rfm"))
    found = stats["stats"]
    assert stats["member_count"] == churn["total_customers"]
    assert churn["aggregated_stats"].items() <= found["churn"].items()
    assert (found["churn"]["count"], found["churn"]["failed"]) == (churn["successful"], churn["failed"])
    assert found["churn"]["high_percentage"] == pytest.approx(100 * found["churn"]["high"] / found["churn"]["count"])
    assert sum(found["churn"][f"{risk}_percentage"] for risk in RISKS) == pytest.approx(100)
    assert found["nbo"]["distribution"] == nbo["aggregated_stats"]
    assert found["rfm"]["distribution"] == rfm["aggregated_stats"]
    ranked = Counter(rfm["aggregated_stats"]).most_common(3)
    assert [count for _, count in found["rfm"]["top_segments"]] == [count for _, count in ranked]
    assert stats["models"]["churn"] == churn["model"]
    assert stats["features_as_of"] == churn["features_as_of"]


def test_a_mock_segment_says_so_and_is_what_mock_predictions_are(empty_service: Service, tmp_path: Path) -> None:
    serve_segments(block_rows=32)
    deployed = Deployment(empty_service, tmp_path / "work")
    deployed.write_customers(some_customers(customers=150))
    deployed.define("all", rule={})
    answer = deployed.predict("all").body
    outcomes = deployed.one_by_one("churn", sorted(deployed.customers))
    assert (answer["mock"], answer["model"]["version"]) == (True, "mock")
    assert [entry["result"] for entry in answer["results"]] == list(outcomes.values())[:100]
    assert answer["aggregated_stats"] == expected_aggregate("churn", list(outcomes.values()))
    assert deployed.stats("all").body["mock"] is True


def measure_nothing(*_: Any) -> Measured:
    raise AssertionError("Nothing is to be measured.")


class Calls(Counter[str]):
    """How often each AWS service was called."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    counted = Calls()
    client: Any = BaseClient
    call = client._make_api_call

    def counting(self: BaseClient, operation: str, arguments: Any) -> Any:
        counted[self.meta.service_model.service_name] += 1
        return call(self, operation, arguments)

    # It counts the calls of every client, also those that the service has made before.
    monkeypatch.setattr(BaseClient, "_make_api_call", counting)
    return counted


def test_a_warm_second_request_reads_nothing_from_s3(deployment: Deployment, calls: Calls) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    first = deployment.predict("high-value")
    assert calls["s3"] > 3
    calls.clear()
    assert deployment.predict("high-value").body == first.body
    assert calls["s3"] == 0
    assert calls == {"dynamodb": 1}, "the definition, once"


def test_statistics_are_measured_once_and_known_by_their_etag(
    deployment: Deployment,
) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    first = deployment.stats("high-value")
    etag = first.headers["ETag"]
    serve_segments(measure=measure_nothing)
    second = deployment.stats("high-value")
    assert (second.body, second.headers["ETag"]) == (first.body, etag)
    unchanged = deployment.stats("high-value", **{"if-none-match": f'"other", {etag}'})
    assert (unchanged.status, unchanged.headers["ETag"]) == (304, etag)
    assert not unchanged.body


def test_a_changed_definition_is_measured_again(deployment: Deployment) -> None:
    deployment.define("segment", rule=HIGH_VALUE)
    before = deployment.stats("segment")
    deployment.define("segment", rule={})
    after = deployment.stats("segment", **{"if-none-match": before.headers["ETag"]})
    assert after.status == 200
    assert after.body["member_count"] == CUSTOMERS > before.body["member_count"]
    (entry,) = after.body["history"]
    assert entry["change"]["definition"] == entry["change"]["total"]
    assert entry["change"]["total"]["member_count"] == CUSTOMERS - before.body["member_count"]


def look_again() -> None:
    """As half a minute later, when a process looks whether models or customers are new."""
    for parts in (process().segment, process().worker):
        for store in (parts.snapshots, parts.models):
            store._next_look = None


def test_history_tells_a_new_model_from_customers_that_move(deployment: Deployment, other_models: Path) -> None:
    service = deployment.service
    deployment.define("all", rule={})
    process().worker.service.refresh("all")
    first = deployment.stats("all").body

    deployment.write_customers(some_customers(seed=2, customers=300), MOMENT + timedelta(days=1))
    look_again()
    process().worker.service.refresh("all")
    moved = deployment.stats("all").body
    change = moved["history"][1]["change"]
    assert change["customers"] == change["total"]
    assert change["total"]["member_count"] == 300 - CUSTOMERS
    assert "model" not in change
    latest = service.call("GET", "/segments/all/ml/stats", queryStringParameters={"history": "1"})
    assert latest.body == {**moved, "history": moved["history"][1:]}
    asked = {"queryStringParameters": {"history": "1"}, "headers": {"prefer": "respond-async"}}
    job = service.call("GET", "/segments/all/ml/stats", **asked).body
    deployment.work_off_the_queue()
    assert service.call("GET", job["location"].removeprefix(BASE)).body["answer"] == latest.body

    publish(service.s3, service.model_bucket, other_models)
    look_again()
    process().worker.service.refresh("all")
    learnt = deployment.stats("all").body
    assert [entry["features_as_of"] for entry in learnt["history"]] == ["2018-01-02T00:00:00Z", "2018-01-03T00:00:00Z"]
    change = learnt["history"][1]["change"]
    assert change["customers"] == moved["history"][1]["change"]["customers"]
    difference = learnt["stats"]["churn"]["avg_probability"] - moved["stats"]["churn"]["avg_probability"]
    assert change["model"]["avg_probability"] == pytest.approx(difference, rel=1e-9)
    assert abs(difference) > 0.001
    assert learnt["history"][0]["stats"] == first["stats"]


def test_a_refresh_tells_causes_apart_that_came_together(deployment: Deployment, other_models: Path) -> None:
    service = deployment.service
    deployment.define("all", rule={})
    process().worker.service.refresh("all")
    before = deployment.stats("all").body

    deployment.write_customers(some_customers(seed=2, customers=300), MOMENT + timedelta(days=1))
    look_again()
    old_model = deployment.predict("all").body["aggregated_stats"]["avg_probability"]
    publish(service.s3, service.model_bucket, other_models)
    look_again()
    at_once = deployment.stats("all").body["history"][1]["change"]
    assert at_once["inseparable"] == at_once["total"]

    process().worker.service.refresh("all")
    after = deployment.stats("all").body
    change = after["history"][1]["change"]
    averages = [answer["stats"]["churn"]["avg_probability"] for answer in (before, after)]
    assert change["customers"]["avg_probability"] == pytest.approx(old_model - averages[0])
    assert change["model"]["avg_probability"] == pytest.approx(averages[1] - old_model)
    assert change["model"]["member_count"] == 0
    assert "inseparable" not in change


def test_a_deleted_segment_takes_its_history_with_it(deployment: Deployment) -> None:
    deployment.define("all", rule=HIGH_VALUE)
    process().worker.service.refresh("all")
    assert deployment.service.call("DELETE", "/segments/all").status == 204
    assert deployment.predict("all").body["code"] == deployment.stats("all").body["code"] == "SEGMENT_NOT_FOUND"
    deployment.define("all", rule={})
    assert deployment.stats("all").body["history"][0]["change"] is None


def test_a_segment_made_again_begins_its_history_anew(deployment: Deployment) -> None:
    deployment.define("all", rule=HIGH_VALUE)
    process().worker.service.refresh("all")
    (measured,) = process().segment.statistics.points("all")
    assert deployment.service.call("DELETE", "/segments/all").status == 204
    process().segment.statistics.put(measured)  # as a refresh does that began before the segment was deleted
    deployment.define("all", rule={})
    assert deployment.stats("all").body["history"][0]["change"] is None


def test_an_answer_is_of_one_snapshot_and_one_model_set_though_others_are_published_meanwhile(
    deployment: Deployment, other_models: Path
) -> None:
    service = deployment.service
    deployment.define("all", rule={})
    measured: list[int] = []

    def measure_and_publish(*arguments: Any) -> Measured:
        found = measure_segment(*arguments)
        if not measured:
            deployment.write_customers(some_customers(seed=2, customers=300), MOMENT + timedelta(days=1))
            publish(service.s3, service.model_bucket, other_models)
            look_again()
        measured.append(found.member_count)
        return found

    serve_segments(measure=measure_and_publish)
    answer = deployment.stats("all").body
    assert measured == [CUSTOMERS, 300, 300], "the segment, all customers, and the segment again"
    assert answer["member_count"] == 300
    assert answer["drift"]["segment"] == answer["drift"]["all_customers"]


def test_drift_is_the_distance_from_what_the_model_learnt_from(deployment: Deployment) -> None:
    deployment.define("all", rule={})
    whole = members(deployment, lambda row: None not in row.values() and row["lifetime_value"] != 1e39)
    deployment.define("few", customer_ids=whole[:2])
    drift = deployment.stats("all").body["drift"]
    assert drift["segment"] == drift["all_customers"]
    card = process().segment.models.current().loaded["churn"].card
    assert card.distribution
    for name, histogram in card.distribution.features.items():
        values = [value for row in deployment.customers.values() if (value := row[name]) is not None]
        counts, _ = np.histogram(values, [-np.inf, *histogram.edges, np.inf])
        expected = psi(counts, histogram.shares)
        found = drift["segment"]["churn"]["features"][name]
        p_value = chi2_contingency(
            [counts, np.array(histogram.shares) * card.distribution.rows], correction=False
        ).pvalue
        assert found == {
            "psi": pytest.approx(expected), "band": band(expected), "count": len(values),
            "p_value": pytest.approx(p_value, rel=1e-6, abs=1e-300), "weight": None, "alarm": False,
        }  # fmt: skip
    offers = deployment.stats("all").body["stats"]["nbo"]
    nbo = process().segment.models.current().loaded["nbo"].card
    assert nbo.distribution
    assert isinstance(nbo.distribution.score, tuple)
    expected = psi(np.array(list(offers["distribution"].values())), nbo.distribution.score)
    score = drift["segment"]["nbo"]["score"]
    assert (score["psi"], score["band"]) == (pytest.approx(expected), band(expected))
    assert (score["count"], score["weight"]) == (offers["count"], 1)
    few = deployment.stats("few").body["drift"]
    assert few["segment"]["churn"]["score"] == {
        "psi": None, "band": "too_few", "count": 2, "p_value": None, "weight": 1, "alarm": False,
    }  # fmt: skip
    assert few["all_customers"] == drift["all_customers"]


def test_a_refresh_writes_drift_as_a_metric(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    message = {"body": json.dumps({"task": "statistics", "segment_id": None}), "messageId": "m", "receiptHandle": "r"}
    segment_worker.handler({"Records": [{**message, "attributes": {"ApproximateReceiveCount": "1"}}]}, CONTEXT)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    drift = {line["model"]: line for line in lines if "DriftPSI" in line}
    assert drift.keys() == {"churn", "nbo"}
    assert drift["churn"]["segment"] == "*"
    deployment.define("all", rule={})
    found = deployment.stats("all").body["drift"]["all_customers"]
    for name, line in drift.items():
        # The cards have no weights, so that no feature rings.
        assert line["DriftPSI"] == found[name]["score"]["psi"] == line["psi"]["score"]
        assert line["psi"] == {
            **{feature: each["psi"] for feature, each in found[name]["features"].items()},
            "score": found[name]["score"]["psi"],
        }
        assert found[name]["score"]["alarm"], "these customers are none that a shop has"
    assert drift["churn"]["psi"].keys() == {*DEFAULT_FEATURES, "score"}


def test_a_broken_snapshot_leaves_the_one_before_serving(deployment: Deployment) -> None:
    deployment.define("all", rule={})
    before = deployment.predict("all").body
    deployment.write_customers(some_customers(seed=2, customers=300), MOMENT + timedelta(days=1))
    bucket, s3 = deployment.service.ids["DataBucket"], deployment.service.s3
    card = json.loads(s3.get_object(Bucket=bucket, Key=CURRENT_KEY)["Body"].read())
    lost = card["parts"][-1]["key"]
    s3.delete_object(Bucket=bucket, Key=lost)
    look_again()
    answer = deployment.predict("all")
    message = answer.body.pop("message")
    assert (answer.status, answer.body) == (200, before)
    assert f"{lost} is missing from the bucket" in message
    stats = deployment.stats("all").body
    assert (stats["features_as_of"], stats["message"]) == ("2018-01-02T00:00:00Z", message)


def test_a_snapshot_that_is_nowhere_whole_is_named(deployment: Deployment, tmp_path: Path) -> None:
    deployment.define("all", rule={})
    bucket, s3 = deployment.service.ids["DataBucket"], deployment.service.s3
    card = json.loads(s3.get_object(Bucket=bucket, Key=CURRENT_KEY)["Body"].read())
    key = card["parts"][0]["key"]
    whole = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=whole[:-1] + b"x")
    answer = deployment.predict("all")
    assert (answer.status, answer.body["code"]) == (503, "FEATURE_STORE_UNAVAILABLE")
    assert f"{key} is damaged" in answer.body["error"]
    s3.put_object(Bucket=bucket, Key=key, Body=whole)
    assert deployment.predict("all").body["total_customers"] == CUSTOMERS


def test_a_snapshot_that_was_removed_from_disk_is_brought_again(deployment: Deployment) -> None:
    deployment.define("all", rule={})
    before = deployment.predict("all").body
    shutil.rmtree(process().segment.settings.snapshot_cache / "snapshots")
    assert deployment.predict("all").body == before


def test_an_offer_that_the_model_has_no_longer_is_named(deployment: Deployment) -> None:
    as_of_an_older_model = SegmentDefinition(segment_name="Old offer", recommended_offer=9)
    process().segment.segments.put("old-offer", as_of_an_older_model)
    for answer in (deployment.predict("old-offer", "rfm"), deployment.predict("old-offer", "nbo")):
        assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
        assert f"the segment is of offer 9, but the model has only offers {CODES}" in answer.body["error"]


def test_a_rule_whose_column_is_gone_is_named_and_others_go_on(deployment: Deployment) -> None:
    deployment.define("high-value", rule=HIGH_VALUE)
    deployment.define("churners", churn_risk="high")
    columns = {
        "customer_id": pa.array(list(deployment.customers), pa.string()),
        **{
            name: pa.array([row[name] for row in deployment.customers.values()], pa.float64())
            for name in SNAPSHOT_FEATURES
            if name != "revenue"
        },
    }
    materialize(
        ibis.memtable(pa.table(columns)),
        MOMENT + timedelta(days=1),
        deployment.service.s3,
        deployment.service.dynamodb,
        bucket=deployment.service.ids["DataBucket"],
        table=deployment.service.ids["CustomersTable"],
        work=deployment.work,
    )
    look_again()
    answer = deployment.predict("high-value")
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert "revenue" in answer.body["error"]
    deployment.define("all", rule={})
    everyone = deployment.predict("all").body
    # The model wants what the snapshot lacks: that is missing for each, and said so.
    assert (everyone["successful"], everyone["failed"]) == (0, CUSTOMERS)
    assert {entry["code"] for entry in everyone["errors"]} == {"MISSING_FEATURES"}
    assert everyone["errors"][0]["error"].startswith("The customer has no value for: ")
    assert deployment.predict("churners").body["total_customers"] == 0


def test_what_takes_too_long_becomes_a_job(deployment: Deployment) -> None:
    deployment.define("all", rule={})
    in_time = deployment.predict("all", "nbo", top=5, offer=2).body
    at_once = segment_function.make_app(lambda: process().segment, reserve_seconds=math.inf)
    process().handlers["segment"] = entrypoint(at_once)
    answer = deployment.predict("all", "nbo", top=5, offer=2)
    assert (answer.status, answer.body["status"]) == (202, "queued")
    assert answer.headers["Location"] == answer.body["location"]
    deployment.work_off_the_queue()
    job = deployment.service.call("GET", answer.body["location"].removeprefix(BASE)).body
    assert job["status"] == "succeeded"
    assert job["answer"] == in_time
    assert job["progress"] == {"processed": CUSTOMERS, "total": CUSTOMERS}


def test_a_caller_may_ask_for_a_job(deployment: Deployment) -> None:
    deployment.define("all", rule={})
    answer = deployment.stats("all", prefer="respond-async")
    assert answer.status == 202
    deployment.work_off_the_queue()
    job = deployment.service.call("GET", answer.body["location"].removeprefix(BASE)).body
    assert job["answer"] == deployment.stats("all").body
    refused = deployment.predict("all", "rfm", {"prefer": "respond-async"}, top=3)
    assert (refused.status, refused.body["code"]) == (400, "INVALID_REQUEST")
    for entries in ("0", "1001", 30 * "9"):  # the last is more than a job's record can hold
        asked = {"queryStringParameters": {"history": entries}, "headers": {"prefer": "respond-async"}}
        answer = deployment.service.call("GET", "/segments/all/ml/stats", **asked)
        assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    missing = deployment.stats("nobody", prefer="respond-async")
    assert (missing.status, missing.body["code"]) == (404, "SEGMENT_NOT_FOUND")
