"""What every route shares: which errors become which answer, and what the API's description says of them."""

import json

import pytest

from loyalty_ml import errors
from loyalty_ml.api import http

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (errors.StoreUnavailable("jobs", "The jobs table cannot be read."), "5"),
        (errors.FeatureStoreUnavailable("DynamoDB is throttling."), "5"),
        (errors.ModelUnavailable("S3 cannot be reached."), "5"),
        (errors.StoreUnavailable("disk", "The disk is full: raise SegmentStorage.", retry=False), None),
        (errors.FeatureStoreUnavailable("There is no snapshot: write one.", retry=False), None),
        (errors.ModelUnavailable("No churn model is published: publish one.", retry=False), None),
    ],
)
def test_a_503_says_when_to_try_again_if_that_can_help(error: errors.Unavailable, retry_after: str | None) -> None:
    answer = http._answer_error(error)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, retry_after)
    assert json.loads(answer.body or "")["error"] == error.message


@pytest.mark.parametrize(
    "error", [errors.JobNotFound(), errors.InvalidRequest.of("top", "too many"), errors.CustomerNotFound()]
)
def test_no_other_error_says_so(error: errors.LoyaltyError) -> None:
    assert "Retry-After" not in http._answer_error(error).headers


def test_an_invalid_request_names_all_fields_and_says_three() -> None:
    error = errors.InvalidRequest([(name, "is wrong") for name in "abcd"])
    assert error.message == "The request is not valid: a: is wrong; b: is wrong; c: is wrong."
    assert error.details == {"fields": [{"field": name, "problem": "is wrong"} for name in "abcd"]}


def test_a_503_is_described_with_its_header_and_every_route_with_invalid_request() -> None:
    described = http.responses(None, errors.StoreUnavailable, errors.ModelUnavailable)
    assert described[503]["description"] == "`STORE_UNAVAILABLE`, `MODEL_UNAVAILABLE`"
    assert "Retry-After" in described[503]["headers"]
    assert described[400]["description"] == "`INVALID_REQUEST`"
    assert "headers" not in described[400]
