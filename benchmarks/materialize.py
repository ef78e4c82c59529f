"""A million generated customers from a DuckDB warehouse to the snapshot's parts; what is made of them for DynamoDB.

The parts are written by a process of its own, so that its peak memory is its own too. Nothing is uploaded.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import boto3
import duckdb
import ibis

from benchmarks.measure import Result, alternate
from benchmarks.processes import alternate_processes, report
from loyalty_ml.customers.table import DEFAULT_FEATURES
from training.snapshot.customers_table import CLIENT_CONFIG, ITEMS_PER_WRITE, CustomersTable, WriteRequest, put_requests
from training.snapshot.parts import write_parts

CUSTOMERS = 1_000_000
WRITTEN = 20_000
"""Customers that are written to the stub: the rate is the same for all."""
ROUNDS = 3
FOLDER = Path("build/bench-materialize")
WAREHOUSE = FOLDER / "warehouse.duckdb"
COPY_BAR, MEMORY_BAR, READER_BAR = 4.0, 1.75, 0.5
AS_OF = datetime(2018, 1, 2, tzinfo=UTC)


def run() -> Iterator[Result]:
    """materialize.parquet, .memory: a process that writes the parts; .reader: reading beside writing items."""
    generate()
    ours, theirs = alternate_processes("benchmarks.materialize", ["parts"], ["copy"], rounds=ROUNDS)
    peer = f"DuckDB {version('duckdb')} COPY (... ORDER BY customer_id) to Parquet in a process: nothing checked"
    yield Result("materialize.parquet.1m", ours.seconds, "s, a whole process", peer, theirs.seconds, COPY_BAR)
    unit = "MB at most, whole process"
    yield Result("materialize.memory.1m", ours.megabytes, unit, peer, theirs.megabytes, MEMORY_BAR)
    with stub_table() as table:
        read, written = alternate(read_alone, lambda: sum(table.write(requests())), rounds=ROUNDS)
    peer = f"reading and boto3 {version('boto3')}'s BatchWriteItem, to a stub that takes all at once, as no table does"
    microseconds = 1e6 / WRITTEN
    yield Result("materialize.reader", read * microseconds, "us a customer", peer, written * microseconds, READER_BAR)
    shutil.rmtree(FOLDER)


def generate() -> None:
    """The warehouse: an id in no order, and ten features of which no two are alike, as they compress worst."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    WAREHOUSE.unlink(missing_ok=True)
    values = ", ".join(f"exp(random() * 8) AS {name}" for name in DEFAULT_FEATURES)
    with duckdb.connect(str(WAREHOUSE)) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f"CREATE TABLE customers AS SELECT 'c-' || hash(i) AS customer_id, {values} FROM range({CUSTOMERS}) AS t(i)"
        )


def parts() -> None:
    warehouse = ibis.duckdb.connect(str(WAREHOUSE), read_only=True)
    written = write_parts(warehouse.table("customers"), FOLDER / "parts", FOLDER / "rejects.csv", 0.0)
    assert written.customers == CUSTOMERS


def copy() -> None:
    with duckdb.connect(str(WAREHOUSE), read_only=True) as connection:
        connection.table("customers").order("customer_id").write_parquet(str(FOLDER / "copy.parquet"))


def requests() -> Iterator[list[WriteRequest]]:
    written = sorted((FOLDER / "parts").glob("*.parquet"))
    return islice(put_requests(written, AS_OF), WRITTEN // ITEMS_PER_WRITE)


def read_alone() -> None:
    assert sum(map(len, requests())) == WRITTEN


@contextmanager
def stub_table() -> Iterator[CustomersTable]:
    """A table whose answers cost nothing: a server in a process of its own that has taken whatever it is sent."""
    with subprocess.Popen([sys.executable, "-c", STUB], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield CustomersTable(
                boto3.client(
                    "dynamodb",
                    endpoint_url=f"http://127.0.0.1:{server.stdout.readline().strip()}",
                    region_name="eu-west-1",
                    aws_access_key_id="bench",
                    aws_secret_access_key="bench",
                    config=CLIENT_CONFIG,
                ),
                "bench",
            )
        finally:
            server.terminate()


STUB = """
import socket, threading

BODY = b'{"UnprocessedItems": {}}'
HEADERS = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/x-amz-json-1.0\\r\\nContent-Length: %d\\r\\n\\r\\n"
ANSWER = HEADERS % len(BODY) + BODY

def serve(connection):
    stream = connection.makefile("rb")
    while line := stream.readline():
        length = 0
        while line != b"\\r\\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            line = stream.readline()
        stream.read(length)
        connection.sendall(ANSWER)

server = socket.create_server(("127.0.0.1", 0), backlog=64)
print(server.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()
"""
WORKS: dict[str, Callable[[], None]] = {"parts": parts, "copy": copy}

if __name__ == "__main__":
    report(WORKS[sys.argv[1]])
