"""The routes of the Open Inference Protocol, version 2, with its own form of errors."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol

from aws_lambda_powertools.event_handler import Response

from loyalty_ml import errors, telemetry
from loyalty_ml.api import http, inference, reading
from loyalty_ml.api.access import Scope
from loyalty_ml.api.inference_contracts import (
    InferenceAnswer,
    InferenceError,
    InferenceRequest,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from loyalty_ml.models.store import MODEL_OUTPUTS, LoadedModel, ModelStore

SERVER: ServerMetadata = {"name": "loyalty-ml", "version": "1", "extensions": ["binary_tensor_data"]}
SCOPE: Scope = "loyalty/predict"
NOT_READY = 400
"""The protocol says no by a status of 4xx."""
_METADATA = "Show what a model takes and gives"
_READY = "Check that a model can answer"
_INFER = "Score raw features with a model"
_EXACT = (
    "The numbers are those of a prediction for a customer with the same features, to the bit. A row with a value "
    "outside its feature's domain fails the request, because the protocol has no error of one row."
)


class Parts(Protocol):
    """What the routes need of a deployment."""

    @property
    def settings(self) -> Any: ...  # one with ml_mock_mode
    @property
    def models(self) -> ModelStore: ...


def add_routes(app: http.Api, parts: Callable[[], Parts]) -> None:
    """Adds the protocol's routes to a function's."""
    route = _route(app)
    metadata_responses = _responses(ModelMetadata, errors.ModelVersionNotFound, errors.ModelUnavailable)
    ready_responses = {**_responses(ModelReady, errors.ModelVersionNotFound), NOT_READY: _not_ready(ModelReady)}
    infer_responses = _responses(
        InferenceAnswer,
        errors.InvalidJson,
        errors.InvalidRequest,
        errors.PayloadTooLarge,
        errors.ModelVersionNotFound,
        errors.InvalidFeatures,
        errors.ModelUnavailable,
    )

    def active(name: str, version: str | None = None) -> LoadedModel:
        own = parts()
        return inference.active_model(own.models.current(), own.settings.ml_mock_mode, name, version)

    @app.get("/v2", summary="Name the server and its extensions", responses=_responses(ServerMetadata))
    @route
    def server_metadata() -> ServerMetadata:
        return SERVER

    @app.get("/v2/health/live", summary="Check that the server lives", responses=_responses(ServerLive))
    @route
    def server_live() -> ServerLive:
        return {"live": True}

    @app.get(
        "/v2/health/ready",
        summary="Check that every model can answer",
        responses={**_responses(ServerReady), NOT_READY: _not_ready(ServerReady)},
    )
    @route
    def server_ready() -> http.Reply:
        is_ready = all(_is_ready(active, name, None) for name in MODEL_OUTPUTS)
        return http.Reply({"ready": is_ready}, 200 if is_ready else NOT_READY)

    @app.get("/v2/models/<name>", summary=_METADATA, responses=metadata_responses)
    @route
    def model_metadata(name: str) -> ModelMetadata:
        return inference.metadata(active(name))

    @app.get(
        "/v2/models/<name>/versions/<version>", summary=f"{_METADATA}, by its version", responses=metadata_responses
    )
    @route
    def model_version_metadata(name: str, version: str) -> ModelMetadata:
        return inference.metadata(active(name, version))

    @app.get("/v2/models/<name>/ready", summary=_READY, responses=ready_responses)
    @route
    def model_ready(name: str) -> http.Reply:
        is_ready = _is_ready(active, name, None)
        return http.Reply({"name": name, "ready": is_ready}, 200 if is_ready else NOT_READY)

    @app.get(
        "/v2/models/<name>/versions/<version>/ready", summary=f"{_READY}, by its version", responses=ready_responses
    )
    @route
    def model_version_ready(name: str, version: str) -> http.Reply:
        is_ready = _is_ready(active, name, version)
        return http.Reply({"name": name, "ready": is_ready}, 200 if is_ready else NOT_READY)

    @app.post("/v2/models/<name>/infer", summary=_INFER, description=_EXACT, responses=infer_responses)
    @route
    def infer(request: InferenceRequest, name: str) -> Response[Any]:
        return _inferred(inference.infer(active(name), request))

    @app.post(
        "/v2/models/<name>/versions/<version>/infer",
        summary=f"{_INFER}, by its version",
        description=_EXACT,
        responses=infer_responses,
    )
    @route
    def infer_version(request: InferenceRequest, name: str, version: str) -> Response[Any]:
        return _inferred(inference.infer(active(name, version), request))


def _is_ready(active: Callable[..., object], name: str, version: str | None) -> bool:
    """Raises ModelVersionNotFound."""
    try:
        active(name, version)
    except errors.ModelUnavailable:
        return False
    return True


def _route(app: http.Api) -> Callable[[Callable[..., Any]], Callable[..., Response[Any]]]:
    """Makes a function into a route of the protocol, as `json_route` makes one of the others.

    The body need not be said to be JSON: Triton's client says nothing of it. Such a route changes nothing, so a page of
    another site has nothing of a request that it may send.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Response[Any]]:
        reads_body = "request" in inspect.signature(function).parameters

        @functools.wraps(function)
        def route(**arguments: Any) -> Response[Any]:
            event = app.current_event.raw_event
            try:
                app.access().check(event, SCOPE)
                reading.read_query(event, {})
                if reads_body:
                    header_bytes = event["headers"].get(inference.HEADER_LENGTH.lower())
                    arguments["request"] = inference.parse_request(reading.body_of(event), header_bytes)
                answer = function(**arguments)
            except errors.LoyaltyError as error:
                return _error(error)
            if isinstance(answer, Response):
                return answer
            reply = answer if isinstance(answer, http.Reply) else http.Reply(answer)
            return Response(reply.status, "application/json", http.json_text(reply.answer))

        route.scope = SCOPE  # type: ignore[attr-defined]
        return route

    return decorate


def _inferred(inferred: inference.Inference) -> Response[Any]:
    text = http.json_text(inferred.answer)
    size = http.size_in_json(text) + 4 * len(inferred.binary) // 3
    if size > http.MAX_ANSWER_BYTES:
        raise errors.PayloadTooLarge(
            f"The answer has {size:,} bytes, but Lambda sends at most {http.MAX_ANSWER_BYTES:,}: send fewer rows."
        )
    if not inferred.binary:
        return Response(200, "application/json", text)
    content = text.encode()
    headers = {inference.HEADER_LENGTH: str(len(content))}
    return Response(200, "application/octet-stream", content + inferred.binary, headers)


def _error(error: errors.LoyaltyError) -> Response[Any]:
    """The protocol's form of an error, with the headers and the count of the others."""
    telemetry.count_failure(error.code)
    answer: InferenceError = {"error": error.message}
    return Response(http.status_of(type(error)), "application/json", http.json_text(answer), http.error_headers(error))


def _responses(answer: Any, *kinds: type[errors.LoyaltyError]) -> dict[int, Any]:
    entries = http.responses(answer, *kinds)
    for status, entry in entries.items():
        if 400 <= status < 500 or status == 503:
            entry["content"] = {"application/json": {"model": InferenceError}}
    return entries


def _not_ready(answer: Any) -> Any:
    """Beside the error of a query parameter that the route does not have, which has the same status."""
    return {
        "description": "`INVALID_REQUEST`, or a model cannot answer",
        "content": {"application/json": {"model": answer | InferenceError}},
    }
