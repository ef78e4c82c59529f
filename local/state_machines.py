"""Step Functions on this machine: moto runs the state machine of template.yaml, and its tasks are our functions.

moto asks Lambda on its own port. Of those requests a front in it hands on what invokes a function to a server of ours.
"""

import json
import os
import sys
import threading
import time
import traceback
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
import waitress
import yaml
from botocore.exceptions import BotoCoreError, ClientError
from moto.server import ThreadedMotoServer
from werkzeug.middleware.http_proxy import ProxyMiddleware
from werkzeug.wrappers import Request, Response

from local import events, template
from local.gateway import Handler, LambdaContext

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from mypy_boto3_stepfunctions import SFNClient

MACHINE, FUNCTION = "ScoreDataset", "FilesFunction"
"""The logical ids, in template.yaml, of the machine and of what its tasks invoke."""

LEFT_OUT = {
    "ToleratedFailurePercentage": "moto reads no whole number there, and heeds none",
    "ResultWriter": "moto writes a manifest that names no results; without it, they are the map's own result",
}
"""The fields of a state that the machine has on AWS and not here, and why."""

INVOCATIONS = "/2015-03-31/functions/"
INVOKE_SECONDS = 900
LOOK_SECONDS = 2.0
"""Between two looks for executions that stopped."""


def definition(described: Mapping[str, Any], physical_ids: Mapping[str, str]) -> dict[str, Any]:
    """The state machine as AWS gets it, of these stores: a function's physical id, and its alias, is its logical id."""
    properties = described["Resources"][MACHINE]["Properties"]
    text = (template.PATH.parent / properties["DefinitionUri"]).read_text()
    names = template.functions(described)
    functions = {name: name for name in names} | {f"{name}.Alias": name for name in names}
    for name, value in properties["DefinitionSubstitutions"].items():
        text = text.replace(f"${{{name}}}", template.resolve(value, described, {**functions, **physical_ids}))
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


def without(fields: Iterable[str], definition: Any) -> Any:
    """The same definition, none of whose states has one of these fields."""
    if isinstance(definition, list):
        return [without(fields, part) for part in definition]
    if isinstance(definition, dict):
        return {name: without(fields, part) for name, part in definition.items() if name not in fields}
    return definition


def create(described: Mapping[str, Any], physical_ids: Mapping[str, str]) -> str:
    """Makes the state machine in the moto that boto3 is led to, and gives its ARN."""
    stepfunctions = boto3.client("stepfunctions")
    made = stepfunctions.create_state_machine(
        name=template.resolve(described["Resources"][MACHINE]["Properties"]["Name"], described, physical_ids),
        definition=json.dumps(without(LEFT_OUT, definition(described, physical_ids))),
        roleArn=f"arn:aws:iam::{template.PSEUDO_PARAMETERS['AWS::AccountId']}:role/local",
    )
    return made["stateMachineArn"]


def connect(moto: ThreadedMotoServer, invocations_port: int) -> None:
    """Has moto run state machines, and hand the invocations of functions on to that port of this machine."""
    host, port = moto.get_host_and_port()
    os.environ["MOTO_PORT"] = str(port)  # which is how it finds itself
    configured = urllib.request.Request(
        f"http://{host}:{port}/moto-api/config",
        json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(configured):
        pass
    target = {"target": f"http://127.0.0.1:{invocations_port}/"}
    assert moto._server
    proxied = ProxyMiddleware(moto._server.app, {INVOCATIONS: target}, timeout=INVOKE_SECONDS)
    moto._server.app = as_lambda_answers(proxied)


def as_lambda_answers(application: "WSGIApplication") -> "WSGIApplication":
    """The same, but each invocation's answer has a request id, and a killed instance is Lambda's own failure.

    Without them moto cannot say why a task has failed, and the execution runs for ever.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(INVOCATIONS):
            return application(environ, start_response)
        response = Response.from_app(application, environ)
        if response.status_code == HTTPStatus.BAD_GATEWAY:  # nobody answers on the port: another takes its place
            response = Response(
                json.dumps({"Message": "The instance has ended."}),
                500,
                {"x-amzn-ErrorType": "ServiceException"},
                content_type="application/json",
            )
        response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
        return response(environ, start_response)

    return answer


def tell_of_stopped(
    stepfunctions: "SFNClient", machine_arn: str, invoke: Callable[[Any], object], told: set[str]
) -> None:
    """The part of EventBridge: invokes the function with the event of each execution that did not come to its end.

    told: the executions that it was told of; those of this call are added.
    """
    for status in ("FAILED", "TIMED_OUT", "ABORTED"):
        for execution in stepfunctions.list_executions(stateMachineArn=machine_arn, statusFilter=status)["executions"]:
            arn = execution["executionArn"]
            if arn in told:
                continue
            detail: dict[str, Any] = {
                name: value
                for name, value in stepfunctions.describe_execution(executionArn=arn).items()
                if name in ("executionArn", "name", "status", "error", "cause")
            }
            invoke({"detail-type": "Step Functions Execution Status Change", "source": "aws.states", "detail": detail})
            told.add(arn)


def _tell_for_ever(machine_arn: str) -> None:
    stepfunctions, functions = boto3.client("stepfunctions"), boto3.client("lambda")
    told: set[str] = set()

    def invoke(event: Any) -> None:
        functions.invoke(FunctionName=FUNCTION, Payload=json.dumps(event))

    while True:
        time.sleep(LOOK_SECONDS)
        try:
            tell_of_stopped(stepfunctions, machine_arn, invoke, told)
        except (ClientError, BotoCoreError):
            traceback.print_exc(file=sys.stdout)


def start(port: int, aws: Mapping[str, str], folder: Path, log: Path, machine_arn: str) -> None:
    """Has an instance of the function that the machine's tasks invoke answer on the port, in a process of its own.

    It is told of executions that stopped, too. What it prints goes to `log`, and what it keeps into `folder`, as with
    local/events.py.
    """
    threading.Thread(target=_tell_for_ever, args=(machine_arn,), daemon=True).start()
    told = {"aws": dict(aws), "function": FUNCTION, "port": port}
    arguments = (told, folder / f"{FUNCTION}-of-{MACHINE}", log)
    threading.Thread(target=events.keep_one_working, args=arguments, daemon=True).start()


def answer_invocations(port: int, function: str, handler: Handler, timeout_seconds: float) -> NoReturn:
    """Answers one invocation at a time, as an instance does, for as long as the process runs."""
    waitress.serve(Invocations(function, handler, timeout_seconds), host="127.0.0.1", port=port, threads=1, _quiet=True)
    raise SystemExit


class Invocations:
    """A WSGI application that answers Lambda's Invoke of one function, by its logical id, as Lambda does."""

    def __init__(self, function: str, handler: Handler, timeout_seconds: float) -> None:
        self._function = function
        self._handler = handler
        self._timeout_seconds = timeout_seconds

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path != f"{INVOCATIONS}{self._function}/invocations":
            return Response('{"Message": "Function not found"}', 404, content_type="application/json")
        try:
            answer = self._handler(json.loads(request.get_data()), LambdaContext(self._function, self._timeout_seconds))
        except Exception as error:
            traceback.print_exc(file=sys.stdout)  # to the functions' log, where Lambda writes it too
            described = {"errorMessage": str(error), "errorType": type(error).__name__}
            return Response(
                json.dumps(described), headers={"X-Amz-Function-Error": "Unhandled"}, content_type="application/json"
            )
        return Response(json.dumps(answer), content_type="application/json")
