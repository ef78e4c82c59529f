"""loyalty sql snowflake: the functions for Snowflake."""

from argparse import Namespace

from training.cli import options
from training.cli.command import Command


def _print(chosen: Namespace) -> None:
    from training.sql import statements
    from training.sql.deployed import look

    print("\n".join(statements.snowflake(look(chosen.stack))))


COMMAND = Command(
    name="snowflake",
    summary="print the functions for Snowflake",
    description="Prints the SQL that creates the API integration and the functions of a deployed stack in Snowflake: "
    "churn, nbo and rfm, by a customer's id and by features. Snowflake's ACCOUNTADMIN runs it.",
    example="--stack loyalty-ml",
    add_arguments=options.add_stack,
    work=_print,
    when_stopped=lambda _: "nothing was changed.",
    place=lambda chosen: f"the stack {chosen.stack} or its model bucket",
)
