"""Generated customers in memory, as DynamoDB holds them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.online_store import AS_OF
from loyalty_ml.customers.table import DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.domain import DEFAULT_DOMAINS

NAMES = (*DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)


def in_domains(values: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """The same, float64 (n, f), as values that these features may have."""
    columns = []
    for column, name in zip(values.T, names, strict=True):
        domain = DEFAULT_DOMAINS[name]
        clipped = np.clip(column, *domain.bounds)
        columns.append(np.floor(clipped) if domain.whole else clipped)
    return np.column_stack(columns)


class MemoryTable:
    """A DynamoDB client over a dictionary: items as DynamoDB sends them, so that reading their numbers counts."""

    def __init__(self, customers: int) -> None:
        generator = np.random.default_rng(5)
        self.items = {
            str(number): {
                "customer_id": {"S": str(number)},
                AS_OF: {"S": "2018-01-02T00:00:00Z"},
                **{name: {"N": repr(float(value))} for name, value in zip(NAMES, row, strict=True)},
            }
            for number, row in enumerate(in_domains(np.exp(generator.normal(3, 2, (customers, len(NAMES)))), NAMES))
        }

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((table, asked),) = RequestItems.items()
        items = [self.items[key["customer_id"]["S"]] for key in asked["Keys"]]
        return {"Responses": {table: items}, "UnprocessedKeys": {}}
