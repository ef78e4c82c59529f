"""A built function over memory_stores: the study of peers puts it in the place of app.py, now function_app.py."""

import importlib
import os
from typing import Any

from benchmarks.studies.services import memory_stores

# Lambda names a trace with each event, most of which are not sampled. The emulator names none, and the tracer would
# write a warning about it each time.
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"

memory_stores.install()
function = importlib.import_module("function_app")


def handler(event: Any, context: Any) -> Any:
    os.environ["_X_AMZN_TRACE_ID"] = TRACE
    return function.handler(event, context)
