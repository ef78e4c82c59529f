"""Whether both stores have the same of a customer: a prediction by id reads the table, all others read the snapshot."""

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from loyalty_ml.customers.population import Population
from loyalty_ml.customers.table import FeatureTable

SAMPLE = 100
"""What one BatchGetItem takes: 50 read units."""


class ById(Protocol):
    """What is used of FeatureStore."""

    def read(self, customer_ids: list[str], names: tuple[str, ...]) -> FeatureTable: ...


@dataclass(frozen=True, slots=True)
class Skew:
    """What a sample of the snapshot's customers is in the table.

    compared:  customers who were looked up.
    unknown:   of these, whom the table does not have.
    otherwise: of these, who have another value there.
    features:  how many have another value, by feature, for those features of which there are any.
    """

    compared: int
    unknown: int
    otherwise: int
    features: dict[str, int]

    @property
    def skewed(self) -> int:
        return self.unknown + self.otherwise


def compare(
    population: Population, table: ById, sample: int = SAMPLE, random: np.random.Generator | None = None
) -> Skew:
    """Compares the features of so many customers, at most 100, drawn at random; of all, if there are fewer.

    A value that neither store has is the same. Raises what `table.read` and `population.read` raise.
    """
    draw = random or np.random.default_rng()
    rows = np.sort(draw.choice(population.customers, min(sample, population.customers), replace=False))
    here = population.read(rows.tolist())
    there = table.read(list(here.customer_ids), here.names)
    known = np.ones(len(rows), np.bool_) if there.found is None else there.found
    differs = (here.values != there.values) & ~(np.isnan(here.values) & np.isnan(there.values))
    differs &= known[:, np.newaxis]
    features = Counter({name: int(count) for name, count in zip(here.names, differs.sum(axis=0), strict=True)})
    return Skew(
        compared=len(rows),
        unknown=int((~known).sum()),
        otherwise=int(differs.any(axis=1).sum()),
        features=dict(+features),
    )
