"""How many of a snapshot's customers the active models could answer, counted in its parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT
from training.registry.inputs import ModelInputs
from training.snapshot.parts import quoted, working_duckdb


class Answerable(NamedTuple):
    """Of `customers` with purchases a model could answer `answered`; `lacking` says how many lack each feature."""

    model: str
    customers: int
    answered: int
    lacking: dict[str, int]

    @property
    def share(self) -> float:
        return self.answered / self.customers if self.customers else 1.0

    def __str__(self) -> str:
        most_first = sorted(self.lacking.items(), key=lambda one: -one[1])
        reasons = ", ".join(f"{count:,} lack {name}" for name, count in most_first if count)
        answered = f"{self.model} could answer {self.answered:,} of {self.customers:,} customers ({self.share:.1%})"
        return f"{answered}: {reasons}" if reasons else answered


def answerable(
    models: Sequence[ModelInputs], parts: Sequence[Path], features: Sequence[str], spill: Path
) -> list[Answerable]:
    """Of each model. A customer without any purchase is not counted. Raises duckdb.Error from the disk."""
    found = []
    with working_duckdb(spill) as connection:
        parquet = connection.read_parquet([str(part) for part in parts])
        # 0 for a customer who is known and has bought nothing: nobody expects a prediction of them.
        if LIFETIME_TRANSACTION_COUNT in features:
            parquet = parquet.filter(f"{quoted(LIFETIME_TRANSACTION_COUNT)} IS DISTINCT FROM 0")
        for model in models:
            missing = [f"{quoted(name)} IS NULL" if name in features else "true" for name in model.features]
            columns = ["count(*)", f"count(*) FILTER (NOT ({' OR '.join(missing)}))"]
            columns += [f"count(*) FILTER ({condition})" for condition in missing]
            row = parquet.aggregate(", ".join(columns)).fetchone()
            assert row is not None
            customers, answered, *lacking = row
            found.append(Answerable(model.name, customers, answered, dict(zip(model.features, lacking, strict=True))))
    return found
