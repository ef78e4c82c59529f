"""The functions' own handlers, called with API Gateway events; models and customers from memory, warm."""

import contextlib
import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import orjson
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from pydantic import BaseModel, Field

from benchmarks import sample_models, wiring
from benchmarks.invocations import CONTEXT, post, variables
from benchmarks.measure import Result, alternate
from benchmarks.sample_customers import MemoryTable
from functions.batch import app as batch_function
from functions.predict import app as predict_function
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.vocabulary import PredictionType

MICROSECONDS = 1e6
CUSTOMERS = 100
BATCH_BARS: dict[PredictionType, float] = {"churn": 40.0, "nbo": 8.0, "rfm": 17.0}
"""Half as much again as was measured: on two cores with a load of 6 the ratios of seven runs were 25.1 to 26.6 for
churn, 5.0 to 5.5 for nbo, 11.2 to 11.5 for rfm (Python 3.13, orjson 3.13). Orjson writes churn's 100 bytes in 0.06 us.
What ours does besides, reading a customer's ten numbers for one, is the same for each type."""

Call = Callable[[], dict[str, Any]]


def run() -> Iterator[Result]:
    """predict.single beside a validated Powertools route, predict.batch beside orjson that writes the same answer."""
    serve_from_memory()
    with quiet():
        ours, theirs = alternate(single("churn"), validated_single(), repeats=300)
    peer = f"Powertools {version('aws-lambda-powertools')} enable_validation, a constant of the same shape"
    yield Result("predict.single", ours * MICROSECONDS, "us", peer, theirs * MICROSECONDS, 1.5)
    peer = f"orjson {version('orjson')} writing the same answer"
    for prediction_type, bar in BATCH_BARS.items():
        small, large = batch(prediction_type, 1), batch(prediction_type, CUSTOMERS)
        with quiet():
            calls = small, large, writing_answer_of(small), writing_answer_of(large)
            # Of nbo ours makes many small objects, and loses its caches to other processes more often than the peer:
            # with medians of all calls its ratio went from 5.6 to 12 in the same hour.
            one, hundred, one_written, hundred_written = alternate(*calls, repeats=60, quickest=True)
        ours, theirs = hundred - one, hundred_written - one_written
        each = MICROSECONDS / (CUSTOMERS - 1)
        unit = "us a further customer"
        yield Result(f"predict.batch.{prediction_type}", ours * each, unit, peer, theirs * each, bar)


def serve_from_memory() -> None:
    """The functions over models and customers in memory; the rest is as on Lambda."""
    for name, value in variables().items():
        os.environ.setdefault(name, value)
    customers: Any = MemoryTable(CUSTOMERS)
    wiring.serve_from(sample_models.model_store(), FeatureStore(customers, "bench"))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The requests' lines are written to nowhere: their cost counts, and the terminal stays readable."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def single(prediction_type: PredictionType) -> Call:
    event = post("/ml/predict", {"customer_id": "7", "type": prediction_type})
    return lambda: checked(predict_function.handler(event, CONTEXT))


def batch(prediction_type: PredictionType, customers: int, *, explain: bool = False) -> Call:
    ids = [str(number) for number in range(customers)]
    asked: dict[str, object] = {"customer_ids": ids, "type": prediction_type}
    if explain:
        asked["explain"] = True
    event = post("/ml/predict/batch", asked)
    return lambda: checked(batch_function.handler(event, CONTEXT))


def writing_answer_of(call: Call) -> Callable[[], str]:
    """What writes the body that the call answers with, from what Python makes of it."""
    answer = orjson.loads(call()["body"])
    return lambda: orjson.dumps(answer).decode()


def checked(response: dict[str, Any]) -> dict[str, Any]:
    assert response["statusCode"] == 200, response
    return response


# The peer: what the documentation of Powertools shows, with the contract's shapes as pydantic models.


class PeerResult(BaseModel):
    customer_id: str
    churn_probability: float
    churn_risk: Literal["high", "medium", "low", "lapsed"]


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
