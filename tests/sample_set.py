"""The committed placeholder models and generated customers, for tests that need the real thing."""

import json
from datetime import UTC, datetime
from pathlib import Path

from loyalty_ml.models.card import Card, card_key, model_key, parse_card
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


def write_other(folder: Path) -> Path:
    """Writes a set of another churn model: this one's, with two features exchanged, so that it gives other answers."""
    from training.registry.model_set import TrainedModel, write_model_set  # the tests of Python 3.11 run without it

    active = manifest().models["churn"]
    card = json.loads(file_of(card_key("churn", active.version)).read_bytes())
    card |= {"version": "v2", "features": [card["features"][1], card["features"][0], *card["features"][2:]]}
    model = file_of(model_key("churn", active.version)).read_bytes()
    write_model_set(folder, [TrainedModel(Card.model_validate(card), model)], datetime(2018, 1, 2, tzinfo=UTC))
    return folder
