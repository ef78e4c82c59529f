"""Whether a snapshot has what a model set reads, said to the person who runs a command."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loyalty_ml.customers.snapshot import SnapshotCard, SnapshotUnavailable, read_current
from loyalty_ml.models.document import Refused
from loyalty_ml.registry.bucket import ModelBucket
from loyalty_ml.registry.inputs import (
    Definitions,
    ModelInputs,
    changes,
    fit,
    inputs_of,
    inputs_of_card,
    inputs_of_cut_points,
)
from training.errors import Problem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = [
    "Definitions",
    "ModelInputs",
    "active_inputs",
    "changes",
    "check_snapshot",
    "current_snapshot",
    "fit",
    "inputs_of",
    "inputs_of_card",
    "inputs_of_cut_points",
]


def active_inputs(bucket: ModelBucket) -> list[ModelInputs]:
    """Of the models that are active in the bucket; none where nothing was published.

    Raises Problem where the manifest or a card cannot be read, and botocore's errors.
    """
    try:
        manifest = bucket.stored_manifest().parsed()
        return inputs_of(manifest.models, manifest.rfm, bucket.read) if manifest else []
    except Refused as error:
        raise Problem(f"The active models cannot be compared with the features: {error}") from error


def check_snapshot(models: Sequence[ModelInputs], snapshot: SnapshotCard, force: str | None) -> str | None:
    """Whether the current snapshot has what models read that are to become active.

    Says what cannot be compared. Raises Problem if it has not; with `force`, a reason, says so and returns it.
    """
    found = fit(models, snapshot.features, snapshot.feature_definitions, f"snapshot of {snapshot.as_of:%Y-%m-%d}")
    for sentence in found.not_compared:
        print(sentence, flush=True)
    if not found.problems:
        return None
    what = "; ".join(found.problems)
    if force is None:
        raise Problem(
            f"{what}. Nothing was made active: run 'loyalty materialize' with the configuration that these models were "
            "trained with first, or train them on the features of the snapshot; if the active models refuse that "
            "materialize, make these active with --force REASON and materialize at once."
        )
    print(f"Forced ({force}): {what}.", flush=True)
    return force


def current_snapshot(s3: "S3Client", bucket: str | None) -> SnapshotCard | None:
    """Of a data bucket; if there is none, or no bucket is named, says so. Raises Problem where it cannot be read."""
    if bucket is None:
        print("The models are not compared with the snapshot: name the data bucket with --data-bucket.", flush=True)
        return None
    try:
        card = read_current(s3, bucket)
    except SnapshotUnavailable as error:
        raise Problem(f"The models cannot be compared with the snapshot in {bucket}: {error}") from error
    if card is None:
        print(f"There is no snapshot in {bucket} yet, with which the models could be compared.", flush=True)
    return card
