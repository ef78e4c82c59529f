"""`make bench`: every benchmark, a table of them, and build/bench.json. Exit code 1 where a bar is missed.

In the table "behind" is said where the peer is ahead by no more than the bar, and OVER where it is by more.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "loyalty-ml")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LoyaltyML")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "WARNING")

from benchmarks import features, files, held, materialize, memory, peers, predict, scoring, segments, start, training
from benchmarks.measure import Result, command

PARTS = {
    "predict": predict.run,
    "start": start.run,
    "scoring": scoring.run,
    "features": features.run,
    "materialize": materialize.run,
    "segments": segments.run,
    "files": files.run,
    "memory": memory.run,
    "training": training.run,
    "peers": peers.run,
    "held": held.run,
}
REPORT = Path("build/bench.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part")
    only = parser.parse_args().only
    return command(lambda: measure([only] if only else list(PARTS)))


def measure(parts: Sequence[str]) -> int:
    """The exit code. What was measured is written down also where a part fails, or is stopped."""
    results: list[Result] = []
    print(f"{'name':<48}{'ours':>10}{'theirs':>10}{'ratio':>8}{'bar':>6}          unit; peer")
    try:
        for part in parts:
            for result in PARTS[part]():
                results.append(result)
                print(
                    f"{result.name:<48}{result.ours:>10.4g}{result.theirs:>10.4g}{result.ratio:>8.2f}{result.bar:>6.2f}"
                    f"  {result.verdict:<6}  {result.unit}; {result.peer}",
                    flush=True,
                )
    finally:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(
            json.dumps({"machine": machine, "results": [result.as_json() for result in results]}, indent=2)
        )
        print(f"{machine}; written to {REPORT}", flush=True)
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
