"""An empty warehouse, on DuckDB and on a real PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.training.warehouse.postgres import QUOTED_PASSWORD, postgres_server
from training import config
from training.warehouse.connection import Warehouse, connect

SETTINGS = config.load()

Fill = Callable[..., str]
"""fill(statement, ...) runs SQL in an empty warehouse and gives its URL."""

Open = Callable[..., Warehouse]
"""connect(), closed at the end of the test."""


@pytest.fixture(name="connect")
def open_warehouse() -> Iterator[Open]:
    with ExitStack() as opened:
        yield lambda url, settings=SETTINGS, **arguments: opened.enter_context(connect(url, settings, **arguments))


@pytest.fixture(scope="module")
def postgres_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as port:
        yield port


@pytest.fixture(params=["duckdb", "postgres"])
def fill(request: pytest.FixtureRequest, tmp_path: Path) -> Fill:
    if request.param == "duckdb":
        path = tmp_path / "warehouse.duckdb"

        def fill_duckdb(*statements: str) -> str:
            with duckdb.connect(str(path)) as connection:
                for statement in statements:
                    connection.execute(statement)
            return f"duckdb://{path}"

        return fill_duckdb
    url = f"postgresql://warehouse:{QUOTED_PASSWORD}@127.0.0.1:{request.getfixturevalue('postgres_port')}/postgres"

    def fill_postgres(*statements: str) -> str:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("DROP SCHEMA IF EXISTS dwh CASCADE")
            connection.execute("CREATE SCHEMA public")
            for statement in statements:
                connection.execute(statement.encode())
        return url

    return fill_postgres
