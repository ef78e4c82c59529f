"""The functions over moto through the real boto3: the template's buckets and table, the sample models, customers."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions.admin import app as admin_function
from functions.batch import app as batch_function
from functions.files import app as files_function
from functions.predict import app as predict_function
from functions.segment import app as segment_function
from functions.segment_worker import app as segment_worker
from local import stores, template
from local.gateway import LambdaContext
from loyalty_ml.api import redshift
from loyalty_ml.api.http import Api, entrypoint
from loyalty_ml.customers.table import AS_OF, DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.wiring import start
from loyalty_ml.wiring.admin import AdminParts
from loyalty_ml.wiring.batch import BatchParts
from loyalty_ml.wiring.files import FilesParts
from loyalty_ml.wiring.predict import ModelParts, PredictParts
from loyalty_ml.wiring.segment import SegmentParts
from loyalty_ml.wiring.segment_worker import SegmentWorkerParts
from loyalty_ml.wiring.settings import AdminSettings, BatchSettings, PredictSettings, SegmentSettings
from tests import granted, sample_set
from tests.aws import disturb_new_clients, fresh_aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

SNAPSHOT_FEATURES = (*DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)
"""What a warehouse with transactions and the default configuration writes of a customer."""

GOOD = dict(zip(SNAPSHOT_FEATURES, (2415.56, 51, 0, 47.36, 2415.56, 359, 175.93, 437, 5, 83.3, 51), strict=True))
LAPSED = dict(zip(SNAPSHOT_FEATURES, (120.5, 2, 250, 60.25, 120.5, 300, 0, 12, 1, 0, 2), strict=True))
PATIENT = 3600
"""Seconds that a request waits for its stores: on a machine that is busy, moto may be slower than AWS is."""
CONTEXT: Any = LambdaContext("test", timeout_seconds=86_400)
"""One for all tests: the time of no invocation runs out."""
BASE = "/api/loyalty/v1"
DESCRIBED = template.load()
_STORES = copy.deepcopy(template.stores(DESCRIBED))
for _resource in _STORES["Resources"].values():
    # moto encrypts nothing, but makes an RSA key for each set of tables that say they are encrypted, in 0.1 s.
    _resource.get("Properties", {}).pop("SSESpecification", None)


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True)
class Service:
    """The deployed service as a test sees it: its stores, and calls of its functions."""

    s3: "S3Client"
    dynamodb: "DynamoDBClient"
    ids: Mapping[str, str]

    @property
    def model_bucket(self) -> str:
        return self.ids["ModelBucket"]

    def put_customer(self, customer_id: str, features: Mapping[str, Any], as_of: str = sample_set.AS_OF) -> None:
        """Stores a customer: numbers as numbers, None as DynamoDB's NULL, and a text as a text."""
        item: dict[str, Any] = {"customer_id": {"S": customer_id}, AS_OF: {"S": as_of}}
        for name, value in features.items():
            if value is None:
                item[name] = {"NULL": True}
            else:
                item[name] = {"S": value} if isinstance(value, str) else {"N": repr(value)}
        self.dynamodb.put_item(TableName=self.ids["CustomersTable"], Item=item)

    def call(self, method: str, path: str, body: Any = None, **event: Any) -> Answer:
        """Sends what API Gateway would send to the function of the route; `body` is sent as JSON unless it is text."""
        path = BASE + path
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        response = process().handlers[function_of(path)](
            {
                "version": "2.0",
                "routeKey": f"{method} {path}",
                "rawPath": path,
                "rawQueryString": "",
                "headers": {"content-type": "application/json"},
                "requestContext": {
                    "stage": "$default",
                    "requestId": "test-correlation-id",
                    "http": {"method": method, "path": path},
                },
                "body": text,
                "isBase64Encoded": False,
                **event,
            },
            CONTEXT,
        )
        return Answer(response["statusCode"], json.loads(response["body"] or "null"), response["headers"])

    def predict(self, customer_id: Any, prediction_type: Any = "churn") -> Answer:
        return self.call("POST", "/ml/predict", {"customer_id": customer_id, "type": prediction_type})

    def predict_batch(self, customer_ids: Any, prediction_type: Any = "churn") -> Answer:
        return self.call("POST", "/ml/predict/batch", {"customer_ids": customer_ids, "type": prediction_type})


def function_of(path: str) -> str:
    """The name of the function that has the route, of those behind the API."""
    if path.startswith((BASE + "/models", BASE + "/admin", BASE + "/openapi.json", "/admin")):
        return "admin"
    if path.startswith(BASE + "/segments"):
        return "segment"
    return "batch" if any(part in path for part in ("/batch", "/ml/jobs", "/sql/")) else "predict"


class Process:
    """One process's parts of all functions, made when they are first used, and the handlers over them."""

    def __init__(self, recorder: granted.Recorder | None = None) -> None:
        """recorder: of the calls of AWS that these handlers make; None to record nothing."""
        self.recorder = recorder
        self._predict = start.once(PredictParts, PredictSettings)
        self._batch = start.once(BatchParts, BatchSettings)
        self._segment = start.once(SegmentParts, SegmentSettings)
        self._admin = start.once(AdminParts, AdminSettings)
        for module in (files_function, segment_worker):
            module._parts.cache_clear()
        handlers = {name: entrypoint(app, PATIENT) for name, app in self.apps().items()}
        handlers["batch"] = redshift.answering(self._batch, handlers["batch"])
        self.handlers = {
            name: recorder.within(name, handler) if recorder else handler for name, handler in handlers.items()
        }

    def apps(self) -> dict[str, Api]:
        """The routes of each function behind the API, over these parts."""
        return {
            "predict": predict_function.make_app(self._predict),
            "batch": batch_function.make_app(self._batch),
            "segment": segment_function.make_app(self._segment),
            "admin": admin_function.make_app(self._admin),
        }

    @property
    def predict(self) -> PredictParts:
        return self._predict()

    @property
    def batch(self) -> BatchParts:
        return self._batch()

    @property
    def segment(self) -> SegmentParts:
        return self._segment()

    @property
    def admin(self) -> AdminParts:
        return self._admin()

    @property
    def files(self) -> FilesParts:
        return files_function._parts()

    @property
    def worker(self) -> SegmentWorkerParts:
        return segment_worker._parts()


def put_in_place(parts: ModelParts, **others: Any) -> None:
    """Puts others in the place of these parts, before they are made or after."""
    vars(parts).update(others)


_process: list[Process] = []


def process() -> Process:
    """The process that the test at hand has now; a part may be replaced by assigning another to it."""
    return _process[-1]


def new_process() -> Process:
    """Another process in place of that one: it has kept nothing."""
    _process[:] = [Process(_process[-1].recorder if _process else None)]
    return process()


def create_stores(patch: pytest.MonkeyPatch) -> dict[str, str]:
    """The template's stores, empty, and the environment that names them; gives their physical ids by logical id."""
    ids = stores.create(_STORES)
    for name, value in template.environment(DESCRIBED, ids).items():
        patch.setenv(name, value)
    return ids


@contextmanager
def services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], Service]]:
    """Gives what makes a service whose stores are empty; what it keeps on disk is below `tmp_path`."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "MODEL_CACHE": str(tmp_path / "models"),
        "SNAPSHOT_CACHE": str(tmp_path / "snapshots"),
        "FILE_WORK": str(tmp_path / "files"),
    }.items():
        monkeypatch.setenv(name, value)
    recorder = granted.Recorder()
    # Tests call these two by their names, as Lambda does.
    for name, module in (("files", files_function), ("segment_worker", segment_worker)):
        monkeypatch.setattr(module, "handler", recorder.within(name, module.handler))
    with fresh_aws():
        disturb_new_clients("before-parameter-build", recorder.before_parameter_build)
        disturb_new_clients("after-call", recorder.after_call)

        def make() -> Service:
            ids = create_stores(monkeypatch)
            recorder.deployed(DESCRIBED, ids)
            _process[:] = [Process(recorder)]
            service = Service(boto3.client("s3"), boto3.client("dynamodb"), ids)
            recorder.leave_out(service.s3, service.dynamodb)
            return service

        yield make
    _process.clear()
    refused = recorder.refused()
    assert not refused, "calls of AWS that the roles of template.yaml do not allow: " + "; ".join(refused)
