"""The functions over moto through the real boto3: the template's buckets and table, the sample models, customers."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from functions.batch import app as batch_function
from functions.predict import app as predict_function
from functions.segment import app as segment_function
from local import stores, template
from local.gateway import LambdaContext
from loyalty_ml.customers.online_store import AS_OF
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.wiring import file_runtime, runtime, segment_runtime
from tests import sample_set

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

GOOD = dict(zip(DEFAULT_FEATURES, (2415.56, 51, 0, 47.36, 2415.56, 359, 175.93, 437, 5, 83.3), strict=True))
LAPSED = dict(zip(DEFAULT_FEATURES, (120.5, 2, 250, 60.25, 120.5, 300, 0, 12, 1, 0), strict=True))
CONTEXT: Any = LambdaContext("test")
BASE = "/api/loyalty/v1"


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
        response = _handler(path)(
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


def _handler(path: str) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    if path.startswith(BASE + "/segments"):
        return segment_function.handler
    return batch_function.handler if "/batch" in path or "/ml/jobs" in path else predict_function.handler


_KEPT_BY_THE_PROCESS = (
    runtime.settings,
    runtime.s3,
    runtime.sqs,
    runtime.model_store,
    runtime.feature_store,
    runtime._jobs_dynamodb,
    runtime.signing_s3,
    runtime.job_store,
    runtime.leases,
    runtime.file_job_store,
    runtime.stepfunctions,
    runtime.dataset_jobs,
    segment_runtime.segment_store,
    segment_runtime.snapshot_store,
    segment_runtime.statistics_store,
    segment_runtime.service,
    file_runtime.s3,
    file_runtime.file_service,
    file_runtime.dataset_tasks,
)


def forget_the_process() -> None:
    """Forgets what a new Lambda instance would not have."""
    for cached in _KEPT_BY_THE_PROCESS:
        cached.cache_clear()


@contextmanager
def services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], Service]]:
    """Gives what makes a service whose stores are empty."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "MODEL_CACHE": str(tmp_path / "models"),
        "SNAPSHOT_CACHE": str(tmp_path / "snapshots"),
        "FILE_WORK": str(tmp_path / "files"),
    }.items():
        monkeypatch.setenv(name, value)
    forget_the_process()
    with mock_aws():

        def make() -> Service:
            described = template.load()
            ids = stores.create(template.stores(described))
            for name, value in template.environment(described, ids).items():
                monkeypatch.setenv(name, value)
            return Service(boto3.client("s3"), boto3.client("dynamodb"), ids)

        yield make
    forget_the_process()
