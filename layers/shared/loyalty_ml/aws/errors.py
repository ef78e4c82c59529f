"""What AWS's clients raise, as the error that a caller is given: which store did not do its part, and why."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.errors import Store, StoreUnavailable, can_pass
from loyalty_ml.telemetry import logger


@contextmanager
def asking(store: Store, problem: str) -> Iterator[None]:
    """Raises StoreUnavailable, which begins with `problem`, for what a client raises within."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        cause = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise unavailable(store, problem, cause) from error


def unavailable(store: Store, problem: str, cause: str) -> StoreUnavailable:
    """The error, to be raised; it is logged."""
    logger.error(problem, store=store, cause=cause)
    check = "heck the function's permissions and its names of tables, buckets and queues."
    retry = can_pass(cause)
    remedy = f"Try again in a moment. If it does not help, c{check}" if retry else f"C{check}"
    return StoreUnavailable(store, f"{problem} ({cause}). {remedy}", retry=retry)
