"""What the pages show is what the service answers: every block that can be run is run."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, REPOSITORY, Command, commands, differences, is_text, parse
from tests.local.make_run import Running

pytestmark = pytest.mark.process

SECONDS = 60
"""How long a command that only reads may take until its answer is as shown: a job is not done at once."""


def moves_the_features(page: Path) -> bool:
    """After such a page the service has other features than the pages show, so it comes last."""
    return any("loyalty materialize" in command.text for command in commands(page))


WITH_COMMANDS = sorted((page for page in PAGES if commands(page)), key=moves_the_features)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_the_pages_commands_give_the_pages_answers(page: Path, running: Running, tmp_path: Path) -> None:
    names = printed_names(running.printed())
    (tmp_path / "build").mkdir()
    for name in (".venv", "local", "build/demo-warehouse.duckdb"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for command in commands(page):
        give_up_at = time.monotonic() + SECONDS
        while problems := run(command, names, running, tmp_path):
            assert command.only_reads, f"{command.text}{problems}"
            assert time.monotonic() < give_up_at, f"{command.text}{problems}"
            time.sleep(0.2)


def printed_names(printed: str) -> dict[str, str]:
    """What the pages call by a name in capitals, as the service has printed it."""
    patterns = {
        "DATA_BUCKET_ADDRESS": r"curl -fsST .* (http\S+)/incoming/",
        "MODEL_BUCKET": r"models (\S+), data",
        "DATA_BUCKET": r", data (\S+), customers",
        "CUSTOMERS_TABLE": r", customers (\S+),",
        "JOBS_TABLE": r"jobs (\S+), datasets",
        "STATE_MACHINE_ARN": r", datasets (\S+)",
    }
    found = {name: re.search(pattern, printed) for name, pattern in patterns.items()}
    assert all(found.values()), printed
    exported = re.search(r"export (AWS_.*)$", printed, re.MULTILINE)
    assert exported
    variables = dict(pair.split("=", 1) for pair in exported[1].split())
    return {name: match[1] for name, match in found.items() if match} | variables


def run(command: Command, names: dict[str, str], running: Running, folder: Path) -> list[str]:
    """Runs the command; how its answer differs from the one shown. Remembers the job's id for the commands after it."""
    script = command.text.replace("127.0.0.1:8000", f"127.0.0.1:{running.port}")
    shown = command.answer
    for name in sorted(names, key=len, reverse=True):
        script, shown = (re.sub(rf"\b{name}\b", names[name], text) for text in (script, shown))
    variables = {name: value for name, value in names.items() if name.startswith("AWS_")}
    done = subprocess.run(
        ["sh", "-ec", script], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **variables},
    )  # fmt: skip
    if done.returncode:
        return [f"exit code {done.returncode}: {done.stderr or done.stdout}"]
    if command.kind == "text":
        return [] if is_text(shown, done.stdout) else [f"the answer is {done.stdout!r}, not {shown!r}"]
    if command.kind == "json":
        given = json.loads(done.stdout)
        problems = differences(parse(shown), given)
        job = given["jobs"][0] if given.get("jobs") else given
        if "job_id" in job and not problems:
            names["JOB_ID"] = job["job_id"]
        return problems
    return []
