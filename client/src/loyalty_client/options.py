"""Numbers that a client is made with: what they cannot be is said where they are given, before anything is sent."""

from numbers import Integral, Real
from typing import Any

MAX_SECONDS = 1e8
"""Three years: the system's own waits take no more than some hundred."""


def check_whole(name: str, given: Any, what: str) -> None:
    """Raises TypeError for what is no whole number, and ValueError for one below 1."""
    if not isinstance(given, Integral) or isinstance(given, bool):
        raise TypeError(f"{name} is {what}, a whole number: not {given!r}.")
    if given < 1:
        raise ValueError(f"{name} is {what}, 1 or more: not {given}.")


def check_seconds(name: str, given: Any, *, may_be_zero: bool = True) -> None:
    """Raises TypeError for what is no number, and ValueError for one that nothing can wait for.

    may_be_zero: whether 0 is a time to wait.
    """
    if not isinstance(given, Real) or isinstance(given, bool):
        raise TypeError(f"{name} is a number of seconds: not {given!r}.")
    number = float(given)
    if not (0 <= number <= MAX_SECONDS) or (number == 0 and not may_be_zero):
        least = "0 or more" if may_be_zero else "more than 0"
        raise ValueError(f"{name} is a number of seconds, {least} and at most {MAX_SECONDS:,.0f}: not {given}.")
