"""What lies in a bucket: every version of each model, which are active, and how two of them differ."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from loyalty_ml.models.card import Card, card_key, model_key, parse_card
from loyalty_ml.models.document import Refused
from loyalty_ml.models.manifest import FIXED_CUT_POINTS, Manifest, PublishedSet, RfmCutPoints
from training.errors import Problem
from training.registry.bucket import ModelBucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CARD_KEY = re.compile(r"models/(?P<name>[^/]+)/(?P<version>[^/]+)/card\.json")


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


def versions(s3: "S3Client", bucket: str) -> Listing:
    """All that is in the bucket. A version whose upload was not finished has no card yet, and is not listed.

    Raises Refused where the manifest cannot be read, and botocore's errors.
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

    Raises Problem where there are no two, Refused where a card is not there or not good, botocore's
    errors.
    """
    place = ModelBucket(s3, bucket)
    manifest = place.stored_manifest().parsed()
    first, second = (
        _read_card(manifest, name, version, place.read) for version in _to_compare(manifest, bucket, name, pair)
    )
    return first, second


def members(published: PublishedSet) -> str:
    """A set in a line, such as: churn 20261128T153111Z-8059d23a, rfm cut points fixed."""
    models = [f"{name} {model.version}" for name, model in sorted(published.models.items())]
    return ", ".join([*models, f"rfm cut points {cut_points(published).version}"])


def cut_points(published: PublishedSet) -> RfmCutPoints:
    return published.rfm or FIXED_CUT_POINTS


def _read_card(manifest: Manifest | None, name: str, version: str, read: Callable[[str], bytes]) -> Card:
    text = read(card_key(name, version))
    return parse_card(text, name, version, hash_of_card(manifest, name, version) or sha256(text).hexdigest())


def hash_of_card(manifest: Manifest | None, name: str, version: str) -> str | None:
    """What the manifest holds it to; None for a version that is in none of its sets."""
    models = (known.models.get(name) for known in _sets(manifest))
    return next((model.card_sha256 for model in models if model and model.version == version), None)


def _sets(manifest: Manifest | None) -> tuple[PublishedSet, ...]:
    return (manifest, *manifest.previous) if manifest else ()


def _to_compare(manifest: Manifest | None, bucket: str, name: str, named: Sequence[str]) -> Sequence[str]:
    if len(named) == 2:
        return named
    used = [known.models[name].version for known in _sets(manifest) if name in known.models]
    if not used:
        raise Problem(
            f"No {name} was active in {bucket} so far: name two versions of those that 'loyalty models list' shows."
        )
    if named:
        return used[0], named[0]
    before = next((version for version in used if version != used[0]), None)
    if before is None:
        raise Problem(f"No other {name} was active in {bucket} before {used[0]}: name the version to compare it with.")
    return before, used[0]
