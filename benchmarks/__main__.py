"""`make bench`: what guards against a regression, each part beside a peer that is measured in the same run.

Prints a table and writes build/bench.json. Exit code 1 if a ratio is over its bar. In the table "behind" means that the
peer is ahead, but by no more than the bar; OVER means by more. What is measured once, for the documents, is in
`python -m benchmarks.studies`.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "loyalty-ml")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LoyaltyML")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "WARNING")

from benchmarks import explain, features, files, materialize, predict, scoring, segments, start
from benchmarks.measure import Result, command

Part = Callable[[], Iterator[Result]]

PARTS: dict[str, Part] = {
    "start": start.run,
    "predict": predict.run,
    "scoring": scoring.run,
    "explain": explain.run,
    "features": features.run,
    "materialize": materialize.run,
    "segments": segments.run,
    "files": files.run,
}
REPORT = Path("build/bench.json")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, help="one part; default: all of them")
    only = parser.parse_args().only
    return command(lambda: measure([PARTS[only]] if only else PARTS.values(), REPORT))


def measure(parts: Iterable[Part], report: Path) -> int:
    """The exit code. What was measured is written to `report` even if a later part fails, or is stopped."""
    results: list[Result] = []
    print(f"{'name':<48}{'ours':>10}{'theirs':>10}{'ratio':>8}{'bar':>6}          unit; peer")
    try:
        for part in parts:
            for result in part():
                results.append(result)
                print(
                    f"{result.name:<48}{result.ours:>10.4g}{result.theirs:>10.4g}{result.ratio:>8.2f}{result.bar:>6.2f}"
                    f"  {result.verdict:<6}  {result.unit}; {result.peer}",
                    flush=True,
                )
    finally:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        report.parent.mkdir(exist_ok=True)
        report.write_text(
            json.dumps({"machine": machine, "results": [result.as_json() for result in results]}, indent=2)
        )
        print(f"{machine}; written to {report}", flush=True)
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
