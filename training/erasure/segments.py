"""The segments whose definitions name a customer: in their list, which is rewritten, or in their rule, which is not."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from loyalty_ml.errors import LoyaltyError, SegmentNotFound, VersionConflict
from loyalty_ml.segments.definition import Segment
from loyalty_ml.segments.lists import ListStore
from loyalty_ml.segments.store import SegmentStore
from training.aws import asking
from training.erasure.objects import texts_in
from training.errors import Problem

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


class SegmentHolding(NamedTuple):
    """A segment that names a customer.

    version:   at which it was looked at.
    in_list:   whether its list has the customer; others: how many it has besides.
    in_rule:   whether its rule has the id as a text.
    problem:   why it could not be looked into; empty if it could.
    """

    segment_id: str
    version: int
    in_list: bool
    others: int
    in_rule: bool
    problem: str = ""


class SegmentsTable:
    """The definitions of one deployment, with the lists that are kept apart. Every method raises Problem."""

    def __init__(self, dynamodb: "DynamoDBClient", s3: "S3Client", *, table: str, bucket: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._store = SegmentStore(dynamodb, table, ListStore(s3, bucket))

    def holdings(self, customer_ids: Collection[str]) -> list[SegmentHolding]:
        wanted = frozenset(customer_ids)
        found = []
        for segment_id in self._segment_ids():
            try:
                segment = self._with_ids(segment_id)
            except SegmentNotFound:
                continue  # deleted since
            except LoyaltyError as error:
                found.append(SegmentHolding(segment_id, 0, False, 0, False, error.message))
                continue
            listed = segment.definition.customer_ids or []
            others = sum(customer_id not in wanted for customer_id in listed)
            in_rule = any(text in wanted for text in texts_in(segment.definition.rule))
            if others < len(listed) or in_rule:
                found.append(SegmentHolding(segment_id, segment.version, others < len(listed), others, in_rule))
        return found

    def remove(self, holding: SegmentHolding, customer_ids: Collection[str]) -> None:
        """Takes the customers out of the segment's list; deletes a segment that lists nobody else."""
        try:
            segment = self._with_ids(holding.segment_id)
            listed = segment.definition.customer_ids or []
            rest = [customer_id for customer_id in listed if customer_id not in customer_ids]
            if rest:
                definition = segment.definition.model_copy(update={"customer_ids": rest})
                self._store.put(holding.segment_id, definition, if_match=segment.version)
            else:
                self._store.delete(holding.segment_id, if_match=segment.version)
        except SegmentNotFound:
            return
        except VersionConflict as error:
            raise Problem(f"The segment {holding.segment_id} was changed meanwhile: run this again.") from error
        except LoyaltyError as error:
            raise Problem(error.message) from error

    def _segment_ids(self) -> Iterator[str]:
        with asking(f"the table {self._table}"):
            pages = self._dynamodb.get_paginator("scan").paginate(
                TableName=self._table,
                ProjectionExpression="segment_id",
                FilterExpression="attribute_exists(#definition)",
                ExpressionAttributeNames={"#definition": "definition"},
                ConsistentRead=True,
            )
            for page in pages:
                yield from (item["segment_id"]["S"] for item in page["Items"])

    def _with_ids(self, segment_id: str) -> Segment:
        return self._store.with_ids(self._store.get(segment_id))
