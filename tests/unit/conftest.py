"""Unit tests open no socket: what they test is pure, or its edges are passed in."""

import pytest

try:
    from pytest_socket import disable_socket
except ImportError:  # the Python 3.11 environment has what scoring needs, and no more
    disable_socket = None


@pytest.fixture(autouse=True)
def _no_sockets() -> None:
    if disable_socket:
        disable_socket(allow_unix_socket=True)
