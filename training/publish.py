"""python -m training.publish: a model set from a folder into the model bucket, where the functions find it."""

import argparse
import sys
from pathlib import Path

import boto3

from training import registry
from training.commands import Problem, run


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    work = _stage if options.stage else _publish
    return run(
        "publish",
        lambda: work(options.bucket, options.models),
        f"the active set in {options.bucket} is a whole one, the old or the new.",
        f"the bucket {options.bucket}",
    )


def _publish(bucket: str, folder: Path) -> None:
    try:
        change = registry.publish(boto3.client("s3"), bucket, folder)
    except FileNotFoundError as error:
        raise _no_set(error) from error
    print(registry.describe(change, bucket))


def _stage(bucket: str, folder: Path) -> None:
    try:
        staged = registry.stage(boto3.client("s3"), bucket, folder)
    except FileNotFoundError as error:
        raise _no_set(error) from error
    print(f"Uploaded to {bucket}, where the active set is as it was.")
    if staged.models:
        names = " ".join(f"{name} {model.version}" for name, model in sorted(staged.models.items()))
        print(f"To make these versions the active ones:\n  python -m training.promote --bucket {bucket} {names}")
    if staged.rfm:
        print("The RFM cut points of this folder go live only with a publish of it.")


def _no_set(error: FileNotFoundError) -> Problem:
    return Problem(f"there is no {error.filename}: train a model set first, or name its folder with --models.")


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.publish",
        description="Publishes a model set: checks it as the functions will, uploads its models and cards, then makes "
        "it the active one in one write. Versions are immutable, so what is uploaded already is left as it is. Models "
        "that the folder does not have stay active.",
        epilog="Example: python -m training.publish --bucket my-models --models local/sample_models. It needs "
        "s3:ListBucket on the bucket, and s3:GetObject and s3:PutObject on models/* in it.",
    )
    parser.add_argument("--bucket", required=True, help="the model bucket, ModelBucketName among the stack's outputs")
    parser.add_argument(
        "--models", type=Path, default=Path("models"), metavar="DIR", help="the set's folder (default: models)"
    )
    parser.add_argument("--stage", action="store_true", help="upload only; training.promote makes it active later")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
