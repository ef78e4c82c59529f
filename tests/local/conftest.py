"""`make run`, running."""

from collections.abc import Iterator

import pytest

from local.ports import free_port
from tests.local.make_run import Running, copy_of_the_project, start


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    service = start(copy_of_the_project(tmp_path_factory.mktemp("project")), free_port())
    try:
        service.wait_until_printed("Ctrl-C ends it all")
        yield service
    finally:
        service.stop()
