"""Logs, metrics and traces.

A request, or a message of the queue, writes one line: its metrics in CloudWatch's embedded format, with the correlation
id and its other facts beside them, so that the line is metric and log record in one. Customers' ids and feature values
are in none.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, TypeVar, cast

import orjson
from aws_lambda_powertools import Logger, Metrics, Tracer

from loyalty_ml.errors import LoyaltyError

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

logger = Logger()
metrics = Metrics()
# Calls of AWS are traced, and nothing else is patched: by default each library is imported that it could patch.
tracer = Tracer(patch_modules=("botocore",))


class Metric(NamedTuple):
    """A metric that the functions write; every one has the dimension `service` besides."""

    unit: str
    dimensions: tuple[str, ...]
    meaning: str


METRICS: Mapping[str, Metric] = {
    "Latency": Metric(
        "Milliseconds", ("type",), "How long a request took in the function; without predictions, no type"
    ),
    "Predictions": Metric("Count", ("type",), "Customers that were answered, by request, segment or file"),
    "MockPredictions": Metric("Count", ("type",), "Those of `Predictions` that are mock answers"),
    "FailedPredictions": Metric("Count", ("type",), "Members of a segment or rows of a file that have no answer"),
    "Rows": Metric("Count", ("type",), "Rows of a file that has succeeded"),
    "Duration": Metric("Milliseconds", ("task",), "How long a task of a queue took"),
    "DriftPSI": Metric(
        "None",
        ("segment", "model"),
        "The largest population stability index of a model's score and, times their weights, its features, of those "
        "that luck does not explain; 0 if there is none; segment `*` is all customers",
    ),
    "Trouble": Metric(
        "Count",
        (),
        "What somebody has to look at, whatever it is: the line's `trouble` says which of the others it is about",
    ),
    "ModelProblems": Metric("Count", (), "Looks at a published model set that could not be served as it is"),
    "FeatureAgeHours": Metric("None", (), "Hours since the moment that the current snapshot's features are of"),
    "Refreshes": Metric("Count", (), "Refreshes of all statistics that were begun: one a day, and one a publication"),
    "ComparedCustomers": Metric("Count", (), "Customers of the snapshot who were looked up in the table at a refresh"),
    "SkewedCustomers": Metric("Count", (), "Those of `ComparedCustomers` whom the table does not have just so"),
}
"""All metrics but the error codes, each of which counts too (docs/reference/metrics.md is made from this)."""

Trouble = Literal["internal", "models", "features", "skew", "drift", "dataset", "task"]
"""What a line of the metric `Trouble` is about: the runbook has a section for each."""

ROLLED_UP = ("INTERNAL", "MockPredictions")
"""Metrics that an alarm stands on whatever their other dimensions are: they are written without these too."""

# What the request at hand has counted so far: a Lambda instance has one at a time.
_counts: Counter[str] = Counter()
_dimensions: dict[str, str] = {}
_facts: dict[str, Any] = {}


def described(error: Exception) -> tuple[str, str]:
    """The code and the sentence that whoever asked is given for what was raised; of a bug neither says what it was."""
    if isinstance(error, LoyaltyError):
        return error.code, error.message
    correlation_id = logger.get_correlation_id()
    return "INTERNAL", f"The service failed by a fault of its own: report {correlation_id}, which is in its log too."


def count_answer(answer: Mapping[str, Any]) -> None:
    """Counts a prediction answer's successes and failures by type; other answers have none."""
    if "mode" not in answer:
        return
    results = answer.get("successful", 1)
    _dimensions["type"] = answer["type"]
    _counts["Predictions"] = results
    if answer["mock"]:
        _counts["MockPredictions"] = results
    if answer["type"] == "all":
        _facts["model_version"] = {name: model["version"] for name, model in answer["models"].items()}
    else:
        _facts["model_version"] = answer["model"]["version"]
    if answer["mode"] == "segment":  # whose errors are only the first of them
        _counts["FailedPredictions"] = answer["failed"]
        return
    errors: Any = answer.get("errors", ())
    for error in errors.values() if isinstance(errors, dict) else errors:  # by type, of all types for one customer
        _counts[error["code"]] += 1


def count_failure(code: str) -> None:
    """Counts a request or a task that failed as a whole."""
    _counts[code] += 1
    if code == "INTERNAL":
        write_trouble("internal")


def write_trouble(trouble: Trouble, values: Mapping[str, float] | None = None, **facts: Any) -> None:
    """Writes a line that says what somebody has to look at. values: of metrics of the whole service, by name."""
    write_values({**(values or {}), "Trouble": 1}, trouble=trouble, **facts)


def write_values(values: Mapping[str, float], **facts: Any) -> None:
    """Writes a line with metrics of the whole service, by name, and what else is known."""
    described = {name: {"Unit": METRICS[name].unit, "Value": value} for name, value in values.items()}
    _print(described, {}, {"correlation_id": logger.get_correlation_id(), **facts})


def write_request(route: str, status: int, milliseconds: float, correlation_id: str, request_id: str) -> None:
    """Writes the request's line, and begins the next. request_id: as the gateway's own log has it."""
    facts = {"route": route, "status": status, "correlation_id": correlation_id, "request_id": request_id}
    _write("Latency", milliseconds, facts)


def write_task(task: str, outcome: str, milliseconds: float, correlation_id: str) -> None:
    """Writes the line of a message of the queue, by the task that it asked for, and begins the next."""
    _dimensions["task"] = task
    _write("Duration", milliseconds, {"outcome": outcome, "correlation_id": correlation_id})


@contextmanager
def task(name: str, correlation_id: str, clock: Callable[[], float] = time.perf_counter) -> Iterator[None]:
    """Writes the line of log and metrics of what is done within it, whatever comes of it. clock: seconds."""
    started = clock()
    logger.set_correlation_id(correlation_id)
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except Exception as error:
        logger.exception("The task has failed")
        count_failure(described(error)[0])
        raise
    finally:
        write_task(name, outcome, 1000 * (clock() - started), correlation_id)


def write_drift(segment: str, model: str, alarming: float | None, psi: Mapping[str, float | None]) -> None:
    """Writes a line with what a model's alarm stands on, by segment and model; the PSI of all is in its facts.

    One metric a model and segment, since each one is paid for. Where nothing can be said, there is none.
    """
    if alarming is None:
        return
    _print(
        {"DriftPSI": {"Unit": "None", "Value": alarming}},
        {"segment": segment, "model": model},
        {"psi": dict(psi)},
    )


def write_file(prediction_type: str, summary: Mapping[str, Any]) -> None:
    """Writes a line with what a file job came to, by type: its rows, and how many have predictions.

    One that failed counts under its code, too.
    """
    names = {"Rows": "rows", "Predictions": "predictions", "FailedPredictions": "errors"}
    counted = {metric: summary[name] for metric, name in names.items() if name in summary}
    if summary["status"] == "failed":
        counted[summary["code"]] = 1
    _print(
        {name: {"Unit": "Count", "Value": count} for name, count in counted.items()},
        {"type": prediction_type},
        {"job_id": summary["job_id"], "correlation_id": logger.get_correlation_id()},
    )


def _write(duration: str, milliseconds: float, facts: Mapping[str, Any]) -> None:
    counted = {name: {"Unit": "Count", "Value": count} for name, count in _counts.items()}
    values = {**counted, duration: {"Unit": "Milliseconds", "Value": milliseconds}}
    _print(values, _dimensions, {**facts, **_facts})
    for collected in (_counts, _dimensions, _facts):
        collected.clear()


def _print(values: Mapping[str, Any], dimensions: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    # Serialized by Powertools and written by orjson: collecting through its own methods takes 30 us a request. Those
    # also write each value as an array, whose field Logs Insights names `Latency.0`, so that no query finds `Latency`.
    record: Any = metrics.serialize_metric_set(
        metrics=dict(values), dimensions={"service": logger.service, **dimensions}, metadata=dict(facts)
    )
    if dimensions and (rolled_up := [name for name in ROLLED_UP if name in values]):
        written = record["_aws"]["CloudWatchMetrics"]
        alone = [{"Name": name, "Unit": values[name]["Unit"]} for name in rolled_up]
        written.append({"Namespace": written[0]["Namespace"], "Dimensions": [["service"]], "Metrics": alone})
    print(orjson.dumps(record).decode())  # noqa: T201 (CloudWatch reads metrics from standard output)


def traced(handler: HandlerT) -> HandlerT:
    """The handler with an X-Ray segment where traces are on. Answers are about customers, so they stay out of them."""
    if tracer.disabled:
        return handler
    recorded = tracer.capture_lambda_handler(handler, capture_response=False)

    def traced_where_sampled(event: Any, context: Any) -> Any:
        # Lambda names each request's trace. Most are not sampled, and making a segment to be dropped takes a third as
        # long as a prediction.
        sampled = "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "")
        return (recorded if sampled else handler)(event, context)

    return cast("HandlerT", traced_where_sampled)
