"""Arguments that several subcommands have."""

import os
from argparse import ArgumentParser
from pathlib import Path

from training import defaults

MODELS = ("churn", "nbo")
"""The names of the service's models, here without the import of what serves them."""


def add_model_bucket(parser: ArgumentParser) -> None:
    parser.add_argument("--bucket", required=True, help="the model bucket, ModelBucketName among the stack's outputs")


def add_stack(parser: ArgumentParser) -> None:
    parser.add_argument("--stack", default="loyalty-ml", help="the deployed stack's name (default: %(default)s)")


def add_data_bucket(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--data-bucket",
        metavar="BUCKET",
        help="the data bucket, DataBucketName among the stack's outputs: its current snapshot must have the features "
        "that the models read (default: that is not checked)",
    )
    parser.add_argument(
        "--force",
        metavar="REASON",
        help="make models active that the current snapshot does not fit; the manifest keeps the reason",
    )


def mistake_in_force(reason: str | None, option: str, bucket: str | None) -> str:
    """What is wrong with --force, which goes past the comparison that needs `option`."""
    if reason is None:
        return ""
    if not reason.strip():
        return "--force needs a reason"
    return "" if bucket else f"--force goes past a comparison that is made with {option} only"


def add_out(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=defaults.MODELS,
        metavar="DIR",
        help="where the model set goes (default: %(default)s)",
    )


def add_warehouse(parser: ArgumentParser, demo_url: str | None = None) -> None:
    """--warehouse, and --config, which says what is where in it. Without a demo_url one of the URLs must be given."""
    url = os.environ.get(defaults.URL_VARIABLE, demo_url)
    default = f"the variable {defaults.URL_VARIABLE}" + (f", else {demo_url}" if demo_url else "")
    parser.add_argument(
        "--warehouse",
        default=url,
        required=url is None,
        metavar="URL",
        help=f"duckdb://FILE, postgresql://..., any that Ibis speaks (default: {default})",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=defaults.CONFIG,
        metavar="FILE",
        help="which tables and columns, and the gates' bars (default: training/warehouse.toml)",
    )
