"""`make bench`: what was measured is written down, whatever happens after it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import benchmarks.__main__ as bench
from benchmarks.measure import Result, command

pytestmark = pytest.mark.unit


def result(ours: float, bar: float) -> Result:
    return Result("some.thing", ours, "us", "a peer", 10.0, bar)


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "bench.json"
    monkeypatch.setattr(bench, "REPORT", path)
    return path


def part(*results: Result, then: BaseException | None = None) -> Callable[[], Iterator[Result]]:
    def run() -> Iterator[Result]:
        yield from results
        if then is not None:
            raise then

    return run


@pytest.mark.parametrize(
    ("problem", "code", "told"),
    [
        (RuntimeError("The peer did not start."), 1, "The peer did not start.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
    ],
)
def test_a_part_that_fails_loses_nothing_of_those_before(
    problem: BaseException,
    code: int,
    told: str,
    report: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        bench, "PARTS", {"one": part(result(9, 1)), "two": part(result(8, 1), then=problem), "three": part()}
    )
    assert command(lambda: bench.measure(["one", "two", "three"])) == code
    assert [each["ours"] for each in json.loads(report.read_text())["results"]] == [9, 8]
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("ours", "bar", "verdict", "code"), [(10, 1, "ok", 0), (11, 1.5, "behind", 0), (16, 1.5, "OVER", 1)]
)
def test_a_peer_that_is_ahead_is_said_to_be(
    ours: float,
    bar: float,
    verdict: str,
    code: int,
    report: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bench, "PARTS", {"one": part(result(ours, bar))})
    assert bench.measure(["one"]) == code
    assert verdict in capsys.readouterr().out.splitlines()[1].split()
    assert report.exists()
