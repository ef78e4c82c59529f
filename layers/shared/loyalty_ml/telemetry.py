"""Logs, metrics and traces.

A request writes one line: its metrics in CloudWatch's embedded format, with the correlation id and the facts of the
request beside them, so that the line is metric and log record in one. Customers' ids and feature values are in none.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger()
metrics = Metrics()
tracer = Tracer()

# What the request at hand has counted so far: a Lambda instance has one at a time.
_counts: Counter[str] = Counter()
_dimensions: dict[str, str] = {}
_facts: dict[str, Any] = {}


def count_answer(answer: Mapping[str, Any]) -> None:
    """Counts a prediction answer's successes and failures by type; other answers have none."""
    if "model" not in answer:
        return
    results = answer.get("successful", 1)
    _dimensions["type"] = answer["type"]
    _counts["Predictions"] = results
    if answer["mock"]:
        _counts["MockPredictions"] = results
    _facts["model_version"] = answer["model"]["version"]
    for error in answer.get("errors", ()):
        _counts[error["code"]] += 1


def count_failure(code: str) -> None:
    """Counts a request that failed as a whole."""
    _counts[code] += 1


def write_request(route: str, status: int, milliseconds: float, correlation_id: str) -> None:
    """Writes the request's line, and begins the next."""
    counted = {name: {"Unit": "Count", "Value": [count]} for name, count in _counts.items()}
    # Serialized by Powertools and written by orjson: collecting through its own methods takes 30 us a request.
    record = metrics.serialize_metric_set(
        metrics={**counted, "Latency": {"Unit": "Milliseconds", "Value": [milliseconds]}},
        dimensions={"service": logger.service, **_dimensions},
        metadata={"route": route, "status": status, "correlation_id": correlation_id, **_facts},
    )
    print(orjson.dumps(record).decode())  # noqa: T201 (CloudWatch reads metrics from standard output)
    for collected in (_counts, _dimensions, _facts):
        collected.clear()


def traced(handler: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The handler with an X-Ray segment where traces are on. Answers are about customers, so they stay out of them."""
    if tracer.disabled:
        return handler
    traced_handler: Callable[..., dict[str, Any]] = tracer.capture_lambda_handler(handler, capture_response=False)
    return traced_handler
