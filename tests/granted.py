"""What the template's roles grant, and the AWS calls that functions make: recorded by botocore's events, held together.

Every test of the functions over moto records (tests/service.py), and fails if a function makes a call that its role
does not grant. tests/test_granted.py drives each function through all its ways: nothing is granted besides.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from local.template import PSEUDO_PARAMETERS, resolve

FUNCTIONS = {
    "predict": "PredictFunction",
    "batch": "BatchFunction",
    "segment": "SegmentFunction",
    "admin": "AdminFunction",
    "segment_worker": "RefreshFunction",
    "files": "FilesFunction",
}
"""By folder, the logical id."""
SIGNING = "SigningRole"
"""Whose credentials sign the addresses that are given away (jobs/presigned.py): what they allow, it is asked for."""

_S3_ACTIONS = {
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "HeadObject": "GetObject",
    "DeleteObjects": "DeleteObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
}
"""The operations that IAM calls otherwise."""
INDIFFERENT = {
    ("BatchFunction", "results/"): "a job's answer that is not there is the same 503 as one that is forbidden"
}
"""Function and prefix of objects for which the code does the same whether S3 says 404 or 403, with the reason."""
_SERVICES = {"sfn": "states", "eventbridge": "events"}


class Call(NamedTuple):
    """What a function asks of AWS: an action of IAM, the ARN of its resource, and the prefix of a listing."""

    action: str
    resource: str
    prefix: str | None = None


class Grant(NamedTuple):
    """What one statement allows, for one action, resource and prefix; `*` stands for anything.

    is_optional: whether a request without a prefix is allowed too.
    """

    action: str
    resource: str
    prefix: str | None = None
    is_optional: bool = False

    def allows(self, call: Call) -> bool:
        if self.action != call.action or not _pattern(self.resource).fullmatch(call.resource):
            return False
        if self.prefix is None:
            return True
        return self.is_optional if call.prefix is None else bool(_pattern(self.prefix).fullmatch(call.prefix))


class Recorder:
    """The calls of each function of one deployment, by the function's logical id."""

    def __init__(self) -> None:
        self.grants: Mapping[str, Sequence[Grant]] = {}
        self._names: set[str] = set()
        self.calls: dict[str, set[Call]] = {}
        self._running: list[tuple[str, int, set[int | None]]] = []

    def deployed(self, template: Mapping[str, Any], ids: Mapping[str, str]) -> None:
        """From now on it is a deployment with these physical ids, of which nothing is recorded yet."""
        self.grants = grants_of(template, ids)
        self._names = {name.rpartition("/")[2] for name in ids.values()}
        self.calls.clear()

    def within(self, function: str, handler: Callable[..., Any]) -> Callable[..., Any]:
        """The handler, whose calls are the function's, those of the threads too that it starts."""

        def call(event: Any, context: Any) -> Any:
            there = {thread.ident for thread in threading.enumerate()}
            running = (FUNCTIONS[function], threading.get_ident(), there)
            self._running.append(running)
            try:
                answer = handler(event, context)
            finally:
                self._running.remove(running)
            self._signed_for_upload(answer)
            return answer

        return call

    def leave_out(self, *clients: Any) -> None:
        """Clients of the test itself, which may use them while a function is at work."""
        for client in clients:
            client.meta.events.unregister("before-parameter-build", self.before_parameter_build)
            client.meta.events.unregister("after-call", self.after_call)

    def add(self, function: str, call: Call) -> None:
        self.calls.setdefault(function, set()).add(call)

    def refused(self) -> list[str]:
        """Calls that the role of their function does not allow, of the stores that the deployment has."""
        return sorted(
            f"{function}: {call}"
            for function, calls in self.calls.items()
            for call in calls
            if self._is_deployed(call.resource) and not any(grant.allows(call) for grant in self.grants[function])
        )

    def unused(self, function: str) -> set[Grant]:
        """What the function may do, and has not done."""
        calls = self.calls.get(function, set())
        return {grant for grant in self.grants[function] if not any(grant.allows(call) for call in calls)}

    def table(self) -> str:
        """By function and action, how many resources are granted and how many were called, as Markdown."""
        lines = ["| function | action | granted | called |", "| --- | --- | --- | --- |"]
        for function, grants in self.grants.items():
            for action in sorted({grant.action for grant in grants}):
                of_action = [grant for grant in grants if grant.action == action]
                called = sum(any(each.allows(call) for call in self.calls.get(function, ())) for each in of_action)
                lines.append(f"| {function} | {action} | {len(of_action)} | {called} |")
        return "\n".join(lines)

    def before_parameter_build(self, params: Mapping[str, Any], model: Any, context: Any, **_: Any) -> None:
        """An event of botocore: of a call, and of an address that is signed for somebody else to make one."""
        if (function := self._caller()) is None:
            return
        if context.get("is_presign_request"):
            function = SIGNING
        service = model.service_model.service_id.hyphenize()
        for call in _calls_of(service, model.name, params):
            self.add(function, call)
        if service == "s3" and function != SIGNING and model.name in ("GetObject", "HeadObject"):
            if any(function == name and params["Key"].startswith(prefix) for name, prefix in INDIFFERENT):
                return
            context["granted"] = (function, params["Bucket"])

    def after_call(self, parsed: Mapping[str, Any], context: Mapping[str, Any], **_: Any) -> None:
        """S3 says that there is no such object only to whoever may list the bucket; for others it is 403."""
        if "granted" in context and parsed.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            function, bucket = context["granted"]
            self.add(function, Call("s3:ListBucket", f"arn:aws:s3:::{bucket}"))

    def _signed_for_upload(self, answer: Any) -> None:
        """A signed form (jobs/presigned.py) lets its holder do what its signer may, and is no event of botocore."""
        text = answer.get("body") if isinstance(answer, dict) else None
        if not text or '"upload"' not in text:
            return
        match json.loads(text):
            case {"upload": {"fields": {"key": str(key)}, "url": str(url)}}:
                bucket = url.removeprefix("https://").partition(".")[0]
                self.add(SIGNING, Call("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}"))

    def _is_deployed(self, resource: str) -> bool:
        """Not a bucket or a queue that a test has made, or only named."""
        if resource == "*":  # of a service whose calls name none
            return True
        _, _, service, _, _, name = resource.split(":", 5)
        if service not in ("s3", "sqs"):
            return True
        return name.partition("/")[0] in self._names

    def _caller(self) -> str | None:
        here = threading.get_ident()
        for function, of_handler, before in reversed(self._running):
            if here == of_handler or here not in before:
                return function
        return None


def grants_of(template: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, list[Grant]]:
    """By function, and for SIGNING, what the role and its shared policies allow in a deployment with these ids."""
    resources = template["Resources"]
    roles = {function: resources[function]["Properties"]["Role"]["Fn::GetAtt"][0] for function in FUNCTIONS.values()}
    grants = {}
    for function, name in {**roles, SIGNING: SIGNING}.items():
        role = resources[name]
        documents = [policy["PolicyDocument"] for policy in role["Properties"]["Policies"]]
        managed = role["Properties"].get("ManagedPolicyArns", [])
        documents += [resources[each["Ref"]]["Properties"]["PolicyDocument"] for each in managed]
        statements = [statement for document in documents for statement in document["Statement"]]
        grants[function] = [grant for each in statements for grant in _grants(each, template, ids)]
    return grants


def _grants(statement: Mapping[str, Any], template: Mapping[str, Any], ids: Mapping[str, str]) -> Iterator[Grant]:
    assert statement["Effect"] == "Allow"
    prefixes: list[Any] = [None]
    is_optional = False
    if condition := statement.get("Condition"):
        ((operator, keys),) = condition.items()
        ((key, prefixes),) = keys.items()
        assert (operator.removesuffix("IfExists"), key) == ("StringLike", "s3:prefix"), condition
        prefixes, is_optional = _as_list(prefixes), operator.endswith("IfExists")
    for action in _as_list(statement["Action"]):
        for resource in _as_list(statement["Resource"]):
            for prefix in prefixes:
                yield Grant(action, _arn(resource, template, ids), prefix, is_optional)


def _arn(value: Any, template: Mapping[str, Any], ids: Mapping[str, str]) -> str:
    resources = template["Resources"]

    def arn_of(name: str) -> str:
        kind = resources[name]["Type"]
        place = f"{PSEUDO_PARAMETERS['AWS::Region']}:{PSEUDO_PARAMETERS['AWS::AccountId']}"
        if kind == "AWS::S3::Bucket":
            return f"arn:aws:s3:::{ids[name]}"
        if kind == "AWS::DynamoDB::Table":
            return f"arn:aws:dynamodb:{place}:table/{ids[name]}"
        if kind == "AWS::SQS::Queue":
            return f"arn:aws:sqs:{place}:{ids[name].rpartition('/')[2]}"
        if kind == "AWS::Logs::LogGroup":
            return f"arn:aws:logs:{place}:log-group:{name}:*"
        if kind == "AWS::IAM::Role":
            resolved: str = resolve({"Fn::GetAtt": [name, "Arn"]}, template, ids)
            return resolved
        assert kind == "AWS::Serverless::StateMachine", kind
        return f"arn:aws:states:{place}:stateMachine:{_name_of_machine(template, ids)}"

    match value:
        case "*":
            return "*"
        case {"Fn::GetAtt": [str(name), "Arn"]} | {"Ref": str(name)}:
            return arn_of(name)
        case {"Fn::Sub": str(text)}:
            text = re.sub(r"\$\{(\w+)\.Arn\}", lambda found: arn_of(found[1]), text)
            text = text.replace("${ScoreDataset.Name}", _name_of_machine(template, ids))
            return resolve({"Fn::Sub": text}, template, ids)
    raise ValueError(f"{value} is no resource of a statement that is known here.")


def _name_of_machine(template: Mapping[str, Any], ids: Mapping[str, str]) -> str:
    return resolve(template["Resources"]["ScoreDataset"]["Properties"]["Name"], template, ids)


def _calls_of(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Call]:
    place = f"{PSEUDO_PARAMETERS['AWS::Region']}:{PSEUDO_PARAMETERS['AWS::AccountId']}"
    prefix = f"{_SERVICES.get(service, service)}:"
    match service:
        case "s3" if not all(isinstance(params.get(name, ""), str) for name in ("Bucket", "Key", "Prefix")):
            return  # botocore refuses it before it is sent
        case "s3":
            action = _S3_ACTIONS.get(operation, operation)
            if params.get("VersionId"):
                action += "Version"
            bucket = f"arn:aws:s3:::{params['Bucket']}"
            if operation == "CreateBucket":
                return  # so botocore calls the signing of a form, which no function's code does: see Recorder.within
            if action.startswith("ListBucket"):
                # IAM knows no prefix of a listing of unfinished uploads.
                listed = None if action == "ListBucketMultipartUploads" else params.get("Prefix")
                yield Call(prefix + action, bucket, listed)
            else:
                keys = [each["Key"] for each in params["Delete"]["Objects"]] if "Delete" in params else [params["Key"]]
                yield from (Call(prefix + action, f"{bucket}/{key}") for key in keys)
        case "dynamodb":
            tables = params.get("RequestItems") or [params["TableName"]]
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            for table in tables:
                yield Call(prefix + operation, f"arn:aws:dynamodb:{place}:table/{table}{index}")
        case "sqs":
            action = operation.replace("MessageBatch", "Message")
            yield Call(prefix + action, f"arn:aws:sqs:{place}:{params['QueueUrl'].rpartition('/')[2]}")
        case "sfn":
            (arn,) = (params[name] for name in ("stateMachineArn", "executionArn", "mapRunArn") if name in params)
            yield Call(prefix + operation, arn)
        case "eventbridge":
            for entry in params["Entries"]:
                yield Call(
                    prefix + operation, f"arn:aws:events:{place}:event-bus/{entry.get('EventBusName', 'default')}"
                )
        case "sts":
            yield Call(prefix + operation, params["RoleArn"])
        case _:
            yield Call(prefix + operation, "*")


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
