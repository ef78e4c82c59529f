"""What lies in a bucket: every version of each model, which are active, and how two of them differ."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loyalty_ml.models.card import Card
from loyalty_ml.models.manifest import Manifest, PublishedSet
from loyalty_ml.registry.bucket import ModelBucket
from loyalty_ml.registry.listing import Listing, cut_points, list_versions, read_card, sets_of
from training.errors import Problem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def versions(s3: "S3Client", bucket: str) -> Listing:
    """All that is in the bucket; see list_versions."""
    return list_versions(ModelBucket(s3, bucket))


def diff(s3: "S3Client", bucket: str, name: str, pair: Sequence[str] = ()) -> tuple[Card, Card]:
    """The cards of the two versions named; of the active one and the one named; or of the one before, and the active.

    Raises Problem where there are no two, Refused where a card is not there or not good, botocore's
    errors.
    """
    place = ModelBucket(s3, bucket)
    manifest = place.stored_manifest().parsed()
    first, second = (
        read_card(manifest, name, version, place.read) for version in _to_compare(manifest, bucket, name, pair)
    )
    return first, second


def members(published: PublishedSet) -> str:
    """A set in a line, such as: churn 20261128T222800Z-8059d23a, rfm cut points fixed."""
    models = [f"{name} {model.version}" for name, model in sorted(published.models.items())]
    return ", ".join([*models, f"rfm cut points {cut_points(published).version}"])


def _to_compare(manifest: Manifest | None, bucket: str, name: str, named: Sequence[str]) -> Sequence[str]:
    if len(named) == 2:
        return named
    used = [known.models[name].version for known in sets_of(manifest) if name in known.models]
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
