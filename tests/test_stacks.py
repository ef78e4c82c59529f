"""How the translated template deploys: beside other stacks, release by release, with limits for each route."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks.studies import bills, defaults
from local import template
from tests.sam import translate

pytestmark = pytest.mark.built

BASE = "/api/loyalty/v1"
NAMES = {
    "AlarmName", "ApplicationName", "BucketName", "DashboardName", "DeploymentGroupName", "FunctionName", "GroupName",
    "LayerName", "LogGroupName", "ManagedPolicyName", "Name", "PolicyName", "QueueName", "RoleName", "StateMachineName",
    "TableName", "UserPoolName", "Domain", "title",
}  # fmt: skip
"""The properties by which a resource is named; where there is none, CloudFormation makes a name that begins with the
stack's."""
OF_A_PARENT = {
    "AWS::Cognito::UserPoolResourceServer": {"Name"},
    "AWS::IAM::Role": {"PolicyName"},
    "AWS::Lambda::Alias": {"Name"},
    "AWS::Lambda::Version": set(),
}
"""Names that are unique within their resource alone, or are a reference to another resource."""


def as_deployed(value: Any, stack: str) -> Any:
    """A value with the stack's own facts and its resources' names in it, as CloudFormation makes them."""
    match value:
        case {"Ref": "AWS::StackName"}:
            return stack
        case {"Ref": str(name)}:
            return f"{stack}-{name}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{stack}-{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([\w:.]+)\}", lambda found: str(as_deployed({"Ref": found[1]}, stack)), text)
        case dict():
            return {name: as_deployed(each, stack) for name, each in value.items()}
        case list():
            return [as_deployed(each, stack) for each in value]
    return value


def names_of(translated: dict[str, Any], stack: str) -> Iterator[str]:
    for resource in translated["Resources"].values():
        properties = as_deployed(resource.get("Properties", {}), stack)
        own = NAMES - OF_A_PARENT.get(resource["Type"], set())
        for name, value in properties.items():
            if name in own and isinstance(value, str):
                yield f"{resource['Type']} {value}"


def metrics_of(translated: dict[str, Any], stack: str) -> Iterator[str]:
    """Each alarm's metrics, by all that tells a metric from another."""
    for resource in translated["Resources"].values():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            properties = as_deployed(resource["Properties"], stack)
            stated = [properties] if "MetricName" in properties else []
            stated += [each["MetricStat"]["Metric"] for each in properties.get("Metrics", []) if "MetricStat" in each]
            for metric in stated:
                yield f"{metric['Namespace']} {metric['MetricName']} {metric.get('Dimensions')}"


def test_two_stacks_of_one_account_have_no_name_in_common(translated: dict[str, Any]) -> None:
    one, other = ({*names_of(translated, stack), *metrics_of(translated, stack)} for stack in ("sales", "service"))
    assert len(one) == len(other) > 20
    assert not one & other


def test_metrics_traces_and_logs_say_whose_they_are(translated: dict[str, Any]) -> None:
    for name, resource in translated["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function" and "Environment" in resource["Properties"]:
            variables = resource["Properties"]["Environment"]["Variables"]
            assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}, name


def test_a_stack_is_told_of_its_own_jobs_models_and_snapshots_only(translated: dict[str, Any]) -> None:
    pattern = translated["Resources"]["EventsRule"]["Properties"]["EventPattern"]
    assert pattern["detail"]["service"] == [{"Ref": "AWS::StackName"}]


def test_a_warning_of_the_import_fails_the_deployment_and_the_template_raises_none_of_its_own(
    translated: dict[str, Any],
) -> None:
    """API Gateway drops the routes whose issuer it cannot reach with a warning, and the stack would be green."""
    properties = translated["Resources"]["Api"]["Properties"]
    assert properties["FailOnWarnings"] == {"Ref": "FailOnWarnings"}
    assert translated["Parameters"]["FailOnWarnings"]["Default"] == "true"
    assert all(path.startswith("/") for path in properties["Body"]["paths"]), "one that does not is a warning"
    for path, operations in properties["Body"]["paths"].items():
        for method, operation in operations.items():
            variables = {each["name"]: each for each in operation.get("parameters", [])}
            assert variables.keys() == set(re.findall(r"\{([\w+]+)\}", path)), (method, path)
            for variable in variables.values():
                assert variable["schema"] == {"type": "string"}, (method, path)
                assert (variable["in"], variable["required"]) == ("path", True), (method, path)


def route_settings(translated: dict[str, Any]) -> dict[str, Any]:
    (stage,) = [each for each in translated["Resources"].values() if each["Type"] == "AWS::ApiGatewayV2::Stage"]
    settings: dict[str, Any] = stage["Properties"]["RouteSettings"]
    return settings


def test_each_route_has_its_bucket_health_a_small_one_and_predictions_their_own(
    translated: dict[str, Any], routes: dict[str, dict[str, Any]]
) -> None:
    settings = route_settings(translated)
    assert settings.keys() <= routes.keys(), "the stage would not be made"
    predictions = {f"POST {BASE}/{path}" for path in ("ml/predict", "ml/predict/batch", "config/ml/test")}
    health = {f"{method} {BASE}/health" for method in ("GET", "HEAD")}
    assert settings.keys() == {key + twin for key in predictions | health for twin in ("", "/{proxy+}")}
    for key, limits in settings.items():
        wanted = (10, 20)
        if key.removesuffix("/{proxy+}") in predictions:
            wanted = ({"Ref": "PredictThrottlingRate"}, {"Ref": "PredictThrottlingBurst"})  # type: ignore[assignment]
        assert (limits["ThrottlingRateLimit"], limits["ThrottlingBurstLimit"]) == wanted, key


def test_a_request_has_less_time_than_the_gateway_gives_it(translated: dict[str, Any]) -> None:
    parameter = translated["Parameters"]["RequestTimeout"]
    assert (parameter["Default"], parameter["MaxValue"]) == (25, 29)
    behind_the_api = {"PredictFunction", "BatchFunction", "SegmentFunction", "AdminFunction"}
    for name in behind_the_api:
        assert translated["Resources"][name]["Properties"]["Timeout"] == {"Ref": "RequestTimeout"}, name
    for name in behind_the_api:
        assert template.timeout_of(template.load(), name) == parameter["Default"], name


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        ("PredictFunction", "PredictReservedConcurrency"),
        ("BatchFunction", "BatchReservedConcurrency"),
        ("SegmentFunction", "SegmentReservedConcurrency"),
        ("AdminFunction", "AdminReservedConcurrency"),
        ("RefreshFunction", "RefreshReservedConcurrency"),
        ("FilesFunction", "FilesReservedConcurrency"),
    ],
)
def test_concurrency_is_reserved_where_a_parameter_says_so_and_nowhere_else(
    translated: dict[str, Any], function: str, parameter: str
) -> None:
    """0 would stop the function: so without a reservation there is no property."""
    condition, reserved, otherwise = translated["Resources"][function]["Properties"]["ReservedConcurrentExecutions"][
        "Fn::If"
    ]
    assert translated["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, 0]}]}
    assert (reserved, otherwise) == ({"Ref": parameter}, {"Ref": "AWS::NoValue"})
    assert translated["Parameters"][parameter]["Default"] == 0


def test_the_most_workers_of_each_queue_are_a_parameter(translated: dict[str, Any]) -> None:
    workers = {
        resource["Properties"]["EventSourceArn"]["Fn::GetAtt"][0]: resource["Properties"]["ScalingConfig"]
        for resource in translated["Resources"].values()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
    }
    assert workers == {
        "FileQueue": {"MaximumConcurrency": {"Ref": "FileWorkers"}},
        "SegmentQueue": {"MaximumConcurrency": {"Ref": "SegmentWorkers"}},
        "StatisticsQueue": {"MaximumConcurrency": {"Ref": "StatisticsWorkers"}},
    }
    for name in ("FileWorkers", "SegmentWorkers", "StatisticsWorkers"):
        assert translated["Parameters"][name]["MinValue"] == 2, "Lambda takes no less"


def test_a_worker_that_sends_to_its_own_queue_is_not_stopped_as_a_loop(translated: dict[str, Any]) -> None:
    resources = translated["Resources"]
    may = {name for name, each in resources.items() if each.get("Properties", {}).get("RecursiveLoop") == "Allow"}
    assert may == {"RefreshFunction", "FilesFunction"}


def test_what_the_deployer_has_put_in_outlives_the_stack_but_not_a_first_deployment_that_failed(
    translated: dict[str, Any],
) -> None:
    """What `Retain` leaves of a failed creation has to be deleted by hand before the next try."""
    kept = {name: each for name, each in translated["Resources"].items() if "UpdateReplacePolicy" in each}
    assert {name for name, each in kept.items() if each["UpdateReplacePolicy"] == "Retain"} == {
        "ModelBucket", "DataBucket", "CustomersTable", "SegmentsTable", "SegmentStatisticsTable", "UserPool",
    }  # fmt: skip
    assert {each["DeletionPolicy"] for each in kept.values()} == {"RetainExceptOnCreate"}
    # A protected resource refuses the deletion too that a failed creation asks for, and the stack stays half made.
    for name, each in translated["Resources"].items():
        protected = {key: value for key, value in each.get("Properties", {}).items() if "Protection" in key}
        assert not set(protected.values()) & {"ACTIVE", "true", True}, name


@pytest.mark.parametrize("preference", ["AllAtOnce", "Canary10Percent5Minutes"])
def test_a_new_version_is_asked_before_it_is_called_and_moved_to_as_the_parameter_says(
    run_in_sam_venv: Callable[..., str], preference: str
) -> None:
    text = template.PATH.read_text(encoding="utf-8")
    resources = translate(run_in_sam_venv, text, {"DeploymentPreference": preference})["Resources"]
    aliases = {name: each for name, each in resources.items() if each["Type"] == "AWS::Lambda::Alias"}
    assert len(aliases) == 6
    for name, alias in aliases.items():
        update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        assert update["BeforeAllowTrafficHook"] == {"Ref": "BeforeTrafficFunction"}, name
        group = resources[update["DeploymentGroupName"]["Ref"]]["Properties"]
        config = group["DeploymentConfigName"]["Fn::Sub"]
        assert config == ["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": preference}], name
        assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["DeploymentRole", "Arn"]}, name
        assert set(group["AutoRollbackConfiguration"]["Events"]) >= {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"}


def test_a_release_goes_back_by_its_own_functions_errors_and_never_by_what_waits(
    translated: dict[str, Any], run_in_sam_venv: Callable[..., str]
) -> None:
    """CodeDeploy stops a release at once where an alarm rings already: dead letters would keep out their own mend."""
    resources = translated["Resources"]
    for name in ("Predict", "Batch", "Segment", "Admin", "Refresh", "Files"):
        condition, there, otherwise = resources[f"{name}FunctionDeploymentGroup"]["Properties"]["AlarmConfiguration"][
            "Fn::If"
        ]
        alarms = [each["Name"]["Ref"] for each in there["Alarms"]]
        assert (condition, alarms, there["Enabled"], otherwise) == ("HasAllAlarms", [f"{name}ErrorAlarm"], True, {})
        for alarm in alarms:
            assert resources[alarm]["Condition"] == condition, "or the deployment would name an alarm that is not there"
            watched = resources[alarm]["Properties"]
            assert (watched["Namespace"], watched["MetricName"], watched["Statistic"]) == (
                "AWS/Lambda",
                "Errors",
                "Sum",
            )
            assert watched["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": f"{name}Function"}}]


def test_a_stack_that_nobody_calls_costs_less_than_a_dollar_a_month() -> None:
    """At list prices, without what AWS gives away: queues being asked by Lambda, and the alarms that there are."""
    prices = bills.read_prices()
    assert bills.total(defaults.idle_month(prices), prices.dollars) < 1


def test_codedeploy_and_its_hook_may_touch_this_stacks_functions_only(translated: dict[str, Any]) -> None:
    functions = {name for name, each in translated["Resources"].items() if each["Type"] == "AWS::Lambda::Function"}
    for role in ("DeploymentRole", "BeforeTrafficRole"):
        for policy in translated["Resources"][role]["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                if "lambda:" in str(statement["Action"]):
                    named = set(re.findall(r"(\w+Function)", str(statement["Resource"])))
                    assert named, (role, statement)
                    assert named <= functions, (role, statement)
                    assert "function:*" not in str(statement["Resource"])


def test_the_hook_stands_alone(translated: dict[str, Any]) -> None:
    """It is asked while layers and functions change, and is called by no alias itself."""
    hook = translated["Resources"]["BeforeTrafficFunction"]["Properties"]
    assert not {"Layers", "Environment", "VpcConfig"} & hook.keys()
