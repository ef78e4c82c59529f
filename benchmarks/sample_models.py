"""The committed placeholder models, loaded as a function loads them, with a folder in S3's place."""

import io
from pathlib import Path
from typing import Any

from loyalty_ml.models.card import model_key
from loyalty_ml.models.document import path_in
from loyalty_ml.models.store import LoadedModel, ModelStore

FOLDER = Path("local/sample_models")
CACHE = Path("build/bench-models")


class FolderBucket:
    """An S3 client over a folder of published models."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    def get_object(self, Bucket: str, Key: str, **_: Any) -> dict[str, Any]:
        content = path_in(self._folder, Key).read_bytes()
        return {"Body": io.BytesIO(content), "ContentLength": len(content), "ETag": "one"}


def model_store() -> ModelStore:
    return ModelStore(FolderBucket(), "bench", CACHE)  # type: ignore[arg-type]


def model_bytes(model: LoadedModel) -> bytes:
    """What the interpreter was given."""
    return (CACHE / model_key(model.card.name, model.card.version)).read_bytes()
