"""An empty warehouse, on DuckDB and on a real PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import psycopg
import pytest
from psycopg import sql

from loyalty_ml.customers.table import DEFAULT_FEATURES
from tests.training.warehouse.postgres import QUOTED_PASSWORD, postgres_server
from training import config
from training.warehouse.connection import Warehouse, connect

SETTINGS = config.load().model_copy(update={"features": {name: name for name in DEFAULT_FEATURES}})
"""The demo's, with the features that transactions give."""
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"

Fill = Callable[..., str]
"""fill(statement, ...) runs SQL in an empty warehouse and gives its URL."""

Open = Callable[..., Warehouse]
"""connect(), closed at the end of the test."""


ALSO_ON_POSTGRESQL = {"test_warehouse.py", "test_source.py", "test_customers.py", "test_catalogue.py"}
"""Modules that ask PostgreSQL in `make test` too. The others do in `make test-long`: they come to the same SQL."""


@pytest.hookimpl(tryfirst=True)  # before those that are marked so are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            on_postgresql = item.callspec.params.get("fill") == "postgres"
            if on_postgresql and item.path.name not in ALSO_ON_POSTGRESQL:
                item.add_marker(pytest.mark.long)


@pytest.fixture(name="connect")
def open_warehouse() -> Iterator[Open]:
    with ExitStack() as opened:
        yield lambda url, settings=SETTINGS, **arguments: opened.enter_context(connect(url, settings, **arguments))


@pytest.fixture(scope="session")
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
            for (schema,) in connection.execute(SCHEMAS).fetchall():
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
            connection.execute("CREATE SCHEMA public")
            for statement in statements:
                connection.execute(statement.encode())
        return url

    return fill_postgres
