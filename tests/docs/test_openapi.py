"""openapi.json is what the code says, is valid, and has the routes of the template."""

import json
import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from local import openapi, template
from loyalty_ml.api.http import BASE_PATH

pytestmark = pytest.mark.moto

DESCRIBED = template.load()


def paths_of_the_template() -> set[tuple[str, str]]:
    """Method and path below the base path.

    The twins that catch a trailing slash are not routes of their own, nor are HEAD and what matches nothing else.
    """
    return {
        (route.method, route.path.removeprefix(BASE_PATH))
        for route in template.routes(DESCRIBED)
        if not route.path.endswith("/{proxy+}") and route.method not in ("HEAD", "ANY")
    }


def test_openapi_json_is_what_the_code_says() -> None:
    assert openapi.PATH.read_text() == openapi.text(), "run 'make openapi' and commit openapi.json"


def test_openapi_json_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(json.loads(openapi.PATH.read_text())).validate()


def test_the_description_the_template_and_the_functions_have_the_same_routes() -> None:
    described = {
        (method.upper(), path) for path, operations in openapi.document()["paths"].items() for method in operations
    }
    below_one_path = {(method, path) for method, path in described if path.startswith("/v2/")}
    assert described - below_one_path == paths_of_the_template() - {("POST", "/v2")}
    assert len(below_one_path) == 8  # of the Open Inference Protocol: the gateway sends on whatever is below /v2


def test_every_answer_and_error_is_described() -> None:
    for operations in openapi.document()["paths"].values():
        for operation in operations.values():
            answers = {status for status in operation["responses"] if status < "300"}
            assert answers
            assert "204" not in answers or answers == {"204"}, "an answer with a body and without one"
            assert "500" in operation["responses"]
            assert operation["summary"]
            titles = {
                content["schema"].get("title", "")
                for response in operation["responses"].values()
                for content in response.get("content", {}).values()
            }
            assert "Return" not in titles, "of which generators for Java make a class"
    codes = {
        code
        for operation in openapi.document()["paths"]["/config/ml/test"].values()
        for response in operation["responses"].values()
        for code in re.findall(r"`([A-Z_]+)`", response["description"])
    }
    assert codes == {
        "INVALID_JSON", "INVALID_REQUEST", "BATCH_TOO_LARGE", "UNKNOWN_TYPE", "PAYLOAD_TOO_LARGE", "CUSTOMER_NOT_FOUND",
        "NO_PURCHASES", "MISSING_FEATURES", "INVALID_FEATURES", "MODEL_UNAVAILABLE", "FEATURE_STORE_UNAVAILABLE",
        "UNSUPPORTED_MEDIA_TYPE", "INTERNAL", "NO_BASELINE", "NOT_EXPLAINED", "UNAUTHENTICATED", "MISSING_SCOPE",
    }  # fmt: skip
