"""`python -m deployment`: what is done with a deployed stack."""

import argparse
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deployment import check, versions
from deployment.problem import Problem
from deployment.snapshot import take_snapshot

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

SAMCONFIG = Path(__file__).parents[1] / "samconfig.toml"
STACK_HELP = "the stack's name"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployment", description="Looks at a deployed stack, and keeps its versions in order."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="subcommands")
    one = commands.add_parser("check", description="Looks at the API from outside: it answers, and asks for a token.")
    where = one.add_mutually_exclusive_group()
    where.add_argument("--stack", help=f"{STACK_HELP}; without it and --url, the one of samconfig.toml")
    where.add_argument("--url", help="the API's base address, as the stack's output ApiUrl has it")
    one.set_defaults(run=_check)
    one.epilog = "Example: LOYALTY_TOKEN=TOKEN python -m deployment check --stack loyalty-ml"
    one = commands.add_parser(
        "snapshot",
        description="Takes SnapStart's snapshots anew, with the models in them that are live now. It publishes "
        "versions, which are asked and moved to as in each release.",
    )
    one.add_argument("--stack", required=True, help=STACK_HELP)
    one.set_defaults(run=_snapshot)
    one.epilog = "Example: python -m deployment snapshot --stack loyalty-ml"
    one = commands.add_parser("versions", description="Lists the versions of each function, and which is live.")
    one.add_argument("--stack", required=True, help=STACK_HELP)
    one.add_argument("--keep", type=int, help="delete all but so many of the newest, the live ones and their layers")
    one.set_defaults(run=_versions)
    one.epilog = "Example: python -m deployment versions --stack loyalty-ml --keep 3"
    one = commands.add_parser(
        "back",
        description="Points each function's alias at the version that was the newest at a moment. Before the next "
        "deployment, do the same with the present moment.",
    )
    one.add_argument("--stack", required=True, help=STACK_HELP)
    one.add_argument("--to", required=True, help="the moment, as 2026-11-28T10:00:00Z")
    one.set_defaults(run=_back)
    one.epilog = "Example: python -m deployment back --stack loyalty-ml --to 2026-11-28T10:00:00Z"
    return parser


def _stack_output(cloudformation: "CloudFormationClient", stack: str, name: str) -> str:
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    values = [output["OutputValue"] for output in found if output["OutputKey"] == name]
    if not values:
        raise Problem(f"The stack {stack} has no output {name}: check its name, or give the address itself.")
    return values[0]


def configured_stack(samconfig: Path = SAMCONFIG) -> tuple[str, str | None]:
    """The stack's name and region of the last guided deployment; None for the region of the shell. Raises Problem."""
    try:
        told = tomllib.loads(samconfig.read_text(encoding="utf-8")).get("default", {})
        commands = [told.get(command, {}).get("parameters", {}) for command in ("global", "deploy")]
        answers = {name: value for parameters in commands for name, value in parameters.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise Problem(f"{samconfig.name} cannot be read ({error}): mend it, or give --stack or --url.") from error
    name, region = answers.get("stack_name"), answers.get("region")
    if not isinstance(name, str) or not isinstance(region, str | None):
        raise Problem(f"{samconfig.name} names no stack: deploy with --guided first, or give --stack or --url.")
    return name, region


def _url(options: argparse.Namespace) -> str:
    if options.url:
        return str(options.url)
    stack, region = (options.stack, None) if options.stack else configured_stack()
    return _stack_output(boto3.client("cloudformation", region_name=region), stack, "ApiUrl")


def _check(options: argparse.Namespace) -> None:
    url = _url(options)
    for line in check.check(check.over_http(url), os.environ.get("LOYALTY_TOKEN") or None):
        print(line, flush=True)


def _snapshot(options: argparse.Namespace) -> None:
    print(take_snapshot(boto3.client("cloudformation"), options.stack))


def _versions(options: argparse.Namespace) -> None:
    clients = versions.Clients(boto3.client("cloudformation"), boto3.client("lambda"))
    lines = versions.listing(clients, options.stack)
    if options.keep is not None:
        lines = versions.keep(clients, options.stack, options.keep)
    for line in lines:
        print(line, flush=True)


def _back(options: argparse.Namespace) -> None:
    clients = versions.Clients(boto3.client("cloudformation"), boto3.client("lambda"))
    for line in versions.back(clients, options.stack, options.to):
        print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except ClientError as error:
        print(f"AWS refuses ({error}): check the stack's name, the region and your permissions.", file=sys.stderr)
        return 1
    except BotoCoreError as error:  # such as no region, no credentials or no network
        print(f"AWS could not be asked ({error}): check your credentials, region and network.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
