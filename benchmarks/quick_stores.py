"""S3 and DynamoDB as far as the functions ask of them, quick enough that it is the functions that are measured.

A process of its own. What is read comes from the benchmarks' folders, what is written is dropped, and each request is
counted as AWS bills it.
"""

import base64
import contextlib
import json
import math
import multiprocessing
import signal
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

import orjson

from benchmarks import files, sample_models, segments
from benchmarks.sample_customers import MemoryTable
from loyalty_ml.customers.snapshot import CURRENT_KEY, SnapshotCard
from loyalty_ml.models.document import path_in

CUSTOMERS = 100
SEGMENT_ID = "engaged"
PHYSICAL_IDS = {
    name: name.lower()
    for name in (
        *("ModelBucket", "DataBucket", "CustomersTable", "SegmentsTable", "JobsTable", "SegmentStatisticsTable"),
        *("SegmentQueue", "StatisticsQueue", "FileQueue"),
    )
}
COUNTS = "/counts"
READ_BYTES, WRITE_BYTES = 4096, 1024
"""What one of DynamoDB's units reads or writes of an item."""

_XML = '<?xml version="1.0" encoding="UTF-8"?>'


class Stored(NamedTuple):
    """objects: by bucket/key. items: of the customers, by id; segment: of the one that there is; as DynamoDB's JSON."""

    objects: dict[str, Path | bytes]
    items: dict[str, bytes]
    segment: bytes


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stored: Stored
    counts: defaultdict[str, float]

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # of an instance that was ended
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # a header and its body in one write
    server: _Server

    def do_GET(self) -> None:
        if self.path == COUNTS:
            counted, self.server.counts = self.server.counts, defaultdict(float)
            self._answer(orjson.dumps(counted))
            return
        parts = urlsplit(self.path)
        if "uploads" in parse_qs(parts.query, keep_blank_values=True):
            self._count("s3.put")  # a LIST is billed as one
            self._answer(f"{_XML}<ListMultipartUploadsResult></ListMultipartUploadsResult>".encode())
            return
        self._count("s3.get")
        found = self.server.stored.objects.get(unquote(parts.path).strip("/"))
        if found is None:
            self._answer(f"{_XML}<Error><Code>NoSuchKey</Code></Error>".encode(), 404)
        elif self.headers.get("If-None-Match"):
            self._answer(b"", 304)
        elif isinstance(found, bytes):
            self._answer(found, ETag='"one"')
        else:
            self._send_file(found)

    def do_HEAD(self) -> None:
        self._count("s3.get")
        self._answer(b"", 404)

    def do_PUT(self) -> None:
        self._count("s3.put")
        self._count("s3.bytes", len(self._body()))
        self._answer(b"", ETag='"one"')

    def do_DELETE(self) -> None:
        self._answer(b"", 204)

    def do_POST(self) -> None:
        body = self._body()
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if operation:
            self._answer(self._dynamodb(operation, body))
            return
        self._count("s3.put")
        kind = "Initiate" if urlsplit(self.path).query.startswith("uploads") else "Complete"
        upload = "<UploadId>one</UploadId><ETag>one</ETag>"
        self._answer(f"{_XML}<{kind}MultipartUploadResult>{upload}</{kind}MultipartUploadResult>".encode())

    def handle_expect_100(self) -> bool:
        done = super().handle_expect_100()
        self.wfile.flush()  # or it would wait for the body, and the client for it
        return done

    def log_message(self, *_: object) -> None:
        pass

    def _dynamodb(self, operation: str, body: bytes) -> bytes:
        self._count("dynamodb.requests")
        asked: dict[str, Any] = orjson.loads(body)
        if operation == "BatchGetItem":
            ((table, wanted),) = asked["RequestItems"].items()
            items = [self.server.stored.items[key["customer_id"]["S"]] for key in wanted["Keys"]]
            for item in items:
                self._count("dynamodb.read_unit", read_units(len(item)))
            return b'{"Responses": {"%s": [%s]}, "UnprocessedKeys": {}}' % (table.encode(), b",".join(items))
        if operation in ("GetItem", "Query"):
            self._count("dynamodb.read_unit", read_units(1, consistent=bool(asked.get("ConsistentRead"))))
            if asked["TableName"] == PHYSICAL_IDS["SegmentsTable"]:
                return b'{"Item": %s}' % self.server.stored.segment
            return b"{}" if operation == "GetItem" else b'{"Items": [], "Count": 0, "ScannedCount": 0}'
        # No less than what a request says does an item hold, and what it holds is no larger by much.
        copies = 2 if asked["TableName"] == PHYSICAL_IDS["JobsTable"] else 1  # by its index, which holds all of an item
        self._count("dynamodb.write_unit", copies * write_units(len(body)))
        # A job's record as it was before, by which its end is told of.
        return orjson.dumps({"Attributes": asked["Key"]} if operation == "UpdateItem" else {})

    def _send_file(self, path: Path) -> None:
        size = path.stat().st_size
        start, last, status = 0, size - 1, 200
        if wanted := self.headers.get("Range"):
            start, last = map(int, wanted.removeprefix("bytes=").split("-"))
            status = 206
        count = last + 1 - start
        self._count("s3.bytes", count)
        self._head(status, count, ETag='"one"', **{"Content-Range": f"bytes {start}-{last}/{size}"})
        self.wfile.flush()
        with path.open("rb") as file:
            self.connection.sendfile(file, start, count)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _count(self, name: str, amount: float = 1) -> None:
        self.server.counts[name] += amount

    def _answer(self, content: bytes, status: int = 200, **headers: str) -> None:
        self._head(status, len(content), **headers)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


class Stores(NamedTuple):
    """A running server. variables: what leads a function's boto3 to it, and names its stores there."""

    address: str
    variables: dict[str, str]

    def counts(self) -> dict[str, float]:
        """What was asked since the last call: s3.get, s3.put, s3.bytes, and DynamoDB's requests and units."""
        with urlopen(f"http://{self.address}{COUNTS}") as answer:
            counted: dict[str, float] = json.load(answer)
        return counted


def read_units(item_bytes: int, *, consistent: bool = False) -> float:
    """DynamoDB's read request units for one item."""
    return max(1, math.ceil(item_bytes / READ_BYTES)) * (1.0 if consistent else 0.5)


def write_units(item_bytes: int) -> float:
    return float(max(1, math.ceil(item_bytes / WRITE_BYTES)))


@contextlib.contextmanager
def serving(rows: int) -> Iterator[Stores]:
    """The stores of a deployment with a snapshot of so many customers, whose CSV is in the data bucket too."""
    stored = _stored(rows)
    # Forked, and before anything here is limited: what serves must not be what is short of CPU.
    context = multiprocessing.get_context("fork")
    told, tell = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(stored, tell), daemon=True)
    process.start()
    try:
        address = f"127.0.0.1:{told.recv()}"
        yield Stores(address, {"AWS_ENDPOINT_URL": f"http://{address}", "AWS_DEFAULT_REGION": "us-east-1"})
    finally:
        process.terminate()
        process.join()


def file_event(rows: int, columns: tuple[str, ...]) -> dict[str, Any]:
    """S3's notification of the generated file of so many rows."""
    key = files.csv_file(rows, columns)
    size = (files.FOLDER / key).stat().st_size
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": {"name": PHYSICAL_IDS["DataBucket"]},
                    "object": {"key": key, "size": size, "eTag": "one", "versionId": "one"},
                },
            }
        ]
    }


def _serve(stored: Stored, tell: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches whoever started this as well, and ends it there
    server = _Server(("127.0.0.1", 0), _Handler)
    server.stored, server.counts = stored, defaultdict(float)
    tell.send(server.server_address[1])
    server.serve_forever()


def _stored(rows: int) -> Stored:
    snapshot = segments.snapshot(rows)
    data, models = PHYSICAL_IDS["DataBucket"], PHYSICAL_IDS["ModelBucket"]
    objects: dict[str, Path | bytes] = {
        f"{data}/{part.key}": path for part, path in zip(snapshot.card.parts, snapshot.paths, strict=True)
    }
    objects[f"{data}/{CURRENT_KEY}"] = SnapshotCard(**dict(snapshot.card)).model_dump_json().encode()
    for key in (files.csv_file(rows, columns) for columns in (files.HEADER, files.HEADER[:1])):
        objects[f"{data}/{key}"] = files.FOLDER / key
    for path in sample_models.FOLDER.rglob("*"):
        if path.is_file():
            key = f"models/{path.relative_to(sample_models.FOLDER)}"
            assert path_in(sample_models.FOLDER, key) == path
            objects[f"{models}/{key}"] = path.read_bytes()
    definition = {"segment_name": "Engaged", "rule": segments.rule()}
    segment = {
        "segment_id": {"S": SEGMENT_ID},
        "segment_name": {"S": "Engaged"},
        "kind": {"S": "rule"},
        "version": {"N": "1"},
        "updated": {"S": "2026-01-31T00:00:00Z"},
        "definition": {"B": base64.b64encode(zlib.compress(orjson.dumps(definition))).decode()},
    }
    items = {name: orjson.dumps(item) for name, item in MemoryTable(CUSTOMERS).items.items()}
    return Stored(objects, items, orjson.dumps(segment))
