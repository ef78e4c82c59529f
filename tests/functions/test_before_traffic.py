"""The hook that CodeDeploy asks before a new version is called, over the real functions, models and clients."""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from functions.admin import app as admin
from functions.batch import app as batch
from functions.before_traffic import app as before_traffic
from functions.files import app as files
from functions.predict import app as predict
from functions.segment import app as segment
from functions.segment_worker import app as segment_worker
from local.gateway import LambdaContext
from tests.service import CONTEXT, Service

pytestmark = pytest.mark.moto

EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"}
MODULES = {
    "predict": predict,
    "batch": batch,
    "segment": segment,
    "admin": admin,
    "refresh": segment_worker,
    "files": files,
}


class Functions:
    """Lambda's Invoke, of the functions of this process; `broken` are those whose code cannot run."""

    def __init__(self, broken: frozenset[str] = frozenset()) -> None:
        self.asked: list[tuple[str, str]] = []
        self._broken = broken

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> Mapping[str, Any]:  # noqa: N803
        self.asked.append((FunctionName, Qualifier))
        if FunctionName in self._broken:
            error = {"errorType": "Runtime.ImportModuleError", "errorMessage": "No module named 'loyalty_ml.new'"}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(error).encode())}
        answer = MODULES[FunctionName].handler(json.loads(Payload), LambdaContext(FunctionName))
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def app_spec(function: str) -> str:
    properties = {"Name": function, "Alias": "live", "CurrentVersion": "6", "TargetVersion": "7"}
    resource = {function: {"Type": "AWS::Lambda::Function", "Properties": properties}}
    return json.dumps({"version": 0.0, "Resources": [resource]})


def verdict(functions: Functions, revision: Mapping[str, Any], sleeps: list[float] | None = None) -> str:
    """What CodeDeploy is told of a deployment; its real client checks what it is called with."""
    client = boto3.client("codedeploy")
    told: list[str] = []
    paused: list[float] = [] if sleeps is None else sleeps
    with Stubber(client) as stubber:
        stubber.add_response("get_deployment", {"deploymentInfo": {"revision": revision}}, {"deploymentId": "d-1"})

        def tell(params: Mapping[str, Any], **_: Any) -> None:
            told.append(params["status"])
            assert (params["deploymentId"], params["lifecycleEventHookExecutionId"]) == ("d-1", "hook-1")
            stubber.add_response("put_lifecycle_event_hook_execution_status", {})

        client.meta.events.register("provide-client-params.codedeploy.PutLifecycleEventHookExecutionStatus", tell)
        before_traffic.make_handler(lambda: client, lambda: functions, paused.append)(EVENT, None)
        stubber.assert_no_pending_responses()
    (status,) = told
    return status


def of(function: str) -> dict[str, Any]:
    return {"revisionType": "String", "string": {"content": app_spec(function)}}


@pytest.fixture
def fresh_parts(service: Service) -> None:
    """The handlers of this process, over the stores of this test."""
    for module in MODULES.values():
        module._parts.cache_clear()


@pytest.mark.usefixtures("fresh_parts")
@pytest.mark.parametrize("function", MODULES)
def test_a_version_that_gives_the_golden_answers_of_the_live_models_gets_traffic(function: str) -> None:
    functions = Functions()
    assert verdict(functions, of(function)) == "Succeeded"
    assert functions.asked == [(function, "7")]


@pytest.mark.usefixtures("fresh_parts")
def test_the_golden_answers_are_of_the_set_that_is_live_now() -> None:
    answer: Any = predict.handler({"task": "golden_answers"}, CONTEXT)
    assert answer["problems"] == []
    assert answer["models"].keys() == {"churn", "nbo"}
    for facts in answer["models"].values():
        assert facts["inputs"] > 0
        assert 0 <= facts["difference"] <= facts["tolerance"]


@pytest.mark.parametrize("function", ["predict", "files"])
def test_a_version_that_cannot_serve_what_is_live_gets_none(
    service: Service, fresh_parts: None, function: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads(service.s3.get_object(Bucket=service.model_bucket, Key="models/manifest.json")["Body"].read())
    key = f"models/churn/{manifest['models']['churn']['version']}/churn.tflite"
    service.s3.put_object(Bucket=service.model_bucket, Key=key, Body=b"not the model that the card is of")
    sleeps: list[float] = []
    assert verdict(Functions(), of(function), sleeps) == "Failed"
    assert not sleeps, "what cannot pass is asked once"
    logged = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert logged["version"] == f"{function}, version 7"
    assert "churn" in str(logged["problems"])


@pytest.mark.usefixtures("fresh_parts")
def test_a_version_whose_code_does_not_start_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    functions, sleeps = Functions(frozenset({"batch"})), list[float]()
    assert verdict(functions, of("batch"), sleeps) == "Failed"
    assert len(functions.asked) == before_traffic.TRIES == len(sleeps) + 1
    assert "No module named 'loyalty_ml.new'" in capsys.readouterr().out


def test_a_version_is_let_on_where_nothing_was_published_yet(empty_service: Service) -> None:
    for module in MODULES.values():
        module._parts.cache_clear()
    assert verdict(Functions(), of("predict")) == "Succeeded"


@pytest.mark.usefixtures("fresh_parts")
@pytest.mark.parametrize(
    ("revision", "status"),
    [
        ({"revisionType": "AppSpecContent", "appSpecContent": {"content": app_spec("predict")}}, "Succeeded"),
        ({"revisionType": "String", "string": {"content": "Resources: []"}}, "Failed"),
        ({"revisionType": "String", "string": {"content": '{"Resources": []}'}}, "Failed"),
        ({"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k"}}, "Failed"),
    ],
)
def test_codedeploy_is_always_answered_or_it_would_wait_an_hour(revision: dict[str, Any], status: str) -> None:
    assert verdict(Functions(), revision) == status


def test_no_request_and_no_message_is_such_a_question() -> None:
    """The task stands beside what API Gateway, SQS and S3 put into an event, which callers cannot."""
    asked: list[Any] = []

    def handler(event: Any, context: Any) -> None:
        asked.append(event)

    from loyalty_ml.wiring import start

    answering: Callable[[Any, Any], None] = start.answering_golden(pytest.fail, handler)
    request = {"body": '{"task": "golden_answers"}', "queryStringParameters": {"task": "golden_answers"}}
    answering(request, None)
    answering({"Records": [{"body": '{"task": "golden_answers"}'}]}, None)
    assert len(asked) == 2
