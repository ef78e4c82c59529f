"""Jobs over HTTP: the answers that start one, and those that show it."""

from collections.abc import Callable
from typing import Any, cast

from loyalty_ml.api.http import BASE_PATH, Reply
from loyalty_ml.jobs.contracts import JobAnswer, JobListed, JobStarted, ResultFile, UploadAwaited
from loyalty_ml.jobs.presigned import MAX_UPLOAD_BYTES, Upload
from loyalty_ml.jobs.record import Job
from loyalty_ml.vocabulary import rfc3339

RETRY_SECONDS = 2
"""Until a job that has begun is worth a look."""

_LOCATION = {"description": "The job's address", "schema": {"type": "string"}}
_RETRY_AFTER = {"description": "Seconds to wait before the first look at the job", "schema": {"type": "integer"}}


def upload_response(description: str) -> Any:
    """The OpenAPI entry of `upload_reply`."""
    return _response(UploadAwaited, description, Location=_LOCATION)


def started_response(description: str) -> Any:
    """The OpenAPI entry of `start_reply`."""
    return _response(JobStarted, description, **{"Location": _LOCATION, "Retry-After": _RETRY_AFTER})


def start_reply(job: Job) -> Reply:
    """202: the job runs, and the caller has nothing more to do."""
    answer = _start_answer(job)
    return Reply(answer, 202, {"Location": answer["location"], "Retry-After": str(RETRY_SECONDS)})


def upload_reply(job: Job, upload: Upload) -> Reply:
    """201: the job waits for its file, and `upload` is where the caller sends it."""
    answer: UploadAwaited = {
        **_start_answer(job),
        "upload": {
            "method": "POST",
            "url": upload.url,
            "fields": upload.fields,
            "max_bytes": MAX_UPLOAD_BYTES,
            "expires": rfc3339(upload.expires),
        },
    }
    return Reply(answer, 201, {"Location": answer["location"]})


def list_entry(job: Job) -> JobListed:
    """A job as the listing shows it; only jobs of files count errors, share and rate."""
    entry: JobListed = {
        "job_id": job.job_id,
        "kind": job.kind,
        "status": job.status,
        "created": job.created,
        "updated": job.updated,
        "progress": {"processed": job.processed, "total": job.total},
        "request": dict(job.request),
    }
    if job.error is not None and job.code is not None:
        entry["error"] = job.error
        entry["code"] = job.code
    if job.kind != "segment":
        entry["progress"] |= {"errors": job.errors, "share": job.share, "rate": job.rate}
    return entry


def job_answer(
    job: Job, read_answer: Callable[[str], dict[str, Any]], sign_url: Callable[[str, str], str]
) -> JobAnswer:
    """A job with all that it came to.

    read_answer:  the stored answer of a job id; called only for a job that succeeded without files.
    sign_url:     a presigned URL for an object's key, under which name it is saved.
    """
    answer = cast("JobAnswer", list_entry(job))
    if job.summary is not None:
        answer["summary"] = dict(job.summary)
        answer["results"] = {
            name: ResultFile(key=key, url=sign_url(key, f"{job.job_id}-{key.rpartition('/')[2]}"))
            for name, key in job.summary["files"].items()
        }
    elif job.status == "succeeded":
        answer["answer"] = read_answer(job.job_id)
    return answer


def _start_answer(job: Job) -> JobStarted:
    return {"job_id": job.job_id, "status": job.status, "location": f"{BASE_PATH}/ml/jobs/{job.job_id}"}


def _response(answer: Any, description: str, **headers: Any) -> Any:
    return {
        "description": description,
        "content": {"application/json": {"model": answer}},
        "headers": headers,
    }
