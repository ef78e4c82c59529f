"""What both warehouses' protocols ask: values for rows, of the customers and models of a deployment."""

from collections.abc import Sequence
from typing import Any, Protocol

from loyalty_ml import telemetry
from loyalty_ml.aws import budget
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.errors import PayloadTooLarge
from loyalty_ml.models.store import ModelStore
from loyalty_ml.scoring import sql_functions
from loyalty_ml.scoring.scorers import scorer_for
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
    models, mock_mode = parts.models.current(), parts.settings.ml_mock_mode
    found = sql_functions.values(function, rows, models, parts.customers.read, mock_mode, after_step=budget.renew)
    if function.part != sql_functions.ERROR:
        scorer = scorer_for(function.type, models, mock_mode)
        answered = sum(value is not None for value in found)
        told = {"mode": "sql", "type": function.type, "successful": answered, "mock": scorer.is_mock}
        telemetry.count_answer({**told, "model": scorer.info})
    return found
