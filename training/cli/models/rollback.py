"""loyalty models rollback: the model set before the active one becomes active again."""

from argparse import Namespace

from training.cli import options
from training.cli.command import Command


def _rollback(chosen: Namespace) -> None:
    import boto3

    from training import registry

    change = registry.rollback(boto3.client("s3"), chosen.bucket)
    print(registry.describe(change, chosen.bucket))


COMMAND = Command(
    name="rollback",
    summary="go back to the set before the active one",
    description="Goes back to the model set that was active before, in one write, after checking that it is still "
    "whole. Run again, it goes one set further back; what it left can be promoted again. 'loyalty models list' shows "
    "what it would go back to.",
    example="loyalty models rollback --bucket my-models",
    add_arguments=options.add_model_bucket,
    work=_rollback,
    when_stopped=lambda chosen: f"the active set in {chosen.bucket} is a whole one, the old or the new.",
    place=lambda chosen: f"the bucket {chosen.bucket}",
)
