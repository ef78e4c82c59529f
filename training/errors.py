"""What a command tells the person who ran it."""

from collections.abc import Iterable
from difflib import get_close_matches


class Problem(Exception):
    """Something that this person can put right. The message is a sentence: what is wrong, then what to do."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is most like `name`, in whatever case; None if none is like it."""
    by_lower = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """ " (did you mean NAME?)", or nothing."""
    known = nearest(name, names)
    return f" (did you mean {known}?)" if known else ""
