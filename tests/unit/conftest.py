"""Unit tests open no socket: what they test is pure, or its edges are passed in."""

import pytest


@pytest.fixture(autouse=True)
def _no_sockets(socket_disabled: None) -> None:
    """pytest-socket's own fixture, for every test of this folder."""
