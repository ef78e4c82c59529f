"""The errors' page, from loyalty_ml.errors: a class's docstring says when it is raised, then what to do."""

import re
from collections.abc import Iterator
from typing import get_args

from docs.generate import markdown
from docs.generate.markdown import code, codes
from docs.generate.problem import Undocumented
from loyalty_ml import errors
from loyalty_ml.api.http import status_of

OF_THE_GATEWAY = (
    ("401", "No token, an expired one, or one for another audience.", "Get a token from your issuer."),
    ("403", "The token lacks the route's scope.", "Ask for a token with the scope that the API page names."),
    ("413", "The body is over 10 MB.", "Send a file instead."),
    ("429", "More requests than the stage lets through.", "Wait, then try again: double the wait each time."),
)
A_BUG = (
    "A bug of ours.",
    "Report the correlation id, which is in `details` and in `X-Correlation-Id`: the log has the request under it.",
)
NO_REQUEST = {"INVALID_FILE", "INVALID_CUSTOMER_ID"}
"""Codes that no request is answered with: only jobs, or customers of a batch or a file, fail with them."""


def kinds(parent: type[errors.LoyaltyError] = errors.LoyaltyError) -> Iterator[type[errors.LoyaltyError]]:
    """Every error with a code, in the order in which they are declared."""
    for kind in parent.__subclasses__():
        if "code" in vars(kind):
            yield kind
        yield from kinds(kind)


def page() -> str:
    rows = []
    for kind in kinds():
        when, remedy = explanation(kind)
        status = "" if kind.code in NO_REQUEST else str(status_of(kind))
        can_help = issubclass(kind, errors.Unavailable)
        rows.append((status, kind.code, when, remedy, "yes" if can_help else "no"))
    rows.append(("500", "INTERNAL", *A_BUG, "no"))
    rows.sort(key=lambda row: (row[0] or "999", row[1]))
    return markdown.page(
        "Errors",
        "loyalty_ml/errors.py",
        'An error is `{"error": "a sentence to act on", "code": "FOR_PROGRAMS", "details": {...}}`. Read the code in a '
        "program and the sentence as a person. `details` is there if there is more to say. Every answer has an "
        "`X-Correlation-Id` header: give it to whoever looks for the request in the logs.",
        "**Retry** says whether the same request may work later. Wait for as long as `Retry-After` says; without that "
        "header wait a second, then double the wait each time.",
        "## Codes of the service",
        markdown.table(
            ["status", "code", "when", "what to do", "retry"],
            [[status, code(name), when, remedy, retry] for status, name, when, remedy, retry in rows],
        ),
        f"`details.store` of `STORE_UNAVAILABLE` is one of {codes(get_args(errors.Store))}.",
        "A code without a status is a job's, a customer's or a line's: the job, the entry of `errors` or the row of "
        "`errors.csv` has it.",
        "## Customers in a batch, a segment or a file",
        "`CUSTOMER_NOT_FOUND`, `NO_PURCHASES`, `MISSING_FEATURES` and `INVALID_FEATURES` are about one customer. A "
        "single prediction is answered with their status. In a batch, a segment or a file they are entries of "
        "`errors`, and the other customers are answered. A blank id of a batch or a file is `INVALID_CUSTOMER_ID`. A "
        "file has [one more](../files.md#lines-without-an-answer) for its lines.",
        "## Answers of the gateway",
        "API Gateway answers these before any function runs, and an HTTP API lets nobody change them. Their body is "
        'the gateway\'s own: `{"message": "..."}` without a code. A function checks the claims and the scope again: '
        "`UNAUTHENTICATED` and `MISSING_SCOPE` are its answers if the gateway is configured wrongly.",
        markdown.table(["status", "when", "what to do"], [list(row) for row in OF_THE_GATEWAY]),
    )


def explanation(kind: type[errors.LoyaltyError]) -> tuple[str, str]:
    """When the error is raised, and what to do. Raises Undocumented if its docstring does not say both."""
    text = " ".join((vars(kind).get("__doc__") or "").split())
    when, stop, remedy = text.partition(". ")
    if not stop or not remedy.endswith("."):
        raise Undocumented(
            f"loyalty_ml.errors.{kind.__name__} needs a docstring of two sentences: when it is raised, then what to do."
        )
    return f"{re.sub(r'^When ', '', when)}.", remedy
