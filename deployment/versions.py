"""The published versions of a stack's functions: which there are, which is live, and away with the old ones."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from deployment.problem import Problem

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

ALIAS = "live"
UNPUBLISHED = "$LATEST"


class Clients(NamedTuple):
    cloudformation: "CloudFormationClient"
    functions: Any


class Function(NamedTuple):
    """logical_id: in the template; versions: published ones, oldest first; live: those that are called."""

    logical_id: str
    name: str
    versions: list[Any]
    live: set[str]


def listing(clients: Clients, stack: str) -> Iterator[str]:
    """A line for each version of each function."""
    for function in _functions(clients, stack):
        for version in function.versions:
            mark = "live" if version["Version"] in function.live else "kept"
            about = f"{version['LastModified']} {version['Description']}"
            yield f"{function.logical_id} {version['Version']} {mark} {about}"


def keep(clients: Clients, stack: str, count: int) -> Iterator[str]:
    """Deletes all versions but the live ones and the `count` newest of each function, and the layers that none has."""
    if count < 1:
        raise Problem("--keep must be at least 1: the version before is what a roll-back goes to.")
    layers: set[str] = set()
    for function in _functions(clients, stack):
        latest = clients.functions.get_function_configuration(FunctionName=function.name)
        layers |= {layer["Arn"] for layer in latest.get("Layers", [])}
        newest = {version["Version"] for version in function.versions[-count:]}
        for version in function.versions:
            number = version["Version"]
            if number in newest | function.live:
                layers |= {layer["Arn"] for layer in version.get("Layers", [])}
            else:
                clients.functions.delete_function(FunctionName=function.name, Qualifier=number)
                yield f"{function.logical_id} {number} is deleted."
    for name in sorted({arn.split(":")[6] for arn in layers}):
        pages = clients.functions.get_paginator("list_layer_versions").paginate(LayerName=name)
        for found in [each for page in pages for each in page["LayerVersions"]]:
            if found["LayerVersionArn"] not in layers:
                clients.functions.delete_layer_version(LayerName=name, VersionNumber=found["Version"])
                yield f"{found['LayerVersionArn']} is deleted."


def back(clients: Clients, stack: str, moment: str) -> Iterator[str]:
    """Points each alias at the newest version of then. Raises Problem, before any is changed, where one had none."""
    then = _moment(moment)
    chosen = []
    for function in _functions(clients, stack):
        before = [version for version in function.versions if _moment(version["LastModified"]) <= then]
        if not before:
            raise Problem(f"{function.logical_id} had no version at {moment} that is kept: choose a later moment.")
        chosen.append((function, before[-1]["Version"]))
    for function, version in chosen:
        clients.functions.update_alias(
            FunctionName=function.name,
            Name=ALIAS,
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": {}},
        )
        yield f"{function.logical_id} is at version {version}."


def _functions(clients: Clients, stack: str) -> Iterator[Function]:
    found = 0
    pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    for resource in [each for page in pages for each in page["StackResourceSummaries"]]:
        if resource["ResourceType"] != "AWS::Lambda::Alias":
            continue
        found += 1
        name = resource["PhysicalResourceId"].split(":")[-2]  # of the alias's ARN
        alias = clients.functions.get_alias(FunctionName=name, Name=ALIAS)
        weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        listed = clients.functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
        published = [each for page in listed for each in page["Versions"] if each["Version"] != UNPUBLISHED]
        yield Function(
            resource["LogicalResourceId"].removesuffix(f"Alias{ALIAS}"),
            name,
            sorted(published, key=lambda version: int(version["Version"])),
            {alias["FunctionVersion"], *weights},
        )
    if not found:
        raise Problem(f"The stack {stack} has no function with an alias: check its name.")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Problem(f"{text} is not a moment: write it as 2026-11-28T10:00:00Z.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
