"""Predictions for up to a hundred customers in one request; jobs, which take longer than a request may."""

import uuid
from collections.abc import Callable
from typing import Annotated, cast

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from loyalty_ml import errors
from loyalty_ml.api import http
from loyalty_ml.files.source import upload_key
from loyalty_ml.jobs import presigned
from loyalty_ml.jobs.contracts import (
    JobAnswer,
    JobListAnswer,
    JobListed,
    JobRequest,
    JobStarted,
    ResultFile,
    UploadAwaited,
)
from loyalty_ml.jobs.record import Job, JobStatus
from loyalty_ml.scoring.contracts import BatchAnswer, BatchRequest
from loyalty_ml.scoring.predictions import batch_answer
from loyalty_ml.vocabulary import FileFormat, FileType, rfc3339
from loyalty_ml.wiring import start
from loyalty_ml.wiring.batch import BatchParts
from loyalty_ml.wiring.settings import BatchSettings

Limit = Annotated[int, Query(ge=1, le=100, description="At most this many jobs")]
Status = Annotated[
    JobStatus | None,
    Query(
        description="Only jobs of this status: then a page may hold fewer than `limit`, even none, yet have a `next`"
    ),
]
Next = Annotated[str | None, Query(alias="next", description="`next` of the page before")]


_STARTED = http.responses(
    JobStarted,
    errors.InvalidJson,
    errors.InvalidRequest,
    errors.UnknownType,
    errors.PayloadTooLarge,
    errors.SegmentNotFound,
    errors.StoreUnavailable,
)
del _STARTED[200]


def _announce(parts: BatchParts, prediction_type: FileType, extension: FileFormat) -> http.Reply:
    job_id = uuid.uuid4().hex
    key = upload_key(prediction_type, job_id, extension)
    upload = presigned.upload(parts.signing_s3, parts.settings.data_bucket, key)
    request = {"type": prediction_type, "format": extension, "key": key}
    record = parts.file_jobs.announce(job_id, request)
    location = http.job_location(job_id)
    answer: UploadAwaited = {
        "job_id": job_id,
        "status": record.status,
        "location": location,
        "upload": {
            "method": "POST",
            "url": upload.url,
            "fields": upload.fields,
            "max_bytes": presigned.MAX_UPLOAD_BYTES,
            "expires": rfc3339(upload.expires),
        },
    }
    return http.Reply(answer, 201, {"Location": location})


def _listed(record: Job) -> JobListed:
    described: JobListed = {
        "job_id": record.job_id,
        "kind": record.kind,
        "status": record.status,
        "created": record.created,
        "updated": record.updated,
        "progress": {"processed": record.processed, "total": record.total},
        "request": dict(record.request),
    }
    if record.kind != "segment":
        described["progress"] |= {"errors": record.errors, "share": record.share, "rate": record.rate}
    return described


def _result(parts: BatchParts, job_id: str, key: str) -> ResultFile:
    name = f"{job_id}-{key.rpartition('/')[2]}"
    return {"key": key, "url": presigned.download(parts.signing_s3, parts.settings.data_bucket, key, name)}


def make_app(parts: Callable[[], BatchParts]) -> APIGatewayHttpResolver:
    """The routes, over the parts of one deployment."""
    app = APIGatewayHttpResolver(strip_prefixes=[http.BASE_PATH])

    @app.post(
        "/ml/predict/batch",
        summary="Predict for up to a hundred customers; one that fails does not stop the others",
        responses=http.responses(BatchAnswer, *http.BATCH_ERRORS),
    )
    @http.json_route(app)
    def predict_batch(request: BatchRequest) -> BatchAnswer:
        return batch_answer(request.customer_ids, parts().predict(request.type, request.customer_ids))

    @app.post(
        "/ml/jobs",
        summary="Score a file, a prefix of many files, or every member of a segment, with a row of results for each",
        description="With `format`: an address to upload the file to, which is then scored. With `prefix`: every file "
        "below it in the data bucket. With `segment_id`: its members. A file put under incoming/{type}/ of the data "
        "bucket needs no request at all.",
        responses={
            **_STARTED,
            201: http.started_response(UploadAwaited, "The job waits for its file"),
            202: http.started_response(JobStarted, "The job has begun", **{"Retry-After": http.RETRY_AFTER}),
        },
    )
    @http.json_route(app)
    def start_job(request: JobRequest) -> http.Reply:
        own = parts()
        if request.format is not None:
            return _announce(own, request.type, request.format)
        if request.prefix is not None:
            return http.job_started(own.datasets.start(request.type, request.prefix))
        assert request.segment_id is not None
        own.segments.get(request.segment_id)
        asked = {"type": request.type, "segment_id": request.segment_id}
        return http.job_started(own.queued_jobs.start("dataset", "segment_dataset", asked))

    @app.get(
        "/ml/jobs",
        summary="Jobs, the newest first; they are kept for 30 days",
        responses=http.responses(JobListAnswer, errors.InvalidRequest, errors.StoreUnavailable),
    )
    @http.json_route(app)
    def list_jobs(limit: Limit = 20, status: Status = None, token: Next = None) -> JobListAnswer:
        jobs, following = parts().jobs.list(limit, status, token)
        return {"jobs": [_listed(job) for job in jobs], "next": following}

    @app.get(
        "/ml/jobs/<job_id>",
        summary="How far a job is, and its answer or results once there are any; jobs are kept for 30 days",
        responses=http.responses(JobAnswer, errors.JobNotFound, errors.PayloadTooLarge, errors.StoreUnavailable),
    )
    @http.json_route(app)
    def job(job_id: str) -> JobAnswer:
        jobs = parts().jobs
        record = jobs.get(job_id)
        described = cast("JobAnswer", _listed(record))
        if record.summary is not None:
            described["summary"] = dict(record.summary)
            described["results"] = {
                name: _result(parts(), job_id, key) for name, key in record.summary["files"].items()
            }
        elif record.status == "succeeded":
            described["answer"] = jobs.answer(job_id)
        if record.error is not None and record.code is not None:
            described["error"] = record.error
            described["code"] = record.code
        return described

    return app


_parts = start.once(BatchParts, BatchSettings)
start.initialize(_parts, lambda parts: (parts.models, parts.customers))
handler = http.entrypoint(make_app(_parts))
