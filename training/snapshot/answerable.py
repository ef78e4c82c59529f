"""How many of a snapshot's customers the active models could answer, counted in its parts."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from loyalty_ml.customers.table import LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.domain import Domain
from training.registry.inputs import ModelInputs
from training.snapshot.parts import quoted, working_duckdb


class Answerable(NamedTuple):
    """Of `customers` with purchases a model could answer `answered`.

    lacking, outside: how many lack each feature, and how many have a value outside its domain.
    """

    model: str
    customers: int
    answered: int
    lacking: dict[str, int]
    outside: dict[str, int]

    @property
    def share(self) -> float:
        return self.answered / self.customers if self.customers else 1.0

    def __str__(self) -> str:
        reasons = [(count, f"lack {name}") for name, count in self.lacking.items() if count]
        reasons += [(count, f"have {name} outside its domain") for name, count in self.outside.items() if count]
        most_first = ", ".join(f"{count:,} {what}" for count, what in sorted(reasons, key=lambda one: -one[0]))
        answered = f"{self.model} could answer {self.answered:,} of {self.customers:,} customers ({self.share:.1%})"
        return f"{answered}: {most_first}" if most_first else answered


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
            missing = {name: f"{quoted(name)} IS NULL" if name in features else "true" for name in model.features}
            outside = {name: _is_outside(name, model.domains[name]) for name in model.domains if name in features}
            conditions = [*missing.values(), *outside.values()]
            columns = ["count(*)", f"count(*) FILTER (NOT ({' OR '.join(conditions)}))"]
            columns += [f"count(*) FILTER ({condition})" for condition in conditions]
            row = parquet.aggregate(", ".join(columns)).fetchone()
            assert row is not None
            customers, answered, *counts = row
            lacking = dict(zip(missing, counts, strict=False))
            of_domain = dict(zip(outside, counts[len(missing) :], strict=True))
            found.append(Answerable(model.name, customers, answered, lacking, of_domain))
    return found


def outside_domains(
    domains: Mapping[str, Domain], parts: Sequence[Path], features: Sequence[str], spill: Path
) -> dict[str, int]:
    """By feature, how many customers of the parts have a value outside its domain, of those that have any.

    Raises duckdb.Error from the disk.
    """
    names = [name for name in features if name in domains]
    if not names:
        return {}
    counts = [f"count(*) FILTER ({_is_outside(name, domains[name])})" for name in names]
    with working_duckdb(spill) as connection:
        row = connection.read_parquet([str(part) for part in parts]).aggregate(", ".join(counts)).fetchone()
    assert row is not None
    return {name: count for name, count in zip(names, row, strict=True) if count}


def _is_outside(name: str, domain: Domain) -> str:
    """The condition in SQL, true or false: as loyalty_ml.customers.domains decides when the customer is scored."""
    column, (low, high) = quoted(name), domain.bounds
    conditions = [f"{column} < {low!r}::DOUBLE"] if low > -math.inf else []
    conditions += [f"{column} > {high!r}::DOUBLE"] if high < math.inf else []
    conditions += [f"floor({column}) <> {column}"] if domain.whole else []
    return f"coalesce({' OR '.join(conditions) or 'false'}, false)"
