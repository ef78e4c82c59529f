"""AWS in this process, by moto."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.session
from moto import mock_aws

_SESSION = botocore.session.get_session()
"""One for all tests: it keeps the descriptions of AWS's services, which take 0.2 s to parse and 20 ms to look up."""
_BOTO3 = boto3.Session(botocore_session=_SESSION)
_disturbing: list[tuple[str, Callable[..., Any]]] = []


@contextmanager
def fresh_aws() -> Iterator[None]:
    """moto with nothing in it, which the clients of boto3 reach that are made meanwhile."""
    with mock_aws():
        boto3.DEFAULT_SESSION = _BOTO3
        try:
            yield
        finally:
            while _disturbing:
                _SESSION.unregister(*_disturbing.pop())


def disturb_new_clients(event: str, handler: Callable[..., Any]) -> None:
    """Registers the handler of an event of botocore with every client that is made from now on in fresh_aws."""
    _SESSION.register(event, handler)
    _disturbing.append((event, handler))
