"""SnapStart's snapshots, taken anew after models were published: a start from one that has them loads none."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import WaiterError

from deployment.problem import Problem

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

PARAMETER = "SnapshotTaken"


def _now() -> datetime:
    return datetime.now(UTC)


def take_snapshot(
    cloudformation: "CloudFormationClient", stack: str, clock: Callable[[], datetime] = _now, poll_seconds: int = 15
) -> str:
    """Deploys the stack's own template again with another value of one parameter; gives a line that says so.

    Through CloudFormation, so that the new versions are asked and moved to as in each release, and the next one knows
    of them. Raises Problem where there is no snapshot, or the deployment fails.
    """
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    given = {each["ParameterKey"]: each.get("ParameterValue", "") for each in described.get("Parameters", [])}
    if given.get("SnapStart") != "true" or given.get("ProvisionedConcurrency") != "0":
        raise Problem(f"The stack {stack} starts from no snapshot: deploy it with SnapStart true first.")
    taken = clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    cloudformation.update_stack(
        StackName=stack,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": name, "ParameterValue": taken}
            if name == PARAMETER
            else {"ParameterKey": name, "UsePreviousValue": True}
            for name in given
        ],
    )
    try:
        cloudformation.get_waiter("stack_update_complete").wait(
            StackName=stack, WaiterConfig={"Delay": poll_seconds, "MaxAttempts": 240}
        )
    except WaiterError as error:
        raise Problem(f"The stack {stack} was not updated ({error}): look at its events.") from error
    return f"The snapshots of {stack} were taken at {taken}."
