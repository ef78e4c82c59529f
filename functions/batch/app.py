"""Predictions for up to a hundred customers in one request."""

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from loyalty_ml import http, runtime
from loyalty_ml.contracts import BatchAnswer, BatchRequest
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


handler = http.entrypoint(app)
