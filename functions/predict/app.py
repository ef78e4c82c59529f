"""One customer's prediction, the two-form endpoint, status and health; the Open Inference Protocol."""

from collections.abc import Callable

from loyalty_ml.api import http, inference_routes
from loyalty_ml.api.contracts import HealthAnswer, StatusAnswer
from loyalty_ml.api.status import status_answer
from loyalty_ml.errors import BatchTooLarge
from loyalty_ml.scoring.contracts import (
    AllAnswer,
    AllBatchAnswer,
    BatchAnswer,
    PredictOrBatchRequest,
    PredictRequest,
    SingleAnswer,
)
from loyalty_ml.wiring import start
from loyalty_ml.wiring.predict import PredictParts
from loyalty_ml.wiring.settings import PredictSettings


def _one(
    parts: PredictParts, request: PredictRequest | PredictOrBatchRequest, customer_id: str
) -> SingleAnswer | AllAnswer:
    return parts.answer_one(
        request.type,
        customer_id,
        with_features=request.features,
        explain=request.explain,
        overrides=request.overrides,
    )


def make_app(parts: Callable[[], PredictParts]) -> http.Api:
    """The routes, over the parts of one deployment."""
    app = http.Api(lambda: parts().settings.access)

    @app.post(
        "/ml/predict",
        summary="Predict for one customer",
        responses=http.responses(SingleAnswer | AllAnswer, *http.SINGLE_ERRORS),
    )
    @http.json_route(app, "loyalty/predict")
    def predict(request: PredictRequest) -> SingleAnswer | AllAnswer:
        return _one(parts(), request, request.customer_id)

    @app.post(
        "/config/ml/test",
        summary="Predict for one customer, if the body has `customer_id`, or for up to 100, if it has `customer_ids`",
        responses=http.responses(
            SingleAnswer | BatchAnswer | AllAnswer | AllBatchAnswer, *http.SINGLE_ERRORS, BatchTooLarge
        ),
    )
    @http.json_route(app, "loyalty/predict")
    def predict_one_or_batch(
        request: PredictOrBatchRequest,
    ) -> SingleAnswer | BatchAnswer | AllAnswer | AllBatchAnswer:
        if request.customer_id is not None:
            return _one(parts(), request, request.customer_id)
        return parts().answer_batch(request.type, request.customer_ids or [], explain=request.explain)

    @app.get(
        "/config/ml/status",
        summary="Show the loaded models, their versions, and the age of the features",
        responses=http.responses(StatusAnswer),
    )
    @http.json_route(app, "loyalty/read")
    def status() -> StatusAnswer:
        own = parts()
        return status_answer(own.settings.ml_mock_mode, own.models.current(), own.read_snapshot_card)

    @app.get("/health", summary="Check that the function answers", responses=http.responses(HealthAnswer))
    @http.json_route(app, None)
    def health() -> HealthAnswer:
        return {"status": "ok"}

    inference_routes.add_routes(app, parts)
    return app


_parts = start.once(PredictParts, PredictSettings)
start.initialize(_parts, lambda parts: (parts.models, parts.customers))
handler = start.answering_golden(_parts, http.entrypoint(make_app(_parts)))
