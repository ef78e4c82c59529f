"""Redshift's requests, in the form that its documentation shows, and the text that it wants back."""

import json
from typing import Any

import pytest

from loyalty_ml.api import redshift
from loyalty_ml.api.http import MAX_ANSWER_BYTES
from loyalty_ml.api.sql import MAX_SQL_ROWS
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.scoring.sql_functions import signature_of
from tests.service import CONTEXT, GOOD, LAPSED, Service, process

pytestmark = pytest.mark.moto


def call(name: str, rows: Any, **changes: Any) -> dict[str, Any]:
    event = {
        "request_id": "23FF1F97-F28A-44AA-AB67-266ED976BF40",
        "cluster": "arn:aws:redshift:eu-west-1:000000000000:cluster:warehouse",
        "user": "analyst",
        "database": "crm",
        "external_function": f"public.{name}",
        "query_id": 5678234,
        "num_records": len(rows) if isinstance(rows, list) else 1,
        "arguments": rows,
        **changes,
    }
    text = process().handlers["batch"](event, CONTEXT)
    assert isinstance(text, str), "Redshift wants a text that holds JSON"
    answer: dict[str, Any] = json.loads(text)
    return answer


def _no_other(event: dict[str, Any], context: Any) -> Any:
    raise AssertionError("The event is Redshift's")


def test_a_call_by_id_is_answered_in_its_order_as_the_api_answers(service: Service) -> None:
    rows = [["lapsed"], [None], ["nobody"], ["good"], ["lapsed"]]
    good, lapsed = (service.predict(each).body["result"] for each in ("good", "lapsed"))
    answer = call("loyalty_churn_probability", rows)
    probabilities = [lapsed["churn_probability"], None, None, good["churn_probability"], lapsed["churn_probability"]]
    assert answer == {"success": True, "num_records": 5, "results": probabilities}
    risks = call("loyalty_churn_risk", rows)["results"]
    assert risks == [lapsed["churn_risk"], None, None, good["churn_risk"], lapsed["churn_risk"]]
    whole = call("loyalty_churn", rows)["results"]
    assert [each and json.loads(each)["churn_probability"] for each in whole] == probabilities
    assert call("loyalty_churn_error", rows)["results"] == [
        None, None, "CUSTOMER_NOT_FOUND: Customer not found in DWH", None, None,
    ]  # fmt: skip
    offers = call("loyalty_nbo_offer", rows)["results"]
    assert offers[3] == service.predict("good", "nbo").body["result"]["top_offer"]["offer_code"]
    assert call("loyalty_rfm_segment", rows)["results"][3] == service.predict("good", "rfm").body["result"]["segment"]


def test_a_call_by_features_is_answered_as_for_the_customer_with_them(service: Service) -> None:
    rows = [[features[name] for name in DEFAULT_FEATURES] for features in (GOOD, LAPSED)]
    answer = call(f"loyalty_churn_probability_of_features_{signature_of(DEFAULT_FEATURES)}", rows)
    assert answer["results"] == call("loyalty_churn_probability", [["good"], ["lapsed"]])["results"]


def test_rows_with_an_answer_are_counted_as_predictions(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    call("loyalty_churn_risk", [["good"], [None], ["nobody"], ["lapsed"]])
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["route"], line["type"], line["Predictions"], line["status"]) == ("redshift", "churn", 2, 200)


def test_no_rows_are_a_success(service: Service) -> None:
    assert call("loyalty_churn", []) == {"success": True, "num_records": 0, "results": []}


def test_what_is_wrong_with_all_rows_is_told_in_redshifts_form(service: Service) -> None:
    wrong = {
        "another function": (call("loyalty_weather", [["good"]]), "public.loyalty_weather: is no function"),
        "two arguments": (call("loyalty_churn", [["good", "bad"]]), "row 0: has 2 arguments"),
        "no arguments": (call("loyalty_churn", [[]]), "row 0: has 0 arguments"),
        "rows that are none": (call("loyalty_churn", ["good"]), "row 0: has no list"),
        "another count": (call("loyalty_churn", [["good"]], num_records=2), "num_records: must be 1"),
        "no list": (call("loyalty_churn", None), "arguments: must be a list"),
        "a name that no answer can hold": (call("loyalty_churn\ud800", []), "external_function: must be text"),
        "a name of any size": (call("x" * 2**20, []), "external_function: must be text"),
        "no name": (call("loyalty_churn", [], external_function=None), "external_function: must be text"),
        "six megabytes": (call("loyalty_churn", [["c-1234567890"]] * 350_000), f"at most {MAX_SQL_ROWS:,} rows"),
        "a bug": (call("loyalty_churn", [["good"]], num_records=[]), "num_records"),
    }
    for name, (answer, said) in wrong.items():
        assert answer.keys() == {"success", "error_msg"}, name
        assert answer["success"] is False, name
        assert said in answer["error_msg"], name


def test_an_answer_that_lambda_would_not_send_says_what_to_do(service: Service) -> None:
    """Lambda counts the text as JSON once more, in which each of its quotes is two bytes."""
    event = {"external_function": "loyalty_churn", "num_records": 2, "arguments": [["good"], ["lapsed"]]}

    def answered(most_bytes: int) -> str:
        handler = redshift.answering(lambda: process().batch, _no_other, most_bytes=most_bytes)
        return str(handler(event, CONTEXT))

    whole = answered(MAX_ANSWER_BYTES)
    bytes_of_lambda = len(json.dumps(whole, ensure_ascii=False).encode())
    assert answered(bytes_of_lambda) == whole
    answer = json.loads(answered(bytes_of_lambda - 1))
    assert answer["success"] is False
    assert f"has {bytes_of_lambda:,} bytes" in answer["error_msg"]
    assert "MAX_BATCH_ROWS" in answer["error_msg"]


def test_a_store_that_fails_fails_the_query_with_its_reason(service: Service) -> None:
    service.dynamodb.delete_table(TableName=service.ids["CustomersTable"])
    answer = call("loyalty_churn", [["good"]])
    assert answer["success"] is False
    assert answer["error_msg"].startswith("FEATURE_STORE_UNAVAILABLE: ")


def test_a_model_that_is_not_published_fails_the_query(empty_service: Service) -> None:
    answer = call("loyalty_churn_of_features_00000000", [])
    assert answer["success"] is False
    assert answer["error_msg"].startswith("MODEL_UNAVAILABLE: ")
