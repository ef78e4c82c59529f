"""python -m training.list: the versions in the model bucket, the active ones, and what a rollback returns to."""

import argparse
import sys

import boto3

from training import registry
from training.commands import run, table
from training.registry import Listing, Version

METRICS = 3
"""How many metrics of a version are listed: the first ones are those that its trainer put first."""


def main(arguments: list[str] | None = None) -> int:
    bucket: str = _arguments(arguments).bucket
    return run(
        "list",
        lambda: _list(bucket),
        "nothing was changed.",
        f"the bucket {bucket}",
    )


def _list(bucket: str) -> None:
    listing = registry.versions(boto3.client("s3"), bucket)
    manifest = listing.manifest
    if listing.versions:
        rows = [_row(version, listing) for version in listing.versions]
        print(table([("model", "version", "", "metrics", ""), *rows]))
    if manifest is None:
        print(f"Nothing is active in {bucket}: publish a model set, or promote a version.")
        return
    print(f"Active: {registry.members(manifest)}.")
    if manifest.previous:
        print(f"A rollback returns to: {registry.members(manifest.previous[0])}.")
    else:
        print("There is no set to roll back to.")


def _row(version: Version, listing: Listing) -> tuple[str, ...]:
    active = listing.manifest.models.get(version.name) if listing.manifest else None
    state = "active" if active and active.version == version.version else ""
    card = version.card
    metrics = [f"{name} {value:.4g}" for name, value in list(card.metrics.items())[:METRICS]] if card else []
    notes = ["placeholder"] if card and card.placeholder else []
    if card and card.forced:
        notes.append(f"FORCED: {card.forced}")
    if version.problem:
        notes.append(f"CANNOT BE SERVED: {version.problem}")
    return version.name, version.version, state, ", ".join(metrics), "; ".join(notes)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.list",
        description="Lists the versions in the model bucket, the newest first: which are active, their first metrics, "
        "which are placeholders, which were forced past a gate and why; and what a rollback returns to.",
        epilog="Example: python -m training.list --bucket my-models",
    )
    parser.add_argument("--bucket", required=True, help="the model bucket, ModelBucketName among the stack's outputs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
