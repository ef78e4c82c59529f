"""python lambda_in_process.py SECONDS: a built function's handler called in a loop, with no server around it.

Its folder and its layers are on PYTHONPATH. On standard input is {kind: [event]}. Standard output gets two lines: the
first answer of each kind, once they are there; then, by kind, p50 and p99 in seconds, all kinds' calls a second, and
the bytes of memory (PSS) that the process holds.
"""

import contextlib
import importlib
import itertools
import json
import os
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CONTEXT = SimpleNamespace(
    function_name="bench",
    function_version="$LATEST",
    invoked_function_arn="arn:aws:lambda:eu-west-1:000000000000:function:bench",
    memory_limit_in_mb=1769,
    aws_request_id="bench",
    get_remaining_time_in_millis=lambda: 25_000,
)


def main() -> None:
    terminal = sys.stdout
    # A request's own line costs, and is not wanted here. The logger takes the output that it finds at its import.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        seconds = float(sys.argv[1])
        events: dict[str, list[Any]] = json.load(sys.stdin)
        handler = importlib.import_module("app").handler
        first = {kind: handler(some[0], CONTEXT) for kind, some in events.items()}
        print(json.dumps(first), file=terminal, flush=True)
        print(json.dumps(measured(handler, events, seconds)), file=terminal)


def measured(handler: Any, events: dict[str, list[Any]], seconds: float) -> dict[str, Any]:
    taken: dict[str, list[float]] = {kind: [] for kind in events}
    turns = itertools.cycle(
        [(kind, event) for some in zip(*events.values(), strict=True) for kind, event in zip(events, some, strict=True)]
    )
    end = time.perf_counter() + seconds
    for kind, event in turns:
        started = time.perf_counter()
        handler(event, CONTEXT)
        now = time.perf_counter()
        taken[kind].append(now - started)
        if now > end:
            break
    pss = re.search(r"^Pss: +(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert pss is not None
    return {
        "latency": {
            kind: [sorted(some)[len(some) * percent // 100] for percent in (50, 99)] for kind, some in taken.items()
        },
        "rate": sum(map(len, taken.values())) / sum(map(sum, taken.values())),
        "memory": 1024 * int(pss[1]),
    }


if __name__ == "__main__":
    main()
