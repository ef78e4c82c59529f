"""`make check` looks up the locked packages, and says so loudly when it could not."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.process, pytest.mark.long]

ROOT = Path(__file__).parents[1]
WHOLE = {"dependencies": [{"name": "numpy", "version": "2.4.0", "vulns": []}]}
VULNERABLE = {
    "dependencies": [
        {"name": "numpy", "version": "2.4.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.4.1"], "aliases": []}]}
    ]
}
AWAY = "raise SystemExit('ConnectionError: the service cannot be reached')"


@pytest.fixture
def audit(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    lock = tmp_path / "lock.txt"
    lock.write_text("numpy==2.4.0 --hash=sha256:00\n")

    def run(service: str, *options: str) -> subprocess.CompletedProcess[str]:
        """service: what stands in the place of pip-audit, which asks a network that tests have none of."""
        program = tmp_path / "pip-audit"
        program.write_text(f"#!{sys.executable}\n{service}\n")
        program.chmod(0o700)
        where: list[str | Path] = ["--pip-audit", program, "--copies", tmp_path / "copies", "--locks", lock]
        return subprocess.run(
            [sys.executable, ROOT / "requirements" / "audit.py", *where, *options],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def answering(answer: Any) -> str:
    return f"print({json.dumps(answer)!r})"


def test_what_the_service_says_decides_and_its_answer_serves_for_a_day(
    audit: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    asked = audit(answering(WHOLE), "--strict")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "1 packages, 0 vulnerable (asked now)" in asked.stdout
    kept = audit(AWAY, "--strict")
    assert (kept.returncode, kept.stderr) == (0, "")
    assert "as the service cannot be asked now" in kept.stdout
    (copy,) = (tmp_path / "copies").iterdir()
    old = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    copy.write_text(json.dumps({"asked": old, "answer": WHOLE}))
    assert "NOT AUDITED" in audit(AWAY).stderr
    found = audit(answering(VULNERABLE))
    assert found.returncode == 1
    assert "numpy 2.4.0 has PYSEC-1, fixed in 2.4.1." in found.stderr
    assert audit(AWAY).returncode == 1, "the copy says so too"


def test_without_a_network_and_without_a_copy_it_says_so(
    audit: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    told = audit(AWAY)
    assert told.returncode == 0
    assert "NOT AUDITED" in told.stderr
    assert "the service cannot be reached" in told.stderr
    assert audit(AWAY, "--strict").returncode == 1
