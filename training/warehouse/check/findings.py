"""What a dry run says as it goes, and what it keeps for the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from training.errors import Problem
from training.table import table
from training.warehouse.examples import NothingToLearn


@dataclass(frozen=True, slots=True)
class Findings:
    """say:      shows a line to the person at the terminal.
    problems: sentences, each of which would stop a training, or withhold a model.
    warnings: sentences on what would not stop it, but may not be meant.
    models:   those that there are tables for.
    withheld: by sentence of problems, the only model that it is about. Each model stands alone.
    """

    say: Callable[[str], None]
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    withheld: dict[str, str] = field(default_factory=dict)

    def wrong(self, sentence: str, model: str | None = None) -> None:
        """Keeps a problem once, however many steps meet it; model: the only one that cannot be trained for it."""
        if sentence not in self.problems:
            self.problems.append(sentence)
            if model is not None:
                self.withheld[sentence] = model

    @property
    def trainable(self) -> list[str]:
        """The models that training would come to; none if something is wrong that stops it."""
        if len(self.withheld) < len(self.problems):
            return []
        return [model for model in self.models if model not in self.withheld.values()]

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def show(self, rows: Sequence[Sequence[str]]) -> None:
        for line in table(rows).splitlines():
            self.say(f"  {line}")

    @contextmanager
    def keeping(self, model: str | None = None) -> Iterator[None]:
        """Keeps the Problem that ends a step, so that the next one can be taken; model: whose step it is."""
        try:
            yield
        except NothingToLearn as problem:
            self.wrong(str(problem), model)
        except Problem as problem:
            self.wrong(str(problem))


def share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
