"""The client against the functions themselves, behind the local gateway: its answers and its errors are theirs."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from loyalty_client import Loyalty, Retries, codes, errors
from loyalty_client.calls import Calls
from loyalty_client.running import Threads
from loyalty_client.steps import Request
from tests.front import served
from tests.service import GOOD, Service

pytestmark = pytest.mark.moto

ONCE = Retries(tries=1)


@pytest.fixture
def loyalty(service: Service) -> Iterator[Loyalty]:
    with served() as base, Loyalty(base, retries=ONCE) as client:
        yield client


def test_the_answers_are_the_services(service: Service, loyalty: Loyalty) -> None:
    ids = ["good", "nobody", "lapsed", "good", "", "x" * 300]
    for asked in ("churn", "nbo", "rfm"):
        rows = loyalty.predict(asked, ids)
        body = service.predict_batch(ids[:5], asked).body
        results = {entry["customer_id"]: entry["result"] for entry in body["results"]}
        failures = {entry["customer_id"]: (entry["code"], entry["error"]) for entry in body["errors"]}
        assert [row["customer_id"] for row in rows] == ids
        for row in rows[:5]:
            if "code" in row:
                assert (row["code"], row["error"]) == failures[row["customer_id"]]
            else:
                assert row == results[row["customer_id"]]
        assert [row.get("code") for row in rows[1:2]] == ["CUSTOMER_NOT_FOUND"]
        assert rows[4]["code"] == "INVALID_CUSTOMER_ID"
        assert rows[5]["code"] == "INVALID_REQUEST"
        assert rows.models == [body["model"]]
        assert (rows.features_as_of, rows.mock, rows.unanswered) == (body["features_as_of"], body["mock"], [])


def test_all_three_are_side_by_side(service: Service, loyalty: Loyalty) -> None:
    service.put_customer("no recency", {**GOOD, "days_since_last": None, "lifetime_transaction_count": None})
    rows = loyalty.predict("all", ["good", "no recency", "nobody"])
    alone = {asked: loyalty.predict(asked, ["good"])[0] for asked in ("churn", "nbo", "rfm")}
    assert rows[0] == {"customer_id": "good", **alone, "errors": {}}
    assert set(rows[1]["errors"]) | (set(rows[1]) & {"churn", "nbo", "rfm"}) == {"churn", "nbo", "rfm"}
    assert rows[2]["code"] == "CUSTOMER_NOT_FOUND"
    frame = rows.to_pandas()
    assert frame["churn_probability"][0] == alone["churn"]["churn_probability"]
    assert frame["code"][2] == "CUSTOMER_NOT_FOUND"


def test_the_reasons_and_the_what_ifs_are_the_services(service: Service, loyalty: Loyalty) -> None:
    ids = ["good", "nobody", "lapsed"]
    for asked in ("churn", "nbo", "rfm"):
        body = service.call("POST", "/ml/predict/batch", {"customer_ids": ids, "type": asked, "explain": True}).body
        rows = loyalty.explain(asked, ids)
        assert [row for row in rows if "code" not in row] == [entry["result"] for entry in body["results"]]
        assert rows[1]["code"] == "CUSTOMER_NOT_FOUND"
        for row in (rows[0], rows[2]):
            added = sum(reason["contribution"] for reason in row["reasons"])
            assert row["explained"]["baseline_score"] + added == pytest.approx(row["explained"]["score"], abs=1e-5)
        overrides = {"days_since_last": 3}
        request = {"customer_id": "good", "type": asked, "overrides": overrides}
        answer: Any = loyalty.what_if("good", overrides, asked)
        assert answer == service.call("POST", "/ml/predict", request).body
        assert answer["result"]["what_if"]["overrides"]["days_since_last"]["after"] == 3
    both = loyalty.explain("all", ids)
    assert both[0]["nbo"] == loyalty.explain("nbo", ["good"])[0]


def test_what_cannot_be_said_of_a_what_if_is_its_exception(loyalty: Loyalty) -> None:
    for customer_id, overrides, kind in (
        ("good", {"weather": 1.0}, codes.InvalidRequest),
        ("good", {"days_since_last": -5}, codes.InvalidFeatures),
        ("nobody", {"days_since_last": 5}, codes.CustomerNotFound),
    ):
        with pytest.raises(kind):
            loyalty.what_if(customer_id, overrides)


def test_what_is_mock_has_no_reasons(empty_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_MOCK_MODE", "true")
    with served() as base, Loyalty(base) as loyalty, pytest.raises(codes.NoBaseline, match="mock"):
        loyalty.explain("churn", ["good"])


def test_a_server_that_does_not_know_a_field_is_older(service: Service) -> None:
    request = Request("POST", "/ml/predict", {"customer_id": "good", "horizon": 30}, newer=("horizon",))
    with served() as base, httpx.Client(base_url=base) as http, pytest.raises(errors.OldServer, match="'horizon'"):
        Threads(http, None, 1).run(Calls(ONCE).answer(request))


CALLS: list[tuple[type[Exception], Callable[[Loyalty], object]]] = [
    (codes.UnknownType, lambda loyalty: loyalty.predict("weather", ["good"])),  # type: ignore[arg-type]
    (codes.SegmentNotFound, lambda loyalty: loyalty.segment("none")),
    (codes.JobNotFound, lambda loyalty: loyalty.job("0" * 32)),
    (codes.InvalidRequest, lambda loyalty: loyalty.jobs(status="waiting")),  # type: ignore[arg-type]
    (codes.InvalidRequest, lambda loyalty: loyalty.predict_segment("none", "churn", top=0)),
]


def test_an_error_of_the_service_is_its_exception(loyalty: Loyalty) -> None:
    for kind, call in CALLS:
        with pytest.raises(errors.ServiceError) as raised:
            call(loyalty)
        assert type(raised.value) is kind
        assert raised.value.correlation_id
        assert raised.value.status in (400, 404)


def test_a_service_without_a_model_is_unavailable_for_good(
    empty_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_MOCK_MODE", "false")
    with served() as base, Loyalty(base) as loyalty, pytest.raises(codes.ModelUnavailable):
        loyalty.predict("churn", ["good"])


def test_the_status_and_an_empty_list_of_jobs(loyalty: Loyalty) -> None:
    assert set(loyalty.status()["models"]) == {"churn", "nbo"}
    assert loyalty.jobs() == []
    assert loyalty.segments() == []
