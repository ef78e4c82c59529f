"""CodeDeploy's question before a new version of a function gets requests or messages: does it answer as it should?

The version is asked to load the live models and to give the golden answers of their cards. Where it cannot, the release
ends here, and the version before goes on. This function imports nothing of the layers: it runs while they change.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import boto3
from botocore.config import Config

TRIES = 3
RETRY_SECONDS = 10.0
INVOKE_SECONDS = 70
"""A start with models, and more; three tries with pauses are within the function's timeout of 300."""


class CodeDeploy(Protocol):
    """What is used of boto3's client."""

    def get_deployment(self, *, deploymentId: str) -> Mapping[str, Any]: ...  # noqa: N803

    def put_lifecycle_event_hook_execution_status(
        self,
        *,
        deploymentId: str,  # noqa: N803
        lifecycleEventHookExecutionId: str,  # noqa: N803
        status: str,
    ) -> Any: ...


class Functions(Protocol):
    """What is used of boto3's client of Lambda."""

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> Mapping[str, Any]: ...  # noqa: N803


Handler = Callable[[Mapping[str, Any], Any], None]


def make_handler(
    codedeploy: Callable[[], CodeDeploy],
    functions: Callable[[], Functions],
    sleep: Callable[[float], object] = time.sleep,
) -> Handler:
    """The handler, over clients that are made at the first question."""

    def handle(event: Mapping[str, Any], context: Any) -> None:
        deployment_id = event["DeploymentId"]
        deploy = codedeploy()
        try:
            name, version = _new_version(deploy.get_deployment(deploymentId=deployment_id))
            problems = _problems(functions(), name, version, sleep)
            what = f"{name}, version {version}"
        except Exception as error:
            # CodeDeploy waits an hour for a hook that says nothing.
            problems, what = [f"{type(error).__name__}: {error}"], deployment_id
        _log("ERROR" if problems else "INFO", what, problems)
        deploy.put_lifecycle_event_hook_execution_status(
            deploymentId=deployment_id,
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
            status="Failed" if problems else "Succeeded",
        )

    return handle


def _new_version(deployment: Mapping[str, Any]) -> tuple[str, str]:
    """The name of the function that is deployed, and its new version: of the deployment's AppSpec, in either place."""
    revision = deployment["deploymentInfo"]["revision"]
    text = (revision.get("appSpecContent") or revision["string"])["content"]
    ((described,),) = [resource.values() for resource in json.loads(text)["Resources"]]
    properties = described["Properties"]
    return properties["Name"], str(properties["TargetVersion"])


def _problems(functions: Functions, name: str, version: str, sleep: Callable[[float], object]) -> list[str]:
    """Why the version must not be called; nothing if it may. What can pass, such as a slow S3, is asked again."""
    problems: list[dict[str, Any]] = []
    for tried in range(TRIES):
        if tried:
            sleep(RETRY_SECONDS)
        problems = _ask(functions, name, version)
        if not any(problem["retry"] for problem in problems):
            break
    return [problem["sentence"] for problem in problems]


def _ask(functions: Functions, name: str, version: str) -> list[dict[str, Any]]:
    answer = functions.invoke(
        FunctionName=name, Qualifier=version, Payload=json.dumps({"task": "golden_answers"}).encode()
    )
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        sentence = f"The version cannot run: {payload.get('errorType')}: {payload.get('errorMessage')}"
        return [{"sentence": sentence, "retry": True}]
    problems: list[dict[str, Any]] = payload["problems"]
    return problems


def _log(level: str, what: str, problems: list[str]) -> None:
    message = "The new version is refused" if problems else "The new version answers as it should"
    line = {"level": level, "message": message, "version": what, "problems": problems}
    print(json.dumps(line), file=sys.stdout, flush=True)  # noqa: T201 (the function's log)


def _codedeploy() -> CodeDeploy:
    client: CodeDeploy = boto3.client("codedeploy")
    return client


def _functions() -> Functions:
    # Not tried again by the client: that would be a second invocation while the first goes on.
    config = Config(connect_timeout=5, read_timeout=INVOKE_SECONDS, retries={"total_max_attempts": 1})
    client: Functions = boto3.client("lambda", config=config)
    return client


handler = make_handler(_codedeploy, _functions)
