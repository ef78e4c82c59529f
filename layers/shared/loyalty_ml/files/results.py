"""A job's results in S3, which appear only whole, and which the next worker goes on with from a checkpoint.

results/{job_id}/...        multipart uploads: nothing is there before all of all results is uploaded (uploads.py)
jobs/{job_id}/checkpoint    what the uploads are known by, and the bytes that are in no part yet (checkpoint.py)

Parts are cut from a result's bytes by their number alone. So a worker that goes on from a checkpoint uploads again,
under the same numbers, what the one before had uploaded since, and from the results it cannot be told who wrote them.
"""

import uuid
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from loyalty_ml.aws.errors import asking, unavailable
from loyalty_ml.errors import InvalidFile
from loyalty_ml.files.checkpoint import (
    NOTHING_SAVED,
    Checkpoint,
    StoredCheckpoint,
    checkpoint_body,
    checkpoint_key,
    read_checkpoint,
    replace_checkpoint,
    restore_uploads,
)
from loyalty_ml.files.sizes import DEPLOYED, Sizes
from loyalty_ml.files.uploads import (
    TOKEN,
    Part,
    Upload,
    abort_uploads,
    completed_part,
    error_code,
    is_uploaded,
    unfinished_uploads,
)
from loyalty_ml.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

THREADS = 2
"""Parts that are uploaded at a time."""
MOST_RUNNING = 3
"""Parts in memory, uploading or waiting for it: append waits where there would be more."""


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
        uploads: Mapping[str, Upload],
        stored: StoredCheckpoint | None,
        *,
        sizes: Sizes,
    ) -> None:
        saved = stored.checkpoint if stored else None
        self._s3 = s3
        self._bucket = bucket
        self._job_id = job_id
        self._uploads = uploads
        self._sizes = sizes
        self._checkpoint_etag = stored.etag if stored else None
        self._running: deque[tuple[Upload, Future[Part]]] = deque()
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
            self._replace_checkpoint(NOTHING_SAVED + token.encode(), token)

    def abort(self) -> None:
        """Gives up for good: no upload and no checkpoint of the job are left. Results that have appeared stay."""
        self.close()
        abandon_results(self._s3, self._bucket, self._job_id)

    def _send(self, upload: Upload, size: int) -> None:
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
                    Metadata={TOKEN: upload.token},
                )
            upload.upload_id = answer["UploadId"]
        self._settle(MOST_RUNNING - 1)
        body = bytes(memoryview(upload.pending)[:size])
        del upload.pending[:size]
        upload.started = number
        self._running.append((upload, self._pool.submit(self._upload_part, upload.key, upload.upload_id, number, body)))

    def _upload_part(self, key: str, upload_id: str, number: int, body: bytes) -> Part:
        with asking("results", self._problem("written to")):
            answer = self._s3.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body,
                ChecksumAlgorithm="CRC32",
            )
        return Part(etag=answer["ETag"], crc32=answer.get("ChecksumCRC32"))

    def _settle(self, most: int) -> None:
        """Waits until at most so many parts are on their way. What failed stays first, to be raised each time."""
        while len(self._running) > most:
            upload, part = self._running[0]
            upload.parts.append(part.result())
            self._running.popleft()

    def _save(self, position: Mapping[str, Any], *, completing: bool) -> None:
        token = uuid.uuid4().hex
        body = checkpoint_body(self._uploads, position, token, completing=completing)
        with asking("results", self._problem("saved in")):
            self._replace_checkpoint(body, token)
        self.position, self.completing = dict(position), completing

    def _replace_checkpoint(self, body: bytes, token: str) -> None:
        self._checkpoint_etag = replace_checkpoint(
            self._s3, self._bucket, self._job_id, body, token=token, etag=self._checkpoint_etag
        )

    def _complete(self, upload: Upload) -> None:
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
                MultipartUpload={
                    "Parts": [completed_part(number, part) for number, part in enumerate(upload.parts, 1)]
                },
            )
        except ClientError as error:
            if error_code(error) == "InvalidPart":
                # A worker that was given up for dead has written over it: nobody can complete this upload any more.
                self.abort()
                raise unavailable("results", self._problem("completed in"), "InvalidPart") from error
            if error_code(error) != "NoSuchUpload":
                raise
            if not is_uploaded(self._s3, self._bucket, upload.key, upload.token, upload.size):
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
        stored = read_checkpoint(s3, bucket, job_id)
        unfinished = unfinished_uploads(s3, bucket, job_id)
        if stored and stored.checkpoint and not _can_go_on(s3, bucket, stored.checkpoint, keys, unfinished):
            logger.warning("A job begins again, as its uploads are gone or have other names", job_id=job_id)
            stored = stored._replace(checkpoint=None)
        uploads = {name: Upload(key, content_types[name]) for name, key in keys.items()}
        if stored and stored.checkpoint:
            restore_uploads(uploads, stored.checkpoint, stored.pending)
        known = {(upload.key, upload.upload_id) for upload in uploads.values()}
        abort_uploads(s3, bucket, unfinished - known)
    return Results(s3, bucket, job_id, uploads, stored, sizes=sizes)


def abandon_results(s3: "S3Client", bucket: str, job_id: str) -> None:
    """Leaves no upload and no checkpoint of the job: for who holds it. Raises StoreUnavailable."""
    with asking("results", _problem(job_id, bucket, "given up in")):
        abort_uploads(s3, bucket, unfinished_uploads(s3, bucket, job_id))
        s3.delete_object(Bucket=bucket, Key=checkpoint_key(job_id))


def _can_go_on(
    s3: "S3Client", bucket: str, saved: Checkpoint, keys: Mapping[str, str], unfinished: set[tuple[str, str]]
) -> bool:
    return {name: result.key for name, result in saved.results.items()} == dict(keys) and all(
        result.upload_id is None
        or (result.key, result.upload_id) in unfinished
        or (saved.completing and is_uploaded(s3, bucket, result.key, result.token, result.size))
        for result in saved.results.values()
    )


def _problem(job_id: str, bucket: str, done: str) -> str:
    return f"The results of job {job_id} could not be {done} the bucket {bucket}"
