"""Predictions for up to a hundred customers in one request; jobs, which take longer than a request may; SQL."""

import uuid
from collections.abc import Callable
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from loyalty_ml import errors
from loyalty_ml.api import http, jobs, redshift, snowflake
from loyalty_ml.api.access import SIGNED
from loyalty_ml.files.source import options_of, upload_key
from loyalty_ml.jobs.contracts import (
    JobAnswer,
    JobListAnswer,
    JobRequest,
)
from loyalty_ml.jobs.idempotency import MAX_KEY_CHARACTERS
from loyalty_ml.jobs.record import REMOVAL_SECONDS, Job, JobStatus
from loyalty_ml.models import catalogue
from loyalty_ml.scoring.contracts import AllBatchAnswer, BatchAnswer, BatchRequest
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.vocabulary import PREDICTION_TYPES, FileFormat
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


_STARTED = http.error_responses(
    errors.InvalidJson,
    errors.UnsupportedMediaType,
    errors.InvalidRequest,
    errors.UnknownType,
    errors.PayloadTooLarge,
    errors.SegmentNotFound,
    errors.NoBaseline,
    errors.ModelUnavailable,
    errors.IdempotencyKeyReused,
    errors.StoreUnavailable,
)


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_KEY_CHARACTERS,
        description="A text of your own for this job: the same key and body within a day is the same job, and with "
        "another body it is 422",
    ),
]


def _announce(parts: BatchParts, job_id: str, extension: FileFormat, request: JobRequest) -> http.Reply:
    key = upload_key(request.type, job_id, extension)
    upload = parts.signer.upload(key)
    options = options_of(request.kept, explain=request.explain)
    asked = {"type": request.type, "format": extension, "key": key, **options}
    return jobs.upload_reply(parts.file_jobs.announce(job_id, asked), upload)


def _start(parts: BatchParts, request: JobRequest, job_id: str) -> http.Reply:
    """Starts the job of this id; one that was started is answered as it is. Raises JobNotFound if it was deleted."""
    if request.explain:  # or the job would fail where this can say so
        for each in PREDICTION_TYPES if request.type == "all" else (request.type,):
            scorer_for(each, parts.models.current(), parts.settings.ml_mock_mode).explainer()
    if request.segment_id is not None:
        return jobs.start_reply(_start_segment(parts, request.segment_id, request, job_id))
    if request.format is not None:
        return _announce(parts, job_id, request.format, request)
    assert request.prefix is not None
    started = parts.datasets.start(request.type, request.prefix, request.kept, job_id, explain=request.explain)
    return jobs.start_reply(started)


def _start_segment(parts: BatchParts, segment_id: str, request: JobRequest, job_id: str) -> Job:
    parts.segments.get(segment_id)
    if request.offer is not None:  # or the job would fail where this can say so
        offers = scorer_for("nbo", parts.models.current(), parts.settings.ml_mock_mode).offers
        catalogue.asked_place(offers, request.offer)
    ranking = {name: value for name in ("top", "offer", "include") if (value := getattr(request, name)) is not None}
    asked = {"type": request.type, "segment_id": segment_id, **ranking, **options_of((), explain=request.explain)}
    if request.format is None:
        return parts.queued_jobs.start("dataset", "segment_dataset", asked, job_id)
    key = upload_key(request.type, job_id, request.format)
    job = parts.file_jobs.announce(job_id, {**asked, "format": request.format, "key": key}, "queued")
    parts.queued_jobs.send("segment_file", job)
    return job


def make_app(parts: Callable[[], BatchParts]) -> http.Api:
    """The routes, over the parts of one deployment."""
    app = http.Api(lambda: parts().settings.access)

    @app.post(
        "/ml/predict/batch",
        summary="Predict for up to 100 customers; if one fails, the others are still answered",
        responses=http.responses(BatchAnswer | AllBatchAnswer, *http.BATCH_ERRORS),
    )
    @http.json_route(app, "loyalty/predict")
    def predict_batch(request: BatchRequest) -> BatchAnswer | AllBatchAnswer:
        return parts().answer_batch(request.type, request.customer_ids, explain=request.explain)

    @app.post(
        "/sql/<function>",
        summary="Answer a batch of rows of Snowflake's external functions",
        description="The function is one of those that `loyalty sql snowflake` prints. A row without an answer is "
        "null, and never fails the query. The body may be packed: `Content-Encoding` gzip or deflate.",
        responses=http.responses(
            snowflake.SnowflakeAnswer,
            errors.InvalidJson,
            errors.UnsupportedMediaType,
            errors.InvalidRequest,
            errors.PayloadTooLarge,
            errors.RouteNotFound,
            errors.ModelUnavailable,
            errors.FeatureStoreUnavailable,
        ),
    )
    @http.json_route(app, SIGNED, snowflake.read)
    def answer_rows(request: snowflake.SnowflakeRequest, function: str) -> snowflake.SnowflakeAnswer:
        return snowflake.answer(parts(), function, request)

    @app.post(
        "/ml/jobs",
        summary="Start a job that scores a file, many files, or every member of a segment, a row of results for each",
        description="With `format`, the answer is an address for the upload; the file is scored when it arrives. With "
        "`prefix`, the job scores every file of the data bucket whose key begins with it. With `segment_id`, it scores "
        "the segment's members, all or the `top` of them: as a dataset, or with `format` too as one file. A file that "
        "is put under incoming/{type}/ of the data bucket is scored without a request.",
        responses={
            **_STARTED,
            201: jobs.upload_response("The job waits for its file"),
            202: jobs.started_response("The job has begun"),
        },
    )
    @http.json_route(app, "loyalty/predict")
    def start_job(request: JobRequest, idempotency_key: IdempotencyKey = None) -> http.Reply:
        own = parts()
        if idempotency_key is None:
            return _start(own, request, uuid.uuid4().hex)
        if not 0 < len(idempotency_key) <= MAX_KEY_CHARACTERS:
            raise errors.InvalidRequest.of("Idempotency-Key", f"must have 1 to {MAX_KEY_CHARACTERS} characters")
        caller = http.caller(app.current_event.raw_event)
        body = request.model_dump_json()
        job_id = own.idempotency_keys.job_for(caller, idempotency_key, body)
        try:
            return _start(own, request, job_id)
        except errors.JobNotFound:  # it was deleted
            job_id = own.idempotency_keys.job_for(caller, idempotency_key, body, instead_of=job_id)
            return _start(own, request, job_id)
        except errors.LoyaltyError:
            own.idempotency_keys.release(caller, idempotency_key, job_id)
            raise

    @app.get(
        "/ml/jobs",
        summary="List jobs, newest first; jobs are kept for 30 days",
        responses=http.responses(JobListAnswer, errors.InvalidRequest, errors.StoreUnavailable),
    )
    @http.json_route(app, "loyalty/read")
    def list_jobs(limit: Limit = 20, status: Status = None, token: Next = None) -> JobListAnswer:
        page, following = parts().jobs.list(limit, status, token)
        return {"jobs": [jobs.list_entry(job) for job in page], "next": following}

    @app.get(
        "/ml/jobs/<job_id>",
        summary="A job: its progress and, when it is finished, its answer or results; jobs are kept for 30 days",
        responses={
            **http.responses(JobAnswer, errors.JobNotFound, errors.PayloadTooLarge, errors.StoreUnavailable),
            200: jobs.job_response(),
        },
    )
    @http.json_route(app, "loyalty/read")
    def job(job_id: str) -> http.Reply:
        own = parts()
        return jobs.job_reply(own.jobs.get(job_id), own.jobs.answer, own.signer.download)

    @app.delete(
        "/ml/jobs/<job_id>",
        summary="Stop a job, and remove it with all that it made",
        description="Who works on it stops within seconds, and what it made is removed a little later. The files that "
        "were scored stay.",
        responses=http.responses(None, errors.JobNotFound, errors.StoreUnavailable),
    )
    @http.json_route(app, "loyalty/predict")
    def delete_job(job_id: str) -> http.Reply:
        own = parts()
        job = own.jobs.delete(job_id)
        if job.kind == "dataset":
            own.datasets.stop(job_id)
        task = {"task": "remove", "job_id": job_id, "kind": job.kind, "request": dict(job.request)}
        own.segment_queue.send(task, delay_seconds=REMOVAL_SECONDS)
        return http.Reply(None, 204)

    return app


_parts = start.once(BatchParts, BatchSettings)
start.initialize(_parts, lambda parts: (parts.models, parts.customers))
handler = start.answering_golden(_parts, redshift.answering(_parts, http.entrypoint(make_app(_parts))))
