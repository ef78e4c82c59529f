"""How far work is: what long work tells whoever waits for it."""

from collections.abc import Callable

Progress = Callable[[int, int], object]
"""Is told how much is done and how much there is in all; what it raises ends the work."""


def no_progress(_done: int, _total: int) -> None:
    """For whoever only waits."""
