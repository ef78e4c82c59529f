"""The tests' names: each worker of pytest-xdist collects them on its own, and refuses to run if two differ."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
pytestmark = pytest.mark.process
A_YEAR = 366 * 24 * 3600

COLLECT = f"""
import sys, time
clock, clock_ns = time.time, time.time_ns
time.time = lambda: clock() + {A_YEAR}
time.time_ns = lambda: clock_ns() + {A_YEAR} * 10**9
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What is no part of the project: hidden files, and what is made in its root."""
    made = {"build", "models", "node_modules"} if Path(folder) == REPOSITORY else set[str]()
    return {name for name in names if name.startswith(".") or name == "__pycache__" or name in made}


@pytest.mark.long
def test_no_tests_name_depends_on_time_order_or_place(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """All that this run has collected is collected again: a year later, in a copy, with another order of sets."""
    copy = tmp_path / "another place"
    shutil.copytree(REPOSITORY, copy, ignore=_left_out)
    here = [item.nodeid for item in request.session.items]
    files = list(dict.fromkeys(name.partition("::")[0] for name in here))
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, "-o", "addopts=", "-p", "no:cacheprovider", "--collect-only", "-q", *files],
        cwd=copy,
        env={
            **os.environ,
            "PYTHONHASHSEED": "7",
            "TZ": "Asia/Kathmandu",
            "PYTHONPATH": f"{copy}:{copy}/layers/shared:{copy}/client/src",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    there = [name for name in done.stdout.splitlines() if "::" in name]
    only_here = set(here) - set(there)
    assert not only_here
    only_there = set(there) - set(here)  # what was deselected here
    assert [name for name in there if name not in only_there] == here, "and in the same order"
