"""All that the benchmarks know of the layer's wiring. The peers study copies this file into built functions."""

from typing import Any

from loyalty_ml.models.store import ModelStore
from loyalty_ml.wiring import runtime


def serve_from(models: ModelStore, features: Any) -> None:
    """Gives this process's functions these stores; the rest is as on Lambda. features: has a FeatureStore's `read`."""
    runtime.model_store, runtime.feature_store = lambda: models, lambda: features  # type: ignore[assignment]
