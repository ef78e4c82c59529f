"""The feature snapshot in S3, as it is written: immutable parts, then current.json in one conditional write.

snapshots/{as_of}-{hash}/part-00000.parquet, ...
snapshots/current.json                            customers.snapshot.SnapshotCard
"""

import re
from base64 import b64encode
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError

from loyalty_ml.customers.snapshot import CURRENT_KEY, Snapshot, SnapshotCard, SnapshotPart
from training.aws import asking
from training.errors import Problem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOADS = 4
PART_KEY = re.compile(r"(snapshots/\d{8}T\d{6}Z(?:-[0-9a-f]{8})?/)part-\d{5}\.parquet")


class _Customers(BaseModel):
    """What there is in a card of an earlier form as well."""

    customers: int


_Form = TypeVar("_Form", bound=BaseModel)


class Current(NamedTuple):
    """What is published: its ETag, None where nothing is; its card, None where that is not valid or of another form.

    customers:  how many are published; None where not even that can be read.
    published:  when; None where nothing is.
    """

    etag: str | None
    card: SnapshotCard | None
    customers: int | None
    published: datetime | None


class SnapshotConflict(Problem):
    """Another run published in between."""


class SnapshotBucket:
    """Every method raises Problem if S3 refuses, or cannot be reached."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def current(self) -> Current:
        with asking(f"the bucket {self._bucket}"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=CURRENT_KEY)
            except ClientError as error:
                if error.response["Error"]["Code"] == "NoSuchKey":
                    return Current(None, None, None, None)
                raise
            text = answer["Body"].read()
        counted = _parsed(_Customers, text)
        customers = counted.customers if counted else None
        return Current(answer["ETag"], _parsed(SnapshotCard, text), customers, answer["LastModified"])

    def upload(self, folder: Path, parts: Sequence[SnapshotPart], progress: Callable[[int], object]) -> None:
        """Puts each part under its key, but for what is there whole; `progress` is told of each part's bytes."""
        with asking(f"the bucket {self._bucket}"), ThreadPoolExecutor(UPLOADS) as pool:
            for size in pool.map(self._upload, (folder / part.file for part in parts), parts):
                progress(size)

    def switch(self, card: SnapshotCard, etag: str | None) -> None:
        """Makes the snapshot the current one, if what is current is still that ETag. Raises SnapshotConflict."""
        text = card.model_dump_json().encode()
        with asking(f"the bucket {self._bucket}"):
            try:
                if etag is None:
                    self._s3.put_object(Bucket=self._bucket, Key=CURRENT_KEY, Body=text, IfNoneMatch="*")
                else:
                    self._s3.put_object(Bucket=self._bucket, Key=CURRENT_KEY, Body=text, IfMatch=etag)
            except ClientError as error:
                if error.response["Error"]["Code"] not in (
                    "PreconditionFailed",
                    "ConditionalRequestConflict",
                    "NoSuchKey",
                ):
                    raise
                if self.current().card != card:  # else this run's own write, whose answer was lost
                    raise SnapshotConflict(
                        "Another run published a snapshot meanwhile, and the table may hold some of both: run this one "
                        "again."
                    ) from error

    def remove_all_but(self, snapshots: Collection[Snapshot]) -> None:
        """Removes the parts of every snapshot but these."""
        kept = {f"snapshots/{snapshot.version}/" for snapshot in snapshots}
        with asking(f"the bucket {self._bucket}"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix="snapshots/"):
                found = (PART_KEY.fullmatch(entry["Key"]) for entry in page.get("Contents", ()))
                old = [match.group() for match in found if match and match.group(1) not in kept]
                if old:
                    answer = self._s3.delete_objects(
                        Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in old], "Quiet": True}
                    )
                    for refused in answer.get("Errors", ()):
                        raise Problem(
                            f"The new snapshot is published, but S3 answered {refused['Code']} to removing old ones "
                            f"from {self._bucket}: check your permissions there."
                        )

    def _upload(self, path: Path, part: SnapshotPart) -> int:
        checksum = b64encode(bytes.fromhex(part.sha256)).decode()
        put = partial(
            self._s3.put_object,
            Bucket=self._bucket,
            Key=part.key,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=checksum,
        )
        with path.open("rb") as file:
            try:
                put(Body=file, IfNoneMatch="*")
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
                there = self._s3.head_object(Bucket=self._bucket, Key=part.key, ChecksumMode="ENABLED")
                if there.get("ChecksumSHA256") != checksum:  # somebody overwrote it: this is how it is mended
                    file.seek(0)
                    put(Body=file)
        return part.size


def _parsed(form: type[_Form], text: bytes) -> _Form | None:
    try:
        return form.model_validate_json(text)
    except ValidationError:
        return None
