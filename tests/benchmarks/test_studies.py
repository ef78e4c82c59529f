"""Each study, small, as a user starts it: it ends well and prints its table. What it says is not looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ("--only", "single", "--customers", "1000", "--repeats", "2")


def study(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.studies", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def row(printed: str, title: str) -> list[float]:
    """The numbers in the first row of a Markdown table that begins with this title."""
    line = next(line for line in printed.splitlines() if line.startswith(f"| {title}"))
    cells = [cell.strip().replace(",", "").replace("*", "") for cell in line.strip("|").split("|")]
    return [float(cell) for cell in cells if cell.replace(".", "").isdecimal()]


@pytest.mark.built
@pytest.mark.long
def test_cost(build: Path) -> None:
    done = study("cost", *SMALL)
    assert done.returncode == 0, done.stderr
    memory_mb, *measured = row(done.stdout, "one customer")
    assert memory_mb >= 256
    *parts, together = measured[4:]
    assert together == pytest.approx(sum(parts), rel=0.05)  # of what is rounded
    a_minute, hundred, ten_thousand = row(done.stdout, "this service")
    assert 0 < a_minute < hundred < ten_thousand


@pytest.mark.built
@pytest.mark.long
def test_memory(build: Path) -> None:
    done = study("memory", *SMALL, "--sizes", "1024", "1000000")
    if "CPU cannot be limited here" in done.stderr:
        assert done.returncode == 1
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert "more cores than there are here" in done.stdout
    size, vcpus, *figures = row(done.stdout, "1024")
    assert (size, vcpus) == (1024, 0.58)
    assert len(figures) == 7
    assert min(figures) > 0


@pytest.mark.built
@pytest.mark.long
def test_peers(build: Path) -> None:
    done = study("peers", "--only", "handler", "gateway", "--rounds", "1", "--seconds", "0.2")
    assert done.returncode == 0, done.stderr
    for title in ("ours, in process", "ours, waitress"):
        figures = row(done.stdout, title)
        assert len(figures) == 13
        assert min(figures) > 0


@pytest.mark.process
@pytest.mark.long
def test_held() -> None:
    done = study("held", "--seconds", "2", "--rate", "4", "--no-publish")
    assert done.returncode == 0, done.stderr
    sent, answered, *_ = row(done.stdout, "mixed requests")
    assert sent == answered == 8


@pytest.mark.process
@pytest.mark.long
def test_training() -> None:
    done = study("training", "--only", "cdnow", "--splits", "1")
    assert done.returncode == 0, done.stderr
    figures = row(done.stdout, "cdnow")
    assert len(figures) == 6
    assert all(0 < figure < 1 for figure in figures)
