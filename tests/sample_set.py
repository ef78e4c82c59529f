"""The committed placeholder models and generated customers, for tests that need the real thing."""

from pathlib import Path

from loyalty_ml.models.card import card_key, model_key, parse_card
from loyalty_ml.models.document import path_in
from loyalty_ml.models.interpreter import Network
from loyalty_ml.models.manifest import Manifest, parse_manifest
from loyalty_ml.models.store import LoadedModel, ModelSet

FOLDER = Path(__file__).parent.parent / "local" / "sample_models"
AS_OF = "2018-01-02T00:00:00Z"


def manifest() -> Manifest:
    return parse_manifest((FOLDER / "manifest.json").read_bytes())


def file_of(key: str) -> Path:
    """Where an object of the model bucket lies in the folder."""
    return path_in(FOLDER, key)


def model_set() -> ModelSet:
    """The set as a function holds it after loading it from S3."""
    loaded = {}
    for name, active in manifest().models.items():
        card = parse_card(
            file_of(card_key(name, active.version)).read_bytes(), name, active.version, active.card_sha256
        )
        model = file_of(model_key(name, active.version)).read_bytes()
        loaded[name] = LoadedModel(card, Network(model, len(card.features), card.width))
    return ModelSet(manifest(), loaded)
