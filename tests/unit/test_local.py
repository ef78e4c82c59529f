"""The local stack's part of API Gateway and CloudFormation: events as AWS sends them, routes as in the template."""

import json
from typing import Any

import pytest
from werkzeug.test import Client

from local import template
from local.gateway import Gateway
from local.template import Route, path_pattern


def gateway(*routes: str) -> Client:
    """A gateway whose function answers with the event that it got."""

    def echo(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}

    parsed = [route.split(" ") for route in routes]
    return Client(Gateway([Route(method, path, "Echo") for method, path in parsed], {"Echo": echo}), use_cookies=False)


def test_an_event_is_what_api_gateway_sends() -> None:
    response = gateway("POST /things/{id}").post(
        "/things/7?tag=a&tag=b&x=%20",
        data='{"a": 1}',
        headers={"Content-Type": "application/json", "X-Many": "1", "Cookie": "a=1; b=2"},
    )
    event = json.loads(response.data)
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "POST /things/{id}", "/things/7")
    assert event["rawQueryString"] == "tag=a&tag=b&x=%20"
    assert event["queryStringParameters"] == {"tag": "a,b", "x": " "}
    assert event["pathParameters"] == {"id": "7"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]
    assert event["headers"]["x-many"] == "1"
    assert (event["body"], event["isBase64Encoded"]) == ('{"a": 1}', False)
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"]) == ("POST", "/things/7")
    assert event["requestContext"]["stage"] == "$default"


@pytest.mark.parametrize(
    ("body", "content_type", "encoded"),
    [
        (b"plain", "text/plain", False),
        (b"{}", "application/json; charset=utf-8", False),
        (b"{}", "", False),
        (b"a=1", "application/x-www-form-urlencoded", True),
        (b"\xff\xfe", "application/json", True),
    ],
)
def test_a_body_that_is_not_text_comes_in_base64(body: bytes, content_type: str, encoded: bool) -> None:  # noqa: FBT001
    event = json.loads(gateway("POST /x").post("/x", data=body, content_type=content_type).data)
    assert event["isBase64Encoded"] is encoded


def test_the_more_specific_route_wins() -> None:
    client = gateway("GET /a/{proxy+}", "GET /a/{id}/c", "GET /a/b", "GET /a/b/{proxy+}")
    keys = {
        path: json.loads(client.get(path).data)["routeKey"] for path in ("/a/b", "/a/b/", "/a/x/c", "/a/x/y/z", "/a/")
    }
    assert keys == {
        "/a/b": "GET /a/b",
        "/a/b/": "GET /a/b/{proxy+}",
        "/a/x/c": "GET /a/{id}/c",
        "/a/x/y/z": "GET /a/{proxy+}",
        "/a/": "GET /a/{proxy+}",
    }


def test_an_unknown_route_or_method_is_the_gateways_404() -> None:
    client = gateway("GET /a")
    for response in (client.get("/b"), client.post("/a"), client.get("/a/")):
        assert (response.status_code, response.json) == (404, {"message": "Not Found"})


def test_a_function_that_raises_is_the_gateways_500(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise RuntimeError("secret")

    response = Client(Gateway([Route("GET", "/a", "Broken")], {"Broken": broken})).get("/a")
    assert (response.status_code, response.json) == (500, {"message": "Internal Server Error"})
    assert "secret" in capsys.readouterr().err


def test_a_path_is_matched_literally_but_for_its_variables() -> None:
    assert path_pattern("/a.b").fullmatch("/a.b")
    assert not path_pattern("/a.b").fullmatch("/axb")
    assert not path_pattern("/a/{id}").fullmatch("/a/b/c")


def test_references_resolve_to_resources_parameters_and_literals() -> None:
    described = {
        "Parameters": {"Mode": {"Default": "auto"}},
        "Globals": {"Function": {"Environment": {"Variables": {"BUCKET": {"Ref": "Bucket"}, "MODE": {"Ref": "Mode"}}}}},
        "Resources": {
            "F": {"Type": "AWS::Serverless::Function", "Properties": {"Environment": {"Variables": {"N": 5}}}},
            "Bucket": {"Type": "AWS::S3::Bucket"},
        },
    }
    assert template.environment(described, {"Bucket": "made-bucket"}) == {
        "BUCKET": "made-bucket",
        "MODE": "auto",
        "N": "5",
    }


def test_functions_that_disagree_on_a_variable_cannot_share_a_process() -> None:
    def function(value: str) -> dict[str, Any]:
        return {"Type": "AWS::Serverless::Function", "Properties": {"Environment": {"Variables": {"X": value}}}}

    described = {"Parameters": {}, "Globals": {"Function": {}}, "Resources": {"A": function("1"), "B": function("2")}}
    with pytest.raises(ValueError, match="X differs"):
        template.environment(described, {})
