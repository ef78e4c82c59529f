"""Multipart uploads in S3: one for each result of a job, and what is known of it on this side."""

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import BaseModel

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

TOKEN = "upload"  # noqa: S105 (the name of an object's metadata)
"""By which an object is known to be what a certain upload or write has made."""


class Part(BaseModel):
    """What S3 answered to a part, and wants to hear again at the end; not every store that speaks its language sums."""

    etag: str
    crc32: str | None


@dataclass
class Upload:
    """One result on its way.

    token:    in the object's metadata, so that it is known again when it is there.
    parts:    those that are uploaded; `started` counts those that are on their way besides.
    size:     bytes of it in all, of which `pending` are in no part yet.
    """

    key: str
    content_type: str
    upload_id: str | None = None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    parts: list[Part] = field(default_factory=list)
    started: int = 0
    size: int = 0
    pending: bytearray = field(default_factory=bytearray)


def unfinished_uploads(s3: "S3Client", bucket: str, job_id: str) -> set[tuple[str, str]]:
    """(key, upload id) of the job's uploads that are neither completed nor aborted."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=f"results/{job_id}/")
    return {(upload["Key"], upload["UploadId"]) for page in pages for upload in page.get("Uploads", ())}


def abort_uploads(s3: "S3Client", bucket: str, unfinished: set[tuple[str, str]]) -> None:
    """Aborts uploads, given as `unfinished_uploads` gives them; one that is gone already counts as aborted."""
    for key, upload_id in unfinished:
        try:
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if error_code(error) != "NoSuchUpload":
                raise


def completed_part(number: int, part: Part) -> "CompletedPartTypeDef":
    """A part, as S3 wants to hear of it when the upload is completed."""
    completed: CompletedPartTypeDef = {"PartNumber": number, "ETag": part.etag}
    if part.crc32:
        completed["ChecksumCRC32"] = part.crc32
    return completed


def is_uploaded(s3: "S3Client", bucket: str, key: str, token: str, size: int) -> bool:
    """Whether the object is what this very upload has become."""
    there = head_object(s3, bucket, key)
    return there is not None and there["Metadata"].get(TOKEN) == token and there["ContentLength"] == size


def head_object(s3: "S3Client", bucket: str, key: str) -> Any:
    """What S3 says of the object; None if there is none."""
    try:
        return s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) not in ("404", "NoSuchKey"):
            raise
        return None


def error_code(error: ClientError) -> str:
    """S3's own name of the error."""
    return error.response["Error"]["Code"]
