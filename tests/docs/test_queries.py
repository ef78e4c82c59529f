"""Each query of the logs, of a page or of the dashboard, finds a line that is really written, by fields that it has.

Logs Insights names a field of an object `features.revenue` and of an array `Latency.0`: neither is `features` nor
`Latency`, and a query that says so finds nothing, without a word.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local import template
from loyalty_ml import telemetry
from loyalty_ml.aws.errors import unavailable
from tests.docs.pages import DOCS, REPOSITORY, blocks

pytestmark = pytest.mark.unit

PAGES = [DOCS / "runbook.md", DOCS / "operate.md"]
RESOURCES = template.load()["Resources"]
WORDS = re.compile(r"^(?:fields|filter|stats|sort|limit|by|desc|asc|as|and|or|not|like|ispresent|count|pct|max)$")
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {"=": operator.eq, ">": operator.gt, ">=": operator.ge}


def queries() -> Iterator[tuple[str, str]]:
    """Where each query stands, and the query."""
    for page in PAGES:
        for kind, text in blocks(page):
            if kind == "text":
                yield str(page.relative_to(REPOSITORY)), " ".join(text.split())
        for inline in re.findall(r"`(f(?:ilter|ields) [^`]+)`", page.read_text()):
            yield str(page.relative_to(REPOSITORY)), inline
    body = RESOURCES["OperationsDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for widget in json.loads(body)["widgets"]:
        if widget["type"] == "log":
            yield "the dashboard", widget["properties"]["query"]


def of_functions(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """A line of each kind, as the functions write them."""
    telemetry.count_failure("INTERNAL")
    telemetry.write_request("POST /ml/predict", 500, 6000.0, "THE-ID", "of the gateway")
    telemetry.count_answer(
        {"mode": "single", "type": "nbo", "mock": True, "model": {"version": "mock"}, "customer_id": "1"}
    )
    telemetry.write_request("POST /ml/predict", 200, 6.0, "THE-ID", "of the gateway")
    unavailable("queue", "The queue cannot be asked", "ThrottlingException")
    telemetry.write_trouble("task", task="file")
    with pytest.raises(ZeroDivisionError), telemetry.task("file", "THE-ID"):
        1 / 0  # noqa: B018  the fault
    telemetry.write_trouble("skew", {"SkewedCustomers": 2}, snapshot="s", unknown=1, features={"revenue": 1})
    logged = [telemetry.logger.registered_formatter.format(record) for record in caplog.records]
    return [json.loads(line) for line in [*capsys.readouterr().out.splitlines(), *logged]]


def of_the_gateway() -> list[dict[str, Any]]:
    """A refusal and a failure in the API's access log, whose values are all texts."""
    line = json.loads(RESOURCES["Api"]["Properties"]["AccessLogSettings"]["Format"])
    return [{**line, "status": status} for status in ("401", "503")]


def scalars(line: dict[str, Any]) -> dict[str, Any]:
    """The fields that Logs Insights knows under their own names, beside its own."""
    own = {"@timestamp": "2026-11-28", "@message": json.dumps(line)}
    return own | {name: value for name, value in line.items() if not isinstance(value, (dict, list))}


def finds(condition: str, line: dict[str, Any]) -> bool:
    if present := re.fullmatch(r"ispresent\((\w+)\)", condition):
        return present[1] in line
    if like := re.fullmatch(r"@message like /(.+)/", condition):
        return re.search(like[1], line["@message"]) is not None
    compared = re.fullmatch(r'(\w+) (=|>|>=) ("[^"]*"|\d+)', condition)
    assert compared, condition
    if compared[1] not in line:
        return False
    found, given = line[compared[1]], json.loads(compared[3])
    return COMPARE[compared[2]](found if isinstance(given, str) else float(found), given)


@pytest.mark.parametrize(("place", "query"), list(queries()))
def test_a_query_finds_what_is_written_by_fields_that_it_has(
    place: str, query: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    lines = [scalars(line) for line in (of_the_gateway() if "routeKey" in query else of_functions(capsys, caplog))]
    commands = [command.strip() for command in query.split(" | ") if not command.startswith("SOURCE ")]
    words: set[str] = set()
    for command in commands:
        if command.startswith("filter "):
            parts = command.removeprefix("filter ").split(" or ")
            lines = [line for line in lines if any(finds(part, line) for part in parts)]
            assert lines, f"{place}: nothing is found by {command!r}"
        elif not command.startswith("sort"):
            words |= set(re.findall(r"@?[A-Za-z_]\w*", re.sub(r" as \w+", "", command)))
    fields = {word for word in words if not WORDS.match(word)}
    missing = fields - {name for line in lines for name in line}
    assert not missing, f"{place}: {query!r} names {missing}, which no line has that it finds"
