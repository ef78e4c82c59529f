"""The notebook of docs/ runs in Jupyter's kernel over `make run`, and says what it shows."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS, REPOSITORY, is_text
from tests.local.make_run import Running

pytestmark = [pytest.mark.process, pytest.mark.long]

NOTEBOOK = DOCS / "client.ipynb"
PYTHON = REPOSITORY / ".venv-client" / "bin" / "python"


def outputs(path: Path) -> list[tuple[str, list[str]]]:
    """The source of each cell with code, and what it shows as text."""
    cells = json.loads(path.read_text())["cells"]
    return [
        ("".join(cell["source"]), list(map(_text, cell["outputs"]))) for cell in cells if cell["cell_type"] == "code"
    ]


def _text(output: dict[str, Any]) -> str:
    lines = output["text"] if "text" in output else output["data"]["text/plain"]
    return "".join(lines)


def test_the_notebook_says_what_it_shows(running: Running, tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("Jupyter's kernel is not installed: run 'make .venv-client/stamp'.")
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("run_notebook.py"), NOTEBOOK, tmp_path / "run.ipynb"],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("LOYALTY_")},
            "LOYALTY_URL": running.base,
            "PYTHONPATH": str(REPOSITORY / "client" / "src"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shown, given = outputs(NOTEBOOK), outputs(tmp_path / "run.ipynb")
    assert len(shown) == len(given)
    for (source, kept), (_, new) in zip(shown, given, strict=True):
        assert len(kept) == len(new) > 0, source
        for one, other in zip(kept, new, strict=True):
            assert is_text(one, other), f"{source}\nshows\n{one}\nand gave\n{other}"
    assert int(done.stdout) >= 3, "a bar for each that takes time"
