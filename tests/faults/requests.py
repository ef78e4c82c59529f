"""A request for every route that waits for a store, and the functions that answer them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local import template
from loyalty_ml.api.http import entrypoint
from loyalty_ml.aws.budget import WAIT_SECONDS
from tests.service import BASE, CONTEXT, DESCRIBED, function_of, process

_LONG_LIST = [f"c-{number * 7919 % 1_000_003}" for number in range(20_000)]
"""Long enough to be kept in S3."""

REPOSITORY = Path(__file__).parents[2]

BODIES: dict[str, Any] = {
    "POST /config/ml/test": {"customer_ids": ["c-1", "c-2"]},
    "POST /ml/predict": {"customer_id": "c-1"},
    "POST /ml/predict/batch": {"customer_ids": ["c-1", "c-2"], "type": "all"},
    "POST /ml/jobs": {"prefix": "datasets/2026-11/"},
    "PUT /segments/{segment_id}": {"segment_name": "Some", "customer_ids": _LONG_LIST},
    "POST /segments/preview": {"segment_name": "Some", "rule": {">": [{"var": "revenue"}, 1]}},
    "POST /segments/{segment_id}/ml/predict": {"type": "nbo"},
    "POST /models/promote": {"versions": {"churn": "v1"}},
    "POST /models/rollback": {},
    "POST /sql/{function}": {"data": [[0, "c-1"], [1, "c-2"]]},
}
_ROUTED_TOGETHER = f"{BASE}/v2"
"""The gateway sends on whatever is below it: the description has the routes."""
_INFERENCE = {"inputs": [{"name": "features", "shape": [1, 1], "datatype": "FP64", "data": [1]}]}


class Asked(NamedTuple):
    """A request: the route's method and path below the base path, and a body where the route takes one."""

    route: str
    body: Any = None


def every_route() -> list[Asked]:
    """A request for each route of the template, its twins and HEAD left out."""
    found = []
    for route in template.routes(DESCRIBED):
        if route.method in ("HEAD", "ANY") or route.path.endswith("{proxy+}") or not route.path.startswith(BASE):
            continue
        if route.path == _ROUTED_TOGETHER:
            continue
        key = f"{route.method} {route.path.removeprefix(BASE)}"
        found.append(Asked(key, BODIES.get(key)))
        assert route.method not in ("POST", "PUT") or key in BODIES or key.endswith("/lists"), f"{key} wants a body"
    found += [
        Asked(f"{method.upper()} {path}", _INFERENCE if method == "post" else None)
        for path, methods in json.loads((REPOSITORY / "openapi.json").read_text())["paths"].items()
        if path.startswith("/v2")
        for method in methods
    ]
    return [*found, Asked("POST /ml/jobs", {"segment_id": "some"}), Asked("PUT /segments/{segment_id}", _RULE)]


_RULE = {"segment_name": "Some", "rule": {">": [{"var": "revenue"}, 1]}}
_VARIABLES = {
    "segment_id": "some",
    "job_id": "0" * 32,
    "name": "churn",
    "version": "v1",
    "function": "loyalty_churn_risk",
}


def call(asked: Asked, wait_seconds: float = WAIT_SECONDS) -> tuple[int, dict[str, Any], dict[str, str]]:
    """The status, the body and the headers, from the process at hand (tests/service.py)."""
    method, path = asked.route.split()
    path = BASE + re.sub(r"\{(\w+)\}", lambda found: _VARIABLES[found[1]], path)
    event = {
        "version": "2.0",
        "routeKey": asked.route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {"stage": "$default", "requestId": "test", "http": {"method": method, "path": path}},
        "body": None if asked.body is None else json.dumps(asked.body),
        "isBase64Encoded": False,
    }
    answer = entrypoint(process().apps()[function_of(path)], wait_seconds)(event, CONTEXT)
    content = answer["body"] if answer["headers"].get("Content-Type", "").startswith("application/json") else "null"
    return answer["statusCode"], json.loads(content or "null"), answer["headers"]


def functions_environment(monkeypatch: pytest.MonkeyPatch, folder: Path, endpoint: str) -> None:
    """What the functions read, with all stores at one address."""
    names = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": endpoint,
        "MODEL_CACHE": str(folder / "models"),
        "SNAPSHOT_CACHE": str(folder / "snapshots"),
        "FILE_WORK": str(folder / "files"),
        **{name: name.lower() for name in _STORES},
        "SEGMENT_QUEUE_URL": f"{endpoint}/queue",
        "SIGNING_ROLE_ARN": "arn:aws:iam::123456789012:role/signing",
        "JWT_ISSUER": "",
        "JWT_AUDIENCE": "",
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)


_STORES = (
    "MODEL_BUCKET",
    "DATA_BUCKET",
    "SEGMENT_STATISTICS_TABLE",
    "CUSTOMERS_TABLE",
    "JOBS_TABLE",
    "SEGMENTS_TABLE",
    "DATASET_STATE_MACHINE_ARN",
)


def ids(asked: list[Asked]) -> Iterator[str]:
    for each in asked:
        yield each.route + ("" if each.body is None else " " + "-".join(each.body))
