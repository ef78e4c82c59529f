"""loyalty sql redshift: the functions for Amazon Redshift."""

from argparse import ArgumentParser, Namespace

from training.cli import options
from training.cli.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    options.add_stack(parser)
    parser.add_argument(
        "--role",
        metavar="ARN",
        help="the role that Redshift takes on (default: the stack's parameter RedshiftRoleArn)",
    )


def _print(chosen: Namespace) -> None:
    from training.errors import Problem
    from training.sql import statements
    from training.sql.deployed import look

    deployed = look(chosen.stack)
    role = chosen.role or deployed.redshift_role
    if not role:
        raise Problem(
            f"The stack {chosen.stack} knows no role of Redshift: deploy it with RedshiftRoleArn, or give --role."
        )
    print("\n".join(statements.redshift(deployed, role)))


COMMAND = Command(
    name="redshift",
    summary="print the functions for Amazon Redshift",
    description="Prints the SQL that creates the functions of a deployed stack in Amazon Redshift: churn, nbo and rfm, "
    "by a customer's id and by features. Redshift's superuser runs it.",
    example="--stack loyalty-ml",
    add_arguments=_add_arguments,
    work=_print,
    when_stopped=lambda _: "nothing was changed.",
    place=lambda chosen: f"the stack {chosen.stack} or its model bucket",
)
