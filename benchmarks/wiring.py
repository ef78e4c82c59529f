"""All that the benchmarks know of the layer's wiring. The peers study copies this file into built functions."""

from typing import Any

from loyalty_ml.models.store import ModelStore
from loyalty_ml.wiring.predict import PredictParts


def serve_from(models: ModelStore, features: Any) -> None:
    """Gives this process's functions these stores; the rest is as on Lambda. features: has a FeatureStore's `read`."""
    # Of the class: the functions make their parts themselves, before or after this.
    PredictParts.models, PredictParts.customers = models, features  # type: ignore[assignment]
