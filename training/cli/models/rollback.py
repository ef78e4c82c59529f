"""loyalty models rollback: the model set before the active one becomes active again."""

from argparse import ArgumentParser, Namespace

from training.cli import options
from training.cli.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    options.add_model_bucket(parser)
    options.add_data_bucket(parser)


def _mistake(chosen: Namespace) -> str:
    return options.mistake_in_force(chosen.force, "--data-bucket", chosen.data_bucket)


def _rollback(chosen: Namespace) -> None:
    import boto3

    from training import registry
    from training.registry.inputs import current_snapshot

    s3 = boto3.client("s3")
    snapshot = current_snapshot(s3, chosen.data_bucket)
    change = registry.rollback(s3, chosen.bucket, snapshot=snapshot, force=chosen.force)
    print(registry.describe(change, chosen.bucket))


COMMAND = Command(
    name="rollback",
    summary="go back to the set before the active one",
    description="Goes back to the model set that was active before, in one write, after checking that it is still "
    "whole. Run again, it goes one set further back; what it left can be promoted again. 'loyalty models list' shows "
    "what it would go back to.",
    example="--bucket my-models --data-bucket my-data",
    add_arguments=_add_arguments,
    work=_rollback,
    when_stopped=lambda chosen: f"the active set in {chosen.bucket} is a whole one, the old or the new.",
    place=lambda chosen: f"the bucket {chosen.bucket}",
    mistake=_mistake,
)
