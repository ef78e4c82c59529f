"""What the subcommands that ask a service have in common: where it is, who calls, and how its errors are told."""

import json
import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from training.errors import Problem

if TYPE_CHECKING:
    from loyalty_client import Loyalty

NEEDS = ("loyalty_client", "httpx", "tqdm")
WHO = "LOYALTY_TOKEN, or LOYALTY_ISSUER, LOYALTY_CLIENT_ID and LOYALTY_CLIENT_SECRET,"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the service's address (default: the variable LOYALTY_URL, else http://127.0.0.1:8000); the token comes "
        f"from the variables {WHO} with LOYALTY_SCOPE and LOYALTY_AUDIENCE if the issuer wants them",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


@contextmanager
def service(chosen: Namespace) -> Iterator["Loyalty"]:
    """The client. Raises Problem for every error of it, and for an answer that lacks a field which is to be shown."""
    from loyalty_client import Loyalty, LoyaltyError, UnansweredWarning, errors

    try:
        with Loyalty(chosen.url) as loyalty, warnings.catch_warnings():
            warnings.simplefilter("ignore", UnansweredWarning)  # the command says it, by its exit code too
            yield loyalty
    except errors.Unauthorized as error:
        raise Problem(f"{error} The variables {WHO} are what it is read from.") from error
    except errors.NotReachable as error:
        raise Problem(f"{error} --url or LOYALTY_URL names another; 'make run' starts one here.") from error
    except errors.ServiceError as error:
        report = f" (X-Correlation-Id: {error.correlation_id})" if error.code == "INTERNAL" else ""
        raise Problem(f"{error}{report}") from error
    except (LoyaltyError, ValueError) as error:
        raise Problem(str(error)) from error
    except KeyError as error:  # of an answer as it is shown
        raise Problem(
            f"The answer has no field {error}, so the server is older than this command: update the server, or take "
            "--json, which shows what there is."
        ) from error


def print_json(answer: Any) -> None:
    is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    print(json.dumps(answer, indent=2, ensure_ascii=not is_unicode))


def share(value: float | None) -> str:
    """A probability as it is shown."""
    return "" if value is None else f"{value:.3f}"
