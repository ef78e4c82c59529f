"""python -m training.promote: versions that are in the model bucket already become the active ones."""

import argparse
import sys

import boto3

from loyalty_ml.models.store import MODEL_OUTPUTS
from training import registry
from training.commands import run


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    return run(
        "promote",
        lambda: _promote(options.bucket, options.versions),
        f"the active set in {options.bucket} is a whole one, the old or the new.",
        f"the bucket {options.bucket}",
    )


def _promote(bucket: str, versions: dict[str, str]) -> None:
    change = registry.promote(boto3.client("s3"), bucket, versions)
    print(registry.describe(change, bucket))


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.promote",
        usage="%(prog)s [-h] --bucket BUCKET MODEL VERSION [MODEL VERSION]",
        description="Makes versions that are in the bucket already the active ones, all in one write, after checking "
        "them as the functions will. The other models stay as they are.",
        epilog="Example: python -m training.promote --bucket my-models churn 20261123T123005Z-8059d23a. What there is "
        "to promote: python -m training.list.",
    )
    parser.add_argument("--bucket", required=True, help="the model bucket, ModelBucketName among the stack's outputs")
    parser.add_argument("versions", nargs="+", metavar="MODEL VERSION", help="such as: churn 20261123T123005Z-8059d23a")
    options = parser.parse_args(arguments)
    names, versions = options.versions[::2], options.versions[1::2]
    if len(names) != len(versions):
        parser.error("each model wants its version after it, such as: churn 20261123T123005Z-8059d23a")
    for name in names:
        if name not in MODEL_OUTPUTS or names.count(name) > 1:
            parser.error(f"the models are {' and '.join(MODEL_OUTPUTS)}, each once: not {' '.join(names)}")
    options.versions = dict(zip(names, versions, strict=True))
    return options


if __name__ == "__main__":
    sys.exit(main())
