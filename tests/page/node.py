"""The Node that builds the page, which its tests run on too."""

import subprocess
from pathlib import Path

from tests.local.make_run import REPOSITORY


def node_folder() -> Path:
    """The folder of `node` and `npm`: the machine's, or that of PyPI's in the repository."""
    found = subprocess.run(
        ["sh", "requirements/node.sh", "."], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found, "There is no Node: run 'make page'."
    return REPOSITORY / found
