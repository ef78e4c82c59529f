"""What make installs first: whatever the machine lacks is one sentence, before anything is installed."""

import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def run(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", REPOSITORY / "requirements" / script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_every_python_lacks_is_one_line_of_apt_get(tmp_path: Path) -> None:
    program(tmp_path / "id", "echo 1000")  # no root, whoever runs the tests
    pythons = [
        program(tmp_path / f"python{version}", f'case "$2" in *version_info*) echo {version} ;; *) exit 1 ;; esac')
        for version in ("3.11", "3.13")
    ]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONS": " ".join(map(str, pythons))}
    done = run("venv.sh", tmp_path / "venv", pythons[1], "none.txt", **environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "venv.sh: Python cannot make a virtual environment here: run 'sudo apt-get install python3.11-venv "
        "python3.13-venv' and try again.\n"
    )


def test_a_python_that_is_missing_is_a_sentence_that_fits_the_version(tmp_path: Path) -> None:
    program(tmp_path / "sed", 'exec /bin/sed "$@"')
    bare = {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    assert run("python.sh", "3.13", **bare).stderr == (
        "No Python 3.13 was found on PATH or in pyenv: run 'pyenv install 3.13' and try again.\n"
    )
    program(tmp_path / "apt-cache", '[ "$*" = "show python3.13" ]')
    assert "run 'sudo apt-get install python3.13 python3.13-venv' and" in run("python.sh", "3.13", **bare).stderr
    assert "run 'sudo apt-get install python3 python3-venv' and" in run("python.sh", **bare).stderr
