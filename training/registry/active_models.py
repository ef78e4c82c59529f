"""The models that are active now, loaded as the functions load them: a new one is measured beside them."""

from collections.abc import Callable
from pathlib import Path

from loyalty_ml.models.document import Refused, path_in
from loyalty_ml.models.manifest import MANIFEST_KEY, Manifest, parse_manifest
from loyalty_ml.models.store import LoadedModel
from loyalty_ml.registry.bucket import ModelBucket
from training.registry.model_set import load_served


def active_in_bucket(bucket: ModelBucket) -> dict[str, LoadedModel]:
    """By name; what cannot be loaded is said and left out. Raises manifest.Refused and botocore's errors."""
    return _loaded(bucket.stored_manifest().parsed(), bucket.read)


def active_in_folder(folder: Path) -> dict[str, LoadedModel]:
    """By name; what cannot be loaded is said and left out."""

    def read(key: str) -> bytes:
        return path_in(folder, key).read_bytes()

    try:
        return _loaded(parse_manifest(read(MANIFEST_KEY)), read)
    except FileNotFoundError:
        return {}


def _loaded(manifest: Manifest | None, read: Callable[[str], bytes]) -> dict[str, LoadedModel]:
    loaded = {}
    for name, active in manifest.models.items() if manifest else ():
        try:
            loaded[name] = load_served(name, active, read)
        except (Refused, FileNotFoundError) as error:
            print(f"There is nothing to compare a new {name} with: {error}")
    return loaded
