"""The pages, their code blocks, and whether an answer is what a page shows.

A block ```sh is run against `make run`'s service, those of a page one after the other; if ```json or ```text follows,
that is its answer. Other blocks (```bash) are read, not run: they need AWS or names of the reader's own.
"""

import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = (
    *sorted(REPOSITORY.glob("*.md")),
    *sorted(path for path in DOCS.rglob("*.md") if path.parent != DOCS / "generate" / "examples"),
)

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\.\.\.|[\[\]{}:,]')
ANYTHING = "..."


@dataclass(frozen=True, slots=True)
class Command:
    """A block that is run: its text, and the kind and text of the answer that the page shows; both empty for none."""

    text: str
    kind: str
    answer: str

    @property
    def only_reads(self) -> bool:
        """Whether it can be run again and again, until its answer is as shown."""
        return not re.search(r" (-d|-X|-F|-T|-fsST|materialize|publish|promote|rollback|score|train) |> ", self.text)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Kind and text of each code block, also of one within a list."""
    return [(found[2], textwrap.dedent(found[3])) for found in _BLOCK.finditer(page.read_text())]


def commands(page: Path) -> list[Command]:
    found = []
    every = blocks(page)
    for place, (kind, text) in enumerate(every):
        if kind == "sh":
            following = every[place + 1] if place + 1 < len(every) else ("", "")
            answer = following if following[0] in ("json", "text") else ("", "")
            found.append(Command(text, *answer))
    return found


def parse(shown: str) -> Any:
    """A JSON block in which `...` stands for what is not shown: a value, or the rest of a list or an object."""
    inside: list[str] = []
    before = ""

    def named(token: re.Match[str]) -> str:
        nonlocal before
        text = token[0]
        if text in "[{":
            inside.append(text)
        elif text in "]}":
            inside.pop()
        is_rest_of_object = text == ANYTHING and before != ":" and inside[-1] == "{"
        before = text
        if text != ANYTHING:
            return text
        return f'"{ANYTHING}": "{ANYTHING}"' if is_rest_of_object else f'"{ANYTHING}"'

    return json.loads(_TOKEN.sub(named, shown))


def differences(shown: Any, given: Any, place: str = "the answer") -> list[str]:
    """Where the answer is not what is shown. Another processor may round a probability, so floats may be 1e-5 apart."""
    if shown == ANYTHING:
        return []
    if isinstance(shown, dict) and isinstance(given, dict):
        names = shown.keys() - {ANYTHING}
        found = [f"{place} has no {name}" for name in names - given.keys()]
        if ANYTHING not in shown:
            found += [f"{place} has {name}, which is not shown" for name in given.keys() - names]
        for name in names & given.keys():
            found += differences(shown[name], given[name], f"{place}.{name}")
        return found
    if isinstance(shown, list) and isinstance(given, list):
        is_open = shown[-1:] == [ANYTHING]
        first = shown[:-1] if is_open else shown
        if len(given) < len(first) or (len(given) > len(first) and not is_open):
            return [f"{place} has {len(given)} entries, not {len(first)}"]
        return [
            difference
            for index, (one, other) in enumerate(zip(first, given, strict=False))
            for difference in differences(one, other, f"{place}.{index}")
        ]
    if isinstance(shown, float) and isinstance(given, float):
        return [] if given == pytest.approx(shown, abs=1e-5) else [f"{place} is {given}, not {shown}"]
    return [] if type(shown) is type(given) and shown == given else [f"{place} is {given!r}, not {shown!r}"]


def is_text(shown: str, given: str) -> bool:
    """Whether a text is what is shown, in which `...` stands for anything, on as many lines as it takes.

    A number with a fraction may differ in what another processor rounds.
    """
    pattern = ".*".join(map(re.escape, shown.strip().split(ANYTHING)))
    pattern = re.sub(r"\d+\\\.(\d{3})\d{4,}", lambda found: found[0][: found.end(1) - found.start()] + r"\d+", pattern)
    return re.fullmatch(pattern, given.strip(), re.DOTALL) is not None
