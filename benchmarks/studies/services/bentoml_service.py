"""BentoML: a service class whose methods are endpoints; `bentoml serve` starts it.

https://docs.bentoml.com/en/latest/build-with-bentoml/services.html
"""

from typing import Any, Literal

import bentoml

from benchmarks.studies.services.loyalty import Loyalty, litert_network

Type = Literal["churn", "nbo"]


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class LoyaltyService:
    def __init__(self) -> None:
        self.loyalty = Loyalty(litert_network)

    @bentoml.api(route="/ml/predict")
    def predict(self, customer_id: str, type: Type = "churn") -> dict[str, Any]:  # noqa: A002  the contract's name
        return self.loyalty.single(type, customer_id)

    @bentoml.api(route="/ml/predict/batch")
    def predict_batch(self, customer_ids: list[str], type: Type = "churn") -> dict[str, Any]:  # noqa: A002
        return self.loyalty.batch(type, customer_ids)
