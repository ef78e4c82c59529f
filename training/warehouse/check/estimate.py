"""How long a training and a materialize run would take, and their memory: estimates, from what samples took."""

from collections.abc import Mapping
from typing import NamedTuple

FIT_SECONDS_PER_EXAMPLE = 3 / 20_000
"""Of one split with its baselines, on a common machine: see learning.evaluation.evaluate."""
START_SECONDS = 15.0
"""TensorFlow's import, the conversion to TFLite and the report, each model."""
TRAINING_BYTES = 700_000_000
"""TensorFlow, LightGBM and their libraries."""
MATERIALIZE_BYTES = 300_000_000
"""DuckDB and PyArrow with their buffers; rows are read and written in batches."""
COPIES = 8
"""Of a feature matrix in memory, at the most: Arrow, float64, both parts of a split, float32, the baselines' own."""
BYTES_BESIDE_FEATURES = 200
"""Of an example: its id, moment, label and what BG/NBD reads."""
ITEMS_PER_SECOND = 2_000
"""Items that one process writes to DynamoDB on demand."""


class Estimate(NamedTuple):
    seconds: float
    bytes: float

    def __str__(self) -> str:
        return f"about {_duration(self.seconds)} and {self.bytes / 1e9:.1f} GB of memory"


def of_training(reading_seconds: float, examples: Mapping[str, int], features: int, splits: int) -> Estimate:
    """reading_seconds: for all examples; examples: how many each model has. The split in time is one more."""
    fits = sum(rows * FIT_SECONDS_PER_EXAMPLE * (splits + 1) + START_SECONDS for rows in examples.values())
    largest = max(examples.values(), default=0)
    return Estimate(reading_seconds + fits, TRAINING_BYTES + largest * (features * 8 * COPIES + BYTES_BESIDE_FEATURES))


def of_materialize(reading_seconds: float, customers: int) -> Estimate:
    """Reading all customers, and writing each to DynamoDB."""
    return Estimate(reading_seconds + customers / ITEMS_PER_SECOND, MATERIALIZE_BYTES)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
