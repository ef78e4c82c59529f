"""Cold starts: each function's INIT under Lambda's emulator, beside its libraries alone, with nothing of this project.

And how long a prediction takes from a restored snapshot, beside one that waits for INIT.
"""

import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import quick_stores
from benchmarks.invocations import post
from benchmarks.measure import Result
from local import template
from local.built.emulator import FunctionError, build_folder, emulated
from local.built.snap_start import snap_started

ROUNDS = 11
ROWS = 1000
BAR = 1.25
"""Times the floor: what may come on top is the project's own code, and its other clients."""

# What a function names of each library, as it names it, and one of each thing that it makes while it is imported:
# pydantic, for one, loads most of itself with the first model.
_EVERY = """
import boto3, numpy, orjson
from ai_edge_litert.interpreter import Interpreter
from aws_lambda_powertools import Logger, Metrics, Tracer
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

class Model(BaseModel):
    model_config = ConfigDict(frozen=True)
    number: int = Field(gt=0)
    at: AwareDatetime

Logger(), Metrics(), Tracer(patch_modules=("botocore",))
boto3.client("s3")

def handler(event, context):
    return {}
"""
_HTTP = """
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from pydantic import TypeAdapter
APIGatewayHttpResolver()
"""
_SNAPSHOTS = "import duckdb, nanoarrow\n"
_RULES = """
from jsonlogic import JSONLogicExpression
from jsonlogic.evaluation import evaluate
from jsonlogic.json_schema import from_json_schema
from jsonlogic.typechecking import typecheck
"""
_QUEUE = """
from aws_lambda_powertools.utilities.batch import BatchProcessor
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
"""
FLOORS = {
    "PredictFunction": _HTTP + _EVERY,
    "BatchFunction": _HTTP + _EVERY,
    "SegmentFunction": _HTTP + _SNAPSHOTS + _RULES + _EVERY,
    "RefreshFunction": _SNAPSHOTS + _RULES + _EVERY,
    "FilesFunction": _SNAPSHOTS + _QUEUE + _EVERY,
    "AdminFunction": _HTTP + _EVERY,
}
"""By function, the source of a handler that imports the libraries that the function imports, and makes one client."""

EMPTY = "def handler(event, context):\n    return {}\n"
PEER = "its libraries imported and one client made, nothing of this project"


def run() -> Iterator[Result]:
    """start.*: INIT of each function; then the first prediction of an instance, restored and from nothing."""
    with tempfile.TemporaryDirectory() as folder, quick_stores.serving(ROWS) as aws:
        floors, empty = Path(folder) / "floors", Path(folder) / "empty"
        with_handlers(floors, FLOORS)
        with_handlers(empty, dict.fromkeys(FLOORS, EMPTY))
        for function in FLOORS:
            ours, floor, nothing = medians(
                *(partial(init_ms, function, aws.variables, build) for build in (build_folder(), floors, empty))
            )
            print(f"  {function}: an empty handler starts in {nothing:.0f} ms")
            yield Result(f"start.{function.removesuffix('Function').lower()}", ours, "ms of INIT", PEER, floor, BAR)
        ours, theirs = medians(
            partial(restored_prediction_ms, aws.variables), partial(first_prediction_ms, aws.variables)
        )
        unit = "ms to the first answer, restored; what Lambda needs to restore comes on top"
        yield Result("start.predict.restored", ours, unit, "the first answer on demand, INIT in it", theirs, 0.5)


def init_ms(function: str, variables: Mapping[str, str], build: Path) -> float:
    """What INIT of a new instance takes, as the emulator reports it."""
    with emulated(function, variables, physical_ids=quick_stores.PHYSICAL_IDS, build=build) as instance:
        with contextlib.suppress(FunctionError):  # no function knows the event: it has started by then
            instance.invoke({})
        assert instance.init_ms is not None
        return instance.init_ms


def first_prediction_ms(variables: Mapping[str, str]) -> float:
    """From the event that starts an instance to its answer."""
    with emulated("PredictFunction", variables, physical_ids=quick_stores.PHYSICAL_IDS) as instance:
        return answered_ms(instance.invoke)


def restored_prediction_ms(variables: Mapping[str, str]) -> float:
    """From an instance's snapshot to its answer: the hook after a restore, a look at the manifest, the customer."""
    with snap_started("PredictFunction", variables, physical_ids=quick_stores.PHYSICAL_IDS) as instance:

        def restore_and_invoke(event: Any) -> Any:
            instance.restore()
            return instance.invoke(event)

        return answered_ms(restore_and_invoke)


def answered_ms(invoke: Callable[[Any], Any]) -> float:
    event = post("/ml/predict", {"customer_id": "7", "type": "churn"})
    started = time.perf_counter()
    response = invoke(event)
    took = 1e3 * (time.perf_counter() - started)
    assert response["statusCode"] == 200, response
    return took


def with_handlers(folder: Path, sources: Mapping[str, str]) -> None:
    """Makes `folder` a build with the same layers, whose functions are these modules instead."""
    build = build_folder()
    folder.mkdir()
    shutil.copy(build / "template.yaml", folder)
    for path in build.iterdir():
        if path.is_dir() and path.name not in sources:
            (folder / path.name).symlink_to(path)
    described = template.functions(template.load(build / "template.yaml"))
    for function, source in sources.items():
        module, _ = described[function]["Properties"]["Handler"].split(".")
        (folder / function).mkdir()
        (folder / function / f"{module}.py").write_text(source)


def medians(*measured: Callable[[], float], rounds: int = ROUNDS) -> list[float]:
    """The median of each, all measured in turn in each round, after one that warms the page cache."""
    found: list[list[float]] = [[] for _ in measured]
    for number in range(rounds + 1):
        for measure, values in zip(measured, found, strict=True):
            value = measure()
            if number:
                values.append(value)
    return [statistics.median(values) for values in found]
