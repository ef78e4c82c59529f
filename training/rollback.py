"""python -m training.rollback: the model set before the active one becomes active again."""

import argparse
import sys

import boto3

from training import registry
from training.commands import run


def main(arguments: list[str] | None = None) -> int:
    bucket: str = _arguments(arguments).bucket
    return run(
        "rollback",
        lambda: _rollback(bucket),
        f"the active set in {bucket} is a whole one, the old or the new.",
        f"the bucket {bucket}",
    )


def _rollback(bucket: str) -> None:
    change = registry.rollback(boto3.client("s3"), bucket)
    print(registry.describe(change, bucket))


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.rollback",
        description="Goes back to the model set that was active before, in one write, after checking that it is still "
        "whole. Run again, it goes one set further back; what it left can be promoted again.",
        epilog="Example: python -m training.rollback --bucket my-models. What it would go back to: python -m "
        "training.list.",
    )
    parser.add_argument("--bucket", required=True, help="the model bucket, ModelBucketName among the stack's outputs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
