"""What AWS refuses, as a Problem: the one place in which botocore's errors become a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from training.errors import Problem


@contextmanager
def asking(place: str = "") -> Iterator[None]:
    """Raises Problem if AWS answers a call with an error, or cannot be reached.

    place: what is asked for, such as "the bucket my-models".
    """
    try:
        yield
    except ClientError as error:
        operation = f"{error.operation_name} for {place}" if place else error.operation_name
        code = error.response["Error"]["Code"]
        raise Problem(f"AWS answered {code} to {operation}: check the name and your permissions.") from error
    except BotoCoreError as error:
        raise Problem(f"AWS could not be asked ({error}): check your credentials, region and network.") from error
