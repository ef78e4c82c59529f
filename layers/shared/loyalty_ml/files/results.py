"""A job's results in S3, which appear only whole, and a checkpoint that the next worker goes on from.

results/{job_id}/...        multipart uploads: nothing is there before all of all results is uploaded
jobs/{job_id}/checkpoint    a line of JSON, then the bytes that are in no uploaded part yet, one result after the other

Parts are cut from a result's bytes by their number alone. So a worker that goes on from a checkpoint uploads again,
under the same numbers, what the one before had uploaded since, and from the results it cannot be told who wrote them.
"""

import uuid
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError

from loyalty_ml.aws.errors import asking, unavailable
from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.jobs.lease import LeaseLost
from loyalty_ml.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

THREADS = 2
"""Parts that are uploaded at a time."""
MOST_RUNNING = 3
"""Parts in memory, uploading or waiting for it: append waits where there would be more."""

_TOKEN = "upload"  # noqa: S105 (the name of an object's metadata)
_NOTHING_SAVED = b"\n"
"""How the checkpoint of a job begins that is done."""


class _Part(BaseModel):
    """What S3 answered to a part, and wants to hear again at the end; not every store that speaks its language sums."""

    etag: str
    crc32: str | None


class _SavedResult(BaseModel):
    key: str
    upload_id: str | None
    token: str
    parts: list[_Part]
    size: int
    pending: int


class _Checkpoint(BaseModel):
    """token: new each time, so that no two checkpoints have one ETag."""

    format: Literal[1] = 1
    token: str
    position: dict[str, Any]
    completing: bool
    results: dict[str, _SavedResult]


class _Found(NamedTuple):
    """The checkpoint in the bucket; without `saved` where this version of the code cannot go on from it."""

    etag: str
    saved: _Checkpoint | None
    pending: bytes


@dataclass
class _Upload:
    """One result on its way.

    token:    in the object's metadata, so that it is known again when it is there.
    parts:    those that are uploaded; `started` counts those that are on their way besides.
    size:     bytes of it in all, of which `pending` are in no part yet.
    """

    key: str
    content_type: str
    upload_id: str | None = None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    parts: list[_Part] = field(default_factory=list)
    started: int = 0
    size: int = 0
    pending: bytearray = field(default_factory=bytearray)


class Results:
    """The results of one job, in the hands of one worker; made by open_results.

    Every method raises StoreUnavailable if S3 does not do its part, and LeaseLost if another worker has gone on with
    the job meanwhile. After any error only close and abort are left: what was not saved is for the next to do again.

    position:    what the checkpoint was saved with that this goes on from; None: from the beginning.
    completing:  everything was appended, and `position` is that of the end: only complete is left to do.
    """

    def __init__(
        self,
        s3: "S3Client",
        bucket: str,
        job_id: str,
        uploads: Mapping[str, _Upload],
        found: _Found | None,
        *,
        sizes: Sizes,
    ) -> None:
        saved = found.saved if found else None
        self._s3 = s3
        self._bucket = bucket
        self._job_id = job_id
        self._uploads = uploads
        self._sizes = sizes
        self._checkpoint_etag = found.etag if found else None
        self._running: deque[tuple[_Upload, Future[_Part]]] = deque()
        self._pool = ThreadPoolExecutor(THREADS, "write_results")
        self.position: dict[str, Any] | None = saved.position if saved else None
        self.completing = saved.completing if saved else False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the threads. What is in no checkpoint is lost; the checkpoint and the uploads stay for the next."""
        self._pool.shutdown(cancel_futures=True)

    @property
    def sizes(self) -> dict[str, int]:
        """By name, the bytes appended so far, by the workers before this one too."""
        return {name: upload.size for name, upload in self._uploads.items()}

    def append(self, name: str, data: bytes) -> None:
        """Adds to a result. Raises InvalidFile where it grows beyond what S3 takes."""
        if self.completing:
            raise ValueError(f"The results of job {self._job_id} are whole: nothing can be appended to {name!r}.")
        upload = self._uploads[name]
        upload.pending += data
        upload.size += len(data)
        while len(upload.pending) >= (size := self._sizes.part(upload.started + 1)):
            self._send(upload, size)

    def checkpoint(self, position: Mapping[str, Any]) -> None:
        """Saves what was appended so far, with what the caller needs to go on from there: anything that JSON holds."""
        self._settle(0)
        self._save(position, completing=False)

    def complete(self, position: Mapping[str, Any]) -> dict[str, int]:
        """Makes all results appear, in the order of their keys as they were given; their sizes by name.

        position:  of the end. It is saved before the first appears: a worker that finds `completing` calls this again.

        An object that appears is whole, and whoever waits for the last finds the others. The checkpoint is kept until
        `clean`, which is for when the job's end is recorded elsewhere.
        """
        if not self.completing:
            for upload in self._uploads.values():
                if upload.upload_id and upload.pending:
                    self._send(upload, len(upload.pending))
            self._settle(0)
            self._save(position, completing=True)
        for upload in self._uploads.values():
            with asking("results", self._problem("completed in")):
                self._complete(upload)
        return self.sizes

    def clean(self) -> None:
        """Empties the checkpoint of a job that is done. Opened again, the job would begin from the beginning.

        An empty one stays: where there was none, a worker that was given up for dead, and has saved nothing yet, would
        take its first for the first of all, and put its results over these.
        """
        token = uuid.uuid4().hex
        with asking("results", self._problem("tidied up in")):
            self._checkpoint_etag = self._replace_checkpoint(_NOTHING_SAVED + token.encode(), token)

    def abort(self) -> None:
        """Gives up for good: no upload and no checkpoint of the job are left. Results that have appeared stay."""
        self.close()
        with asking("results", self._problem("given up in")):
            _abort(self._s3, self._bucket, _unfinished(self._s3, self._bucket, self._job_id))
            self._s3.delete_object(Bucket=self._bucket, Key=_checkpoint_key(self._job_id))

    def _send(self, upload: _Upload, size: int) -> None:
        number = upload.started + 1
        if number > self._sizes.most_parts:
            raise InvalidFile(
                f"{upload.key} grows beyond the {self._sizes.most_parts:,} parts that S3 takes: split the file into "
                "several."
            )
        if upload.upload_id is None:
            with asking("results", self._problem("written to")):
                answer = self._s3.create_multipart_upload(
                    Bucket=self._bucket,
                    Key=upload.key,
                    ContentType=upload.content_type,
                    ChecksumAlgorithm="CRC32",
                    Metadata={_TOKEN: upload.token},
                )
            upload.upload_id = answer["UploadId"]
        self._settle(MOST_RUNNING - 1)
        body = bytes(memoryview(upload.pending)[:size])
        del upload.pending[:size]
        upload.started = number
        self._running.append((upload, self._pool.submit(self._upload_part, upload.key, upload.upload_id, number, body)))

    def _upload_part(self, key: str, upload_id: str, number: int, body: bytes) -> _Part:
        with asking("results", self._problem("written to")):
            answer = self._s3.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body,
                ChecksumAlgorithm="CRC32",
            )
        return _Part(etag=answer["ETag"], crc32=answer.get("ChecksumCRC32"))

    def _settle(self, most: int) -> None:
        """Waits until at most so many parts are on their way. What failed stays first, to be raised each time."""
        while len(self._running) > most:
            upload, part = self._running[0]
            upload.parts.append(part.result())
            self._running.popleft()

    def _save(self, position: Mapping[str, Any], *, completing: bool) -> None:
        saved = _Checkpoint(
            token=uuid.uuid4().hex,
            position=dict(position),
            completing=completing,
            results={
                name: _SavedResult(
                    key=upload.key,
                    upload_id=upload.upload_id,
                    token=upload.token,
                    parts=upload.parts,
                    size=upload.size,
                    pending=len(upload.pending),
                )
                for name, upload in self._uploads.items()
            },
        )
        body = b"".join(
            (saved.model_dump_json().encode(), b"\n", *(upload.pending for upload in self._uploads.values()))
        )
        with asking("results", self._problem("saved in")):
            self._checkpoint_etag = self._replace_checkpoint(body, saved.token)
        self.position, self.completing = saved.position, completing

    def _replace_checkpoint(self, body: bytes, token: str) -> str:
        """Only in place of the one that this worker knows: one that was given up for dead must not undo another's."""
        key = _checkpoint_key(self._job_id)
        known: dict[str, Any] = {"IfMatch": self._checkpoint_etag} if self._checkpoint_etag else {"IfNoneMatch": "*"}
        try:
            answer = self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, Metadata={_TOKEN: token}, **known)
        except ClientError as error:
            if _code(error) not in ("PreconditionFailed", "NoSuchKey"):
                raise
            # The client may have tried twice: the answer to what it stored at first was lost.
            there = _head(self._s3, self._bucket, key)
            if there is None or there["Metadata"].get(_TOKEN) != token:
                raise LeaseLost(self._job_id) from error
            etag: str = there["ETag"]
            return etag
        return answer["ETag"]

    def _complete(self, upload: _Upload) -> None:
        if upload.upload_id is None:
            self._s3.put_object(
                Bucket=self._bucket, Key=upload.key, Body=bytes(upload.pending), ContentType=upload.content_type
            )
            return
        try:
            self._s3.complete_multipart_upload(
                Bucket=self._bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
                MultipartUpload={"Parts": [_completed(number, part) for number, part in enumerate(upload.parts, 1)]},
            )
        except ClientError as error:
            if _code(error) == "InvalidPart":
                # A worker that was given up for dead has written over it: nobody can complete this upload any more.
                self.abort()
                raise unavailable("results", self._problem("completed in"), "InvalidPart") from error
            if _code(error) != "NoSuchUpload":
                raise
            if not _is_there(self._s3, self._bucket, upload.key, upload.token, upload.size):
                raise unavailable("results", self._problem("completed in"), "NoSuchUpload") from error

    def _problem(self, done: str) -> str:
        return _problem(self._job_id, self._bucket, done)


def open_results(
    s3: "S3Client",
    bucket: str,
    job_id: str,
    keys: Mapping[str, str],
    content_types: Mapping[str, str],
    *,
    sizes: Sizes = DEPLOYED,
) -> Results:
    """The job's results, as far as its last checkpoint has them; from the beginning where there is none to go on from.

    keys:           by name, each below results/{job_id}/, in the order in which the results are to appear.
    content_types:  by name.

    Uploads that earlier workers began, and no checkpoint knows, are aborted: only who holds the job may open it.
    Raises StoreUnavailable.
    """
    with asking("results", _problem(job_id, bucket, "opened in")):
        found = _read_checkpoint(s3, bucket, job_id)
        unfinished = _unfinished(s3, bucket, job_id)
        if found and found.saved and not _can_go_on(s3, bucket, found.saved, keys, unfinished):
            logger.warning("A job begins again, as its uploads are gone or have other names", job_id=job_id)
            found = found._replace(saved=None)
        uploads = {name: _Upload(key, content_types[name]) for name, key in keys.items()}
        if found and found.saved:
            _restore(uploads, found.saved, found.pending)
        known = {(upload.key, upload.upload_id) for upload in uploads.values()}
        _abort(s3, bucket, unfinished - known)
    return Results(s3, bucket, job_id, uploads, found, sizes=sizes)


def _read_checkpoint(s3: "S3Client", bucket: str, job_id: str) -> _Found | None:
    try:
        answer = s3.get_object(Bucket=bucket, Key=_checkpoint_key(job_id))
    except s3.exceptions.NoSuchKey:
        return None
    content = answer["Body"].read()
    if content.startswith(_NOTHING_SAVED):
        return _Found(answer["ETag"], None, b"")
    header, _, pending = content.partition(b"\n")
    try:
        saved = _Checkpoint.model_validate_json(header)
    except ValidationError:
        logger.error("A checkpoint cannot be read: its job begins again", job_id=job_id)
        return _Found(answer["ETag"], None, b"")
    return _Found(answer["ETag"], saved, pending)


def _can_go_on(
    s3: "S3Client", bucket: str, saved: _Checkpoint, keys: Mapping[str, str], unfinished: set[tuple[str, str]]
) -> bool:
    return {name: result.key for name, result in saved.results.items()} == dict(keys) and all(
        result.upload_id is None
        or (result.key, result.upload_id) in unfinished
        or (saved.completing and _is_there(s3, bucket, result.key, result.token, result.size))
        for result in saved.results.values()
    )


def _restore(uploads: Mapping[str, _Upload], saved: _Checkpoint, pending: bytes) -> None:
    start = 0
    for name, result in saved.results.items():
        upload = uploads[name]
        upload.upload_id, upload.token = result.upload_id, result.token
        upload.parts, upload.started, upload.size = result.parts, len(result.parts), result.size
        upload.pending = bytearray(pending[start : start + result.pending])
        start += result.pending


def _unfinished(s3: "S3Client", bucket: str, job_id: str) -> set[tuple[str, str]]:
    """(key, upload id) of the job's uploads that are neither completed nor aborted."""
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=f"results/{job_id}/")
    return {(upload["Key"], upload["UploadId"]) for page in pages for upload in page.get("Uploads", ())}


def _abort(s3: "S3Client", bucket: str, unfinished: set[tuple[str, str]]) -> None:
    for key, upload_id in unfinished:
        try:
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if _code(error) != "NoSuchUpload":
                raise


def _completed(number: int, part: _Part) -> "CompletedPartTypeDef":
    completed: CompletedPartTypeDef = {"PartNumber": number, "ETag": part.etag}
    if part.crc32:
        completed["ChecksumCRC32"] = part.crc32
    return completed


def _is_there(s3: "S3Client", bucket: str, key: str, token: str, size: int) -> bool:
    """Whether the object is what this very upload has become."""
    there = _head(s3, bucket, key)
    return there is not None and there["Metadata"].get(_TOKEN) == token and there["ContentLength"] == size


def _head(s3: "S3Client", bucket: str, key: str) -> Any:
    try:
        return s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if _code(error) not in ("404", "NoSuchKey"):
            raise
        return None


def _checkpoint_key(job_id: str) -> str:
    return f"jobs/{job_id}/checkpoint"


def _problem(job_id: str, bucket: str, done: str) -> str:
    return f"The results of job {job_id} could not be {done} the bucket {bucket}"


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]
