"""python -m training.diff: the metrics of two versions of a model, side by side."""

import argparse
import sys

import boto3

from loyalty_ml.models.card import Card
from loyalty_ml.models.store import MODEL_OUTPUTS
from training import registry
from training.commands import run, table


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    return run(
        "diff",
        lambda: _diff(options.bucket, options.model, options.versions),
        "nothing was changed.",
        f"the bucket {options.bucket}",
    )


def _diff(bucket: str, name: str, versions: list[str]) -> None:
    pair = registry.diff(boto3.client("s3"), bucket, name, versions)
    first, second = pair
    rows = [
        (name, first.version, second.version, "difference"),
        ("created", *(f"{card.created:%Y-%m-%d %H:%M}" for card in pair), ""),
        ("trained on", *(_trained_on(card) for card in pair), ""),
        ("forced", *(card.forced or "no" for card in pair), ""),
    ]
    for metric in dict.fromkeys([*first.metrics, *second.metrics]):
        old, new = first.metrics.get(metric), second.metrics.get(metric)
        difference = "" if old is None or new is None else f"{new - old:+.4g}"
        rows.append((metric, _number(old), _number(new), difference))
    print(table(rows))


def _trained_on(card: Card) -> str:
    return f"{card.training.rows:,} rows{', PLACEHOLDER' if card.placeholder else ''}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.diff",
        usage="%(prog)s [-h] --bucket BUCKET MODEL [VERSION [VERSION]]",
        description="Shows the metrics of two versions side by side, and what the second has more or less. With one "
        "version: the active one, and it. With none: the one that was active before, and the active one.",
        epilog="Example: python -m training.diff --bucket my-models churn",
    )
    parser.add_argument("--bucket", required=True, help="the model bucket, ModelBucketName among the stack's outputs")
    parser.add_argument("model", choices=list(MODEL_OUTPUTS), help="%(choices)s")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="at most two; python -m training.list has them")
    options = parser.parse_args(arguments)
    if len(options.versions) > 2:
        parser.error("two versions are compared, not more")
    return options


if __name__ == "__main__":
    sys.exit(main())
