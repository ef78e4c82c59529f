"""Segments' statistics in DynamoDB as they were measured: what `history` compares, and what need not be counted again.

An item is {segment_id: S, point: S, body: S}: the segment, `*` for all customers; the snapshot's version and a hash of
what else a point was measured at; and the point as JSON. A snapshot's version begins with its moment, so a segment's
items lie in the order of time. An item is written once and never changed.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from loyalty_ml.aws import backoff
from loyalty_ml.aws.errors import asking, unavailable
from loyalty_ml.errors import StoreUnavailable
from loyalty_ml.models.store import MODEL_OUTPUTS
from loyalty_ml.scoring.scorers import MOCK_VERSION
from loyalty_ml.segments.history import Coordinates, Point, coordinates
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ALL_CUSTOMERS = "*"
"""What stands for all customers in the table: no segment's id may be this."""
ITEMS_PER_WRITE = 25
"""The most that BatchWriteItem takes."""
DELETE_TRIES = 10


class StatisticsStore:
    """The points of one table. Every method raises StoreUnavailable where DynamoDB does not do its part.

    The client's own retries must be on: only deletes that DynamoDB leaves undone are tried again here, after a `sleep`.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str, sleep: Callable[[float], None]) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._sleep = sleep

    def put(self, point: Point) -> None:
        """Stores a point, unless there is one with its coordinates already: both were measured of the same."""
        item = {**_key(point.segment_id, point.key), "body": {"S": point.model_dump_json()}}
        with (
            asking("statistics", self._problem("written to")),
            suppress(self._dynamodb.exceptions.ConditionalCheckFailedException),
        ):
            self._dynamodb.put_item(
                TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(segment_id)"
            )

    def points(self, segment_id: str | None) -> list[Point]:
        """All points of a segment, None for all customers: by `as_of`, then by `computed`, the oldest first.

        A point whose item is damaged is left out, and logged.
        """
        points: list[Point] = []
        for item in self._query(segment_id):
            with suppress(StoreUnavailable):
                points.append(self._read(item))
        return sorted(points, key=lambda point: (point.as_of, point.computed))

    def get(self, segment_id: str | None, snapshot: str, models: Mapping[str, str], definition: int) -> Point | None:
        """The point that was measured at just this, where there is one."""
        key = _key(segment_id, coordinates(snapshot, models, definition))
        with asking("statistics", self._problem("read from")):
            answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return self._read(answer["Item"]) if "Item" in answer else None

    def has_models(self) -> bool:
        """Whether some statistics of all customers are a published model's, rather than mock data."""
        return any(_of_a_model(item) for item in self._query(None))

    def delete(self, segment_id: str) -> None:
        """Deletes all points of a segment. Where that is interrupted, doing it again deletes the rest."""
        names = {"#segment": "segment_id", "#point": "point"}
        items = self._query(segment_id, ProjectionExpression="#segment, #point", ExpressionAttributeNames=names)
        requests = [{"DeleteRequest": {"Key": item}} for item in items]
        for start in range(0, len(requests), ITEMS_PER_WRITE):
            self._delete(requests[start : start + ITEMS_PER_WRITE])

    def _delete(self, requests: list[Any]) -> None:
        left: Any = {self._table: requests}
        pauses = backoff.pauses()
        for attempt in range(DELETE_TRIES):
            if attempt:
                self._sleep(next(pauses))
            with asking("statistics", self._problem("deleted from")):
                left = self._dynamodb.batch_write_item(RequestItems=left)["UnprocessedItems"]
            if not left:
                return
        raise unavailable("statistics", self._problem("deleted from"), "UnprocessedItems")

    def _query(self, segment_id: str | None, **request: Any) -> list[Mapping[str, Any]]:
        with asking("statistics", self._problem("read from")):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="segment_id = :segment",
                ExpressionAttributeValues={":segment": _segment(segment_id)},
                ConsistentRead=True,
                **request,
            )
            return [item for page in pages for item in page["Items"]]

    def _read(self, item: Mapping[str, Any]) -> Point:
        try:
            point = Point.model_validate_json(item["body"]["S"])
            # Moments that UTC has, and numbers that an answer can hold.
            orjson.dumps(
                [
                    rfc3339(point.as_of),
                    rfc3339(point.computed),
                    point.member_count,
                    point.stats,
                    point.drift,
                    point.drivers,
                ]
            )
        except (KeyError, ValueError, OverflowError, TypeError) as error:  # pydantic's and orjson's are among them
            place = f"{item['segment_id']['S']}, {item['point']['S']}"
            logger.error("A segment's stored statistics are not valid", table=self._table, item=place)
            raise StoreUnavailable(
                "statistics",
                f"The segment's statistics {place} in the table {self._table} cannot be read: delete that item.",
                retry=False,
            ) from error
        return point

    def _problem(self, done: str) -> str:
        return f"Segments' statistics could not be {done} the table {self._table}"


def _key(segment_id: str | None, key: Coordinates) -> dict[str, Any]:
    rest = hashlib.sha256(orjson.dumps([key.models, key.definition])).hexdigest()[:16]
    return {"segment_id": _segment(segment_id), "point": {"S": f"{key.snapshot}#{rest}"}}


def _segment(segment_id: str | None) -> dict[str, str]:
    return {"S": ALL_CUSTOMERS if segment_id is None else segment_id}


def _of_a_model(item: Mapping[str, Any]) -> bool:
    try:
        models = orjson.loads(item["body"]["S"])["models"]
        return any(name in MODEL_OUTPUTS and version != MOCK_VERSION for name, version in models.items())
    except (KeyError, ValueError, TypeError, AttributeError):  # damaged: it tells nothing
        return False
