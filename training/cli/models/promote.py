"""loyalty models promote: versions that are in the model bucket already become the active ones."""

from argparse import ArgumentParser, Namespace

from training.cli import options
from training.cli.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s [-h] --bucket BUCKET [--data-bucket BUCKET [--force REASON]] MODEL VERSION [MODEL VERSION]"
    options.add_model_bucket(parser)
    options.add_data_bucket(parser)
    parser.add_argument("versions", nargs="+", metavar="MODEL VERSION", help="such as: churn 20261128T222800Z-8059d23a")


def _mistake(chosen: Namespace) -> str:
    names, versions = chosen.versions[::2], chosen.versions[1::2]
    if len(names) != len(versions):
        return "each model wants its version after it, such as: churn 20261128T222800Z-8059d23a"
    for name in names:
        if name not in options.MODELS or names.count(name) > 1:
            return f"the models are {' and '.join(options.MODELS)}, each once: not {' '.join(names)}"
    return options.mistake_in_force(chosen.force, "--data-bucket", chosen.data_bucket)


def _promote(chosen: Namespace) -> None:
    import boto3

    from training import registry
    from training.registry.inputs import current_snapshot

    s3 = boto3.client("s3")
    versions = dict(zip(chosen.versions[::2], chosen.versions[1::2], strict=True))
    snapshot = current_snapshot(s3, chosen.data_bucket)
    change = registry.promote(s3, chosen.bucket, versions, snapshot=snapshot, force=chosen.force)
    print(registry.describe(change, chosen.bucket))


COMMAND = Command(
    name="promote",
    summary="make versions that are in the bucket the active ones",
    description="Makes versions that are in the bucket already the active ones, all in one write, after checking them "
    "as the functions will. The other models stay as they are. 'loyalty models list' shows what there is to promote.",
    example="--bucket my-models churn 20261128T222800Z-8059d23a",
    add_arguments=_add_arguments,
    work=_promote,
    when_stopped=lambda chosen: f"the active set in {chosen.bucket} is a whole one, the old or the new.",
    place=lambda chosen: f"the bucket {chosen.bucket}",
    mistake=_mistake,
)
