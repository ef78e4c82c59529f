"""Segment definitions in DynamoDB, an item each, written under optimistic locking.

An item is {segment_id: S, segment_name: S, kind: S, version: N, updated: S, definition: B, write: S}: the definition as
JSON, compressed; and which write it was. Of a deleted segment the id and the version stay, so that one made again under
its id goes on counting: statistics are stored by version, and none may be taken for those of another definition.
"""

import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from loyalty_ml.aws.dynamodb import Item, Value, attribute, attributes, conditional_update
from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import InvalidRequest, PayloadTooLarge, SegmentNotFound, StoreUnavailable, VersionConflict
from loyalty_ml.segments.definition import (
    KINDS,
    MAX_NUMBER,
    SEGMENT_ID_RULE,
    Segment,
    SegmentDefinition,
    SegmentSummary,
    is_segment_id,
)
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import moment_of, rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_DEFINITION_BYTES = 380_000
"""Compressed. An item holds 409,600 bytes, names and the other attributes included."""

_SUMMARY = ("segment_id", "segment_name", "kind", "version", "updated")
"""The attributes that a summary is made of."""


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class SegmentStore:
    """The definitions of one table. Every method raises StoreUnavailable where DynamoDB does not do its part.

    The client's own retries must be on: none are made here.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str, now: Callable[[], datetime] = _now) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._now = now

    def get(self, segment_id: str) -> Segment:
        """The segment as it was last written. Raises SegmentNotFound."""
        if not is_segment_id(segment_id):
            raise SegmentNotFound
        with asking("segments", "The segments table cannot be read"):
            answer = self._dynamodb.get_item(
                TableName=self._table, Key={"segment_id": {"S": segment_id}}, ConsistentRead=True
            )
        item = answer.get("Item", {})
        if "definition" not in item:
            raise SegmentNotFound
        return _segment(segment_id, item)

    def list(self) -> Sequence[SegmentSummary]:
        """All segments in order of id. One whose item is damaged is left out, and logged."""
        summaries = []
        with asking("segments", "The segments table cannot be read"):
            pages = self._dynamodb.get_paginator("scan").paginate(
                TableName=self._table,
                ProjectionExpression=", ".join(f"#{name}" for name in _SUMMARY),
                FilterExpression="attribute_exists(#definition)",
                ExpressionAttributeNames={f"#{name}": name for name in (*_SUMMARY, "definition")},
                ConsistentRead=True,
            )
            for page in pages:
                for item in page["Items"]:
                    try:
                        summaries.append(_summary(item))
                    except (KeyError, ValueError, StopIteration):
                        logger.error("A segment's item is damaged", segment_id=item["segment_id"]["S"])
        return sorted(summaries, key=lambda summary: summary.segment_id)

    def put(
        self,
        segment_id: str,
        definition: SegmentDefinition,
        if_match: int | Literal["*"] | None = None,
        *,
        must_be_new: bool = False,
    ) -> tuple[Segment, bool]:
        """Stores a definition; gives the segment, and whether it was made rather than changed.

        A definition that is already there is not written again, and keeps its version.

        if_match:     write only over this version; `*` for any that there is.
        must_be_new:  write only where there is no such segment.
        Raises VersionConflict where one of these two forbids it, InvalidRequest for the id, and PayloadTooLarge.
        """
        if not is_segment_id(segment_id):
            raise InvalidRequest.of("segment_id", f"must have {SEGMENT_ID_RULE}")
        content = zlib.compress(_json(definition))
        if len(content) > MAX_DEFINITION_BYTES:
            raise PayloadTooLarge(
                f"The definition takes {len(content):,} bytes compressed, over {MAX_DEFINITION_BYTES:,}: "
                "split the list into several segments."
            )
        updated = self._now()
        values: dict[str, Value] = {
            "segment_name": definition.segment_name,
            "kind": definition.kind,
            "definition": content,
            "updated": rfc3339(updated),
            "write": uuid.uuid4().hex,
            "none": 0,
            "one": 1,
        }
        if must_be_new:
            condition = "attribute_not_exists(#definition)"
        elif if_match is None:
            condition = "attribute_not_exists(#definition) OR #definition <> :definition"
        elif if_match == "*":
            condition = "attribute_exists(#definition) AND #definition <> :definition"
        else:
            condition = "attribute_exists(#definition) AND #definition <> :definition AND #version = :match"
            values["match"] = if_match
        before, written = self._update(
            segment_id,
            "SET #segment_name = :segment_name, #kind = :kind, #definition = :definition, #updated = :updated, "
            "#write = :write, #version = if_not_exists(#version, :none) + :one",
            condition,
            values,
        )
        if written:
            version = int(before["version"]["N"]) + 1 if "version" in before else 1
            return Segment(segment_id, version, updated, definition), "definition" not in before
        current = _segment(segment_id, before) if "definition" in before else None
        if current and before.get("write") == attribute(values["write"]):
            return current, must_be_new
        if current is None or must_be_new or if_match not in (None, "*", current.version):
            raise VersionConflict(current.version if current else None)
        return current, False

    def delete(self, segment_id: str, if_match: int | Literal["*"] | None = None) -> None:
        """Deletes a segment, only at version `if_match` where it is given. Raises SegmentNotFound, VersionConflict."""
        if not is_segment_id(segment_id):
            raise SegmentNotFound
        condition = "attribute_exists(#definition)"
        values: dict[str, Value] = {"updated": rfc3339(self._now()), "write": uuid.uuid4().hex}
        if if_match not in (None, "*"):
            condition += " AND #version = :match"
            values["match"] = if_match
        before, written = self._update(
            segment_id,
            "REMOVE #segment_name, #kind, #definition SET #updated = :updated, #write = :write",
            condition,
            values,
        )
        if not written and before.get("write") != attribute(values["write"]):
            if "definition" not in before:
                raise SegmentNotFound
            raise VersionConflict(_segment(segment_id, before).version)

    def _update(self, segment_id: str, update: str, condition: str, values: Mapping[str, Value]) -> tuple[Item, bool]:
        """As conditional_update; a write whose answer was lost is told by its `write`."""
        with asking("segments", "The segments table cannot be written"):
            return conditional_update(
                self._dynamodb,
                self._table,
                {"segment_id": segment_id},
                update=update,
                condition=condition,
                values=attributes(values),
            )


def _json(definition: SegmentDefinition) -> bytes:
    return definition.model_dump_json(include={"segment_name", definition.kind}).encode()


def _segment(segment_id: str, item: Item) -> Segment:
    try:
        return Segment(
            segment_id,
            _version(item),
            moment_of(item["updated"]["S"]),
            SegmentDefinition.model_validate_json(zlib.decompress(item["definition"]["B"])),
        )
    except (KeyError, ValueError, zlib.error) as error:  # pydantic's ValidationError is a ValueError
        logger.error("A segment's item is damaged", segment_id=segment_id, cause=type(error).__name__)
        raise StoreUnavailable(
            "segments",
            f"The item of segment {segment_id} in the segments table is damaged: delete the item there, "
            "then PUT the segment again.",
            retry=False,
        ) from error


def _summary(item: Mapping[str, Any]) -> SegmentSummary:
    return SegmentSummary(
        segment_id=item["segment_id"]["S"],
        segment_name=item["segment_name"]["S"],
        kind=next(kind for kind in KINDS if kind == item["kind"]["S"]),
        version=_version(item),
        updated=moment_of(item["updated"]["S"]),
    )


def _version(item: Mapping[str, Any]) -> int:
    version = int(item["version"]["N"])
    if not 0 < version < MAX_NUMBER:
        raise ValueError("no version has this number")
    return version
