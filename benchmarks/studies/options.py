"""Kinds of options that several studies take."""

import argparse
import math
from collections.abc import Callable, Sequence


def add_only(parser: argparse.ArgumentParser, names: Sequence[str], metavar: str = "PART") -> None:
    """`--only`: some of the names; all of them without it."""
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=names,
        metavar=metavar,
        help=f"some of {', '.join(names)}; default: all",
    )


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number, 1 or more")
    return int(text)


def seconds(text: str) -> float:
    return _number(text, "seconds: more than 0, and at most 3,600", lambda value: 0 < value <= 3600)


def milliseconds(text: str) -> float:
    return _number(text, "milliseconds: 0 or more", lambda value: 0 <= value < math.inf)


def share(text: str) -> float:
    return _number(text, "a share: more than 0, and at most 1", lambda value: 0 < value <= 1)


def rate(text: str) -> float:
    return _number(text, "requests a second: more than 0", lambda value: 0 < value < math.inf)


def _number(text: str, what: str, allows: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not allows(value):
        raise argparse.ArgumentTypeError(f"{text} is not {what}")
    return value
