"""`make bench`: every benchmark, a table of them, and build/bench.json. Exit code 1 where a bar is missed."""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "loyalty-ml")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LoyaltyML")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "WARNING")

from benchmarks import features, files, held, materialize, memory, peers, predict, scoring, segments, start, training

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
    results = []
    print(f"{'name':<48}{'ours':>10}{'theirs':>10}{'ratio':>8}{'bar':>6}      unit; peer")
    for name, run in PARTS.items():
        if only in (None, name):
            for result in run():
                results.append(result)
                print(
                    f"{result.name:<48}{result.ours:>10.4g}{result.theirs:>10.4g}{result.ratio:>8.2f}{result.bar:>6.2f}"
                    f"  {'ok' if result.ok else 'OVER'}  {result.unit}; {result.peer}",
                    flush=True,
                )
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({"machine": machine, "results": [result.as_json() for result in results]}, indent=2))
    print(f"{machine}; written to {REPORT}")
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
