"""Lists of customers that are too long for a definition's item: objects in the data bucket, which never change.

segment-lists/uploads/{upload}          a file as somebody sent it; gone after a day
segment-lists/{segment_id}/{list}       the ids of a segment's list, as JSON, compressed; named by its content
"""

import hashlib
import uuid
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import InvalidRequest, StoreUnavailable
from loyalty_ml.jobs.presigned import Signer, Upload
from loyalty_ml.segments.contracts import SegmentDefinitionAnswer
from loyalty_ml.segments.definition import UPLOAD, Segment
from loyalty_ml.segments.uploaded_list import MAX_FILE_BYTES, ids_of
from loyalty_ml.vocabulary import rfc3339

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LISTS = "segment-lists/"
UPLOADS = f"{LISTS}uploads/"
"""Of the data bucket, whose lifecycle removes what is below it after a day."""
_KEPT = 2
"""Lists in memory: that of the segment that is asked for, and of the one before; 300,000 ids take 25 MB."""

_AGAIN = "ask POST /segments/lists for an address, and send the file there"


class ListStore:
    """The lists of one bucket. Every method raises StoreUnavailable if S3 does not do its part."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._kept: dict[str, Sequence[str]] = {}

    def ids(self, segment_id: str, list_id: str) -> Sequence[str]:
        """The ids of a list that the segment has, or of an upload, each once.

        Raises InvalidRequest for what is no upload or no list of ids, StoreUnavailable for a list that is lost.
        """
        if list_id.startswith(UPLOAD):
            return self._uploaded(list_id)
        key = _key(segment_id, list_id)
        if key not in self._kept:
            content = self._read(key)
            if content is None:
                raise StoreUnavailable(
                    "segments",
                    f"The list of segment {segment_id} is not in the data bucket: PUT the segment again with its ids, "
                    "or restore the object's version.",
                    retry=False,
                )
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = orjson.loads(zlib.decompress(content, wbits=zlib.MAX_WBITS | 16))
        return self._kept[key]

    def has(self, segment_id: str, list_id: str) -> bool:
        """Whether the segment has had this list."""
        key = _key(segment_id, list_id)
        with asking("segments", "The segment's lists cannot be looked up in the data bucket"):
            found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        return found["KeyCount"] > 0

    def put(self, segment_id: str, ids: Sequence[str]) -> str:
        """Stores a list of a segment; gives its id, which is the same for the same ids."""
        text = orjson.dumps(list(ids))
        list_id = hashlib.sha256(text).hexdigest()
        with asking("segments", "The segment's list cannot be written to the data bucket"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=_key(segment_id, list_id),
                Body=_gzip(text),
                ContentType="application/json",
                ContentEncoding="gzip",
            )
        return list_id

    def delete(self, segment_id: str, until: datetime | None = None) -> None:
        """Deletes all lists that a segment has had, or those that were stored by a moment."""
        with asking("segments", "The segment's lists cannot be deleted from the data bucket"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=_key(segment_id, ""))
            for page in pages:
                for found in page.get("Contents", ()):
                    if until is None or found["LastModified"] <= until:
                        self._s3.delete_object(Bucket=self._bucket, Key=found["Key"])

    def _uploaded(self, upload_id: str) -> Sequence[str]:
        content = self._read(f"{UPLOADS}{upload_id}")
        if content is None:
            raise InvalidRequest.of(
                "customer_list", f"no file was sent for {upload_id}, or it is over a day old: {_AGAIN}"
            )
        return ids_of(content)

    def _read(self, key: str) -> bytes | None:
        """None if there is no such object."""
        with asking("segments", "The segment's list cannot be read from the data bucket"):
            try:
                return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except self._s3.exceptions.NoSuchKey:
                return None


def announce(signer: Signer) -> tuple[str, Upload]:
    """What a definition names a file by that is sent to the address, and the address. Raises StoreUnavailable."""
    upload_id = f"{UPLOAD}{uuid.uuid4().hex}"
    return upload_id, signer.upload(f"{UPLOADS}{upload_id}", MAX_FILE_BYTES)


def described(segment: Segment, lists: ListStore, signer: Signer, most_bytes: int) -> SegmentDefinitionAnswer:
    """A definition as it is shown: with the ids of its list if they take at most so many bytes in JSON.

    Else with an address where they can be read, for a quarter of an hour. Raises StoreUnavailable.
    """
    definition = segment.definition
    answer: Any = {
        "segment_id": segment.segment_id,
        "segment_name": definition.segment_name,
        "version": segment.version,
        "updated": rfc3339(segment.updated),
        **{str(way): getattr(definition, way) for way in definition.ways},
    }
    list_id = definition.customer_list
    if list_id is not None:
        ids = lists.ids(segment.segment_id, list_id)
        if len(orjson.dumps(ids)) <= most_bytes:
            del answer["customer_list"]
            answer["customer_ids"] = ids
        else:
            url = signer.download(_key(segment.segment_id, list_id), f"{segment.segment_id}.json")
            answer |= {"listed_customers": len(ids), "list_url": url}
    shown: SegmentDefinitionAnswer = answer
    return shown


def _key(segment_id: str, list_id: str) -> str:
    return f"{LISTS}{segment_id}/{list_id}"


def _gzip(text: bytes) -> bytes:
    """The same bytes for the same text: without a moment in its header."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return packer.compress(text) + packer.flush()
