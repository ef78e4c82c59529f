"""A job's checkpoint in S3, which the next worker goes on from: what is uploaded, and the bytes that are not yet.

jobs/{job_id}/checkpoint    a line of JSON, then the bytes that are in no uploaded part yet, one result after the other
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError

from loyalty_ml.files.uploads import TOKEN, Part, Upload, error_code, head_object
from loyalty_ml.jobs.lease import LeaseLost
from loyalty_ml.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOTHING_SAVED = b"\n"
"""How the checkpoint of a job begins that is done."""


class SavedResult(BaseModel):
    """One result's upload, as far as it was; pending: how many bytes of it follow the line of JSON."""

    key: str
    upload_id: str | None
    token: str
    parts: list[Part]
    size: int
    pending: int


class Checkpoint(BaseModel):
    """token: new each time, so that no two checkpoints have one ETag."""

    format: Literal[2] = 2  # 1 had no count of lines
    token: str
    position: dict[str, Any]
    completing: bool
    results: dict[str, SavedResult]


class StoredCheckpoint(NamedTuple):
    """The object in the bucket; without `checkpoint` if this version of the code cannot go on from it."""

    etag: str
    checkpoint: Checkpoint | None
    pending: bytes


def read_checkpoint(s3: "S3Client", bucket: str, job_id: str) -> StoredCheckpoint | None:
    """The job's checkpoint; None if there is none."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=checkpoint_key(job_id))
    except s3.exceptions.NoSuchKey:
        return None
    content = answer["Body"].read()
    if content.startswith(NOTHING_SAVED):
        return StoredCheckpoint(answer["ETag"], None, b"")
    header, _, pending = content.partition(b"\n")
    try:
        checkpoint = Checkpoint.model_validate_json(header)
    except ValidationError:
        logger.error("A checkpoint cannot be read: its job begins again", job_id=job_id)
        return StoredCheckpoint(answer["ETag"], None, b"")
    return StoredCheckpoint(answer["ETag"], checkpoint, pending)


def restore_uploads(uploads: Mapping[str, Upload], checkpoint: Checkpoint, pending: bytes) -> None:
    """Makes the uploads what they were when the checkpoint was saved. pending: what follows its line of JSON."""
    start = 0
    for name, result in checkpoint.results.items():
        upload = uploads[name]
        upload.upload_id, upload.token = result.upload_id, result.token
        upload.parts, upload.started, upload.size = result.parts, len(result.parts), result.size
        upload.pending = bytearray(pending[start : start + result.pending])
        start += result.pending


def checkpoint_body(
    uploads: Mapping[str, Upload], position: Mapping[str, Any], token: str, *, completing: bool
) -> bytes:
    """A checkpoint of the uploads as they are, none of whose parts is on its way."""
    checkpoint = Checkpoint(
        token=token,
        position=dict(position),
        completing=completing,
        results={
            name: SavedResult(
                key=upload.key,
                upload_id=upload.upload_id,
                token=upload.token,
                parts=upload.parts,
                size=upload.size,
                pending=len(upload.pending),
            )
            for name, upload in uploads.items()
        },
    )
    return b"".join((checkpoint.model_dump_json().encode(), b"\n", *(upload.pending for upload in uploads.values())))


def replace_checkpoint(s3: "S3Client", bucket: str, job_id: str, body: bytes, *, token: str, etag: str | None) -> str:
    """Writes a checkpoint; its ETag.

    etag: of the one that this worker knows, None if it knows of none. Only that one is replaced: a worker that was
    given up for dead must not undo another's. Raises LeaseLost if another is there.
    """
    key = checkpoint_key(job_id)
    known: dict[str, Any] = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    try:
        answer = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={TOKEN: token}, **known)
    except ClientError as error:
        if error_code(error) not in ("PreconditionFailed", "NoSuchKey"):
            raise
        # The client may have tried twice: the answer to what it stored at first was lost.
        there = head_object(s3, bucket, key)
        if there is None or there["Metadata"].get(TOKEN) != token:
            raise LeaseLost(job_id) from error
        stored: str = there["ETag"]
        return stored
    return answer["ETag"]


def checkpoint_key(job_id: str) -> str:
    """Where a job's checkpoint is."""
    return f"jobs/{job_id}/checkpoint"
