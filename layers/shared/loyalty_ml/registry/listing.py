"""What lies in a bucket: every version of each model, and which are active."""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from loyalty_ml.aws.budget import in_this_budget
from loyalty_ml.models.card import Card, card_key, model_key, parse_card
from loyalty_ml.models.document import Refused
from loyalty_ml.models.manifest import FIXED_CUT_POINTS, Manifest, PublishedSet, RfmCutPoints
from loyalty_ml.registry.bucket import ModelBucket, StoredManifest

_CARD_KEY = re.compile(r"models/(?P<name>[^/]+)/(?P<version>[^/]+)/card\.json")
_AT_A_TIME = 8
"""Cards that are read at once."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model in the bucket; `problem` says why it could not be served. One of the two is not None."""

    name: str
    version: str
    card: Card | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in the bucket: the manifest, and every version, by name and the newest first.

    stored:  the manifest as it was read, for a change of what was listed.
    totals:  how many versions there are of each model, listed or not.
    """

    manifest: Manifest | None
    versions: Sequence[Version]
    stored: StoredManifest
    totals: dict[str, int]


def list_versions(place: ModelBucket, newest: int | None = None) -> Listing:
    """All that is in the bucket, or of each model the `newest` versions and those of the active set and the way back.

    A version whose upload was not finished has no card yet, and is not listed.
    Raises Refused where the manifest cannot be read, and botocore's errors.
    """
    stored = place.stored_manifest()
    manifest = stored.parsed()
    sizes = place.sizes()

    def look(name: str, version: str) -> Version:
        try:
            card = read_card(manifest, name, version, place.read)
        except Refused as error:
            return Version(name, version, None, str(error))
        key = model_key(name, version)
        found, expected = sizes.get(key, 0), card.file.size
        return Version(
            name, version, card, None if found == expected else f"{key} has {found} bytes, not its {expected}."
        )

    by_name: dict[str, list[str]] = {}
    for found in filter(None, map(_CARD_KEY.fullmatch, sizes)):
        by_name.setdefault(found["name"], []).append(found["version"])
    wanted = [
        (name, version)
        for name in sorted(by_name)
        for version in _newest(sorted(by_name[name], reverse=True), newest, _used(manifest, name))
    ]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        asked = [pool.submit(in_this_budget(look), name, version) for name, version in wanted]
        looked_at = [each.result() for each in asked]
    return Listing(manifest, looked_at, stored, {name: len(versions) for name, versions in by_name.items()})


def cut_points(published: PublishedSet) -> RfmCutPoints:
    return published.rfm or FIXED_CUT_POINTS


def read_card(manifest: Manifest | None, name: str, version: str, read: Callable[[str], bytes]) -> Card:
    """The card of a version, held to the manifest's hash if one of its sets has the version.

    Raises Refused where it is not good, and what `read` raises.
    """
    text = read(card_key(name, version))
    return parse_card(text, name, version, hash_of_card(manifest, name, version) or sha256(text).hexdigest())


def hash_of_card(manifest: Manifest | None, name: str, version: str) -> str | None:
    """What the manifest holds it to; None for a version that is in none of its sets."""
    models = (known.models.get(name) for known in sets_of(manifest))
    return next((model.card_sha256 for model in models if model and model.version == version), None)


def sets_of(manifest: Manifest | None) -> tuple[PublishedSet, ...]:
    """The active set, then the way back from it."""
    return (manifest, *manifest.previous) if manifest else ()


def _used(manifest: Manifest | None, name: str) -> set[str]:
    return {known.models[name].version for known in sets_of(manifest) if name in known.models}


def _newest(versions: Sequence[str], newest: int | None, used: Iterable[str]) -> list[str]:
    if newest is None:
        return list(versions)
    return [version for place, version in enumerate(versions) if place < newest or version in used]
