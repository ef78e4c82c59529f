"""The registry: which model set is active in a bucket, which were before it, and every version that lies there.

What is active and the way back are one object, models/manifest.json: a set goes live, or back, in one conditional
write, and until then the set before it is the active one, whole. All else in the bucket is immutable.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from loyalty_ml.models.card import Card, card_key, model_key, parse_card
from loyalty_ml.models.document import Refused, TooNew, path_in
from loyalty_ml.models.manifest import (
    FIXED_CUT_POINTS,
    MANIFEST_KEY,
    ActiveModel,
    Manifest,
    PublishedSet,
    RfmCutPoints,
    parse_manifest,
)
from training.commands import Problem
from training.model_bucket import ModelBucket, StoredManifest
from training.model_set import load_served

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WAY_BACK = 20
"""How many sets the manifest keeps beside the active one."""

_CARD_KEY = re.compile(r"models/(?P<name>[^/]+)/(?P<version>[^/]+)/card\.json")


@dataclass(frozen=True, slots=True)
class Change:
    """What a command did to the active set: `after` is `before` itself where there was nothing to change."""

    before: Manifest | None
    after: Manifest


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model in the bucket; `problem` says why it could not be served. One of the two is not None."""

    name: str
    version: str
    card: Card | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in the bucket: the manifest, and every version, by name and the newest first."""

    manifest: Manifest | None
    versions: Sequence[Version]


def publish(s3: "S3Client", bucket: str, folder: Path) -> Change:
    """Makes the set whose manifest is `folder`/manifest.json the active one; a folder mirrors what is below `models/`.

    Models and cut points that the folder does not have stay active as they are.

    Raises FileNotFoundError or manifest.Refused where the folder does not hold a whole set that can be served, or the
    bucket has something else under one of its versions; PublishConflict where the active set changed meanwhile;
    commands.Problem where S3 did not say whether the set became active; botocore's errors.
    """
    new, files = _read_folder(folder)
    place = ModelBucket(s3, bucket)
    stored = place.stored_manifest()
    before = _replaceable(stored)
    place.upload(files)
    return _activate(place, stored, before, new.models, new.rfm)


def stage(s3: "S3Client", bucket: str, folder: Path) -> PublishedSet:
    """Uploads the models of a folder and leaves the active set as it is. Raises what publish raises of both."""
    new, files = _read_folder(folder)
    ModelBucket(s3, bucket).upload(files)
    return new


def promote(s3: "S3Client", bucket: str, versions: Mapping[str, str]) -> Change:
    """Makes versions that are in the bucket, by their model's name, the active ones; the other models stay.

    Raises manifest.Refused where one is not there or could not be served, and what publish raises of S3.
    """
    place = ModelBucket(s3, bucket)
    stored = place.stored_manifest()
    before = stored.parsed()
    models = {}
    for name, version in versions.items():
        hash_of_card = _hash_of_card(before, name, version)
        if hash_of_card is None:
            hash_of_card = sha256(place.read(card_key(name, version))).hexdigest()
        models[name] = ActiveModel(version=version, card_sha256=hash_of_card)
        _check(name, models[name], place.read)
    return _activate(place, stored, before, models)


def rollback(s3: "S3Client", bucket: str) -> Change:
    """Makes the set before the active one active again and takes it off the way back: the next one goes one further.

    Raises commands.Problem where there is no set before, manifest.Refused where it is no longer whole in the bucket,
    and what publish raises of S3.
    """
    place = ModelBucket(s3, bucket)
    stored = place.stored_manifest()
    before = stored.parsed()
    if before is None or not before.previous:
        raise Problem(f"There is no set to go back to in {bucket}: see 'python -m training.list --bucket {bucket}'.")
    last, *further = before.previous
    for name, model in last.models.items():
        # What is active anyway gets no worse by going back, and must not stand in the way of it.
        if model != before.models.get(name):
            _check(name, model, place.read)
    after = Manifest(created=last.created, models=last.models, rfm=last.rfm, previous=tuple(further))
    place.replace_manifest(stored, after)
    return Change(before, after)


def versions(s3: "S3Client", bucket: str) -> Listing:
    """All that is in the bucket. A version whose upload was not finished has no card yet, and is not listed.

    Raises manifest.Refused where the manifest cannot be read, and botocore's errors.
    """
    place = ModelBucket(s3, bucket)
    manifest = place.stored_manifest().parsed()
    sizes = place.sizes()

    def look(name: str, version: str) -> Version:
        try:
            card = _read_card(manifest, name, version, place.read)
        except Refused as error:
            return Version(name, version, None, str(error))
        key = model_key(name, version)
        found, expected = sizes.get(key, 0), card.file.size
        return Version(
            name, version, card, None if found == expected else f"{key} has {found} bytes, not its {expected}."
        )

    cards = [found for found in map(_CARD_KEY.fullmatch, sizes) if found]
    with ThreadPoolExecutor(8) as pool:
        looked_at = pool.map(lambda found: look(found["name"], found["version"]), cards)
        newest_first = sorted(looked_at, key=lambda version: version.version, reverse=True)
    return Listing(manifest, sorted(newest_first, key=lambda version: version.name))


def diff(s3: "S3Client", bucket: str, name: str, pair: Sequence[str] = ()) -> tuple[Card, Card]:
    """The cards of the two versions named; of the active one and the one named; or of the one before, and the active.

    Raises commands.Problem where there are no two, manifest.Refused where a card is not there or not good, botocore's
    errors.
    """
    place = ModelBucket(s3, bucket)
    manifest = place.stored_manifest().parsed()
    first, second = (
        _read_card(manifest, name, version, place.read) for version in _to_compare(manifest, bucket, name, pair)
    )
    return first, second


def describe(change: Change, bucket: str) -> str:
    """What is active of each model and of the cut points, and what was, a line each; then what that means."""
    before, after = change.before, change.after
    names = sorted(after.models.keys() | (before.models.keys() if before else set()))
    lines = [_moved(name, _version(after, name), _version(before, name)) for name in names]
    lines.append(_moved("rfm cut points", _cut_points(after).version, _cut_points(before).version if before else None))
    if after is before:
        lines.append(f"This set was the active one in {bucket} already: nothing was changed.")
    else:
        lines.append(f"This set is now the active one in {bucket}; the functions take it up within a minute.")
    return "\n".join(lines)


def members(published: PublishedSet) -> str:
    """A set in a line, such as: churn 20261123T123005Z-8059d23a, rfm cut points fixed."""
    models = [f"{name} {model.version}" for name, model in sorted(published.models.items())]
    return ", ".join([*models, f"rfm cut points {_cut_points(published).version}"])


def _moved(name: str, new: str | None, old: str | None) -> str:
    if new is None:
        return f"{name}: none, where {old} was"
    if old is None:
        return f"{name} {new}"
    return f"{name} {new}, as before" if new == old else f"{name} {new}, where {old} was"


def _version(published: PublishedSet | None, name: str) -> str | None:
    return published.models[name].version if published and name in published.models else None


def _cut_points(published: PublishedSet) -> RfmCutPoints:
    return published.rfm or FIXED_CUT_POINTS


def _read_folder(folder: Path) -> tuple[PublishedSet, dict[str, bytes]]:
    """The set in a folder, and its files by their key in the bucket, all of them checked."""

    def read(key: str) -> bytes:
        return path_in(folder, key).read_bytes()

    new = parse_manifest(read(MANIFEST_KEY))
    if not new.models and not new.rfm:
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


def _replaceable(stored: StoredManifest) -> Manifest | None:
    """The manifest in the bucket; None also where it is broken, which publishing again is the way to mend."""
    try:
        return stored.parsed()
    except TooNew:
        raise
    except Refused:
        return None


def _activate(
    place: ModelBucket,
    stored: StoredManifest,
    before: Manifest | None,
    models: Mapping[str, ActiveModel],
    rfm: RfmCutPoints | None = None,
) -> Change:
    previous: tuple[PublishedSet, ...] = ()
    if before:
        models, rfm = {**before.models, **models}, rfm or before.rfm
        if (models, rfm) == (before.models, before.rfm):
            place.check_manifest_is_still(stored)
            return Change(before, before)
        was_active = PublishedSet(created=before.created, models=before.models, rfm=before.rfm)
        previous = (was_active, *before.previous)[:WAY_BACK]
    after = Manifest(created=datetime.now(UTC).replace(microsecond=0), models=dict(models), rfm=rfm, previous=previous)
    place.replace_manifest(stored, after)
    return Change(before, after)


def _read_card(manifest: Manifest | None, name: str, version: str, read: Callable[[str], bytes]) -> Card:
    text = read(card_key(name, version))
    return parse_card(text, name, version, _hash_of_card(manifest, name, version) or sha256(text).hexdigest())


def _hash_of_card(manifest: Manifest | None, name: str, version: str) -> str | None:
    """What the manifest holds it to; None for a version of none of its sets."""
    models = (known.models.get(name) for known in _sets(manifest))
    return next((model.card_sha256 for model in models if model and model.version == version), None)


def _sets(manifest: Manifest | None) -> tuple[PublishedSet, ...]:
    return (manifest, *manifest.previous) if manifest else ()


def _to_compare(manifest: Manifest | None, bucket: str, name: str, named: Sequence[str]) -> Sequence[str]:
    if len(named) == 2:
        return named
    used = [known.models[name].version for known in _sets(manifest) if name in known.models]
    if not used:
        raise Problem(f"No {name} was active in {bucket} so far: name two versions of those that training.list shows.")
    if named:
        return used[0], named[0]
    before = next((version for version in used if version != used[0]), None)
    if before is None:
        raise Problem(f"No other {name} was active in {bucket} before {used[0]}: name the version to compare it with.")
    return before, used[0]
