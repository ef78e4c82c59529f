"""The local stack's part of API Gateway, Lambda, CloudFormation: events as AWS sends them, all as in the template."""

import dataclasses
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from werkzeug.test import Client

from local import events, template
from local.gateway import Gateway
from local.template import QueueSource, Route, path_pattern

pytestmark = pytest.mark.unit


def client(routes: list[Route], function: Any) -> Client:
    """A gateway that has one function behind all its routes."""
    handlers = {route.function: function for route in routes}
    return Client(Gateway(routes, handlers, threading.Lock()), use_cookies=False)


def gateway(*routes: str) -> Client:
    """A gateway whose function answers with the event that it got."""

    def echo(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}

    parsed = [route.split(" ") for route in routes]
    return client([Route(method, path, "Echo") for method, path in parsed], echo)


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
    routed = gateway("GET /a/{proxy+}", "GET /a/{id}/c", "GET /a/b", "GET /a/b/{proxy+}")
    keys = {
        path: json.loads(routed.get(path).data)["routeKey"] for path in ("/a/b", "/a/b/", "/a/x/c", "/a/x/y/z", "/a/")
    }
    assert keys == {
        "/a/b": "GET /a/b",
        "/a/b/": "GET /a/b/{proxy+}",
        "/a/x/c": "GET /a/{id}/c",
        "/a/x/y/z": "GET /a/{proxy+}",
        "/a/": "GET /a/{proxy+}",
    }


def test_an_unknown_route_or_method_is_the_gateways_404() -> None:
    routed = gateway("GET /a")
    for response in (routed.get("/b"), routed.post("/a"), routed.get("/a/")):
        assert (response.status_code, response.json) == (404, {"message": "Not Found"})


def test_a_function_that_raises_is_the_gateways_500(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise RuntimeError("secret")

    response = client([Route("GET", "/a", "Broken")], broken).get("/a")
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


def test_an_address_is_put_together_of_what_the_stack_knows() -> None:
    def described(value: Any) -> dict[str, Any]:
        return {
            "Parameters": {"Mode": {"Default": "auto"}},
            "Globals": {"Function": {"Environment": {"Variables": {"X": value}}}},
            "Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {}}},
        }

    sub = {"Fn::Sub": "arn:${AWS::Partition}:x:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}-${Table}-${Mode}"}
    resolved = template.environment(described(sub), {"Table": "made-table"})
    assert resolved == {"X": "arn:aws:x:eu-west-1:123456789012:loyalty-ml-made-table-auto"}
    with pytest.raises(ValueError, match=r"is no !Ref, !Sub of names or role"):
        template.environment(described({"Fn::GetAtt": ["Table", "Arn"]}), {})


def test_functions_that_disagree_on_a_variable_cannot_share_a_process() -> None:
    def function(value: str) -> dict[str, Any]:
        return {"Type": "AWS::Serverless::Function", "Properties": {"Environment": {"Variables": {"X": value}}}}

    described = {"Parameters": {}, "Globals": {"Function": {}}, "Resources": {"A": function("1"), "B": function("2")}}
    with pytest.raises(ValueError, match="X differs"):
        template.environment(described, {})


SOURCE = QueueSource("Queue", "Worker", 2, timeout_seconds=60, reports_failures=True)
MESSAGE = {
    "MessageId": "1",
    "ReceiptHandle": "receipt",
    "Body": '{"task": "x"}',
    "MD5OfBody": "0",
    "Attributes": {"ApproximateReceiveCount": "2"},
}


class FakeSqs:
    """A queue of the messages given: what is asked of it, and what is deleted."""

    meta = SimpleNamespace(region_name="eu-west-1")

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.asked: dict[str, Any] = {}
        self.deleted: list[str] = []

    def receive_message(self, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        given = self.messages[: asked["MaxNumberOfMessages"]]
        return {"Messages": given} if given else {}

    def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> None:  # noqa: N803 (boto3's names)
        self.deleted.append(ReceiptHandle)


def deliver(sqs: Any, handler: Any, source: QueueSource = SOURCE) -> bool:
    return events.deliver(sqs, "https://queue", source, handler)


def test_a_message_reaches_its_function_as_lambda_sends_it_and_is_then_deleted() -> None:
    sqs, received = FakeSqs(MESSAGE), []
    assert deliver(sqs, lambda event, context: received.append((event, context)))
    ((event, context),) = received
    (record,) = event["Records"]
    assert (record["messageId"], record["receiptHandle"], record["body"]) == ("1", "receipt", '{"task": "x"}')
    assert record["attributes"]["ApproximateReceiveCount"] == "2"
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "eu-west-1")
    assert context.function_name == "Worker"
    assert 0 < context.get_remaining_time_in_millis() <= 60_000
    assert (sqs.asked["MaxNumberOfMessages"], sqs.deleted) == (SOURCE.batch_size, ["receipt"])


def test_a_message_whose_function_raises_stays_in_the_queue(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(event: Any, context: Any) -> None:
        raise RuntimeError("the worker's bug")

    sqs = FakeSqs(MESSAGE)
    assert deliver(sqs, broken)
    assert sqs.deleted == []
    assert "the worker's bug" in capsys.readouterr().out


@pytest.mark.parametrize(("reports_failures", "deleted"), [(True, ["receipt"]), (False, ["receipt", "receipt-2"])])
def test_of_a_batch_those_stay_that_the_function_says_have_failed_where_the_template_lets_it_say_so(
    reports_failures: bool,  # noqa: FBT001
    deleted: list[str],
) -> None:
    sqs = FakeSqs(MESSAGE, {**MESSAGE, "MessageId": "2", "ReceiptHandle": "receipt-2"})
    source = dataclasses.replace(SOURCE, reports_failures=reports_failures)
    assert deliver(sqs, lambda event, context: {"batchItemFailures": [{"itemIdentifier": "2"}]}, source)
    assert sqs.deleted == deleted


def test_an_empty_queue_calls_nothing() -> None:
    assert not deliver(FakeSqs(), lambda event, context: pytest.fail("called"))


def test_queues_and_their_functions_are_read_from_the_template() -> None:
    def fed_by(**mapping: Any) -> dict[str, Any]:
        event = {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["Queue", "Arn"]}, **mapping}}
        return {"Type": "AWS::Serverless::Function", "Properties": {"Events": {"Any": event}}}

    reporting = fed_by(BatchSize=2, FunctionResponseTypes=["ReportBatchItemFailures"])
    reporting["Properties"]["Timeout"] = 60
    described = {
        "Globals": {"Function": {"Timeout": 25}},
        "Resources": {
            "Worker": reporting,
            "Plain": fed_by(BatchSize=1),
            "Other": {"Type": "AWS::Serverless::Function", "Properties": {}},
        },
    }
    assert list(template.queue_sources(described)) == [SOURCE, QueueSource("Queue", "Plain", 1, 25, False)]


def test_a_rule_without_a_pattern_is_not_made_as_moto_would_send_it_every_event() -> None:
    described = {
        "Parameters": {},
        "Resources": {
            "New": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": ["aws.s3"]}}},
            "Daily": {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "rate(1 day)"}},
            "Queue": {"Type": "AWS::SQS::Queue"},
        },
    }
    assert template.stores(described)["Resources"].keys() == {"New", "Queue"}


def test_a_store_waits_for_nothing_that_is_not_made_here() -> None:
    bucket = {"Type": "AWS::S3::Bucket", "DependsOn": "QueuePolicy"}
    described = {"Parameters": {}, "Resources": {"Bucket": bucket, "QueuePolicy": {"Type": "AWS::SQS::QueuePolicy"}}}
    assert template.stores(described)["Resources"] == {"Bucket": {"Type": "AWS::S3::Bucket"}}


def test_mock_data_is_for_this_machine_and_a_deployment_has_none() -> None:
    loaded = template.load()
    assert loaded["Parameters"]["MockMode"]["Default"] == "false"
    ids = dict.fromkeys(loaded["Resources"], "made")
    assert template.environment(loaded, ids)["ML_MOCK_MODE"] == "auto"
    assert template.environment(loaded, ids, "false")["ML_MOCK_MODE"] == "false"
