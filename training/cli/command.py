"""What a subcommand of `loyalty` is: its words, its arguments, and the work, which does its own imports."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


def _nothing(_: Namespace) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand.

    summary:      its line in the list of subcommands; description, example: what its own --help says.
    work:         raises Problem, Refused, OSError or botocore's errors, which become one sentence.
    when_stopped: after Ctrl-C, what is left as it was.
    place:        the bucket or table that AWS is asked for.
    mistake:      what is wrong with arguments that are right one by one; empty if nothing is.
    needs:        the modules that must be there besides the package's own dependencies, and the make target that
                  installs them.
    """

    name: str
    summary: str
    description: str
    example: str
    add_arguments: Callable[[ArgumentParser], None]
    work: Callable[[Namespace], None]
    when_stopped: Callable[[Namespace], str]
    place: Callable[[Namespace], str] = _nothing
    mistake: Callable[[Namespace], str] = _nothing
    needs: tuple[str, ...] = ()
    installed_by: str = "make run"
