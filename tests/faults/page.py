"""The table of docs/faults.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def rows() -> dict[str, str]:
    """What the caller sees, by fault."""
    found = re.findall(r"^\| (.+?) \| (.+?) \| .+? \|$", PAGE.read_text(), re.MULTILINE)
    return dict(found[2:])


def shown(fault: str) -> set[str]:
    """The answers that the page says a caller sees of it."""
    return set(re.findall(r"`([^`]+)`", rows()[fault]))
