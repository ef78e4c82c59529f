"""loyalty status: what a service runs on."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from training.cli.command import Command
from training.cli.service import connection
from training.errors import Problem
from training.table import table


def _status(chosen: Namespace) -> None:
    with connection.service(chosen) as loyalty:
        status = loyalty.status()
        if chosen.json:
            connection.print_json(status)
        else:
            print(table([("model", "version", "answers", "metrics", ""), *map(_line, status["models"].items())]))
            features, runtime = status["features"], status["runtime"]
            customers = "an unknown number of" if features["customers"] is None else f"{features['customers']:,}"
            print(f"Features of {customers} customers as of {features['as_of'] or 'no moment'}.")
            print(f"{runtime['library']} {runtime['version']}; mock mode {status['mock_mode']}.")
        broken = [name for name, model in status["models"].items() if "message" in model and not model["loaded"]]
        if broken:
            raise Problem(f"{' and '.join(broken)} cannot answer: {status['models'][broken[0]]['message']}")
        if "message" in status["features"]:
            raise Problem(status["features"]["message"])


def _line(named: tuple[str, Mapping[str, Any]]) -> tuple[str, ...]:
    name, model = named
    metrics = ", ".join(
        f"{metric} {value:.4g}"
        for metric, value in list(model["metrics"].items())[:3]
        if isinstance(value, int | float)
    )
    notes = [*(["placeholder"] if model["placeholder"] else []), *([model["message"]] if "message" in model else [])]
    return name, model["version"] or "none", "yes" if model["loaded"] else "no", metrics, "; ".join(notes)


COMMAND = Command(
    name="status",
    summary="show what a service runs on: models, features, mock mode",
    description="Shows what a running service answers with: the models' versions and metrics, how old the features "
    "are, and whether answers may be mock. The exit code is 0 only if nothing is broken.",
    example="--url https://API_ID.execute-api.eu-west-1.amazonaws.com",
    add_arguments=connection.add_arguments,
    work=_status,
    when_stopped=lambda _: "nothing was changed.",
    needs=connection.NEEDS,
)
