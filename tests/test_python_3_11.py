"""The same code on Python 3.11 and tflite-runtime, the interpreter's old name: the scoring tests, and the answers."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.scoring.test_scores import outputs

REPOSITORY = Path(__file__).parents[1]
PYTHON_3_11 = REPOSITORY / ".venv-3.11" / "bin" / "python"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not PYTHON_3_11.exists(),
        reason="no Python 3.11 on this machine: 'make test-long' makes .venv-3.11 where there is one",
    ),
]

ROUNDING = 1e-6
"""The two releases' LOG and SOFTMAX kernels round differently: 1.8e-7 was seen for churn, 6.6e-7 for offers."""


def run(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [PYTHON_3_11, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_scoring_tests_pass_on_tflite_runtime() -> None:
    options = ("-q", "-o", "addopts=", "-p", "no:cacheprovider")
    report = run("-m", "pytest", *options, "tests/scoring/test_scores.py", "tests/scoring/test_rfm.py")
    assert " passed" in report
    assert "skipped" not in report


def test_the_answers_are_the_same_bits_but_for_the_rounding_of_two_kernels() -> None:
    there = json.loads(
        run(
            "-c",
            "import json; from tests.scoring.test_scores import outputs; from loyalty_ml.models.interpreter "
            "import RUNTIME_PACKAGE; "
            "print(json.dumps([RUNTIME_PACKAGE, {name: column.tolist() for name, column in outputs().items()}]))",
        )
    )
    assert there[0] == "tflite-runtime"
    for name, column in outputs().items():
        other = np.array(there[1][name], column.dtype)
        if name.startswith("rfm"):
            assert other.tobytes() == column.tobytes()
        else:
            assert np.abs(other - column).max() <= ROUNDING
