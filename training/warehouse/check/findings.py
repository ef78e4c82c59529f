"""What a dry run says as it goes, and what it keeps for the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from training.errors import Problem
from training.table import table


@dataclass(frozen=True, slots=True)
class Findings:
    """say:      shows a line to the person at the terminal.
    problems: sentences, each of which would stop a training.
    warnings: sentences on what would not stop it, but may not be meant.
    """

    say: Callable[[str], None]
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def wrong(self, sentence: str) -> None:
        """Keeps a problem once, however many steps meet it."""
        if sentence not in self.problems:
            self.problems.append(sentence)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def show(self, rows: Sequence[Sequence[str]]) -> None:
        for line in table(rows).splitlines():
            self.say(f"  {line}")

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keeps the Problem that ends a step, so that the next one can be taken."""
        try:
            yield
        except Problem as problem:
            self.wrong(str(problem))


def share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
