"""The routes as a caller meets them: right answers, and each wrong request's code and sentence."""

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter

from local import openapi
from loyalty_ml import telemetry
from loyalty_ml.api.contracts import StatusAnswer
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.domain import DEFAULT_DOMAINS
from loyalty_ml.models.manifest import FIXED_CUT_POINTS
from loyalty_ml.scoring.contracts import BatchAnswer, SingleAnswer
from tests import sample_set
from tests.service import GOOD, Answer, Service, process, put_in_place

pytestmark = pytest.mark.moto


def assert_error(answer: Answer, status: int, code: str, *parts: str) -> None:
    """The contract's error, with a sentence that names what is wrong."""
    assert (answer.status, answer.body["code"]) == (status, code), answer.body
    assert answer.body["error"].strip()
    assert set(answer.body) <= {"error", "code", "details"}
    for part in parts:
        assert part in answer.body["error"]


@pytest.mark.parametrize("prediction_type", ["churn", "nbo", "rfm"])
def test_single(service: Service, prediction_type: str) -> None:
    answer = service.predict("good", prediction_type)
    assert answer.status == 200
    body = TypeAdapter(SingleAnswer).validate_python(answer.body)
    assert (body["type"], body["mode"], body["customer_id"]) == (prediction_type, "single", "good")
    assert (body["mock"], body["features_as_of"]) == (False, sample_set.AS_OF)
    assert body["model"]["placeholder"] is (prediction_type != "rfm")


@pytest.mark.parametrize("path", ["/ml/predict", "/config/ml/test"])
@pytest.mark.parametrize("prediction_type", ["churn", "nbo", "rfm"])
def test_the_features_that_it_was_made_from_are_shown_when_asked_for(
    service: Service, prediction_type: str, path: str
) -> None:
    service.put_customer("own", {**GOOD, "monthly_revenue": 0.1, "engagement_score": 1e-7})
    asked = {"customer_id": "own", "type": prediction_type, "features": True}
    body = TypeAdapter(SingleAnswer).validate_python(service.call("POST", path, asked).body)
    names = FIXED_CUT_POINTS.features if prediction_type == "rfm" else DEFAULT_FEATURES
    stored = {**GOOD, "monthly_revenue": 0.1, "engagement_score": 1e-7}
    assert list(body["features"].items()) == [(name, stored[name]) for name in names]
    # The answer is the same, and without being asked it has none.
    without = service.predict("own", prediction_type).body
    assert body == {**without, "features": body["features"]}


def test_a_mock_answer_was_made_from_no_features(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_MOCK_MODE", "true")
    body = service.call("POST", "/ml/predict", {"customer_id": "good", "features": True}).body
    assert (body["mock"], body["features"]) == (True, {})


def test_features_are_of_one_customer_and_asked_for_by_true(service: Service) -> None:
    batch = service.call("POST", "/config/ml/test", {"customer_ids": ["good"], "features": True})
    assert_error(batch, 400, "INVALID_REQUEST", "one customer")
    named = service.call("POST", "/ml/predict", {"customer_id": "good", "features": ["revenue"]})
    assert_error(named, 400, "INVALID_REQUEST", "features")


def test_churn_is_a_probability_with_its_band(service: Service) -> None:
    result = service.predict("good").body["result"]
    assert result.keys() == {"customer_id", "churn_probability", "churn_risk"}
    assert 0 <= result["churn_probability"] <= 1
    assert service.predict("lapsed").body["result"]["churn_probability"] > result["churn_probability"]


def test_nbo_ranks_the_whole_catalogue(service: Service) -> None:
    result = service.predict("good", "nbo").body["result"]
    scores = result["offer_scores"]
    assert len(scores) == len(result["offers"]) == 8
    assert [offer["probability"] for offer in result["offers"]] == sorted(scores, reverse=True)
    assert all(scores[offer["offer_id"]] == offer["probability"] for offer in result["offers"])
    assert result["top_offer"] == result["offers"][0]
    assert (result["recommended_offer"], result["confidence"]) == (result["offers"][0]["offer_id"], max(scores))
    assert {offer["offer_name"] for offer in result["offers"]} >= {"Flash Sale", "10% Discount"}


def test_rfm_is_calculated_from_the_customers_own_features(service: Service) -> None:
    assert service.predict("good", "rfm").body["result"] == {
        "customer_id": "good",
        "recency": 0,
        "frequency": 51,
        "monetary": 2415.56,
        "r_score": 5,
        "f_score": 5,
        "m_score": 5,
        "rfm_segment": "555",
        "segment": "Champions",
    }


@pytest.mark.smoke
def test_batch_keeps_order_repeats_duplicates_and_counts(service: Service) -> None:
    service.put_customer("older", GOOD, as_of="2017-06-01T00:00:00Z")
    asked = ["lapsed", "nobody", "good", "lapsed", "nobody", "older"]
    answer = service.predict_batch(asked)
    assert answer.status == 200
    body = TypeAdapter(BatchAnswer).validate_python(answer.body)
    assert list(answer.body)[:7] == ["type", "mode", "total", "successful", "failed", "results", "errors"]
    assert (body["total"], body["successful"], body["failed"]) == (6, 4, 2)
    assert [result["customer_id"] for result in body["results"]] == ["lapsed", "good", "lapsed", "older"]
    assert body["results"][0] == body["results"][2]
    assert (
        body["errors"]
        == [{"customer_id": "nobody", "error": "Customer not found in DWH", "code": "CUSTOMER_NOT_FOUND"}] * 2
    )
    assert body["features_as_of"] == "2017-06-01T00:00:00Z", "of different dates, the oldest"


@pytest.mark.parametrize("prediction_type", ["churn", "nbo", "rfm"])
def test_a_batch_of_100_equals_100_singles_to_the_bit(service: Service, prediction_type: str) -> None:
    ids = [f"c-{number}" for number in range(100)]
    for number, customer_id in enumerate(ids):
        scaled = {name: value * (1 + number) / 100 for name, value in GOOD.items()}
        whole = {name: round(value) for name, value in scaled.items() if DEFAULT_DOMAINS[name].whole}
        service.put_customer(customer_id, scaled | whole)
    batch = service.predict_batch(ids, prediction_type).body
    assert (batch["successful"], batch["errors"]) == (100, [])
    for result in batch["results"][::9]:
        assert service.predict(result["customer_id"], prediction_type).body["result"] == result["result"]


@pytest.mark.smoke
def test_the_two_form_endpoint_answers_both_forms(service: Service) -> None:
    path = "/config/ml/test/"
    single = service.call("POST", path, {"customer_id": "good"}).body
    assert single == service.predict("good").body
    batch = service.call("POST", path, {"customer_ids": ["good", "nobody"], "type": "rfm"}).body
    assert batch == service.predict_batch(["good", "nobody"], "rfm").body


@pytest.mark.parametrize("body", [{"customer_id": "good", "customer_ids": ["good"]}, {"type": "churn"}, {}])
def test_the_two_form_endpoint_wants_exactly_one_form(service: Service, body: Any) -> None:
    assert_error(service.call("POST", "/config/ml/test/", body), 400, "INVALID_REQUEST", "customer_id", "customer_ids")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/ml/predict", {"customer_id": "good"}),
        ("POST", "/ml/predict/batch", {"customer_ids": ["good"]}),
        ("POST", "/config/ml/test", {"customer_id": "good"}),
        ("GET", "/config/ml/status", None),
        ("GET", "/health", None),
    ],
)
def test_every_route_answers_with_and_without_a_trailing_slash(
    service: Service, method: str, path: str, body: Any
) -> None:
    answers = [service.call(method, path + slash, body) for slash in ("", "/")]
    assert answers[0] == answers[1]
    assert answers[0].status == 200


FILES = {"/admin", "/openapi.json"}
"""What is read by people and programs as it is, whatever a link has behind a question mark."""
OPERATIONS = [
    (method.upper(), path)
    for path, methods in openapi.document()["paths"].items()
    for method in methods
    if path not in FILES
]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_route_refuses_an_unknown_query_parameter(service: Service, method: str, path: str, slash: str) -> None:
    path = path.format(segment_id="some", job_id="0" * 32, name="churn", version="v1", function="loyalty_churn")
    answer = service.call(method, path + slash, {"customer_id": "good"}, queryStringParameters={"tpye": "rfm"})
    if path.startswith("/v2"):  # whose protocol has a sentence and nothing else
        assert (answer.status, list(answer.body)) == (400, ["error"])
        assert "tpye: this route has no such query parameter: remove it" in answer.body["error"]
        return
    assert_error(answer, 400, "INVALID_REQUEST", "tpye: this route has no such query parameter: remove it")
    assert [field["field"] for field in answer.body["details"]["fields"]] == ["tpye"]


def test_each_bad_query_parameter_is_named(service: Service) -> None:
    query = {"limit": "many", "status": "running", "size": "5"}
    answer = service.call("GET", "/ml/jobs", queryStringParameters=query)
    assert_error(answer, 400, "INVALID_REQUEST", "limit: must be", "size: this route", "limit, status, next")
    assert [field["field"] for field in answer.body["details"]["fields"]] == ["limit", "size"]


def test_an_unknown_route_is_404(service: Service) -> None:
    assert_error(service.call("POST", "/ml/predict/nothing-here"), 404, "ROUTE_NOT_FOUND")


def test_status_says_what_is_loaded(service: Service) -> None:
    answer = service.call("GET", "/config/ml/status/")
    body = TypeAdapter(StatusAnswer).validate_python(answer.body)
    assert body["mock_mode"] == "auto"
    assert body["runtime"]["library"] in ("ai-edge-litert", "tflite-runtime")
    for name in ("churn", "nbo"):
        status = body["models"][name]
        assert (status["exists"], status["loaded"], status["placeholder"]) == (True, True, True)
        assert status["path"] == f"models/{name}/{status['version']}/{name}.tflite"
        assert status["metrics"]
        assert "message" not in status
    assert body["features"] == {
        "as_of": None,
        "customers": None,
        "message": "There is no feature snapshot yet: write one (loyalty materialize).",
    }
    part = {"key": "snapshots/x/part-00000.parquet", "customers": 2469, "size": 1, "sha256": "0" * 64}
    service.s3.put_object(
        Bucket=service.ids["DataBucket"],
        Key="snapshots/current.json",
        Body=json.dumps({"as_of": sample_set.AS_OF, "customers": 2469, "features": ["revenue"], "parts": [part]}),
    )
    answer = service.call("GET", "/config/ml/status/")
    assert answer.body["features"] == {"as_of": sample_set.AS_OF, "customers": 2469}


def test_health(service: Service) -> None:
    assert service.call("GET", "/health").body == {"status": "ok"}


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        (None, "INVALID_JSON", "no body"),
        ("", "INVALID_JSON", "no body"),
        ("{", "INVALID_JSON", "line 1"),
        ("customer_id=1", "INVALID_JSON", "line 1"),
        ('{"customer_id": "\\ud800"}', "INVALID_JSON", "escape"),
        ('{"customer_id": "\ud800"}', "INVALID_JSON", "Unicode"),
        ("[" * 100_000, "INVALID_JSON", "nested too deeply"),
        ("[]", "INVALID_REQUEST", "object"),
        ('"good"', "INVALID_REQUEST", "object"),
        ("null", "INVALID_REQUEST", "object"),
        ("{}", "INVALID_REQUEST", "customer_id"),
        ({"customer_id": 1}, "INVALID_REQUEST", "customer_id"),
        ({"customer_id": None}, "INVALID_REQUEST", "customer_id"),
        ({"customer_id": ["good"]}, "INVALID_REQUEST", "customer_id"),
        ({"customer_id": ""}, "INVALID_REQUEST", "customer_id"),
        ({"customer_id": "x" * 10_000}, "INVALID_REQUEST", "256"),
        ({"customer_id": "good", "tpye": "rfm"}, "INVALID_REQUEST", "tpye"),
        ({"customer_id": "good", "type": "CHURN"}, "UNKNOWN_TYPE", "'churn', 'nbo', 'rfm' or 'all'"),
        ({"customer_id": "good", "type": 5}, "UNKNOWN_TYPE", "type"),
        ({"customer_id": "good", "type": None}, "UNKNOWN_TYPE", "type"),
    ],
)
def test_bad_single_requests(service: Service, body: Any, code: str, part: str) -> None:
    assert_error(service.call("POST", "/ml/predict", body), 400, code, part)
    assert service.predict("good").status == 200, "the next good request works"


@pytest.mark.parametrize(
    ("customer_ids", "code", "part"),
    [
        ([], "INVALID_REQUEST", "customer_ids"),
        (["good"] * 101, "BATCH_TOO_LARGE", "100"),
        ([f"c-{number}" for number in range(10_000)], "BATCH_TOO_LARGE", "100"),
        ([1] * 101, "BATCH_TOO_LARGE", "100"),
        (["good", 2], "INVALID_REQUEST", "customer_ids.1"),
        (["good", None], "INVALID_REQUEST", "customer_ids.1"),
        (["x" * 10_000], "INVALID_REQUEST", "customer_ids.0"),
        ("good", "INVALID_REQUEST", "customer_ids"),
        ({"good": 1}, "INVALID_REQUEST", "customer_ids"),
    ],
)
def test_bad_batch_requests(service: Service, customer_ids: Any, code: str, part: str) -> None:
    assert_error(service.predict_batch(customer_ids), 400, code, part)
    assert_error(service.call("POST", "/config/ml/test", {"customer_ids": customer_ids}), 400, code, part)
    assert service.predict_batch(["good"]).status == 200, "the next good request works"


def test_an_error_names_each_bad_field(service: Service) -> None:
    answer = service.predict_batch(["good", 2, None])
    assert [field["field"] for field in answer.body["details"]["fields"]] == ["customer_ids.1", "customer_ids.2"]


def test_ids_full_of_unicode_are_ids(service: Service) -> None:
    ids = ["Zoë", "顧客-1", "👩‍👩‍👧", "a\u0000b", "x' OR '1'='1", " leading and trailing "]
    for customer_id in ids[:3]:
        service.put_customer(customer_id, GOOD)
    body = service.predict_batch(ids).body
    assert [result["customer_id"] for result in body["results"]] == ids[:3]
    assert [error["customer_id"] for error in body["errors"]] == ids[3:]


def test_a_body_in_base64_is_read(service: Service) -> None:
    body = base64.b64encode(b'{"customer_id": "good"}').decode()
    assert service.call("POST", "/ml/predict", body, isBase64Encoded=True).status == 200
    broken = base64.b64encode(b'{"customer_id": "\xff"}').decode()
    assert_error(service.call("POST", "/ml/predict", broken, isBase64Encoded=True), 400, "INVALID_JSON")


def test_a_body_over_the_limit_is_413(service: Service) -> None:
    body = {"customer_ids": ["x" * 250] * 5000}
    assert_error(service.call("POST", "/ml/predict/batch", body), 413, "PAYLOAD_TOO_LARGE", "1,048,576")


@pytest.mark.smoke
def test_an_unknown_customer_is_404(service: Service) -> None:
    assert_error(service.predict("nobody"), 404, "CUSTOMER_NOT_FOUND", "Customer not found in DWH")


@pytest.mark.parametrize("absent", [{"revenue"}, {"revenue", "engagement_score"}, set(DEFAULT_FEATURES)])
def test_missing_features_are_named_and_never_zero(service: Service, absent: set[str]) -> None:
    service.put_customer("partial", {name: value for name, value in GOOD.items() if name not in absent})
    answer = service.predict("partial")
    assert_error(answer, 422, "MISSING_FEATURES", *absent)
    assert set(answer.body["details"]["features"]) == absent
    batch = service.predict_batch(["partial", "good"]).body
    assert (batch["successful"], batch["failed"], batch["errors"][0]["code"]) == (1, 1, "MISSING_FEATURES")


def test_a_null_is_missing(service: Service) -> None:
    service.put_customer("null", {**GOOD, "revenue": None})
    assert_error(service.predict("null"), 422, "MISSING_FEATURES", "revenue")


def test_what_a_type_does_not_read_may_be_missing(service: Service) -> None:
    service.put_customer("rfm only", {name: GOOD[name] for name in FIXED_CUT_POINTS.features})
    assert service.predict("rfm only", "rfm").status == 200
    assert_error(service.predict("rfm only", "churn"), 422, "MISSING_FEATURES", "engagement_score")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "many", 1e39, -1e125])
def test_what_is_not_a_finite_number_is_named(service: Service, value: Any) -> None:
    service.put_customer("odd", {**GOOD, "revenue": value})
    assert_error(service.predict("odd"), 422, "INVALID_FEATURES", "revenue")
    batch = service.predict_batch(["good", "odd"], "nbo").body
    assert (batch["successful"], batch["errors"][0]["code"]) == (1, "INVALID_FEATURES")


def test_the_correlation_id_is_in_answer_and_log(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    answer = service.predict("nobody")
    assert answer.headers["X-Correlation-Id"] == "test-correlation-id"
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (record["correlation_id"], record["status"], record["CUSTOMER_NOT_FOUND"]) == (
        "test-correlation-id",
        404,
        1,
    )


def test_a_request_writes_one_line_of_metrics_and_no_customer_data(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.predict("good")
    capsys.readouterr()
    answer = service.predict_batch(["good", "lapsed", "nobody"], "rfm")
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    metrics = record["_aws"]["CloudWatchMetrics"][0]
    assert metrics["Namespace"] == "LoyaltyML"
    assert set(metrics["Dimensions"][0]) == {"service", "type"}
    assert {metric["Name"] for metric in metrics["Metrics"]} == {"Predictions", "CUSTOMER_NOT_FOUND", "Latency"}
    assert (record["type"], record["Predictions"], record["CUSTOMER_NOT_FOUND"]) == ("rfm", 2, 1)
    assert record["model_version"] == answer.body["model"]["version"]
    for secret in ("good", "lapsed", "nobody", "2415.56", "120.5"):
        assert secret not in line


def test_a_missing_variable_is_named_in_the_log_and_the_environment_is_not_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("CUSTOMERS_TABLE")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret-in-the-environment")
    assert_error(service.predict("good"), 500, "INTERNAL", "test-correlation-id")
    assert "CUSTOMERS_TABLE" in caplog.text
    assert "secret-in-the-environment" not in caplog.text
    assert "input_value" not in caplog.text


def test_a_bug_answers_500_without_a_trace_and_with_the_correlation_id(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: Any) -> None:
        raise RuntimeError("secret-in-the-exception")

    customers = process().predict.customers
    put_in_place(process().predict, customers=SimpleNamespace(read=explode))
    answer = service.predict("good")
    put_in_place(process().predict, customers=customers)
    assert_error(answer, 500, "INTERNAL", "test-correlation-id")
    assert answer.body["details"]["correlation_id"] == "test-correlation-id"
    assert "secret" not in json.dumps(answer.body)
    (record,) = (record for record in caplog.records if record.exc_info)
    logged = json.loads(telemetry.logger.registered_formatter.format(record))
    assert (logged["correlation_id"], logged["exception_name"]) == ("test-correlation-id", "RuntimeError")
    assert service.predict("good").status == 200, "the next good request works"
