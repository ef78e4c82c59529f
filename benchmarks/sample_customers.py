"""Generated customers in memory, as DynamoDB holds them."""

from typing import Any

import numpy as np

from loyalty_ml.customers.table import AS_OF, DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT

NAMES = (*DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)


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
            for number, row in enumerate(np.exp(generator.normal(3, 2, (customers, len(NAMES)))))
        }

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((table, asked),) = RequestItems.items()
        items = [self.items[key["customer_id"]["S"]] for key in asked["Keys"]]
        return {"Responses": {table: items}, "UnprocessedKeys": {}}
