"""The page's own unit tests, which Vitest runs."""

import os
import subprocess

import pytest

from tests.local.make_run import REPOSITORY
from tests.page.node import node_folder

pytestmark = [pytest.mark.page, pytest.mark.process]


def test_the_pages_unit_tests_pass() -> None:
    done = subprocess.run(
        ["npm", "run", "--silent", "test"],
        cwd=REPOSITORY / "page",
        env={**os.environ, "PATH": f"{node_folder()}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
