"""loyalty models publish: a model set from a folder into the model bucket, where the functions find it."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from training import defaults
from training.cli import options
from training.cli.command import Command
from training.errors import Problem


def _add_arguments(parser: ArgumentParser) -> None:
    options.add_model_bucket(parser)
    parser.add_argument(
        "--models",
        type=Path,
        default=defaults.MODELS,
        metavar="DIR",
        help="the set's folder (default: %(default)s)",
    )
    options.add_data_bucket(parser)
    parser.add_argument("--stage", action="store_true", help="upload only; 'loyalty models promote' activates it later")


def _mistake(chosen: Namespace) -> str:
    if chosen.stage and chosen.data_bucket:
        return "--stage makes nothing active, so that there is nothing to compare with --data-bucket"
    return options.mistake_in_force(chosen.force, "--data-bucket", chosen.data_bucket)


def _publish(chosen: Namespace) -> None:
    import boto3

    from training import registry
    from training.registry.inputs import current_snapshot

    s3, bucket = boto3.client("s3"), chosen.bucket
    try:
        if not chosen.stage:
            snapshot = current_snapshot(s3, chosen.data_bucket)
            change = registry.publish(s3, bucket, chosen.models, snapshot=snapshot, force=chosen.force)
            print(registry.describe(change, bucket))
            return
        staged = registry.stage(s3, bucket, chosen.models)
    except FileNotFoundError as error:
        raise Problem(
            f"there is no {error.filename}: train a model set first, or name its folder with --models."
        ) from error
    print(f"Uploaded to {bucket}, where the active set is as it was.")
    if staged.models:
        names = " ".join(f"{name} {model.version}" for name, model in sorted(staged.models.items()))
        print(f"To make these versions the active ones:\n  loyalty models promote --bucket {bucket} {names}")
    if staged.rfm:
        print("The RFM cut points of this folder go live only with a publish of it.")


COMMAND = Command(
    name="publish",
    summary="upload a model set and make it the active one",
    description="Publishes a model set: checks it as the functions will, uploads its models and cards, then makes it "
    "the active one in one write. Versions are immutable, so what is uploaded already is left as it is. Models that "
    "the folder does not have stay active. It needs s3:ListBucket on the bucket, and s3:GetObject and s3:PutObject on "
    "models/* in it; with --data-bucket, s3:GetObject on snapshots/* in that.",
    example="--bucket my-models --data-bucket my-data --models local/sample_models",
    add_arguments=_add_arguments,
    work=_publish,
    when_stopped=lambda chosen: f"the active set in {chosen.bucket} is a whole one, the old or the new.",
    place=lambda chosen: f"the bucket {chosen.bucket}",
    mistake=_mistake,
)
