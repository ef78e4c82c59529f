"""Stores that take connections and never answer."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hanging_stores() -> Iterator[str]:
    """Their address: the system takes the connections, and nobody reads from them."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
