"""Requests as people and programs send them: all types at once, HEAD, ids of their own, blank lines, odd paths."""

import json
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from werkzeug.test import Client

from local import openapi, template
from local.gateway import Gateway
from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.manifest import FIXED_CUT_POINTS
from loyalty_ml.scoring.contracts import AllAnswer, AllBatchAnswer
from loyalty_ml.vocabulary import PREDICTION_TYPES
from tests import sample_set
from tests.functions.test_api import assert_error
from tests.service import BASE, CONTEXT, DESCRIBED, GOOD, Service, new_process, process

pytestmark = pytest.mark.moto

each_in_turn = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
HEADERS = {"content-type": "application/json"}


@pytest.fixture
def customers(service: Service) -> Service:
    """Beside the good and the lapsed: one whom only RFM can answer, and one who has bought nothing."""
    service.put_customer("rfm only", {name: GOOD[name] for name in FIXED_CUT_POINTS.features})
    service.put_customer("new", {LIFETIME_TRANSACTION_COUNT: 0})
    return service


def test_all_is_the_three_side_by_side(customers: Service) -> None:
    answer = customers.predict("good", "all")
    assert answer.status == 200
    body: Any = TypeAdapter(AllAnswer).validate_python(answer.body)
    alone = {name: customers.predict("good", name).body for name in PREDICTION_TYPES}
    assert body["results"] == {name: each["result"] for name, each in alone.items()}
    assert body["models"] == {name: each["model"] for name, each in alone.items()}
    assert (body["type"], body["mode"], body["customer_id"]) == ("all", "single", "good")
    assert (body["errors"], body["mock"], body["features_as_of"]) == ({}, False, sample_set.AS_OF)
    assert customers.call("POST", "/config/ml/test", {"customer_id": "good", "type": "all"}).body == body


def test_all_says_of_each_type_why_it_has_no_answer(customers: Service) -> None:
    body = customers.predict("rfm only", "all").body
    assert list(body["results"]) == ["rfm"]
    for name in ("churn", "nbo"):
        alone = customers.predict("rfm only", name).body
        assert body["errors"][name] == {"error": alone["error"], "code": alone["code"]}
    assert_error(customers.predict("nobody", "all"), 404, "CUSTOMER_NOT_FOUND")
    assert_error(customers.predict("new", "all"), 422, "NO_PURCHASES")


@each_in_turn
@given(ids=st.lists(st.sampled_from(["good", "lapsed", "rfm only", "new", "nobody", "", "  "]), min_size=1, max_size=9))
def test_a_batch_of_all_is_each_types_batch(customers: Service, ids: list[str]) -> None:
    body: Any = TypeAdapter(AllBatchAnswer).validate_python(customers.predict_batch(ids, "all").body)
    assert body["total"] == body["successful"] + body["failed"] == len(ids)
    assert [body["successful"], body["failed"]] == [len(body["results"]), len(body["errors"])]
    of_all = {entry["customer_id"]: entry for entry in body["results"] + body["errors"]}
    assert [entry["customer_id"] for entry in body["results"]] == [each for each in ids if "results" in of_all[each]]
    for name in PREDICTION_TYPES:
        alone = customers.predict_batch(ids, name).body
        assert body["models"][name] == alone["model"]
        for entry in alone["results"]:
            assert of_all[entry["customer_id"]]["results"][name] == entry["result"]
        for entry in alone["errors"]:
            told = of_all[entry["customer_id"]]["errors"][name]
            assert told == {"error": entry["error"], "code": entry["code"]}
    assert customers.call("POST", "/config/ml/test", {"customer_ids": ids, "type": "all"}).body == body


def test_all_reads_the_customers_once(customers: Service) -> None:
    read: list[list[str]] = []
    store = process().batch.customers
    once = store.read

    def counted(customer_ids: Any, names: Any) -> Any:
        read.append(list(customer_ids))
        return once(customer_ids, names)

    store.read = counted  # type: ignore[method-assign]
    customers.predict_batch(["good", "lapsed", "good", ""], "all")
    assert read == [["good", "lapsed"]]


def test_all_needs_every_model(empty_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert empty_service.predict("good", "all").body["mock"] is True
    monkeypatch.setenv("ML_MOCK_MODE", "false")
    new_process()
    assert_error(empty_service.predict("good", "all"), 503, "MODEL_UNAVAILABLE", "churn")


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u00a0", "\n"])
@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_a_blank_id_of_a_batch_fails_alone(service: Service, blank: str, prediction_type: str) -> None:
    body = service.predict_batch(["good", blank, "lapsed", blank], prediction_type).body
    assert [result["customer_id"] for result in body["results"]] == ["good", "lapsed"]
    code = "CUSTOMER_NOT_FOUND" if blank else "INVALID_CUSTOMER_ID"  # a customer may be named by spaces, in every mode
    assert [(error["customer_id"], error["code"]) for error in body["errors"]] == [(blank, code)] * 2
    assert (body["total"], body["successful"], body["failed"]) == (4, 2, 2)
    nobody = service.predict_batch([blank], prediction_type)
    assert (nobody.status, nobody.body["failed"], nobody.body["features_as_of"]) == (200, 1, None)


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", "application/jsonp", "text/json"])  # fmt: skip  # noqa: E501
def test_a_body_must_say_that_it_is_json(service: Service, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    paths = [
        (method.upper(), path)
        for path, methods in openapi.document()["paths"].items()
        for method, described in methods.items()
        if "requestBody" in described and not path.startswith("/v2")  # whose clients do not say it, and change nothing
    ]
    assert len(paths) >= 8
    for method, path in paths:
        answer = service.call(
            method, path.format(segment_id="some", function="some"), {"customer_id": "good"}, headers=headers
        )
        assert_error(answer, 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type: application/json")
    assert service.call("GET", "/ml/jobs").body["jobs"] == []


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON;charset=UTF-8", "application/vnd.x+json"],
)
def test_json_may_be_said_in_other_ways(service: Service, content_type: str) -> None:
    body = {"customer_id": "good"}
    assert service.call("POST", "/ml/predict", body, headers={"content-type": content_type}).status == 200


def test_a_request_may_bring_its_correlation_id(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    asked = HEADERS | {"x-correlation-id": "order-17/b"}
    answer = service.call("POST", "/ml/predict", {"customer_id": "nobody"}, headers=asked)
    assert answer.headers["X-Correlation-Id"] == "order-17/b"
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["correlation_id"], line["request_id"]) == ("order-17/b", "test-correlation-id")


def test_the_names_of_headers_are_read_in_any_case(service: Service) -> None:
    """`sam local` hands them on as the caller wrote them."""
    written = {"Content-Type": "application/json", "X-Correlation-ID": "order-18"}
    answer = service.call("POST", "/ml/predict", {"customer_id": "good"}, headers=written)
    assert (answer.status, answer.headers["X-Correlation-Id"]) == (200, "order-18")


@pytest.mark.parametrize("correlation_id", ["", "a b", "x" * 129, "Zoë", "a\nb", "\x7f"])
def test_a_correlation_id_that_no_log_should_have_is_refused(service: Service, correlation_id: str) -> None:
    asked = HEADERS | {"x-correlation-id": correlation_id}
    answer = service.call("POST", "/ml/predict", {"customer_id": "good"}, headers=asked)
    assert_error(answer, 400, "INVALID_REQUEST", "X-Correlation-Id", "128")
    assert answer.headers["X-Correlation-Id"] == "test-correlation-id"


GETS = [
    path
    for path, methods in openapi.document()["paths"].items()
    if "get" in methods and path not in ("/admin", "/openapi.json")
]


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_a_body(service: Service, path: str) -> None:
    path = path.format(segment_id="some", job_id="0" * 32, name="churn", version="v1", function="loyalty_churn")
    by_method = {}
    for method in ("GET", "HEAD"):
        context = {"stage": "$default", "requestId": "an-id", "http": {"method": method, "path": BASE + path}}
        by_method[method] = service.call(method, path, requestContext=context)
    assert by_method["HEAD"].status == by_method["GET"].status
    assert by_method["HEAD"].body is None
    assert by_method["HEAD"].headers == by_method["GET"].headers


@each_in_turn
@given(
    character=st.characters(categories=["Cc"]),
    place=st.sampled_from(["/segments/some{}", "/segments{}/some", "/{}segments/some", "/segments/some{}/"]),
)
def test_a_path_with_a_control_character_is_refused_and_changes_nothing(
    empty_service: Service, character: str, place: str
) -> None:
    definition = {"segment_name": "Some", "customer_ids": ["good"]}
    first = empty_service.call("PUT", "/segments/some", definition).body
    for method in ("GET", "PUT", "DELETE", "POST"):
        other = {"segment_name": "Other", "customer_ids": ["lapsed"]}
        answer = empty_service.call(method, place.format(character), other)
        assert_error(answer, 400, "INVALID_REQUEST", "control characters")
    assert empty_service.call("GET", "/segments/some").body == first


@pytest.mark.parametrize("character", ["§", '"', "#", "?", "\\", "`", "€", "\U0007b2e9"])
@pytest.mark.parametrize("path", ["/segments/some{}", "/segments/{}/ml/stats", "/ml/jobs/{}", "/models/churn/{}"])
def test_a_character_that_no_id_of_a_path_has_is_the_requests_fault(
    empty_service: Service, path: str, character: str
) -> None:
    answer = empty_service.call("GET", path.format(character))
    assert_error(answer, 400, "INVALID_REQUEST", "path", character)


def test_if_match_may_be_any_version(service: Service) -> None:
    any_version = HEADERS | {"if-match": "*"}
    definition = {"segment_name": "Some", "customer_ids": ["good"]}
    missing = service.call("PUT", "/segments/some", definition, headers=any_version)
    assert_error(missing, 412, "VERSION_CONFLICT", "does not exist")
    service.call("PUT", "/segments/some", definition)
    changed = service.call("PUT", "/segments/some", {**definition, "segment_name": "Other"}, headers=any_version)
    assert (changed.status, changed.body["version"]) == (200, 2)
    same = service.call("PUT", "/segments/some", {**definition, "segment_name": "Other"}, headers=any_version)
    assert (same.status, same.body["version"]) == (200, 2)
    assert service.call("DELETE", "/segments/some", headers=any_version).status == 204
    assert_error(service.call("DELETE", "/segments/some", headers=any_version), 404, "SEGMENT_NOT_FOUND")


@pytest.mark.parametrize("function", ["predict", "batch", "segment", "admin"])
@pytest.mark.parametrize("path", ["/health", "/models", "/ml/predict", "/segments", "/admin"])
def test_what_the_gateway_asked_no_token_for_is_answered_by_no_route(
    service: Service, function: str, path: str
) -> None:
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": BASE + path,
        "headers": HEADERS,
        "requestContext": {"requestId": "an-id", "stage": "$default", "http": {"method": "GET", "path": BASE + path}},
        "isBase64Encoded": False,
    }
    response = process().handlers[function](event, CONTEXT)
    assert response["statusCode"] == 404
    assert json.loads(response["body"])["code"] == "ROUTE_NOT_FOUND"


@pytest.fixture
def browser(service: Service) -> Client:
    """A client of the local gateway over the functions, of which one page of another origin may call."""
    handlers = {
        name: process().handlers[function]
        for name, function in {
            "PredictFunction": "predict",
            "BatchFunction": "batch",
            "SegmentFunction": "segment",
            "AdminFunction": "admin",
        }.items()
    }
    cors = template.cors(DESCRIBED, "https://crm.example.com, https://shop.example.com")
    return Client(Gateway(template.routes(DESCRIBED), handlers, threading.Lock(), cors))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://crm.example.com", True), ("https://shop.example.com", True), ("https://evil.example.com", False)],
)
def test_a_page_of_an_allowed_origin_may_call_and_no_other(
    browser: Client,
    origin: str,
    allowed: bool,  # noqa: FBT001
) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    preflight = browser.options(f"{BASE}/ml/predict", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert ("content-type" in preflight.headers.get("Access-Control-Allow-Headers", "")) is allowed
    answer = browser.post(f"{BASE}/ml/predict", json={"customer_id": "good"}, headers={"Origin": origin})
    assert answer.status_code == 200
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert ("x-correlation-id" in answer.headers.get("Access-Control-Expose-Headers", "")) is allowed


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("PATCH", f"{BASE}/segments/some"), ("GET", "/favicon.ico")]
)
def test_what_no_route_matches_is_an_error_of_our_shape(browser: Client, method: str, path: str) -> None:
    answer = browser.open(path, method=method)
    assert (answer.status_code, answer.get_json()["code"]) == (404, "ROUTE_NOT_FOUND")


def test_head_reaches_the_functions(browser: Client) -> None:
    answer = browser.head(f"{BASE}/health")
    assert (answer.status_code, answer.data, answer.headers["Content-Type"]) == (200, b"", "application/json")
