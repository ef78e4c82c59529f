"""loyalty: models trained, published and compared; customers' features written; files scored; a service asked.

--help imports nothing but this package, so that it answers in a tenth of a second.
"""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from textwrap import fill

from training.cli import check, erase, materialize, placeholders, score, train
from training.cli.command import Command
from training.cli.missing import missing_packages
from training.cli.models import diff, promote, publish, rollback
from training.cli.models import list as list_versions
from training.cli.service import jobs, predict, segments, status
from training.cli.sql import redshift, snowflake

MODELS = (list_versions.COMMAND, diff.COMMAND, publish.COMMAND, promote.COMMAND, rollback.COMMAND)
SQL = (redshift.COMMAND, snowflake.COMMAND)
COMMANDS = (
    check.COMMAND,
    train.COMMAND,
    materialize.COMMAND,
    erase.COMMAND,
    score.COMMAND,
    placeholders.COMMAND,
    predict.COMMAND,
    segments.COMMAND,
    jobs.COMMAND,
    status.COMMAND,
)
WIDTH = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the subcommand that the arguments name and returns the exit code. Raises SystemExit as argparse does."""
    return _run(build_parser().parse_args(arguments))


def run_as(command: Command, prog: str, arguments: Sequence[str] | None = None) -> int:
    """The same for one subcommand that is a program of its own, by its other name."""
    parser = ArgumentParser(prog=prog)
    _describe(command, parser)
    return _run(parser.parse_args(arguments))


def build_parser() -> ArgumentParser:
    """What it parses has the Command as `command`, and the parser of that as `parser`."""
    parser = ArgumentParser(prog="loyalty")
    _explain(
        parser,
        "From data to predictions: trains models and publishes them, writes customers' features, scores files, asks a "
        "running service. Each subcommand has a --help with an example.",
        "train --warehouse postgresql://reader@dwh/crm --config our-warehouse.toml",
    )
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND", title="subcommands")
    for command in COMMANDS:
        _describe(command, subcommands.add_parser(command.name, help=command.summary))
    models = subcommands.add_parser("models", help="list, compare, publish and activate model versions")
    _explain(
        models,
        "The model bucket: which versions lie there, which are active, and which become active. A set goes live, or "
        "back, in one write.",
        "list --bucket my-models",
    )
    of_models = models.add_subparsers(required=True, metavar="COMMAND", title="subcommands")
    for command in MODELS:
        _describe(command, of_models.add_parser(command.name, help=command.summary))
    sql = subcommands.add_parser("sql", help="print the SQL that makes a warehouse call the service")
    _explain(sql, "The functions of a deployed stack, as SQL for a warehouse to run.", "redshift --stack loyalty-ml")
    of_sql = sql.add_subparsers(required=True, metavar="COMMAND", title="subcommands")
    for command in SQL:
        _describe(command, of_sql.add_parser(command.name, help=command.summary))
    return parser


def _describe(command: Command, parser: ArgumentParser) -> None:
    _explain(parser, command.description, command.example)
    command.add_arguments(parser)
    parser.set_defaults(command=command, parser=parser)


def _explain(parser: ArgumentParser, description: str, example: str) -> None:
    """An example stays on one line, to be copied."""
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.description = fill(description, WIDTH)
    parser.epilog = f"Example:\n  {parser.prog} {example}"


def _run(options: Namespace) -> int:
    command: Command = options.command
    parser: ArgumentParser = options.parser
    if mistake := command.mistake(options):
        parser.error(mistake)
    if missing := missing_packages(command.needs):
        parser.exit(
            1,
            f"{parser.prog} needs {missing}: run '{command.installed_by}' once, or pip install -e "
            "'.[training]' in the project's folder.\n",
        )
    from training.exit_code import run  # it imports botocore

    return run(parser.prog, lambda: command.work(options), command.when_stopped(options), command.place(options))
