"""Snowflake's requests, in the form that its documentation shows, and its answers, whole and in order."""

import base64
import gzip
import json
import zlib
from typing import Any

import pytest

from loyalty_ml.api.sql import MAX_SQL_ROWS
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.scoring.sql_functions import signature_of
from tests.service import GOOD, LAPSED, Answer, Service

pytestmark = pytest.mark.moto

HEADERS = {
    "content-type": "application/json",
    "sf-external-function-format": "json",
    "sf-external-function-format-version": "1.0",
    "sf-external-function-query-batch-id": "019e:1:2",
    "sf-external-function-current-query-id": "019e",
}


def call(service: Service, name: str, rows: Any, **event: Any) -> Answer:
    return service.call("POST", f"/sql/{name}", {"data": rows}, headers=HEADERS, **event)


def packed(service: Service, content: bytes, encoding: str) -> Answer:
    return service.call(
        "POST",
        "/sql/loyalty_churn",
        base64.b64encode(content).decode(),
        headers={**HEADERS, "content-encoding": encoding},
        isBase64Encoded=True,
    )


def test_a_batch_is_answered_in_its_order_as_the_api_answers(service: Service) -> None:
    rows = [[0, "lapsed"], [1, None], [2, "nobody"], [3, "good"], [4, "lapsed"]]
    good, lapsed = (service.predict(each).body["result"] for each in ("good", "lapsed"))
    for result in (good, lapsed):
        del result["customer_id"]
    answer = call(service, "loyalty_churn", rows)
    assert (answer.status, answer.body) == (200, {"data": [[0, lapsed], [1, None], [2, None], [3, good], [4, lapsed]]})
    told = call(service, "loyalty_churn_error", rows).body["data"]
    assert told == [[0, None], [1, None], [2, "CUSTOMER_NOT_FOUND: Customer not found in DWH"], [3, None], [4, None]]
    name = f"loyalty_churn_probability_of_features_{signature_of(DEFAULT_FEATURES)}"
    without: dict[str, Any] = {**GOOD, "revenue": None}
    features: list[list[Any]] = [
        [place, *(each[name] for name in DEFAULT_FEATURES)] for place, each in enumerate((GOOD, LAPSED, without))
    ]
    of_features = call(service, name, features).body["data"]
    assert of_features == [[0, good["churn_probability"]], [1, lapsed["churn_probability"]], [2, None]]
    for prediction_type in ("nbo", "rfm"):
        result = service.predict("good", prediction_type).body["result"]
        ((_, value),) = call(service, f"loyalty_{prediction_type}", [[0, "good"]]).body["data"]
        assert {name: result[name] for name in value.keys() & result.keys()} == {
            name: value[name] for name in value.keys() & result.keys()
        }
    assert call(service, "loyalty_churn", []).body == {"data": []}


def test_a_packed_body_is_the_same_and_a_bomb_is_refused(service: Service) -> None:
    rows = json.dumps({"data": [[0, "good"], [1, None]]}).encode()
    plain = call(service, "loyalty_churn", [[0, "good"], [1, None]])
    assert packed(service, gzip.compress(rows), "gzip").body == plain.body
    assert packed(service, zlib.compress(rows), "deflate").body == plain.body
    assert packed(service, gzip.compress(rows)[:-9], "gzip").body["code"] == "INVALID_JSON"
    assert packed(service, rows, "gzip").body["code"] == "INVALID_JSON"
    for behind in (b"x", gzip.compress(rows), b"\0" * 512):
        assert "trailing data" in packed(service, gzip.compress(rows) + behind, "gzip").body["error"]
    assert packed(service, gzip.compress(b" " * 10**8), "gzip").status == 413


def test_what_is_wrong_with_all_rows_fails_the_query_with_a_sentence(service: Service) -> None:
    wrong = {
        "another function": (call(service, "loyalty_weather", [[0, "good"]]), 400, "is no function"),
        "two arguments": (call(service, "loyalty_churn", [[0, "good", "bad"]]), 400, "row 0: has 2 arguments"),
        "no arguments": (call(service, "loyalty_churn", [[0]]), 400, "row 0: has 0 arguments"),
        "no row number": (call(service, "loyalty_churn", [["good"]]), 400, "data.0.0: must be the row's number"),
        "an empty row": (call(service, "loyalty_churn", [[]]), 400, "data.0.0"),
        **{
            f"the row number {number}": (call(service, "loyalty_churn", [[0, "x"], [number, "x"]]), 400, "data.1.0")
            for number in (2**63, -(2**63) - 1, 10**30, 0.0, 1.5, True, None, "0", [0])
        },
        "rows that are none": (call(service, "loyalty_churn", ["good"]), 400, "data.0: must be a list"),
        "no data": (service.call("POST", "/sql/loyalty_churn", {}, headers=HEADERS), 400, "data: is missing"),
        "no JSON": (service.call("POST", "/sql/loyalty_churn", "{", headers=HEADERS), 400, "not JSON"),
        "six megabytes": (
            call(service, "loyalty_churn", [[place, "c-1234567890"] for place in range(300_000)]),
            413,
            "6,291,456 bytes",
        ),
        "too many rows": (
            call(service, "loyalty_churn", [[place, "c"] for place in range(MAX_SQL_ROWS + 1)]),
            413,
            "MAX_BATCH_ROWS",
        ),
    }
    for name, (answer, status, said) in wrong.items():
        assert answer.status == status, name
        assert said in answer.body["error"], name
