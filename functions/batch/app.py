"""Predictions for up to a hundred customers in one request; jobs, which take longer than a request may."""

import uuid
from collections.abc import Callable
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from loyalty_ml import errors
from loyalty_ml.api import http, jobs
from loyalty_ml.files.source import upload_key
from loyalty_ml.jobs import presigned
from loyalty_ml.jobs.contracts import (
    JobAnswer,
    JobListAnswer,
    JobRequest,
    JobStarted,
)
from loyalty_ml.jobs.record import JobStatus
from loyalty_ml.scoring.contracts import BatchAnswer, BatchRequest
from loyalty_ml.scoring.predictions import batch_answer
from loyalty_ml.vocabulary import FileFormat, FileType
from loyalty_ml.wiring import start
from loyalty_ml.wiring.batch import BatchParts
from loyalty_ml.wiring.settings import BatchSettings

Limit = Annotated[int, Query(ge=1, le=100, description="The most jobs on a page")]
Status = Annotated[
    JobStatus | None,
    Query(
        description="Only jobs with this status; a page can then have fewer than `limit`, even none, and still a `next`"
    ),
]
Next = Annotated[str | None, Query(alias="next", description="Page token: `next` of the page before")]


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


def _announce(parts: BatchParts, prediction_type: FileType, extension: FileFormat, keep: tuple[str, ...]) -> http.Reply:
    job_id = uuid.uuid4().hex
    key = upload_key(prediction_type, job_id, extension)
    upload = presigned.upload(parts.signing_s3, parts.settings.data_bucket, key)
    request = {"type": prediction_type, "format": extension, "key": key, **({"keep": keep} if keep else {})}
    return jobs.upload_reply(parts.file_jobs.announce(job_id, request), upload)


def make_app(parts: Callable[[], BatchParts]) -> APIGatewayHttpResolver:
    """The routes, over the parts of one deployment."""
    app = APIGatewayHttpResolver(strip_prefixes=[http.BASE_PATH])

    @app.post(
        "/ml/predict/batch",
        summary="Predict for up to 100 customers; if one fails, the others are still answered",
        responses=http.responses(BatchAnswer, *http.BATCH_ERRORS),
    )
    @http.json_route(app)
    def predict_batch(request: BatchRequest) -> BatchAnswer:
        return batch_answer(request.customer_ids, parts().predict(request.type, request.customer_ids))

    @app.post(
        "/ml/jobs",
        summary="Start a job that scores a file, many files, or every member of a segment, a row of results for each",
        description="With `format`, the answer is an address for the upload; the file is scored when it arrives. With "
        "`prefix`, the job scores every file of the data bucket whose key begins with it. With `segment_id`, it scores "
        "the segment's members. A file that is put under incoming/{type}/ of the data bucket is scored without a "
        "request.",
        responses={
            **_STARTED,
            201: jobs.upload_response("The job waits for its file"),
            202: jobs.started_response("The job has begun"),
        },
    )
    @http.json_route(app)
    def start_job(request: JobRequest) -> http.Reply:
        own = parts()
        if request.format is not None:
            return _announce(own, request.type, request.format, request.kept)
        if request.prefix is not None:
            return jobs.start_reply(own.datasets.start(request.type, request.prefix, request.kept))
        assert request.segment_id is not None
        own.segments.get(request.segment_id)
        asked = {"type": request.type, "segment_id": request.segment_id}
        return jobs.start_reply(own.queued_jobs.start("dataset", "segment_dataset", asked))

    @app.get(
        "/ml/jobs",
        summary="List jobs, newest first; jobs are kept for 30 days",
        responses=http.responses(JobListAnswer, errors.InvalidRequest, errors.StoreUnavailable),
    )
    @http.json_route(app)
    def list_jobs(limit: Limit = 20, status: Status = None, token: Next = None) -> JobListAnswer:
        page, following = parts().jobs.list(limit, status, token)
        return {"jobs": [jobs.list_entry(job) for job in page], "next": following}

    @app.get(
        "/ml/jobs/<job_id>",
        summary="A job: its progress and, when it is finished, its answer or results; jobs are kept for 30 days",
        responses=http.responses(JobAnswer, errors.JobNotFound, errors.PayloadTooLarge, errors.StoreUnavailable),
    )
    @http.json_route(app)
    def job(job_id: str) -> JobAnswer:
        own = parts()

        def sign_url(key: str, name: str) -> str:
            return presigned.download(own.signing_s3, own.settings.data_bucket, key, name)

        return jobs.job_answer(own.jobs.get(job_id), own.jobs.answer, sign_url)

    return app


_parts = start.once(BatchParts, BatchSettings)
start.initialize(_parts, lambda parts: (parts.models, parts.customers))
handler = http.entrypoint(make_app(_parts))
