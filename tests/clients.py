"""Clients of boto3 whose calls a test answers itself, or disturbs."""

from collections.abc import Callable
from typing import Any


class Answering:
    """A client; the named methods are the test's, and all else is the client's own."""

    def __init__(self, client: Any, **answers: Callable[..., Any]) -> None:
        """answers: what is called in the place of the client's methods of these names."""
        self._client = client
        vars(self).update(answers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def answering(client: Any, **answers: Callable[..., Any]) -> Any:
    """The client as any client's type, for what is made of clients."""
    return Answering(client, **answers)
