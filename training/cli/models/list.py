"""loyalty models list: the versions in the model bucket, the active ones, and what a rollback returns to."""

from argparse import Namespace
from typing import TYPE_CHECKING

from training.cli import options
from training.cli.command import Command
from training.table import table

if TYPE_CHECKING:
    from training.registry import Listing, Version

METRICS = 3
"""How many metrics of a version are listed: the first ones are those that its trainer put first."""


def _list(chosen: Namespace) -> None:
    import boto3

    from training import registry

    listing = registry.versions(boto3.client("s3"), chosen.bucket)
    manifest = listing.manifest
    if listing.versions:
        rows = [_row(version, listing) for version in listing.versions]
        print(table([("model", "version", "", "metrics", ""), *rows]))
    if manifest is None:
        print(f"Nothing is active in {chosen.bucket}: publish a model set, or promote a version.")
        return
    print(f"Active: {registry.members(manifest)}.")
    if manifest.previous:
        print(f"A rollback returns to: {registry.members(manifest.previous[0])}.")
    else:
        print("There is no set to roll back to.")


def _row(version: "Version", listing: "Listing") -> tuple[str, ...]:
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


COMMAND = Command(
    name="list",
    summary="the versions in the bucket, and which are active",
    description="Lists the versions in the model bucket, the newest first: which are active, their first metrics, "
    "which are placeholders, which were forced past a gate and why; and what a rollback returns to.",
    example="--bucket my-models",
    add_arguments=options.add_model_bucket,
    work=_list,
    when_stopped=lambda _: "nothing was changed.",
    place=lambda chosen: f"the bucket {chosen.bucket}",
)
