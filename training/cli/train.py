"""loyalty train: from the company's warehouse to a measured model set."""

from argparse import ArgumentParser, Namespace

from training import defaults
from training.cli import options
from training.cli.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    options.add_warehouse(parser, defaults.DEMO_URL)
    options.add_out(parser)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=options.MODELS,
        metavar="MODEL",
        help="train these (churn, nbo); the others stay as they are",
    )
    parser.add_argument(
        "--force",
        metavar="REASON",
        help="write a model that is worse than the active one, or publish one that the current snapshot does not fit; "
        "the card or the manifest keeps the reason",
    )
    parser.add_argument("--publish", action="store_true", help="make the set the active one in --bucket")
    parser.add_argument("--bucket", help="the model bucket: to publish to, and to compare with what is active there")
    parser.add_argument(
        "--data-bucket",
        help="the data bucket: with --publish its current snapshot must have the features that the models read "
        "(default: that is not checked)",
    )


def _mistake(chosen: Namespace) -> str:
    if chosen.publish and not chosen.bucket:
        return "--publish needs --bucket, the model bucket"
    if chosen.data_bucket and not chosen.publish:
        return "--data-bucket is compared with what is published: it needs --publish"
    if chosen.force is not None and not chosen.force.strip():
        return "--force needs a reason"
    return ""


def _train(chosen: Namespace) -> None:
    from training.learning.baselines import check_lightgbm

    check_lightgbm()

    import boto3

    from loyalty_ml.registry.bucket import ModelBucket
    from training import config
    from training.learning.from_warehouse import train_from_warehouse
    from training.registry.inputs import current_snapshot

    s3 = boto3.client("s3") if chosen.bucket else None
    train_from_warehouse(
        chosen.warehouse,
        config.load(chosen.config),
        chosen.out,
        only=chosen.only,
        force=chosen.force,
        bucket=ModelBucket(s3, chosen.bucket) if s3 else None,
        publish=chosen.publish,
        snapshot=current_snapshot(s3, chosen.data_bucket) if s3 and chosen.publish else None,
    )


COMMAND = Command(
    name="train",
    summary="train on the warehouse, measure, and write a model set",
    description="Trains churn and next best offer on the warehouse, measures them beside honest baselines on customers "
    "that they have not seen, and writes each of them that passes every gate, with its card and report, and the RFM "
    "cut points. The configuration says where the warehouse keeps what, and sets the gates' bars.",
    example="--warehouse postgresql://reader@dwh/crm --config our-warehouse.toml --publish --bucket my-models",
    add_arguments=_add_arguments,
    work=_train,
    when_stopped=lambda chosen: f"the models in {chosen.out} are as they were.",
    place=lambda chosen: f"the bucket {chosen.bucket}" if chosen.bucket else "",
    mistake=_mistake,
    needs=("duckdb", "ibis", "jinja2", "lightgbm", "matplotlib", "pyarrow", "scipy", "sklearn", "tensorflow", "tqdm"),
    installed_by="make install",
)
