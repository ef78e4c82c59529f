"""The commands' page, from the Makefile's help and the argparse parsers."""

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from deployment import __main__ as deployment
from docs.generate import markdown
from docs.generate.markdown import code, codes, sentence
from docs.generate.problem import Undocumented
from training.cli.main import build_parser

MAKEFILE = Path(__file__).parents[2] / "Makefile"

PARSERS: tuple[Callable[[], argparse.ArgumentParser], ...] = (build_parser, deployment.build_parser)
"""What makes the parser of each command: a new command is one more entry."""


def page() -> str:
    blocks = []
    for make in PARSERS:
        blocks += [block for parser in walk(make()) for block in _command(parser)]
    return markdown.page(
        "Commands",
        "the Makefile and the commands' own parsers",
        "Every command has `--help`, shows progress on long work, ends with exit code 0 only if it succeeded, and "
        "says what went wrong in one sentence on standard error. `make` installs the command `loyalty` as "
        "`.venv/bin/loyalty`.",
        "## make",
        markdown.table(["target", "what it does"], [[code(f"make {name}"), text] for name, text in targets().items()]),
        "A variable follows the target, as in `make run PORT=8001`:",
        markdown.table(
            ["variable", "default"], [[code(name), code(value) if value else "empty"] for name, value in _variables()]
        ),
        *blocks,
        "## Programs by their older names",
        "`python -m training.train_models_from_dwh` is `loyalty train`. `python -m training.create_ml_models` is "
        "`loyalty placeholders`. Both take the same arguments.",
        "## Benchmarks",
        "`make bench` runs what guards against a regression. `make study NAME=cost` measures for the documents: cost, "
        "memory, peers, held or training, for [costs](../costs.md) and [performance](../performance.md).",
    )


def targets() -> dict[str, str]:
    """What `make help` lists."""
    found = re.findall(r"^([a-z-]+):.*## (.*)$", MAKEFILE.read_text(), re.MULTILINE)
    return {name: sentence(text[0].upper() + text[1:]) for name, text in found}


def _variables() -> list[tuple[str, str]]:
    return re.findall(r"^([A-Z_]+) \?= ?(.*)$", MAKEFILE.read_text(), re.MULTILINE)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of its subcommands, by name; argparse has no public way to ask."""
    return {
        name: inner
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, inner in action.choices.items()
    }


def walk(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser, then those of its subcommands, each before its own."""
    yield parser
    for inner in subparsers(parser).values():
        yield from walk(inner)


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    if not parser.description:
        raise Undocumented(f"The parser of '{parser.prog}' needs a description.")
    yield f"## {parser.prog}"
    yield sentence(parser.description)
    inner = subparsers(parser)
    if inner:
        yield markdown.table(
            ["subcommand", "what it does"],
            [
                [
                    f"[{name}]({markdown.anchor(each.prog)})",
                    sentence(each.description or "").split(". ")[0].rstrip(".") + ".",
                ]
                for name, each in inner.items()
            ],
        )
    rows = [_row(parser, action) for action in _arguments(parser)]
    if rows:
        yield markdown.table(["argument", "meaning", "default", "choices"], rows)
    if parser.epilog:
        yield f"```bash\n{' '.join(parser.epilog.removeprefix('Example:').split())}\n```"


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        and action.help != argparse.SUPPRESS
    ]


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> list[str]:
    name = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
    if not action.help:
        raise Undocumented(f"The argument {name} of '{parser.prog}' needs a help text.")
    values = list(action.choices or ())
    facts = {**vars(action), "prog": parser.prog, "choices": ", ".join(map(str, values))}
    shown = name
    if action.option_strings and action.nargs != 0:
        shown = f"{name} {action.metavar or action.dest.upper()}"
    # The default has a column of its own.
    text = re.sub(r"\s*\(?default: %\(default\)s\)?$", "", action.help) % facts
    return [code(shown), sentence(_capital(text)), _default(action), codes(values)]


def _capital(text: str) -> str:
    """A sentence's first letter, unless the first word is an address."""
    return text if "://" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def _default(action: argparse.Action) -> str:
    if action.required and action.option_strings:
        return "required"
    if action.default in (None, [], argparse.SUPPRESS) or action.nargs == 0:
        return ""
    if isinstance(action.default, Path) and action.default.is_absolute():
        return code(action.default.relative_to(MAKEFILE.parent))
    return code(action.default)
