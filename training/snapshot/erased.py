"""Customers who were erased, in the data bucket: what keeps materialize from bringing them back from the warehouse.

erased/{SHA-256 of the id, in hex}     {"erased": RFC 3339}

An object each, so that two commands at once lose nothing. The id itself is in none of them. The digest is a pseudonym
and no more: whoever has a list of ids can tell which of them was erased.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from loyalty_ml.vocabulary import rfc3339
from training.aws import asking

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "erased/"
_KEY = re.compile(rf"{PREFIX}([0-9a-f]{{64}})")


class Record(NamedTuple):
    """digests: of the erased ids, in hex; newest: when S3 took the newest of them, None if there is none."""

    digests: frozenset[str]
    newest: datetime | None


class ErasedCustomers:
    """The record of one data bucket. Every method raises Problem if S3 refuses, or cannot be reached."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def record(self) -> Record:
        moments: dict[str, datetime] = {}
        with asking(f"the bucket {self._bucket}"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=PREFIX):
                for entry in page.get("Contents", ()):
                    if found := _KEY.fullmatch(entry["Key"]):
                        moments[found[1]] = entry["LastModified"]
        return Record(frozenset(moments), max(moments.values(), default=None))

    def add(self, customer_ids: Iterable[str]) -> None:
        content = json.dumps({"erased": rfc3339(datetime.now(UTC))}).encode()
        with asking(f"the bucket {self._bucket}"):
            for customer_id in customer_ids:
                self._s3.put_object(Bucket=self._bucket, Key=_key(customer_id), Body=content)

    def allow(self, customer_ids: Iterable[str]) -> list[str]:
        """Forgets that these were erased; gives those that were."""
        known = self.record().digests
        allowed = [customer_id for customer_id in customer_ids if digest(customer_id) in known]
        with asking(f"the bucket {self._bucket}"):
            for customer_id in allowed:
                self._s3.delete_object(Bucket=self._bucket, Key=_key(customer_id))
        return allowed


def digest(customer_id: str) -> str:
    """As DuckDB's sha256() has it of the same text."""
    return hashlib.sha256(customer_id.encode()).hexdigest()


def _key(customer_id: str) -> str:
    return PREFIX + digest(customer_id)
