"""What AWS's clients raise, as the error that a caller is given: which store did not do its part, and why."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.errors import FeatureStoreUnavailable
from loyalty_ml.telemetry import logger


@contextmanager
def asking(problem: str) -> Iterator[None]:
    """Raises FeatureStoreUnavailable, which begins with `problem`, for what a client raises within."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        cause = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise unavailable(problem, cause) from error


def unavailable(problem: str, cause: str) -> FeatureStoreUnavailable:
    """The error, to be raised; it is logged."""
    logger.error(problem, cause=cause)
    return FeatureStoreUnavailable(
        f"{problem} ({cause}): try again in a moment; if it stays so, check the function's permissions and its names "
        "of tables, buckets and queues."
    )
