"""The customers table in DynamoDB, as it is written: items of 25 in parallel, until DynamoDB has taken each.

Items are what customers.online_store reads: {customer_id: S, features_as_of: S, feature: N, ...}.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 (botocore's own)

from loyalty_ml.aws.backoff import FIRST_SECONDS, pauses
from loyalty_ml.customers.online_store import TRANSIENT_CODES, Item, parse_items
from loyalty_ml.customers.table import AS_OF
from loyalty_ml.vocabulary import CUSTOMER_ID, rfc3339
from training.aws import asking
from training.errors import Problem
from training.snapshot.differences import stored_schema
from training.snapshot.parts import rows_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEMS_PER_WRITE = 25
"""The most that BatchWriteItem takes."""
WRITERS = 16
ITEMS_PER_SEGMENT = 50_000
"""Of a parallel scan."""

WriteRequest = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Writing:
    """How the table is written.

    writers:          threads, each with one request at a time.
    patience_seconds: how long one request may go without DynamoDB taking a single item of it.
    first_pause_seconds, longest_pause_seconds: of the back-off between its tries.
    """

    writers: int = WRITERS
    patience_seconds: float = 300.0
    first_pause_seconds: float = FIRST_SECONDS
    longest_pause_seconds: float = 10.0


AS_USUAL = Writing()

CLIENT_CONFIG = Config(
    max_pool_connections=WRITERS,
    retries={"total_max_attempts": 1},  # they are made here
    parameter_validation=False,  # the items are made here too; it would take half of the writers' time
    connect_timeout=5,
    read_timeout=20,
)


def client() -> "DynamoDBClient":
    """A client for as many threads as write, which gives a scan's items as DynamoDB sends them."""
    made = boto3.client("dynamodb", config=CLIENT_CONFIG)
    made.meta.events.register("before-parse.dynamodb.Scan", parse_items)
    return made


def put_requests(parts: Sequence[Path], as_of: datetime) -> Iterator[list[WriteRequest]]:
    """The customers of files such as the snapshot's parts, as what BatchWriteItem takes at once.

    as_of: of the customers who have no moment of their own in the files.
    """
    stamp = rfc3339(as_of)
    for batch in rows_of(parts, 40 * ITEMS_PER_WRITE):
        dates = batch[AS_OF].to_pylist() if AS_OF in batch.schema.names else [None] * len(batch)
        names = [name for name in batch.schema.names if name not in (CUSTOMER_ID, AS_OF)]
        requests: list[WriteRequest] = []
        columns = (batch[name].to_pylist() for name in (CUSTOMER_ID, *names))
        for own_date, customer_id, *values in zip(dates, *columns, strict=True):
            item = {CUSTOMER_ID: {"S": customer_id}, AS_OF: {"S": own_date or stamp}}
            for name, value in zip(names, values, strict=True):
                if value is not None:
                    # repr gives the shortest text that reads back to the same float64.
                    item[name] = {"N": repr(value)}
            requests.append({"PutRequest": {"Item": item}})
        yield from _chunks(requests)


def delete_requests(customer_ids: Sequence[str]) -> Iterator[list[WriteRequest]]:
    return _chunks([{"DeleteRequest": {"Key": {CUSTOMER_ID: {"S": customer_id}}}} for customer_id in customer_ids])


class CustomersTable:
    """Every method raises Problem if DynamoDB refuses, or takes nothing for `writing.patience_seconds`."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, writing: Writing = AS_USUAL) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._writing = writing

    def check(self) -> None:
        """That the table is there and can be read, before any long work. Asks once, with no retry."""
        with asking(f"the table {self._table}"):
            self._dynamodb.scan(TableName=self._table, Limit=1, ProjectionExpression=CUSTOMER_ID)

    def write(self, requests: Iterable[Sequence[WriteRequest]]) -> Generator[int]:
        """Makes the requests, some at a time, and yields how many items each had, in order, once it is done."""
        stopping = threading.Event()
        pending: deque[Future[int]] = deque()
        with asking(f"the table {self._table}"), ThreadPoolExecutor(self._writing.writers) as pool:
            try:
                for request in requests:
                    if len(pending) == 4 * self._writing.writers:
                        yield pending.popleft().result()
                    pending.append(pool.submit(self._write, request, stopping))
                while pending:
                    yield pending.popleft().result()
            finally:
                _stop(stopping, pending)

    def items(self, features: Sequence[str], expected: int) -> Generator[pa.RecordBatch]:
        """All items, a page at a time and in no order, as differences.stored_schema has them.

        features:  what is written of a customer; an item with anything else has others.
        expected:  about how many items there are.
        """
        segments = min(self._writing.writers, 1 + expected // ITEMS_PER_SEGMENT)
        stopping = threading.Event()
        pages: set[Future[tuple[dict[str, Any], pa.RecordBatch, Any]]] = set()
        with asking(f"the table {self._table}"), ThreadPoolExecutor(segments) as pool:
            try:
                for segment in range(segments):
                    share = {"Segment": segment, "TotalSegments": segments} if segments > 1 else {}
                    pages.add(pool.submit(self._page, share, features, stopping))
                while pages:
                    done, pages = wait(pages, return_when=FIRST_COMPLETED)
                    for page in done:
                        share, items, last = page.result()
                        if last:
                            pages.add(pool.submit(self._page, {**share, "ExclusiveStartKey": last}, features, stopping))
                        yield items
            finally:
                _stop(stopping, pages)

    def _write(self, requests: Sequence[WriteRequest], stopping: threading.Event) -> int:
        patience = _Patience(self._table, self._writing, stopping)
        left: Any = {self._table: requests}
        while True:
            asked = len(left[self._table])
            answer = patience.ask(partial(self._dynamodb.batch_write_item, RequestItems=left))
            left = answer["UnprocessedItems"]
            if not left:
                return len(requests)
            if len(left[self._table]) < asked:
                patience.renew()
            patience.pause("UnprocessedItems")

    def _page(
        self, share: dict[str, Any], features: Sequence[str], stopping: threading.Event
    ) -> tuple[dict[str, Any], pa.RecordBatch, Any]:
        scan = partial(self._dynamodb.scan, TableName=self._table, ConsistentRead=True, **share)
        answer = _Patience(self._table, self._writing, stopping).ask(scan)
        return share, _stored(answer["Items"], features), answer.get("LastEvaluatedKey")


class _Patience:
    """One request's retries, until DynamoDB has taken nothing of it for too long."""

    def __init__(self, table: str, writing: Writing, stopping: threading.Event) -> None:
        self._table = table
        self._writing = writing
        self._stopping = stopping
        self.renew()

    def renew(self) -> None:
        self._give_up_at = time.monotonic() + self._writing.patience_seconds
        self._pauses = pauses(self._writing.first_pause_seconds, self._writing.longest_pause_seconds)

    def ask(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except ClientError as error:
                cause = error.response["Error"]["Code"]
                if cause not in TRANSIENT_CODES:
                    raise
            except (HTTPClientError, ConnectionError) as error:
                cause = type(error).__name__
            self.pause(cause)

    def pause(self, cause: str) -> None:
        if self._stopping.wait(next(self._pauses)):
            raise CancelledError
        if time.monotonic() >= self._give_up_at:
            raise Problem(
                f"DynamoDB took nothing more for {self._table} in {self._writing.patience_seconds:g} s ({cause}): give "
                "the table more write capacity or look at its quota, then run it again, which goes on where it was."
            )


def _stored(items: Sequence[Item], features: Sequence[str]) -> pa.RecordBatch:
    expected = dict.fromkeys(features, "N") | {CUSTOMER_ID: "S", AS_OF: "S"}
    columns = [
        [item[CUSTOMER_ID]["S"] for item in items],
        [item[AS_OF].get("S") if AS_OF in item else None for item in items],
        [any(expected.get(name) not in value for name, value in item.items()) for item in items],
        # The nearest float64 of a decimal, as the service reads it.
        *([float(item[name]["N"]) if "N" in item.get(name, ()) else None for item in items] for name in features),
    ]
    schema = stored_schema(features)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _chunks(requests: list[WriteRequest]) -> Iterator[list[WriteRequest]]:
    return (requests[start : start + ITEMS_PER_WRITE] for start in range(0, len(requests), ITEMS_PER_WRITE))


def _stop(stopping: threading.Event, futures: Iterable[Future[Any]]) -> None:
    """Whatever ended the work: what has not begun is dropped, and who waits to try again is woken."""
    stopping.set()
    for future in futures:
        future.cancel()
