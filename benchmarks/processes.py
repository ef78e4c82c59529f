"""Other processes, as Linux tells of them, and work that is measured in a process of its own."""

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from local.built.emulator import children


def tree(pid: int) -> list[int]:
    """A process, and after it all below it."""
    return [pid, *(each for child in children(pid) for each in tree(child))]


def peak_kb(pid: int | str = "self") -> int:
    """Kilobytes of 1,024 bytes that a process has held at most.

    Not getrusage's maximum, which counts what the process was before it became this program.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


class Process(NamedTuple):
    """A process that did some work.

    seconds: from its start to its end. work_seconds: of the work alone, without imports. megabytes: what it held at
    most.
    """

    seconds: float
    work_seconds: float
    megabytes: float


def alternate_processes(module: str, *arguments: Sequence[str], rounds: int) -> list[Process]:
    """Medians of `python -m module ARGUMENTS`, which ends with `report`: in turn in each round, after a warm-up."""
    runs: list[list[Process]] = [[] for _ in arguments]
    for number in range(rounds + 1):
        for own, measured in zip(arguments, runs, strict=True):
            process = _run(module, own)
            if number:
                measured.append(process)
    return [Process(*map(statistics.median, zip(*measured, strict=True))) for measured in runs]


def _run(module: str, arguments: Sequence[str]) -> Process:
    """Raises RuntimeError if it fails."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"python -m {module} {' '.join(arguments)} failed: {done.stderr.strip()[-2000:]}")
    work_seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return Process(seconds, work_seconds, megabytes)


def report(work: Callable[[], object]) -> None:
    """Does the work and prints the line that `alternate_processes` reads."""
    started = time.perf_counter()
    work()
    print(json.dumps([time.perf_counter() - started, peak_kb() / 1000]))
