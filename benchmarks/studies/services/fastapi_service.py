"""FastAPI: models loaded in the lifespan, requests and answers declared; uvicorn serves it.

https://fastapi.tiangolo.com/advanced/events/ and https://fastapi.tiangolo.com/tutorial/response-model/
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from benchmarks.studies.services.loyalty import Loyalty, Network, keras_call_network, keras_network, litert_network

Type = Literal["churn", "nbo"]


class SingleRequest(BaseModel):
    customer_id: str
    type: Type = "churn"


class BatchRequest(BaseModel):
    customer_ids: list[str] = Field(min_length=1, max_length=100)
    type: Type = "churn"


def with_litert() -> FastAPI:
    return application(litert_network)


def with_keras() -> FastAPI:
    return application(keras_network)


def with_keras_call() -> FastAPI:
    return application(keras_call_network)


def application(load: Callable[[str], Network]) -> FastAPI:
    loaded: dict[str, Loyalty] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loaded["loyalty"] = Loyalty(load)
        yield
        loaded.clear()

    app = FastAPI(lifespan=lifespan)

    # Coroutines, which run in the event loop: a prediction takes less than the way to a thread and back.
    @app.post("/ml/predict")
    async def predict(request: SingleRequest) -> dict[str, Any]:
        try:
            return loaded["loyalty"].single(request.type, request.customer_id)
        except KeyError:
            raise HTTPException(404, "Customer not found in DWH") from None

    @app.post("/ml/predict/batch")
    async def predict_batch(request: BatchRequest) -> dict[str, Any]:
        return loaded["loyalty"].batch(request.type, request.customer_ids)

    return app
