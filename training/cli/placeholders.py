"""loyalty placeholders: models that show the service at work before any real training."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from training import defaults
from training.cli import options
from training.cli.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    options.add_out(parser)
    parser.add_argument(
        "--seed",
        type=_seed,
        default=defaults.PLACEHOLDER_SEED,
        help="the same seed gives the same models (default: %(default)s)",
    )


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to 4294967295")
    return int(text)


def _write(chosen: Namespace) -> None:
    from training.learning.placeholders import write_placeholders

    write_placeholders(chosen.out, chosen.seed)


COMMAND = Command(
    name="placeholders",
    summary="write models that are trained on generated customers",
    description="Trains the placeholder models (churn, next best offer) on generated customers and writes them with "
    "their cards and the manifest. Versions that are there already are left alone.",
    example="--out models",
    add_arguments=_add_arguments,
    work=_write,
    when_stopped=lambda chosen: f"the models in {chosen.out} are as they were.",
    needs=("sklearn", "tensorflow"),
    installed_by="make install",
)
