"""What template.yaml deploys: who may call what, and what the functions may do."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from werkzeug.test import Client

from functions.files import app as files
from functions.segment_worker import app as refresh
from local import openapi, template
from local.gateway import Gateway
from local.template import path_pattern
from loyalty_ml.api.access import SIGNED, Scope
from loyalty_ml.api.page import CALLBACK
from loyalty_ml.wiring.settings import (
    AdminSettings,
    BatchSettings,
    FilesSettings,
    PredictSettings,
    SegmentSettings,
    SegmentWorkerSettings,
    Settings,
)
from tests.sam import translate

pytestmark = pytest.mark.built

BASE = "/api/loyalty/v1"
# Written in the functions' routes; API Gateway wants each again in the template. tests/functions/test_access.py holds
# each route to having one.
SCOPES: dict[str, str | None] = {
    f"{method} {BASE}{path}": scope for app in openapi.APPS for (method, path), scope in app.scopes().items()
}
INFERENCE = {key: SCOPES.pop(key) for key in list(SCOPES) if f" {BASE}/v2" in key}
"""The Open Inference Protocol's, which the gateway has as one route for each method, and all that is below it."""
SCOPES |= dict.fromkeys((f"GET {BASE}/v2", f"POST {BASE}/v2"), "loyalty/predict")
SCOPES |= dict.fromkeys((f"GET {BASE}/admin", "GET /admin", f"GET {BASE}/openapi.json"))
SCOPES |= {key.replace("GET ", "HEAD "): scope for key, scope in SCOPES.items() if key.startswith("GET ")}
TWIN = "/{proxy+}"
CLIENTS = ("PageClient", "PoolMachineClient")
STARTED_AHEAD = {"PredictFunction", "BatchFunction"}
"""The functions of predictions: started from a snapshot, or kept started."""
WITH_STORAGE = {"SegmentFunction", "RefreshFunction", "FilesFunction"}
"""Those with more /tmp than a snapshot may have, and with the second layer."""
PUBLISHED = STARTED_AHEAD | WITH_STORAGE | {"AdminFunction"}
"""All that are called by an alias on a published version: all but the hook that is asked before one is."""
HOOK = "BeforeTrafficFunction"
NOT_OF_A_VERSION = {"ReservedConcurrentExecutions"}
"""What a function has once, whatever its versions are."""
HTTP_EVENTS = [
    file
    for file in sorted((Path(__file__).parents[1] / "events").glob("*.json"))
    if "requestContext" in json.loads(file.read_text(encoding="utf-8"))
]


def statements_of(resource: dict[str, Any]) -> list[dict[str, Any]]:
    properties = resource["Properties"]
    policies = [*properties.get("Policies", []), *([properties] if "PolicyDocument" in properties else [])]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def called_by(operation: dict[str, Any]) -> str:
    """The logical id of the function that a route calls, or of its alias."""
    uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
    found = re.search(r"functions/\$\{(\w+)(?:\.Arn)?\}/invocations", uri)
    assert found, uri
    return found[1]


def decided_by(value: Any, translated: dict[str, Any]) -> set[str]:
    """The parameters and the conditions that a part of the template names: it changes where one of them does."""
    if isinstance(value, str):
        return set(re.findall(r"\$\{(\w+)\}", value)) & set(translated["Parameters"])
    if isinstance(value, list):
        return {name for each in value for name in decided_by(each, translated)}
    match value:
        case {"Ref": name}:
            return {name} & set(translated["Parameters"])
        case {"Fn::If": [condition, *rest]}:
            return {condition} | decided_by(rest, translated)
        case dict():
            return decided_by(list(value.values()), translated)
    return set()


def test_sam_validate_and_its_linter_accept_the_template(run_in_sam_venv: Callable[..., str]) -> None:
    assert "is a valid SAM Template" in run_in_sam_venv("sam", "validate", "--lint")


def test_no_function_repeats_what_globals_has_in_a_list() -> None:
    """Checkov (3.3) joins the two lists, also under IgnoreGlobals, and ends with an IndexError at a repetition."""
    described = template.load()
    shared = described["Globals"]["Function"]
    for name, function in template.functions(described).items():
        for key, own in function["Properties"].items():
            if isinstance(own, list):
                assert [each for each in own if each in shared.get(key, ())] == [], (name, key)


def test_each_route_asks_for_a_token_with_its_scope_unless_it_is_health_or_the_page(
    routes: dict[str, dict[str, Any]],
) -> None:
    asked = {key: operation["security"] for key, operation in routes.items() if not key.endswith(TWIN)}
    signed = {key for key, scope in SCOPES.items() if scope == SIGNED}
    assert signed == {f"POST {BASE}/sql/{{function}}"}
    assert asked == {
        key: [{"AWS_IAM": []}] if key in signed else [{"Jwt": [scope]}] if scope else [{"NONE": []}]
        for key, scope in SCOPES.items()
    }


def test_all_below_the_inference_protocols_path_asks_for_the_one_scope_that_the_gateway_asks_for() -> None:
    assert set(INFERENCE.values()) == {"loyalty/predict"}
    assert {key.split()[0] for key in INFERENCE} == {"GET", "POST"}


def test_each_route_has_a_twin_for_the_trailing_slash_that_is_no_way_around_its_scope(
    routes: dict[str, dict[str, Any]],
) -> None:
    plain = {key for key in routes if not key.endswith(TWIN)}
    assert routes.keys() == plain | {key + TWIN for key in plain}
    for key in plain:
        assert routes[key + TWIN]["security"] == routes[key]["security"], key
        assert called_by(routes[key + TWIN]) == called_by(routes[key]), key


def test_whichever_twin_the_gateway_prefers_for_a_path_it_asks_for_the_same_scope(
    routes: dict[str, dict[str, Any]],
) -> None:
    """Of routes that catch a path, a full match wins over twins; which of two twins wins is not relied on."""
    caught = 0
    for key, operation in routes.items():
        method, path = key.split()
        sent = re.sub(r"\{(segment_id|job_id|name|version|function)\}", "some", path).replace("{proxy+}", "")
        for twin in routes.keys() - {key}:
            if twin.startswith(f"{method} ") and twin.endswith(TWIN) and path_pattern(twin.split()[1]).fullmatch(sent):
                caught += 1
                assert routes[twin]["security"] == operation["security"], (sent, key, twin)
    assert caught


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/segments", "/segments"),
        ("GET", "/segments/", "/segments/{proxy+}"),
        ("GET", "/segments/some", "/segments/{segment_id}"),
        ("GET", "/segments/some/", "/segments/{segment_id}/{proxy+}"),
        ("GET", "/segments/some/ml/stats", "/segments/{segment_id}/ml/stats"),
        ("GET", "/segments/some/ml/stats/", "/segments/{segment_id}/ml/stats/{proxy+}"),
        ("POST", "/segments/some/ml/predict/", "/segments/{segment_id}/ml/predict/{proxy+}"),
        ("PUT", "/segments/some/", "/segments/{segment_id}/{proxy+}"),
        ("GET", "/ml/jobs", "/ml/jobs"),
        ("GET", "/ml/jobs/", "/ml/jobs/{proxy+}"),
        ("GET", "/ml/jobs/some", "/ml/jobs/{job_id}"),
        ("GET", "/ml/jobs/some/", "/ml/jobs/{job_id}/{proxy+}"),
        ("POST", "/ml/jobs/", "/ml/jobs/{proxy+}"),
        ("GET", "/models/churn/v1", "/models/{name}/{version}"),
        ("POST", "/models/promote/", "/models/promote/{proxy+}"),
        ("GET", "/admin/assets/index.js", "/admin/{proxy+}"),
    ],
)
def test_a_twin_shadows_no_route_below_it(method: str, path: str, route: str) -> None:
    """In the local gateway, which prefers as API Gateway documents it."""

    def echo(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"statusCode": 200, "body": event["routeKey"]}

    described = template.load()
    handlers = dict.fromkeys(template.functions(described), echo)
    client = Client(Gateway(template.routes(described), handlers, threading.Lock()))
    assert client.open(BASE + path, method=method).text == f"{method} {BASE}{route}"


def test_what_only_segments_and_files_need_is_in_no_other_functions_layers(translated: dict[str, Any]) -> None:
    functions = {
        name: [layer["Ref"] for layer in resource["Properties"].get("Layers", [])]
        for name, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    for name, layers in functions.items():
        wanted = 0 if name == HOOK else 2 if name in WITH_STORAGE else 1
        assert len(layers) == len(set(layers)) == wanted, (name, layers)


def test_the_gateway_may_call_the_function_behind_each_route(
    translated: dict[str, Any], routes: dict[str, dict[str, Any]]
) -> None:
    allowed = {
        (
            permission["FunctionName"]["Ref"],
            permission["SourceArn"]["Fn::Sub"][0].partition("${__Stage__}/")[2],
        )
        for resource in translated["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Permission"
        for permission in [resource["Properties"]]
        if permission["Principal"] == "apigateway.amazonaws.com"
    }
    assert allowed == {("AdminFunctionAliaslive", "*")} | {
        (called_by(operation), re.sub(r"\{[^}]+\}", "*", key.replace(" ", ""))) for key, operation in routes.items()
    }


def test_what_no_route_matches_asks_for_no_token_and_the_function_answers_it_with_no_route(
    translated: dict[str, Any],
) -> None:
    """What it answers is in tests/functions/test_requests.py."""
    body = translated["Resources"]["Api"]["Properties"]["Body"]
    (operation,) = body["paths"]["/$default"].values()
    assert (operation["security"], called_by(operation)) == ([{"NONE": []}], "AdminFunctionAliaslive")


def test_only_the_origins_of_the_parameter_may_call_and_none_by_default(translated: dict[str, Any]) -> None:
    body = translated["Resources"]["Api"]["Properties"]["Body"]
    condition, cors, otherwise = body["x-amazon-apigateway-cors"]["Fn::If"]
    assert (condition, otherwise) == ("HasCorsOrigins", {"Ref": "AWS::NoValue"})
    assert cors.keys() == {"allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"}
    assert cors["allowOrigins"]["Fn::Split"][0] == ","
    assert set(cors["allowMethods"]) == {key.split()[0] for key in SCOPES}
    assert {"authorization", "content-type", "if-match", "prefer"} <= set(cors["allowHeaders"])
    parameter = translated["Parameters"]["CorsOrigins"]
    assert parameter["Default"] == ""
    assert re.search(parameter["AllowedPattern"], "https://crm.example.com,http://localhost:5173")
    assert not re.search(parameter["AllowedPattern"], "https://crm.example.com, http://localhost:5173")


def test_nothing_calls_a_function_but_by_an_alias_on_a_published_version(
    translated: dict[str, Any], routes: dict[str, dict[str, Any]]
) -> None:
    """$LATEST runs new handlers on old layers while a release goes on: routes, queues, rules, the state machine."""
    resources = translated["Resources"]
    aliases = {f"{function}Aliaslive" for function in PUBLISHED}
    by_type: dict[str, list[dict[str, Any]]] = {}
    for resource in resources.values():
        by_type.setdefault(resource["Type"], []).append(resource["Properties"])
    assert {called_by(operation) for operation in routes.values()} <= aliases
    assert {each["FunctionName"]["Ref"] for each in by_type["AWS::Lambda::EventSourceMapping"]} <= aliases
    assert {each["FunctionName"]["Ref"] for each in by_type["AWS::Lambda::Permission"]} <= aliases
    targets = [target["Arn"] for rule in by_type["AWS::Events::Rule"] for target in rule["Targets"]]
    assert {target["Ref"] for target in targets if "Function" in str(target)} == {"FilesFunctionAliaslive"}
    machine = resources["ScoreDataset"]["Properties"]["DefinitionSubstitutions"]
    assert machine["FilesFunction"] == {"Ref": "FilesFunctionAliaslive"}
    invoked = [
        statement["Resource"]
        for statement in statements_of(resources["DatasetRole"])
        if "lambda:InvokeFunction" in as_list(statement["Action"])
    ]
    assert invoked == [{"Ref": "FilesFunctionAliaslive"}]
    assert {resource["FunctionName"]["Ref"] for resource in by_type["AWS::Lambda::Version"]} == PUBLISHED
    for function in PUBLISHED:
        alias = resources[f"{function}Aliaslive"]["Properties"]
        version, attribute = alias["FunctionVersion"]["Fn::GetAtt"]
        assert attribute == "Version"
        assert translated["Resources"][version]["Type"] == "AWS::Lambda::Version"
        assert translated["Resources"][version]["Properties"]["FunctionName"] == {"Ref": function}


def test_a_function_starts_from_a_snapshot_where_it_can_and_never_where_instances_are_kept_started(
    translated: dict[str, Any],
) -> None:
    """Lambda takes no snapshot of a function with more than 512 MB of /tmp, and none beside provisioned concurrency."""
    functions = {
        name: resource["Properties"]
        for name, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    assert {name for name, properties in functions.items() if "EphemeralStorage" in properties} == WITH_STORAGE
    assert {name for name, properties in functions.items() if "SnapStart" in properties} == STARTED_AHEAD
    conditions = translated["Conditions"]
    has_none_kept = {"Fn::Not": [{"Condition": "HasProvisionedConcurrency"}]}
    assert has_none_kept in conditions["HasSnapStart"]["Fn::And"]
    for name in STARTED_AHEAD:
        assert functions[name]["SnapStart"] == {"ApplyOn": {"Fn::If": ["HasSnapStart", "PublishedVersions", "None"]}}
        kept = translated["Resources"][f"{name}Aliaslive"]["Properties"]["ProvisionedConcurrencyConfig"]
        assert kept["Fn::If"][0] == "HasProvisionedConcurrency"
        assert kept["Fn::If"][1:] == [
            {"ProvisionedConcurrentExecutions": {"Ref": "ProvisionedConcurrency"}},
            {"Ref": "AWS::NoValue"},
        ]


def versions_of(translated: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """Function -> logical id and description of its version; CloudFormation publishes another where either changes."""
    return {
        resource["Properties"]["FunctionName"]["Ref"]: (name, resource["Properties"]["Description"])
        for name, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Version"
    }


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("CodeUri: functions/predict/", {"PredictFunction"}),
        ("CodeUri: functions/batch/", {"BatchFunction"}),
        ("CodeUri: functions/admin/", {"AdminFunction"}),
        ("CodeUri: functions/segment_worker/", {"RefreshFunction"}),
        ("CodeUri: functions/files/", {"FilesFunction"}),
        ("ContentUri: layers/shared", PUBLISHED),
        ("ContentUri: layers/analytics", WITH_STORAGE),
        ("POWERTOOLS_METRICS_NAMESPACE: LoyaltyML", PUBLISHED),
    ],
)
def test_a_change_of_code_layer_or_template_publishes_a_version(
    translated: dict[str, Any], run_in_sam_venv: Callable[..., str], part: str, changed: set[str]
) -> None:
    text = template.PATH.read_text(encoding="utf-8")
    assert text.count(f"{part}\n") == 1
    edited = text.replace(f"{part}\n", f"{part}-changed\n")
    before, after = versions_of(translated), versions_of(translate(run_in_sam_venv, edited))
    assert {function for function in PUBLISHED if before[function] != after[function]} == changed


def test_a_change_of_a_parameter_publishes_a_version_where_it_changes_the_function_and_nowhere_else(
    translated: dict[str, Any],
) -> None:
    """SAM tells versions apart by the template's text, where a parameter is only a name: the description has its value.

    One that is there and changes nothing of the function, such as how many instances are kept, fails the deployment:
    "A version for this Lambda function exists", says CloudFormation.
    """
    for function, (_, description) in versions_of(translated).items():
        properties = translated["Resources"][function]["Properties"]
        of_a_version = {name: value for name, value in properties.items() if name not in NOT_OF_A_VERSION}
        decides = decided_by(of_a_version, translated)
        assert decides >= {"MockMode", "Architecture", "LogLevel"}, function
        assert ("HasSnapStart" in decides) == (function in STARTED_AHEAD), function
        assert decided_by(description, translated) == decides, function


def test_a_release_leaves_the_version_and_the_layers_before_it_to_go_back_to(translated: dict[str, Any]) -> None:
    layers = [name for name, each in translated["Resources"].items() if each["Type"] == "AWS::Lambda::LayerVersion"]
    for name in [*layers, *(version for version, _ in versions_of(translated).values())]:
        assert translated["Resources"][name]["DeletionPolicy"] == "Retain", name


def test_a_deployment_that_names_no_issuer_has_a_user_pool_and_is_not_open_to_all(translated: dict[str, Any]) -> None:
    parameters = translated["Parameters"]
    issuer = parameters["JwtIssuer"]["AllowedPattern"]
    assert not re.search(issuer, "http://issuer.example.com")
    assert re.search(issuer, "https://issuer.example.com/pool-1")
    (rule,) = translated["Rules"]["IssuerAndAudience"]["Assertions"]
    assert "set together" in rule["AssertDescription"]
    pool = {"Fn::GetAtt": ["UserPool", "ProviderURL"]}
    schemes = translated["Resources"]["Api"]["Properties"]["Body"]["components"]["securitySchemes"]
    assert schemes["Jwt"]["x-amazon-apigateway-authorizer"]["jwtConfiguration"] == {
        "issuer": {"Fn::If": ["HasIssuer", {"Ref": "JwtIssuer"}, pool]},
        "audience": {
            "Fn::If": [
                "HasIssuer",
                [{"Ref": "JwtAudience"}],
                {"Fn::If": ["HasMachineClient", [{"Ref": name} for name in CLIENTS], [{"Ref": "PageClient"}]]},
            ]
        },
    }
    # The functions that check again go by the same.
    for name in ("PredictFunction", "BatchFunction", "SegmentFunction", "AdminFunction"):
        variables = translated["Resources"][name]["Properties"]["Environment"]["Variables"]
        assert variables["JWT_ISSUER"] == {"Fn::If": ["HasIssuer", {"Ref": "JwtIssuer"}, pool]}
        audience, both = variables["JWT_AUDIENCE"]["Fn::If"][1:]
        assert audience == {"Ref": "JwtAudience"}
        assert both["Fn::If"][1:] == [{"Fn::Sub": "${PageClient} ${PoolMachineClient}"}, {"Ref": "PageClient"}]


def test_the_user_pool_gives_tokens_with_the_scopes_to_a_page_with_pkce_and_to_programs_with_a_secret(
    translated: dict[str, Any],
) -> None:
    resources = translated["Resources"]
    of_pool = {name: each for name, each in resources.items() if each["Type"].startswith("AWS::Cognito::")}
    conditions = {name: each["Condition"] for name, each in of_pool.items()}
    assert conditions.pop("PoolMachineClient") == "HasMachineClient"
    assert set(conditions.values()) == {"HasPool"}
    assert {"Condition": "HasPool"} in translated["Conditions"]["HasMachineClient"]["Fn::And"]
    properties = {name: each["Properties"] for name, each in of_pool.items()}
    assert properties["UserPool"]["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    server = properties["PoolScopes"]
    scopes = [f"{server['Identifier']}/{scope['ScopeName']}" for scope in server["Scopes"]]
    assert set(scopes) == set(get_args(Scope))
    page, machine = (properties[name] for name in CLIENTS)
    for client, secret, flow in ((page, False, "code"), (machine, True, "client_credentials")):
        assert (client["GenerateSecret"], client["AllowedOAuthFlows"]) == (secret, [flow])
        assert set(client["AllowedOAuthScopes"]) == set(scopes)
    (callback,) = page["CallbackURLs"]
    assert callback["Fn::Sub"][0] == f"${{Origin}}{CALLBACK}"
    for name in CLIENTS:  # which names scopes that are to be there first
        assert as_list(resources[name]["DependsOn"]) == ["PoolScopes"]


def test_the_description_of_a_version_fits_with_the_longest_names(translated: dict[str, Any]) -> None:
    """Lambda takes 256 characters, and CloudFormation would say so only when it deploys."""
    longest: dict[str, Any] = {
        name: "x" * (parameter.get("MaxLength") or max(map(len, map(str, parameter.get("AllowedValues", [""])))))
        for name, parameter in translated["Parameters"].items()
    } | {"MemorySize": "10240"}

    def length(value: Any, names: dict[str, Any]) -> int:
        match value:
            case {"Fn::Sub": [text, {**given}]}:
                return length(
                    {"Fn::Sub": text}, names | {str(name): length(each, names) for name, each in given.items()}
                )
            case {"Fn::Sub": text}:
                known = {name: each if isinstance(each, int) else len(each) for name, each in names.items()}
                used = re.findall(r"\$\{(\w+)\}", text)
                return len(re.sub(r"\$\{\w+\}", "", text)) + sum(known[name] for name in used)
            case {"Fn::If": [_, *choices]}:
                return max(length(choice, names) for choice in choices)
            case {"Fn::Join": [between, parts]}:
                return sum(length(each, names) for each in parts) + len(between) * (len(parts) - 1)
        return len(str(value))

    for function, (_, description) in versions_of(translated).items():
        assert length(description, longest) <= 256, function


def test_the_functions_roles_allow_no_wildcard_except_for_traces(translated: dict[str, Any]) -> None:
    resources = translated["Resources"]
    functions = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::Function"]
    roles = {function["Role"]["Fn::GetAtt"][0] for function in functions}
    assert len(roles) == len(functions), "each function has a role of its own"
    shared = {policy["Ref"] for role in roles for policy in resources[role]["Properties"].get("ManagedPolicyArns", [])}
    for name in roles | shared:
        for statement in statements_of(resources[name]):
            for action in as_list(statement["Action"]):
                assert "*" not in action, (name, action)
                if "*" in as_list(statement["Resource"]):
                    assert action in {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, (name, action)


KEYED = {
    "AWS::S3::Bucket": lambda properties: properties["BucketEncryption"],
    "AWS::DynamoDB::Table": lambda properties: properties["SSESpecification"],
    "AWS::SQS::Queue": lambda properties: properties["KmsMasterKeyId"],
    "AWS::Logs::LogGroup": lambda properties: properties["KmsKeyId"],
}
"""Where each kind of store names its key."""


def test_a_key_of_ones_own_encrypts_every_store_and_each_role_may_use_it_through_them_only(
    translated: dict[str, Any],
) -> None:
    resources = translated["Resources"]
    stores = [name for name, each in resources.items() if each["Type"] in KEYED]
    assert len(stores) > len(KEYED)
    for name in stores:
        named = str(KEYED[resources[name]["Type"]](resources[name]["Properties"]))
        assert "{'Fn::If': ['HasKmsKey'," in named, name
        assert "{'Ref': 'KmsKeyArn'}" in named, name
    policy = resources["KeyPolicy"]
    roles = {name for name, each in resources.items() if each["Type"] == "AWS::IAM::Role"}
    without_stores = {"BeforeTrafficRole", "DeploymentRole", "SnowflakeRole"}
    assert {role["Ref"] for role in policy["Properties"]["Roles"]} == roles - without_stores
    assert policy["Condition"] == "HasKmsKey"
    for statement in statements_of(policy):
        assert statement["Resource"] == {"Ref": "KmsKeyArn"}
        assert list(statement["Condition"]) == ["StringEquals"]
        assert list(statement["Condition"]["StringEquals"]) == ["kms:ViaService"]


def test_no_action_is_allowed_by_a_prefix_that_its_request_does_not_have(translated: dict[str, Any]) -> None:
    """IAM knows a prefix of these requests alone: a condition on one of any other is never met."""
    for name, resource in translated["Resources"].items():
        if resource["Type"] in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
            for statement in statements_of(resource):
                if "s3:prefix" in str(statement.get("Condition")):
                    assert set(as_list(statement["Action"])) <= {"s3:ListBucket", "s3:ListBucketVersions"}, name


def test_only_what_looks_customers_up_by_id_may_read_their_table(translated: dict[str, Any]) -> None:
    resources = translated["Resources"]
    may_read = set()
    for name, function in resources.items():
        if function["Type"] == "AWS::Lambda::Function":
            role = function["Properties"]["Role"]["Fn::GetAtt"][0]
            managed = resources[role]["Properties"].get("ManagedPolicyArns", [])
            policies = [role, *(policy["Ref"] for policy in managed)]
            statements = [statement for policy in policies for statement in statements_of(resources[policy])]
            if any("CustomersTable" in str(statement["Resource"]) for statement in statements):
                may_read.add(name)
    assert may_read == {"PredictFunction", "BatchFunction", "RefreshFunction"}, "the last compares a sample of them"


def test_only_what_is_put_under_incoming_reaches_the_queue_of_files(translated: dict[str, Any]) -> None:
    """Results above all do not, or they would be scored, and the results of that, and so on."""
    resources = translated["Resources"]
    (told,) = resources["DataBucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    assert told == {
        "Event": "s3:ObjectCreated:*",
        "Queue": {"Fn::GetAtt": ["FileQueue", "Arn"]},
        "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "incoming/"}]}},
    }
    assert "FileQueuePolicy" in as_list(resources["DataBucket"]["DependsOn"])
    may_send = [
        statement for statement in statements_of(resources["FileQueuePolicy"]) if statement["Effect"] == "Allow"
    ]
    assert [statement["Principal"] for statement in may_send] == [{"Service": "s3.amazonaws.com"}]
    assert may_send[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_worker_of_files_writes_results_and_its_own_notes_and_deletes_notes_only(
    translated: dict[str, Any],
) -> None:
    written: dict[str, set[str]] = {}
    for statement in statements_of(translated["Resources"]["FilesRole"]):
        for action in as_list(statement["Action"]):
            if action in ("s3:PutObject", "s3:DeleteObject"):
                written.setdefault(action, set()).update(name["Fn::Sub"] for name in as_list(statement["Resource"]))
    assert written == {
        "s3:PutObject": {"${DataBucket.Arn}/results/*", "${DataBucket.Arn}/jobs/*"},
        "s3:DeleteObject": {"${DataBucket.Arn}/jobs/*"},
    }


@pytest.mark.parametrize(
    ("queue", "max_attempts"),
    [
        ("FileQueue", files.MAX_ATTEMPTS),
        ("SegmentQueue", refresh.MAX_ATTEMPTS),
        ("StatisticsQueue", refresh.MAX_ATTEMPTS),
    ],
)
def test_what_fails_as_often_as_its_worker_counts_is_kept_two_weeks_and_raises_an_alarm(
    translated: dict[str, Any], queue: str, max_attempts: int
) -> None:
    resources = translated["Resources"]
    redrive = resources[queue]["Properties"]["RedrivePolicy"]
    dead = redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert redrive["maxReceiveCount"] == max_attempts + 1
    for name in (queue, dead):
        assert resources[name]["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 60 * 60
    watched = [
        resource["Properties"]["Dimensions"]
        for resource in resources.values()
        if resource["Type"] == "AWS::CloudWatch::Alarm" and resource["Properties"].get("Namespace") == "AWS/SQS"
    ]
    assert [{"Name": "QueueName", "Value": {"Fn::GetAtt": [dead, "QueueName"]}}] in watched


def test_each_queue_hides_a_message_for_as_long_as_its_worker_may_take(translated: dict[str, Any]) -> None:
    resources = translated["Resources"]
    mappings = {
        resource["Properties"]["EventSourceArn"]["Fn::GetAtt"][0]: resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
    }
    workers = {queue: mapping["FunctionName"]["Ref"].removesuffix("Aliaslive") for queue, mapping in mappings.items()}
    assert workers == {
        "SegmentQueue": "RefreshFunction",
        "StatisticsQueue": "RefreshFunction",
        "FileQueue": "FilesFunction",
    }
    for queue, function in workers.items():
        # Lambda takes no less, and longer than that a message that was throttled is hidden for nothing.
        hidden = resources[queue]["Properties"]["VisibilityTimeout"]
        assert hidden == resources[function]["Properties"]["Timeout"], queue
    assert mappings["FileQueue"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_callers_jobs_do_not_wait_behind_the_statistics_of_all_segments(translated: dict[str, Any]) -> None:
    resources = translated["Resources"]
    for rule in ("PublishedRule", "DailyRule"):
        (target,) = resources[rule]["Properties"]["Targets"]
        assert target["Arn"] == {"Fn::GetAtt": ["StatisticsQueue", "Arn"]}
    senders = {
        name
        for name in ("BatchFunction", "SegmentFunction")
        if "STATISTICS_QUEUE_URL" in resources[name]["Properties"]["Environment"]["Variables"]
    }
    assert not senders


def test_the_event_of_a_file_is_one_that_s3_would_send(run_in_sam_venv: Callable[..., str]) -> None:
    asked = ("--bucket", "loyalty-ml-data", "--key", "incoming/churn/customers.csv", "--region", "eu-west-1")
    made = json.loads(run_in_sam_venv("sam", "local", "generate-event", "s3", "put", *asked))
    assert json.loads((Path(__file__).parents[1] / "events" / "s3-put.json").read_text(encoding="utf-8")) == made


@pytest.mark.parametrize("file", HTTP_EVENTS, ids=lambda file: file.stem)
def test_an_event_is_one_that_the_gateway_would_send(file: Path, routes: dict[str, dict[str, Any]]) -> None:
    event = json.loads(file.read_text(encoding="utf-8"))
    context = event["requestContext"]
    assert event["routeKey"] == context["routeKey"]
    method, path = event["routeKey"].split()
    assert method == context["http"]["method"]
    found = path_pattern(path).fullmatch(event["rawPath"])
    assert found
    assert found.groupdict() == event.get("pathParameters", {})
    assert event["rawPath"] == context["http"]["path"]
    security = routes[event["routeKey"]]["security"]
    if "authorizer" in context:
        assert security == [{"Jwt": context["authorizer"]["jwt"]["scopes"]}]
    else:
        assert security == [{"NONE": []}]
    if "body" in event:
        assert isinstance(json.loads(event["body"]), dict)
        assert event["headers"]["content-length"] == str(len(event["body"].encode()))


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        ("PredictFunction", PredictSettings),
        ("BatchFunction", BatchSettings),
        ("SegmentFunction", SegmentSettings),
        ("RefreshFunction", SegmentWorkerSettings),
        ("FilesFunction", FilesSettings),
        ("AdminFunction", AdminSettings),
    ],
    ids=["predict", "batch", "segment", "segment_worker", "files", "admin"],
)
def test_a_function_gets_the_variables_that_it_reads_and_no_others(
    translated: dict[str, Any], function: str, settings: type[Settings]
) -> None:
    variables = translated["Resources"][function]["Properties"]["Environment"]["Variables"]
    own = {name for name in variables if not name.startswith("POWERTOOLS_")}
    fields = settings.model_fields.values()
    assert {str(field.alias) for field in fields if field.is_required()} <= own
    assert own <= {str(field.alias) for field in fields}


def test_a_warehouse_may_call_one_alias_or_one_route_and_only_if_its_role_is_named(translated: dict[str, Any]) -> None:
    resources = translated["Resources"]
    permission = resources["RedshiftPermission"]
    assert permission["Condition"] == "HasRedshift"
    assert permission["Properties"] == {
        "FunctionName": {"Ref": "BatchFunctionAliaslive"},
        "Action": "lambda:InvokeFunction",
        "Principal": {"Ref": "RedshiftRoleArn"},
    }
    assert translated["Outputs"]["SqlFunctionArn"]["Value"] == {"Ref": "BatchFunctionAliaslive"}
    role = resources["SnowflakeRole"]
    assert role["Condition"] == "HasSnowflake"
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": {"Ref": "SnowflakeUserArn"}}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": {"Ref": "SnowflakeExternalId"}}}
    (statement,) = statements_of(role)
    assert statement["Action"] == "execute-api:Invoke"
    assert statement["Resource"]["Fn::Sub"].endswith(":${Api}/$default/POST/api/loyalty/v1/sql/*")


def test_the_policy_of_each_alias_has_room_for_its_routes(translated: dict[str, Any]) -> None:
    """Lambda keeps 20,480 bytes of statements for an alias, and SAM makes one for each route."""
    sizes: dict[str, int] = {}
    for name, resource in translated["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Permission":
            properties = resource["Properties"]
            names = "x" * 60  # of the stack and its function, as long as they may be
            statement = {
                "Sid": f"{names}-{name}-XXXXXXXXXXXX",
                "Effect": "Allow",
                "Principal": {"Service": "apigateway.amazonaws.com"},
                "Action": "lambda:InvokeFunction",
                "Resource": f"arn:aws:lambda:ap-southeast-2:123456789012:function:{names}:live",
                "Condition": {"ArnLike": {"AWS:SourceArn": str(properties.get("SourceArn", "")) + "x" * 40}},
            }
            function = str(properties["FunctionName"])
            sizes[function] = sizes.get(function, 0) + len(json.dumps(statement, separators=(",", ":")))
    assert max(sizes.values()) < 20_480, sizes
