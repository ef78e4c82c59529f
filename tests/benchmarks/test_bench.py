"""`make bench`: what was measured is written down, whatever happens after it; a ratio over its bar is a failure."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import Part, measure
from benchmarks.measure import Result, command

pytestmark = pytest.mark.unit


def result(ours: float, bar: float) -> Result:
    return Result("some.thing", ours, "us", "a peer 1.0", 10.0, bar)


def part(*results: Result, then: BaseException | None = None) -> Part:
    def run() -> Iterator[Result]:
        yield from results
        if then is not None:
            raise then

    return run


def results_in(report: Path) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads(report.read_text())["results"]
    return results


def test_the_report_has_the_contracts_form(tmp_path: Path) -> None:
    report = tmp_path / "build" / "bench.json"
    assert measure([part(result(5, 1)), part(result(12, 1.5))], report) == 0
    written = json.loads(report.read_text())
    assert set(written) == {"machine", "results"}
    assert "cores" in written["machine"]
    common = {"name": "some.thing", "unit": "us", "peer": "a peer 1.0", "theirs": 10.0, "ok": True}
    assert written["results"] == [
        {**common, "ours": 5, "ratio": 0.5, "bar": 1},
        {**common, "ours": 12, "ratio": 1.2, "bar": 1.5},
    ]


@pytest.mark.parametrize(
    ("problem", "code", "told"),
    [
        (RuntimeError("The peer did not start."), 1, "The peer did not start.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
    ],
)
def test_a_part_that_fails_loses_nothing_of_those_before(
    problem: BaseException, code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "bench.json"
    parts = [part(result(9, 1)), part(result(8, 1), then=problem), part(result(7, 1))]
    assert command(lambda: measure(parts, report)) == code
    assert [each["ours"] for each in results_in(report)] == [9, 8]
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("ours", "bar", "verdict", "code"), [(10, 1, "ok", 0), (11, 1.5, "behind", 0), (16, 1.5, "OVER", 1)]
)
def test_a_peer_that_is_ahead_is_said_to_be(
    ours: float, bar: float, verdict: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "bench.json"
    assert measure([part(result(ours, bar), result(5, 1))], report) == code
    assert verdict in capsys.readouterr().out.splitlines()[1].split()
    assert [each["ok"] for each in results_in(report)] == [code == 0, True]
