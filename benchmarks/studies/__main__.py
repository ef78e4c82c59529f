"""`make study NAME=cost`: one measurement for docs/performance.md or docs/costs.md. It prints Markdown.

A study has no bar: what guards against a regression is in `make bench`.
"""

import argparse
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "loyalty-ml")
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LoyaltyML")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "WARNING")

from benchmarks.measure import command
from benchmarks.studies import acceptance, cost, held, memory, offer_acceptance, peers, training

STUDIES = {
    "cost": cost,
    "memory": memory,
    "peers": peers,
    "held": held,
    "training": training,
    "acceptance": acceptance,
    "offer_acceptance": offer_acceptance,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies",
        description=__doc__,
        epilog="`python -m benchmarks.studies STUDY --help` lists what a study takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    studies = parser.add_subparsers(metavar="STUDY", required=True)
    for name, study in STUDIES.items():
        assert study.__doc__
        own = studies.add_parser(
            name,
            help=study.__doc__.splitlines()[0],
            description=study.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        study.add_arguments(own)
        own.set_defaults(run=study.run)
    options = parser.parse_args(arguments)
    return command(lambda: options.run(options))


if __name__ == "__main__":
    sys.exit(main())
