"""Predictions for up to a hundred customers in one request; jobs, which take longer than a request may."""

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from loyalty_ml import errors, http, runtime
from loyalty_ml.contracts import BatchAnswer, BatchRequest, JobAnswer
from loyalty_ml.predictions import batch_answer

app = APIGatewayHttpResolver(strip_prefixes=[http.BASE_PATH])


@app.post(
    "/ml/predict/batch",
    summary="Predict for up to a hundred customers; one that fails does not stop the others",
    responses=http.responses(BatchAnswer, *http.BATCH_ERRORS),
)
@http.json_route(app)
def predict_batch(request: BatchRequest) -> BatchAnswer:
    return batch_answer(request.customer_ids, runtime.predict(request.type, request.customer_ids))


@app.get(
    "/ml/jobs/<job_id>",
    summary="How far a job is, and its answer once there is one; jobs are kept for 30 days",
    responses=http.responses(JobAnswer, errors.JobNotFound, errors.FeatureStoreUnavailable),
)
@http.json_route(app)
def job(job_id: str) -> JobAnswer:
    jobs = runtime.job_store()
    record = jobs.get(job_id)
    described: JobAnswer = {
        "job_id": record.job_id,
        "status": record.status,
        "created": record.created,
        "updated": record.updated,
        "progress": {"processed": record.processed, "total": record.total},
        "request": dict(record.request),
    }
    if record.status == "succeeded":
        described["answer"] = jobs.answer(job_id)
    if record.error is not None and record.code is not None:
        described["error"] = record.error
        described["code"] = record.code
    return described


handler = http.entrypoint(app)
