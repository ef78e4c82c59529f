"""`make run` as a user starts it, on a free port, ended with Ctrl-C's signal."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 120

A_USERS_OWN_AWS = {
    "AWS_PROFILE": "production",
    "AWS_SESSION_TOKEN": "token",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9",
}
"""What a shell may have set; nothing of it may matter to the local service."""


@dataclass
class Running:
    """A started service: its process, what it has printed, and its address."""

    process: subprocess.Popen[str]
    port: int
    output: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/loyalty/v1"

    def printed(self) -> str:
        return self.output.read_text()

    def post(self, path: str, body: Any) -> requests.Response:
        return requests.post(self.base + path, json=body, timeout=30)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.base + path, timeout=30)

    def wait_until_printed(self, pattern: str) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while not re.search(pattern, self.printed()):
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < give_up_at, f"not printed: {pattern}\n{self.printed()}"
            time.sleep(0.1)

    def stop(self) -> int:
        """What Ctrl-C does: the signal goes to every process of the terminal's group."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=20)


def copy_of_the_project(folder: Path) -> Path:
    """What `make run` serves from, in a folder of the test's own: its files may be changed there."""
    for name in ("functions", "layers", "local", "statemachines", "training"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "template.yaml", folder)
    (folder / "build").mkdir()
    shutil.copy(REPOSITORY / "build/demo-warehouse.duckdb", folder / "build")  # which make has made
    return folder


def start(folder: Path, port: int, **environment: str) -> Running:
    output = folder / "output.txt"
    # The functions must get these from the template, as they would on AWS, not from the tests.
    without_ours = {name: value for name, value in os.environ.items() if not name.startswith("POWERTOOLS_")}
    with output.open("w") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "--port", str(port)],
            cwd=folder,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509  only the process that is about to be replaced runs it
            env={**without_ours, **A_USERS_OWN_AWS, **environment, "PYTHONPATH": f"{folder}:{folder}/layers/shared"},
        )
    return Running(process, port, output)


def _heed_ctrl_c() -> None:
    """A shell's background job ignores the signal, as the tests may be one, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
