"""loyalty check: the dry run, before any training."""

import os
import shlex
from argparse import ArgumentParser, Namespace

from training import defaults
from training.cli import options
from training.cli.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    options.add_warehouse(parser, defaults.DEMO_URL)


def _check(chosen: Namespace) -> None:
    from training import config
    from training.errors import Problem
    from training.warehouse.check.dry_run import dry_run
    from training.warehouse.connection import connect, redacted

    settings = config.load(chosen.config)
    with connect(chosen.warehouse, settings) as warehouse:
        print(f"Connected to {redacted(chosen.warehouse)} ({warehouse.backend.name}).", flush=True)
        findings = dry_run(warehouse, lambda line: print(line, flush=True))
    print()
    for title, sentences in (("Worth a look", findings.warnings), ("To change", findings.problems)):
        if sentences:
            print(f"{title}:")
            for number, sentence in enumerate(sentences, 1):
                print(f"  {number}. {sentence}")
    if not findings.trainable:
        raise Problem(
            f"training cannot start; change what is listed above in {chosen.config} or in the data, then "
            "run this again."
        )
    withheld = sorted(set(findings.withheld.values()))
    only = ["--only", *findings.trainable] if withheld else []
    print(f"Training can start{', without ' + ' and '.join(withheld) if withheld else ''}. Next:")
    print(f"  loyalty train {' '.join([_arguments(chosen, redacted(chosen.warehouse)), *only])}")


def _arguments(chosen: Namespace, url: str) -> str:
    """As they were given: a URL that came from the environment comes from there again."""
    warehouse = [] if chosen.warehouse == os.environ.get(defaults.URL_VARIABLE) else ["--warehouse", url]
    return shlex.join([*warehouse, "--config", str(chosen.config)])


COMMAND = Command(
    name="check",
    summary="look at a warehouse and its configuration before training",
    description="Connects to the warehouse and says in under a minute what training would make of it. Every configured "
    "name and type is checked and all that is wrong is listed; the features of a thousand customers are computed, and "
    "labels, exposures and what would be left out are counted. It compares definitions of churn, estimates time and "
    "memory, and ends with what to do next. It changes nothing. Exit code 0: training can start.",
    example="--warehouse postgresql://reader@dwh/crm --config our-warehouse.toml",
    add_arguments=_add_arguments,
    work=_check,
    when_stopped=lambda _: "nothing was changed.",
    needs=("duckdb", "ibis", "numpy", "pyarrow"),
)
