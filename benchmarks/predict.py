"""The functions' own handlers, called with API Gateway events; models and customers from memory, warm."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from pydantic import BaseModel, Field

from benchmarks import sample_models
from benchmarks.measure import Result, alternate
from functions.batch import app as batch_function
from functions.predict import app as predict_function
from local.gateway import LambdaContext
from loyalty_ml.customers.online_store import AS_OF, FeatureStore
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.vocabulary import PredictionType
from loyalty_ml.wiring.settings import BatchSettings

MICROSECONDS = 1e6
CUSTOMERS = 100
TYPES: tuple[PredictionType, ...] = ("churn", "nbo", "rfm")

Call = Callable[[], dict[str, Any]]


def run() -> Iterator[Result]:
    """predict.single against a validated Powertools route; predict.batch a customer against the contract's bar."""
    peer = f"Powertools {version('aws-lambda-powertools')} enable_validation, a constant of the same shape"
    with memory_service():
        ours, theirs = quietly(single("churn"), validated_single(), repeats=300)
        yield Result("predict.single", ours * MICROSECONDS, "us", peer, theirs * MICROSECONDS, 1.5)
        for prediction_type in TYPES:
            calls = (batch(prediction_type, 1), batch(prediction_type, CUSTOMERS))
            one, hundred = quietly(*calls, repeats=60)
            ours = (hundred - one) / (CUSTOMERS - 1) * MICROSECONDS
            unit = "us a further customer"
            yield Result(f"predict.batch.{prediction_type}", ours, unit, "the bar of 4 us", 4.0, 1.0)


class MemoryTable:
    """A DynamoDB client over a dictionary: items as DynamoDB sends them, so that reading their numbers counts."""

    def __init__(self, customers: int) -> None:
        generator = np.random.default_rng(5)
        self.items = {
            str(number): {
                "customer_id": {"S": str(number)},
                AS_OF: {"S": "2018-01-02T00:00:00Z"},
                **{name: {"N": repr(float(value))} for name, value in zip(DEFAULT_FEATURES, row, strict=True)},
            }
            for number, row in enumerate(np.exp(generator.normal(3, 2, (customers, len(DEFAULT_FEATURES)))))
        }

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((table, wanted),) = RequestItems.items()
        items = [self.items[key["customer_id"]["S"]] for key in wanted["Keys"]]
        return {"Responses": {table: items}, "UnprocessedKeys": {}}


@contextlib.contextmanager
def memory_service() -> Iterator[None]:
    """The functions' wiring with both clients replaced, and all else as it runs on Lambda."""
    needed = [str(setting.alias) for setting in BatchSettings.model_fields.values() if setting.is_required()]
    os.environ.update(dict.fromkeys(needed, "bench"))
    models = sample_models.model_store()
    features = FeatureStore(MemoryTable(CUSTOMERS), "bench")  # type: ignore[arg-type]
    for parts in (predict_function._parts(), batch_function._parts()):
        vars(parts).update(models=models, customers=features)
    yield


def quietly(*calls: Call, repeats: int) -> list[float]:
    """Medians, with the request's line written to nowhere: its cost counts, and the terminal stays readable."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        return alternate(*calls, repeats=repeats)


def single(prediction_type: PredictionType) -> Call:
    event = post("/ml/predict", {"customer_id": "7", "type": prediction_type})
    return lambda: checked(predict_function.handler(event, CONTEXT))


def batch(prediction_type: PredictionType, customers: int) -> Call:
    ids = [str(number) for number in range(customers)]
    event = post("/ml/predict/batch", {"customer_ids": ids, "type": prediction_type})
    return lambda: checked(batch_function.handler(event, CONTEXT))


CONTEXT: Any = LambdaContext("bench")


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    path = f"/api/loyalty/v1{path}"
    return {
        "version": "2.0",
        "routeKey": f"POST {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "example.execute-api.eu-west-1.amazonaws.com"},
        "requestContext": {
            "stage": "$default",
            "requestId": "JKJaXmPLvHcESHA=",
            "http": {"method": "POST", "path": path, "sourceIp": "192.0.2.1", "userAgent": "bench"},
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def checked(response: dict[str, Any]) -> dict[str, Any]:
    assert response["statusCode"] == 200, response
    return response


# The peer: what the documentation of Powertools shows, with the contract's shapes as pydantic models.


class PeerResult(BaseModel):
    customer_id: str
    churn_probability: float
    churn_risk: Literal["high", "medium", "low"]


class PeerModel(BaseModel):
    name: str
    version: str
    placeholder: bool


class PeerAnswer(BaseModel):
    type: str
    mode: str
    customer_id: str
    result: PeerResult
    mock: bool
    model: PeerModel
    features_as_of: str


class PeerRequest(BaseModel):
    customer_id: str = Field(min_length=1, max_length=256)
    type: Literal["churn", "nbo", "rfm"] = "churn"


RESULT = PeerResult(customer_id="7", churn_probability=0.1097012534737587, churn_risk="low")
MODEL = PeerModel(name="churn", version="20261122T223910Z-917adf35", placeholder=True)
AT = "2018-01-02T00:00:00Z"
peer_app = APIGatewayHttpResolver(enable_validation=True)


@peer_app.post("/api/loyalty/v1/ml/predict")
def peer_predict(request: PeerRequest) -> PeerAnswer:
    return PeerAnswer(
        type="churn", mode="single", customer_id="7", result=RESULT, mock=False, model=MODEL, features_as_of=AT
    )


def validated_single() -> Call:
    event = post("/ml/predict", {"customer_id": "7", "type": "churn"})
    return lambda: checked(peer_app.resolve(event, CONTEXT))
