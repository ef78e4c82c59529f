"""What each function imports: a library that it does not use costs every cold start."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from benchmarks.start import FLOORS
from local import template
from loyalty_ml.models.interpreter import Interpreter

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
HEAVY = {
    *("duckdb", "nanoarrow", "jsonlogic"),
    *("tensorflow", "keras", "sklearn", "pandas", "pyarrow", "polars", "onnxruntime", "matplotlib", "ibis", "moto"),
    # What the tracer would patch besides botocore, and loads for that.
    *("sqlite3", "requests", "httpx", "psycopg", "sqlalchemy"),
}
SEGMENTS = {"duckdb", "nanoarrow", "jsonlogic"}
USED = {
    "PredictFunction": set[str](),
    "BatchFunction": set[str](),
    "SegmentFunction": SEGMENTS,
    "RefreshFunction": SEGMENTS,
    "FilesFunction": {"duckdb", "nanoarrow"},
    "AdminFunction": set[str](),
}
ROUTES = "aws_lambda_powertools.event_handler"
"""The machinery of HTTP routes, which a worker of a queue has no use for."""


DESCRIBED = template.load()
FUNCTIONS = {name: each for name, each in template.functions(DESCRIBED).items() if "IgnoreGlobals" not in each}
"""All but the hook of releases, which imports nothing of the layers."""
VARIABLES = template.environment(DESCRIBED, dict.fromkeys(DESCRIBED["Resources"], "local")).keys() - {
    "ML_MOCK_MODE",
    "FEATURE_MAX_AGE_HOURS",
    "POWERTOOLS_LOG_LEVEL",
}


@cache
def imported_by(source: str) -> frozenset[str]:
    """The modules that are loaded once a new Python has run it, as on Lambda, where traces are on."""
    environment = {
        **os.environ,
        **dict.fromkeys(VARIABLES, "local"),
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "LAMBDA_TASK_ROOT": "/var/task",
        "POWERTOOLS_METRICS_NAMESPACE": "LoyaltyML",
    }
    report = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", source + report], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout.splitlines()[-1]))


def test_the_hook_of_releases_imports_nothing_of_the_layers() -> None:
    imported = imported_by("import functions.before_traffic.app")
    assert not [
        name for name in imported if name.startswith(("loyalty_ml", "aws_lambda_powertools", "pydantic", "numpy"))
    ]


def test_each_function_is_known_here() -> None:
    assert FUNCTIONS.keys() == USED.keys() == FLOORS.keys()


@pytest.mark.parametrize("function", USED)
def test_a_function_imports_of_what_is_heavy_only_what_it_uses(function: str) -> None:
    module, _ = template.handler_of(FUNCTIONS[function])
    imported = imported_by(f"import {module}")
    assert imported & HEAVY == USED[function]
    has_routes = any(event["Type"] == "HttpApi" for event in FUNCTIONS[function]["Properties"]["Events"].values())
    assert (ROUTES in imported) == has_routes


@pytest.mark.parametrize("function", USED)
def test_the_floor_that_a_start_is_measured_against_has_nothing_that_the_function_has_not(function: str) -> None:
    module, _ = template.handler_of(FUNCTIONS[function])
    # Lambda has ai_edge_litert; this Python may have the interpreter under its old name.
    floor = imported_by(FLOORS[function].replace("ai_edge_litert.interpreter", Interpreter.__module__))
    assert floor <= imported_by(f"import {module}")
    assert "loyalty_ml" not in floor
