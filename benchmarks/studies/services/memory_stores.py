"""The functions' stores in memory: the same models and the same table of customers that the peers have."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import wiring
from benchmarks.sample_models import FolderBucket
from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.models.store import ModelStore

FEATURES_AS_OF = "2018-01-02T00:00:00Z"


class MemoryFeatures:
    """In the place of loyalty_ml.customers.online_store.FeatureStore."""

    def __init__(self, file: Path) -> None:
        """file: customers.npy, float64 (n, features) in the default order, whose first row is customer "0"."""
        self.values = np.load(file)
        self.rows = {str(row): row for row in range(len(self.values))}

    def read(self, customer_ids: Sequence[str], names: Sequence[str]) -> FeatureTable:
        return FeatureTable(
            customer_ids=customer_ids,
            names=tuple(names),
            values=self.values[[self.rows[customer_id] for customer_id in customer_ids]],
            absent=None,
            found=None,
            as_of=FEATURES_AS_OF,
        )


def install() -> None:
    """Puts both in the place of the functions' own; all else stays as it runs on Lambda."""
    bucket = FolderBucket(Path(os.environ["BENCH_MODELS"]))
    models = ModelStore(bucket, "bench", Path(os.environ["MODEL_CACHE"]))  # type: ignore[arg-type]
    features = MemoryFeatures(Path(os.environ["BENCH_DATA"]) / "customers.npy")
    wiring.serve_from(models, features)
