"""`make run`, running."""

from tests.local.conftest import running

__all__ = ["running"]
