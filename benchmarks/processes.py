"""Other processes, as Linux tells of them."""

import re
from pathlib import Path

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
