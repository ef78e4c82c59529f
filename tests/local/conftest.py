"""`make run`, running."""

from collections.abc import Iterator

import pytest

from local.ports import free_port
from tests.local.make_run import Running, copy_of_the_project, start


def make_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of its own for the tests of whoever makes a fixture of this."""
    service = start(copy_of_the_project(tmp_path_factory.mktemp("project")), free_port())
    try:
        service.wait_until_printed("Ctrl-C ends it all")
        yield service
    finally:
        service.stop()


running = pytest.fixture(scope="module")(make_run)
