"""What a deleted job has made is removed: results, checkpoints, unfinished uploads, a segment's members as files.

The job's record (jobs/store.py) has stopped whoever worked on it. All here may be done twice.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from loyalty_ml.aws.errors import asking
from loyalty_ml.datasets.start import SEGMENT_COPIES
from loyalty_ml.errors import JobNotFound
from loyalty_ml.files.object_versions import NO_VERSION
from loyalty_ml.files.source import FileSource, job_id_of
from loyalty_ml.files.uploads import abort_uploads, unfinished_uploads
from loyalty_ml.jobs.record import JobKind
from loyalty_ml.jobs.store import JobStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Removal:
    """Removes from one data bucket. Every method raises StoreUnavailable if AWS does not do its part."""

    def __init__(self, jobs: JobStore, s3: "S3Client", *, bucket: str) -> None:
        self._jobs = jobs
        self._s3 = s3
        self._bucket = bucket

    def remove(self, job_id: str, kind: JobKind, request: Mapping[str, Any]) -> None:
        """request: as the job's record had it. The files that were scored stay: they are the user's."""
        if kind == "dataset":
            members = f"{SEGMENT_COPIES}{job_id}/"
            for source in self._files_below(request.get("prefix") or members):
                file_job = job_id_of(source, job_id)
                with suppress(JobNotFound):  # never begun, or deleted by an attempt before
                    self._jobs.delete(file_job)
                self._remove_results(file_job)
            self._remove_below(members)
        if kind == "file" and "segment_id" in request:
            self._remove_below(request["key"])
        self._remove_results(job_id)

    def _remove_results(self, job_id: str) -> None:
        with asking("results", f"What job {job_id} has made cannot be removed from the data bucket"):
            abort_uploads(self._s3, self._bucket, unfinished_uploads(self._s3, self._bucket, job_id))
        for folder in ("results", "jobs"):
            self._remove_below(f"{folder}/{job_id}/")

    def _remove_below(self, prefix: str) -> None:
        with asking("results", f"What is below {prefix} cannot be removed from the data bucket"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                if found := page.get("Contents"):
                    self._s3.delete_objects(
                        Bucket=self._bucket,
                        Delete={"Objects": [{"Key": entry["Key"]} for entry in found], "Quiet": True},
                    )

    def _files_below(self, prefix: str) -> Iterator[FileSource]:
        """Every version that a dataset's job may have scored."""
        with asking("results", f"What is below {prefix} cannot be listed in the data bucket"):
            for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix):
                for version in page.get("Versions", []):
                    version_id = None if version["VersionId"] == NO_VERSION else version["VersionId"]
                    yield FileSource(
                        self._bucket, version["Key"], version_id, version["ETag"].strip('"'), version["Size"]
                    )
