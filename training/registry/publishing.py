"""A set goes live, or back, in a bucket: whole, and in one step.

What is active and the way back are one object, models/manifest.json: a set goes live, or back, in one conditional
write, and until then the set before it is the active one, whole. All else in the bucket is immutable.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loyalty_ml.customers.snapshot import SnapshotCard
from loyalty_ml.models.card import card_key, model_key
from loyalty_ml.models.document import Refused, TooNew, path_in
from loyalty_ml.models.manifest import MANIFEST_KEY, ActiveModel, Manifest, PublishedSet, parse_manifest
from loyalty_ml.registry import activation
from loyalty_ml.registry.activation import WAY_BACK, Change, CheckInputs, activate
from loyalty_ml.registry.bucket import ModelBucket, StoredManifest
from loyalty_ml.registry.inputs import inputs_of
from loyalty_ml.registry.listing import cut_points
from training.registry.inputs import check_snapshot
from training.registry.model_set import load_served

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def publish(
    s3: "S3Client",
    bucket: str,
    folder: Path,
    way_back: int = WAY_BACK,
    *,
    snapshot: SnapshotCard | None = None,
    force: str | None = None,
) -> Change:
    """Makes the set whose manifest is `folder`/manifest.json the active one; a folder mirrors what is below `models/`.

    Models and cut points that the folder does not have stay active as they are. The manifest keeps `way_back` sets
    beside the active one. The snapshot, if one is given, must have what the set reads; `force` is a reason to make the
    set active all the same, which the manifest keeps.

    Raises Problem if the snapshot has not, or S3 did not say whether the set became active; FileNotFoundError or
    Refused if the folder does not hold a whole set that can be served, or the bucket has something else under one of
    its versions; PublishConflict if the active set changed meanwhile; botocore's errors.
    """
    new, files = _read_folder(folder)
    place = ModelBucket(s3, bucket)
    stored = place.stored_manifest()
    before = _replaceable(stored)
    forced = _checking(snapshot, force)(inputs_of(new.models, new.rfm, files.__getitem__))
    place.upload(files)
    return activate(place, stored, before, new, way_back=way_back, forced=forced)


def stage(s3: "S3Client", bucket: str, folder: Path) -> PublishedSet:
    """Uploads the models of a folder and leaves the active set as it is. Raises what publish raises of both."""
    new, files = _read_folder(folder)
    ModelBucket(s3, bucket).upload(files)
    return new


def promote(
    s3: "S3Client",
    bucket: str,
    versions: Mapping[str, str],
    *,
    snapshot: SnapshotCard | None = None,
    force: str | None = None,
) -> Change:
    """Makes versions that are in the bucket, by their model's name, the active ones; the other models stay.

    The snapshot and `force` are as in publish.
    Raises Refused where one is not there or could not be served, and what publish raises of S3.
    """
    return activation.promote(ModelBucket(s3, bucket), versions, _checking(snapshot, force), load=load_served)


def rollback(s3: "S3Client", bucket: str, *, snapshot: SnapshotCard | None = None, force: str | None = None) -> Change:
    """Makes the set before the active one active again and takes it off the way back: the next one goes one further.

    The snapshot and `force` are as in publish.
    Raises RegistryProblem if there is no set before, Problem if the snapshot does not fit it, Refused if it is not
    whole in the bucket any more, and what publish raises of S3.
    """
    return activation.rollback(ModelBucket(s3, bucket), _checking(snapshot, force), load=load_served)


def describe(change: Change, bucket: str) -> str:
    """What is active of each model and of the cut points, and what was, a line each; then what that means."""
    before, after = change.before, change.after
    names = sorted(after.models.keys() | (before.models.keys() if before else set()))
    lines = [_moved(name, _version(after, name), _version(before, name)) for name in names]
    lines += [f"{name}: {text}" for name, text in sorted(after.advice.items())]
    lines.append(_moved("rfm cut points", cut_points(after).version, cut_points(before).version if before else None))
    if after is before:
        lines.append(f"This set was the active one in {bucket} already: nothing was changed.")
    else:
        lines.append(f"This set is now the active one in {bucket}; the functions take it up within a minute.")
    return "\n".join(lines)


def _moved(name: str, new: str | None, old: str | None) -> str:
    if new is None:
        return f"{name}: none, where {old} was"
    if old is None:
        return f"{name} {new}"
    return f"{name} {new}, as before" if new == old else f"{name} {new}, where {old} was"


def _version(published: PublishedSet | None, name: str) -> str | None:
    return published.models[name].version if published and name in published.models else None


def _read_folder(folder: Path) -> tuple[PublishedSet, dict[str, bytes]]:
    """The set in a folder, and its files by their key in the bucket, all of them checked."""

    def read(key: str) -> bytes:
        return path_in(folder, key).read_bytes()

    new = parse_manifest(read(MANIFEST_KEY))
    if not new.models and not new.rfm and not new.advice:
        raise Refused(f"{path_in(folder, MANIFEST_KEY)} names no model: train a model set first.")
    files: dict[str, bytes] = {}
    for name, model in new.models.items():
        files |= _check(name, model, read)
    return new, files


def _check(name: str, model: ActiveModel, read: Callable[[str], bytes]) -> dict[str, bytes]:
    """The files of a model that the functions would serve: they check the same before they do.

    That the interpreter loads it means that it knows the version of each of its operations. The card comes last, so
    that a version with a card is whole in the bucket.
    """
    files: dict[str, bytes] = {}

    def reading(key: str) -> bytes:
        files[key] = read(key)
        return files[key]

    load_served(name, model, reading)
    return {key: files[key] for key in (model_key(name, model.version), card_key(name, model.version))}


def _checking(snapshot: SnapshotCard | None, force: str | None) -> CheckInputs:
    """What gives `force` if it was needed, and raises Problem if the snapshot does not fit and there is none."""
    return lambda inputs: check_snapshot(inputs, snapshot, force) if snapshot else None


def _replaceable(stored: StoredManifest) -> Manifest | None:
    """The manifest in the bucket; None also where it is broken, which publishing again is the way to mend."""
    try:
        return stored.parsed()
    except TooNew:
        raise
    except Refused:
        return None
