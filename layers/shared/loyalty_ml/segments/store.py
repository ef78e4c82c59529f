"""Segment definitions in DynamoDB, an item each, written under optimistic locking.

An item is {segment_id: S, segment_name: S, kind: S, version: N, updated: S, definition: B, write: S}: the definition as
JSON, compressed; and which write it was. An index by kind has what a list shows, so that a page of the list reads no
definition. Of a deleted segment the id and the version stay, so that one made again under
its id goes on counting: statistics are stored by version, and none may be taken for those of another definition.
"""

import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from loyalty_ml.aws.dynamodb import Item, Value, attribute, attributes, conditional_update
from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import InvalidRequest, PayloadTooLarge, SegmentNotFound, StoreUnavailable, VersionConflict
from loyalty_ml.segments.definition import (
    MAX_NUMBER,
    SEGMENT_ID_RULE,
    SEGMENT_KINDS,
    UPLOAD,
    Segment,
    SegmentDefinition,
    SegmentSummary,
    is_segment_id,
)
from loyalty_ml.segments.lists import ListStore
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import moment_of, rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_DEFINITION_BYTES = 380_000
"""Compressed. An item holds 409,600 bytes, names and the other attributes included."""
MAX_ITEM_LIST_BYTES = 32_000
"""A definition of more, compressed, has its list of ids in S3: some 5,000 ids."""

PAGE = 1_000
"""Summaries: 0.2 MB of an answer."""
BY_KIND = "by-kind"
"""The index of summaries. Its keys are attributes that every definition has always had, so DynamoDB itself puts those
into it that were stored before it; a deleted segment has no kind, and so is in no index."""


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class SegmentStore:
    """The definitions of one table. Every method raises StoreUnavailable where DynamoDB does not do its part.

    The client's own retries must be on: none are made here.
    """

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, lists: ListStore, now: Callable[[], datetime] = _now
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._lists = lists
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

    def with_ids(self, segment: Segment) -> Segment:
        """The segment with the ids of its `customer_list`, if it has one, which `get` does not read.

        Raises InvalidRequest for an upload that is not there or is no list of ids.
        """
        definition = segment.definition
        if definition.customer_list is None:
            return segment
        ids = self._lists.ids(segment.segment_id, definition.customer_list)
        listed = definition.model_copy(update={"customer_ids": ids, "customer_list": None})
        return replace(segment, definition=listed)

    def page(self, limit: int, after: str = "") -> tuple[Sequence[SegmentSummary], str | None]:
        """The first `limit` segments in order of id behind the id `after`, and the `after` of the next page, if any.

        Read from the index, so a definition of a moment ago may be missing. A segment whose item is damaged is left
        out, and logged.
        """
        items: list[Item] = []
        with asking("segments", "The segments table cannot be read"):
            for kind in SEGMENT_KINDS:
                condition, values = "#kind = :kind", {":kind": attribute(kind)}
                if after:
                    condition, values = f"{condition} AND #id > :after", {**values, ":after": attribute(after)}
                pages = self._dynamodb.get_paginator("query").paginate(
                    TableName=self._table,
                    IndexName=BY_KIND,
                    KeyConditionExpression=condition,
                    ExpressionAttributeNames={"#kind": "kind", **({"#id": "segment_id"} if after else {})},
                    ExpressionAttributeValues=values,
                    PaginationConfig={"MaxItems": limit + 1, "PageSize": limit + 1},
                )
                items += [item for page in pages for item in page["Items"]]
        items.sort(key=lambda item: item["segment_id"]["S"])
        summaries = []
        for item in items[:limit]:
            try:
                summaries.append(_summary(item))
            except (KeyError, ValueError, StopIteration):
                logger.error("A segment's item is damaged", segment_id=item["segment_id"]["S"])
        return summaries, items[limit - 1]["segment_id"]["S"] if len(items) > limit else None

    def ids(self) -> Iterator[str]:
        """The ids of all segments, in order; read as `page` reads them."""
        after: str | None = ""
        while after is not None:
            summaries, after = self.page(PAGE, after)
            yield from (summary.segment_id for summary in summaries)

    def put(
        self,
        segment_id: str,
        definition: SegmentDefinition,
        if_match: int | Literal["*"] | None = None,
        *,
        must_be_new: bool = False,
    ) -> tuple[Segment, bool]:
        """Stores a definition; gives the segment, and whether it was made rather than changed.

        A definition that is already there is not written again, and keeps its version. A long list is stored apart: the
        segment that is given back has it as `customer_list`, as `get` gives it.

        if_match:     write only over this version; `*` for any that there is.
        must_be_new:  write only where there is no such segment.
        Raises VersionConflict where one of these two forbids it, InvalidRequest for the id, and PayloadTooLarge.
        """
        if not is_segment_id(segment_id):
            raise InvalidRequest.of("segment_id", f"must have {SEGMENT_ID_RULE}")
        definition = self._with_list_apart(
            segment_id, definition, lambda: self._check_match(segment_id, if_match, must_be_new=must_be_new)
        )
        content = zlib.compress(_json(definition))
        if len(content) > MAX_DEFINITION_BYTES:
            raise PayloadTooLarge(
                f"The definition takes {len(content):,} bytes compressed, over {MAX_DEFINITION_BYTES:,}: "
                "write a shorter rule, or a list of ids."
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
            "most": MAX_NUMBER - 2,
            "number": "N",
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
            # No number is made of a version that is none.
            f"({condition}) AND (attribute_not_exists(#version) OR "
            "(attribute_type(#version, :number) AND #version BETWEEN :one AND :most))",
            values,
        )
        if written:
            version = _checked_version(segment_id, before) + 1 if "version" in before else 1
            return Segment(segment_id, version, updated, definition), "definition" not in before
        if "version" in before:
            _checked_version(segment_id, before)
        current = _segment(segment_id, before) if "definition" in before else None
        if current and before.get("write") == attribute(values["write"]):
            return current, must_be_new
        if current is None or must_be_new or if_match not in (None, "*", current.version):
            raise VersionConflict(current.version if current else None)
        return current, False

    def delete(self, segment_id: str, if_match: int | Literal["*"] | None = None) -> None:
        """Deletes a segment and its lists, only at version `if_match` where it is given.

        Raises SegmentNotFound, VersionConflict.
        """
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
                if "version" in before:  # deleted by a call that may have ended before it came to the lists
                    with _damage_told(segment_id):
                        deleted = moment_of(before["updated"]["S"])
                    self._lists.delete(segment_id, until=deleted)
                raise SegmentNotFound
            raise VersionConflict(_segment(segment_id, before).version)
        self._lists.delete(segment_id)

    def _check_match(self, segment_id: str, if_match: int | Literal["*"] | None, *, must_be_new: bool) -> None:
        """Raises VersionConflict before a list is stored for a segment that there may never be: nothing deletes it."""
        if if_match is None and not must_be_new:
            return
        try:
            version = self.get(segment_id).version
        except SegmentNotFound:
            version = None
        is_met = version is None if must_be_new else version is not None and if_match in ("*", version)
        if not is_met:
            raise VersionConflict(version)

    def _with_list_apart(
        self, segment_id: str, definition: SegmentDefinition, check: Callable[[], None]
    ) -> SegmentDefinition:
        """check: is called before a list is stored."""
        named = definition.customer_list
        if named is not None and not named.startswith(UPLOAD):
            if not self._lists.has(segment_id, named):
                raise InvalidRequest.of("customer_list", f"segment {segment_id} has no such list: send it as a file")
            return definition
        if named is not None:
            ids = self._lists.ids(segment_id, named)
        elif definition.customer_ids is not None and len(zlib.compress(_json(definition))) > MAX_ITEM_LIST_BYTES:
            ids = definition.customer_ids
        else:
            return definition
        check()
        list_id = self._lists.put(segment_id, ids)
        return definition.model_copy(update={"customer_ids": None, "customer_list": list_id})

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
    return definition.model_dump_json(include={"segment_name", *definition.ways}).encode()


def _segment(segment_id: str, item: Item) -> Segment:
    with _damage_told(segment_id):
        return Segment(
            segment_id,
            _version(item),
            moment_of(item["updated"]["S"]),
            SegmentDefinition.model_validate_json(zlib.decompress(item["definition"]["B"])),
        )


def _checked_version(segment_id: str, item: Item) -> int:
    with _damage_told(segment_id):
        return _version(item)


@contextmanager
def _damage_told(segment_id: str) -> Iterator[None]:
    try:
        yield
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
        kind=next(kind for kind in SEGMENT_KINDS if kind == item["kind"]["S"]),
        version=_version(item),
        updated=moment_of(item["updated"]["S"]),
    )


def _version(item: Mapping[str, Any]) -> int:
    version = int(item["version"]["N"])
    if not 0 < version < MAX_NUMBER:
        raise ValueError("no version has this number")
    return version
