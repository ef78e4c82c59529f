"""What both warehouses' protocols ask: values for rows, of the customers and models of a deployment."""

from collections.abc import Sequence
from typing import Any, Protocol

from loyalty_ml.aws import budget
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.errors import PayloadTooLarge
from loyalty_ml.models.store import ModelStore
from loyalty_ml.scoring import sql_functions
from loyalty_ml.scoring.sql_functions import Row

MAX_SQL_ROWS = 10_000
"""Of one call: a hundred reads of a hundred customers, which take seconds, well within the gateway's 30."""


class Parts(Protocol):
    """What is needed of a deployment."""

    @property
    def settings(self) -> Any: ...  # one with ml_mock_mode
    @property
    def models(self) -> ModelStore: ...
    @property
    def customers(self) -> FeatureStore: ...


def values(parts: Parts, name: str, rows: Sequence[Row]) -> list[Any]:
    """The value of each row, in order, of the function of this name: None where there is none.

    Raises PayloadTooLarge and what sql_functions.values raises.
    """
    function = sql_functions.parse_name(name)
    if len(rows) > MAX_SQL_ROWS:
        raise PayloadTooLarge(
            f"A call has at most {MAX_SQL_ROWS:,} rows, and this one has {len(rows):,}: create the function with a "
            "smaller MAX_BATCH_ROWS."
        )
    return sql_functions.values(
        function,
        rows,
        parts.models.current(),
        parts.customers.read,
        parts.settings.ml_mock_mode,
        after_step=budget.renew,
    )
