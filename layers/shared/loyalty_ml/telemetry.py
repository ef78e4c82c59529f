"""Logs, metrics and traces.

A request writes one line: its metrics in CloudWatch's embedded format, with the correlation id and the facts of the
request beside them, so that the line is metric and log record in one. Customers' ids and feature values are in none.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()
tracer = Tracer()


def count_answer(answer: Mapping[str, Any]) -> None:
    """Counts a prediction answer's successes and failures by type; other answers have none."""
    if "model" not in answer:
        return
    results = answer.get("successful", 1)
    metrics.add_dimension("type", answer["type"])
    metrics.add_metric("Predictions", MetricUnit.Count, results)
    if answer["mock"]:
        metrics.add_metric("MockPredictions", MetricUnit.Count, results)
    metrics.add_metadata("model_version", answer["model"]["version"])
    if answer.get("errors"):
        count_failures(Counter(error["code"] for error in answer["errors"]))


def count_failures(by_code: Mapping[str, int]) -> None:
    """Counts failures, a metric for each code."""
    for code, count in by_code.items():
        metrics.add_metric(code, MetricUnit.Count, count)


def write_request(route: str, status: int, milliseconds: float, correlation_id: str) -> None:
    """Writes the request's line."""
    metrics.add_metric("Latency", MetricUnit.Milliseconds, milliseconds)
    metrics.add_metadata("route", route)
    metrics.add_metadata("status", status)
    metrics.add_metadata("correlation_id", correlation_id)
    metrics.flush_metrics()


def traced(handler: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The handler with an X-Ray segment where traces are on. Answers are about customers, so they stay out of them."""
    if tracer.disabled:
        return handler
    traced_handler: Callable[..., dict[str, Any]] = tracer.capture_lambda_handler(handler, capture_response=False)
    return traced_handler
