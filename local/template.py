"""Reads template.yaml: the one list of routes, functions, tables, buckets, queues, for the local stack as for AWS."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from loyalty_ml.vocabulary import MockMode

PATH = Path(__file__).parent.parent / "template.yaml"

STORE_TYPES = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Events::Rule")
"""The resources that the local stack makes in moto; functions and routes it runs itself."""

ROLE = "AWS::IAM::Role"

DEFAULT_ROUTE = "$default"
"""The path of the route that takes what no other does."""

STACK = "loyalty-ml"

PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",  # moto's
    "AWS::StackName": STACK,
}
"""What a stack knows by itself, as it is on this machine."""


NO_TOKENS: Mapping[str, str] = {"JWT_ISSUER": "", "JWT_AUDIENCE": "", "PAGE_CLIENT_ID": "", "PAGE_TOKEN_ORIGIN": ""}
"""The functions' variables with which nobody is asked for a token."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Ref x is {Ref: x}, !Sub x is {Fn::Sub: x}."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the HTTP API, such as POST /segments/{id}, and the logical id of the function that answers it.

    scopes: a token with one of them is asked for, with () any token; None if no token is asked for.
    is_signed: whether a signature of AWS is asked for, in place of a token.
    """

    method: str
    path: str
    function: str
    scopes: tuple[str, ...] | None = None
    is_signed: bool = False

    @property
    def key(self) -> str:
        return DEFAULT_ROUTE if self.path == DEFAULT_ROUTE else f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Cors:
    """What the gateway tells browsers: which pages may call it, how, and what they may read of the answers."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    max_age: int


@dataclass(frozen=True, slots=True)
class QueueSource:
    """The logical ids of a queue and of the function that its messages go to, at most `batch_size` at once.

    timeout_seconds: the function's; reports_failures: whether it answers which messages of a batch have failed.
    """

    queue: str
    function: str
    batch_size: int
    timeout_seconds: int
    reports_failures: bool


def load(path: Path = PATH) -> dict[str, Any]:
    template: dict[str, Any] = yaml.load(path.read_text(), _Loader)
    return template


def stores(template: Mapping[str, Any]) -> dict[str, Any]:
    """A template of the stores alone, for CloudFormation. Parameters without a default get a stand-in."""
    resources = {
        # What a store depends on by name is a policy, and moto asks for none.
        name: {part: value for part, value in resource.items() if part != "DependsOn"}
        for name, resource in template["Resources"].items()
        # moto runs no schedule, and sends a rule that has no pattern every event there is. Of what is there only on a
        # condition, such as a topic to send to, nothing is needed here.
        if resource["Type"] in STORE_TYPES
        and "Condition" not in resource
        and "ScheduleExpression" not in resource.get("Properties", {})
    }
    parameters = {name: {"Default": "local", **parameter} for name, parameter in template["Parameters"].items()}
    for parameter in parameters.values():
        parameter.pop("AllowedPattern", None)
    return {"Parameters": parameters, "Conditions": template.get("Conditions", {}), "Resources": resources}


def routes(template: Mapping[str, Any]) -> Iterator[Route]:
    for name, function in functions(template).items():
        for event in function["Properties"].get("Events", {}).values():
            if event["Type"] == "HttpApi":
                properties = event["Properties"]
                auth = properties.get("Auth", {})
                yield Route(
                    properties.get("Method", "ANY").upper(),
                    properties.get("Path", DEFAULT_ROUTE),
                    name,
                    # As the API has it, each route asks for a token unless it says that it does not.
                    None
                    if auth.get("Authorizer") in ("NONE", "AWS_IAM")
                    else tuple(auth.get("AuthorizationScopes", ())),
                    auth.get("Authorizer") == "AWS_IAM",
                )


def cors(template: Mapping[str, Any], origins: str) -> Cors | None:
    """What the gateway is configured to if these origins may call, with commas between them; None for no origin."""
    if not origins:
        return None
    _, configured, _ = template["Resources"]["Api"]["Properties"]["CorsConfiguration"]["Fn::If"]
    return Cors(
        origins=tuple(origin.strip() for origin in origins.split(",")),
        methods=tuple(configured["AllowMethods"]),
        headers=tuple(configured["AllowHeaders"]),
        exposed=tuple(configured["ExposeHeaders"]),
        max_age=configured["MaxAge"],
    )


def queue_sources(template: Mapping[str, Any]) -> Iterator[QueueSource]:
    for name, function in functions(template).items():
        for event in function["Properties"].get("Events", {}).values():
            if event["Type"] == "SQS":
                properties = event["Properties"]
                queue, _ = properties["Queue"]["Fn::GetAtt"]
                reports_failures = "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", [])
                yield QueueSource(queue, name, properties["BatchSize"], timeout_of(template, name), reports_failures)


def functions(template: Mapping[str, Any]) -> dict[str, Any]:
    """The Lambda functions by logical id."""
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def shared_properties(template: Mapping[str, Any], function: Mapping[str, Any]) -> dict[str, Any]:
    """What the function has of Globals: all but what its IgnoreGlobals names."""
    shared: dict[str, Any] = template["Globals"]["Function"]
    ignored = function.get("IgnoreGlobals", ())
    return {} if ignored == "*" else {name: value for name, value in shared.items() if name not in ignored}


def timeout_of(template: Mapping[str, Any], function: str) -> int:
    """Seconds that an invocation of the function of this logical id may take."""
    own = template["Resources"][function]["Properties"]
    return int(resolve((template["Globals"]["Function"] | own)["Timeout"], template, {}))


def handler_of(function: Mapping[str, Any]) -> tuple[str, str]:
    """The module, importable from the repository's root, and the name in it: ("functions.predict.app", "handler")."""
    folder = function["Properties"]["CodeUri"].strip("/").replace("/", ".")
    module, name = function["Properties"]["Handler"].rsplit(".", 1)
    return f"{folder}.{module}", name


def environment(
    template: Mapping[str, Any],
    physical_ids: Mapping[str, str],
    mock_mode: MockMode = "auto",
    tokens: Mapping[str, str] = NO_TOKENS,
) -> dict[str, str]:
    """The variables of all functions, which share one process here, with each !Ref and !Sub resolved.

    mock_mode: in place of the parameter's default, as here the service is tried before a model is trained; tokens: the
    variables that say whose tokens are accepted, in place of the template's, whose issuer is a parameter or a resource.
    Raises ValueError where two functions want different values of one variable.
    """
    template = _with_default(template, "MockMode", mock_mode)
    resolved: dict[str, str] = {}
    for name, function in functions(template).items():
        shared = shared_properties(template, function).get("Environment", {}).get("Variables", {})
        variables = shared | function["Properties"].get("Environment", {}).get("Variables", {})
        for variable, value in variables.items():
            text = value_of(variable, value, template, physical_ids, tokens)
            if resolved.setdefault(variable, text) != text:
                raise ValueError(f"{variable} differs between functions, {name} for one: they share a process here.")
    return resolved


def value_of(
    variable: str,
    value: Any,
    template: Mapping[str, Any],
    physical_ids: Mapping[str, str],
    tokens: Mapping[str, str] = NO_TOKENS,
) -> str:
    """What a function's variable is set to: as `tokens` has it, else what the template says, resolved."""
    return tokens[variable] if variable in tokens else resolve(value, template, physical_ids)


def _with_default(template: Mapping[str, Any], name: str, value: str) -> Mapping[str, Any]:
    parameters = template.get("Parameters", {})
    if name not in parameters:
        return template
    return {**template, "Parameters": {**parameters, name: {**parameters[name], "Default": value}}}


def path_pattern(path: str) -> re.Pattern[str]:
    """What a route's path matches: {name} is one segment, {name+} all that follows, and nothing too."""
    pattern = re.sub(r"\\{(\w+)\\\+\\}", r"(?P<\1>.*)", re.escape(path))
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern))


def resolve(value: Any, template: Mapping[str, Any], physical_ids: Mapping[str, str]) -> str:
    """A text, a !Ref, a !Sub of names or a role's ARN, as the stack of these physical ids has it.

    Raises ValueError for others.
    """

    def referred(name: str) -> str:
        if name in physical_ids:
            return physical_ids[name]
        return str(PSEUDO_PARAMETERS[name] if name in PSEUDO_PARAMETERS else template["Parameters"][name]["Default"])

    match value:
        case {"Ref": str(name)}:
            return referred(name)
        case {"Fn::GetAtt": [str(name), "Arn"]} if template.get("Resources", {}).get(name, {}).get("Type") == ROLE:
            # No role is made here: whoever takes one on may do everything.
            return f"arn:{referred('AWS::Partition')}:iam::{referred('AWS::AccountId')}:role/{STACK}-{name}"
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([\w:]+)\}", lambda found: referred(found[1]), text)
        case dict():
            raise ValueError(f"{value} is no !Ref, !Sub of names or role's ARN: they are all that is resolved here.")
    return str(value)
