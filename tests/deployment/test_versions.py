"""Versions of a stack's functions, listed, gone back to and cleared away; and snapshots taken anew, in moto."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from deployment import __main__ as command
from deployment import versions
from deployment.problem import Problem
from deployment.snapshot import take_snapshot
from tests.aws import fresh_aws

pytestmark = pytest.mark.moto

STACK = "sales"


def code(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", text)
    return packed.getvalue()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with fresh_aws():
        yield


@pytest.fixture
def clients(aws: None) -> versions.Clients:
    """Four releases of one function, each with a layer of its own; the fourth is live."""
    functions: Any = boto3.client("lambda")
    role = boto3.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    for release in range(1, 5):
        layer = functions.publish_layer_version(LayerName=f"{STACK}-shared", Content={"ZipFile": code(str(release))})
        if release == 1:
            functions.create_function(
                FunctionName="f", Role=role, Runtime="python3.13", Handler="app.handler",
                Code={"ZipFile": code("0")}, Layers=[layer["LayerVersionArn"]],
            )  # fmt: skip
        functions.update_function_configuration(FunctionName="f", Layers=[layer["LayerVersionArn"]])
        functions.update_function_code(FunctionName="f", ZipFile=code(str(release)))
        functions.publish_version(FunctionName="f", Description=f"release {release}")
    alias = functions.create_alias(FunctionName="f", Name="live", FunctionVersion="4")
    resources = [
        {
            "ResourceType": "AWS::Lambda::Alias",
            "LogicalResourceId": "PredictFunctionAliaslive",
            "PhysicalResourceId": alias["AliasArn"],
        },
        {"ResourceType": "AWS::Lambda::Function", "LogicalResourceId": "PredictFunction", "PhysicalResourceId": "f"},
    ]

    class Paginator:
        def paginate(self, StackName: str) -> list[Any]:  # noqa: N803
            return [{"StackResourceSummaries": resources if StackName == STACK else []}]

    class CloudFormation:
        """The stack's resources: moto makes none of a Lambda alias."""

        def get_paginator(self, name: str) -> Paginator:
            assert name == "list_stack_resources"
            return Paginator()

    stack: Any = CloudFormation()
    return versions.Clients(stack, functions)


def numbers(lines: Iterator[str]) -> list[tuple[str, str]]:
    return [(line.split()[1], line.split()[2]) for line in lines]


def test_versions_are_listed_with_the_one_that_is_live(clients: versions.Clients) -> None:
    assert numbers(versions.listing(clients, STACK)) == [("1", "kept"), ("2", "kept"), ("3", "kept"), ("4", "live")]


def test_all_but_the_newest_the_live_one_and_their_layers_are_deleted(clients: versions.Clients) -> None:
    clients.functions.update_alias(FunctionName="f", Name="live", FunctionVersion="2")
    assert len(list(versions.keep(clients, STACK, 2))) == 2
    assert numbers(versions.listing(clients, STACK)) == [("2", "live"), ("3", "kept"), ("4", "kept")]
    layers = clients.functions.list_layer_versions(LayerName=f"{STACK}-shared")["LayerVersions"]
    assert sorted(layer["Version"] for layer in layers) == [2, 3, 4]
    assert list(versions.keep(clients, STACK, 2)) == []


def test_no_version_to_go_back_to_is_not_kept(clients: versions.Clients) -> None:
    with pytest.raises(Problem, match="at least 1"):
        list(versions.keep(clients, STACK, 0))


def test_a_roll_back_is_to_what_was_the_newest_at_a_moment(clients: versions.Clients) -> None:
    listed = clients.functions.list_versions_by_function(FunctionName="f")["Versions"]
    second = next(version for version in listed if version["Version"] == "2")["LastModified"]
    lines = list(versions.back(clients, STACK, second))
    live = clients.functions.get_alias(FunctionName="f", Name="live")["FunctionVersion"]
    assert lines == [f"PredictFunction is at version {live}."]
    with pytest.raises(Problem, match="had no version"):
        list(versions.back(clients, STACK, "2020-01-01T00:00:00Z"))
    with pytest.raises(Problem, match="not a moment"):
        list(versions.back(clients, STACK, "yesterday"))
    list(versions.back(clients, STACK, datetime.now(UTC).isoformat()))
    assert clients.functions.get_alias(FunctionName="f", Name="live")["FunctionVersion"] == "4"


def test_a_stack_without_functions_is_said(clients: versions.Clients) -> None:
    with pytest.raises(Problem, match="check its name"):
        list(versions.listing(clients, "another"))


PARAMETERS = {"SnapStart": "true", "ProvisionedConcurrency": "0", "SnapshotTaken": "", "JwtIssuer": "https://x.example"}


@pytest.fixture
def stack(aws: None) -> Callable[..., Any]:
    def create(**given: str) -> Any:
        cloudformation = boto3.client("cloudformation")
        names = {**PARAMETERS, **given}
        described = {
            "Parameters": {name: {"Type": "String"} for name in names},
            "Resources": {
                "Queue": {
                    "Type": "AWS::SQS::Queue",
                    "Properties": {"Tags": [{"Key": "taken", "Value": {"Ref": "SnapshotTaken"}}]},
                }
            },
        }
        cloudformation.create_stack(
            StackName=STACK,
            TemplateBody=json.dumps(described),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in names.items()],
        )
        return cloudformation

    return create


def test_a_snapshot_is_taken_by_the_stacks_own_template_and_one_parameter(stack: Callable[..., Any]) -> None:
    cloudformation = stack()
    noon = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert "2026-11-28T12:00:00Z" in take_snapshot(cloudformation, STACK, lambda: noon, 0)
    described = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["Parameters"]
    found = {each["ParameterKey"]: each["ParameterValue"] for each in described}
    assert found == {**PARAMETERS, "SnapshotTaken": "2026-11-28T12:00:00Z"}


@pytest.mark.parametrize("given", [{"SnapStart": "false"}, {"ProvisionedConcurrency": "2"}])
def test_without_snapshots_there_is_none_to_take(stack: Callable[..., Any], given: dict[str, str]) -> None:
    with pytest.raises(Problem, match="starts from no snapshot"):
        take_snapshot(stack(**given), STACK)


def test_without_a_region_or_for_an_unknown_stack_the_command_says_what_to_check(
    aws: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["versions", "--stack", "nobodys"]) == 1
    refused = capsys.readouterr().err
    assert "AWS refuses" in refused
    assert "nobodys" in refused
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert command.main(["versions", "--stack", STACK]) == 1
    told = capsys.readouterr().err
    assert "AWS could not be asked" in told
    assert "region" in told
