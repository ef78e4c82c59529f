"""HTTP at the edge, once for all functions: a request's body checked, an answer written, an exception made a status."""

import base64
import functools
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

import orjson
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ValidationError

from loyalty_ml import errors, telemetry
from loyalty_ml.contracts import MAX_BATCH, ErrorAnswer, PredictionType
from loyalty_ml.telemetry import logger

RequestT = TypeVar("RequestT", bound=BaseModel)

BASE_PATH = "/api/loyalty/v1"
MAX_BODY_BYTES = 1024 * 1024
"""Well over what a hundred ids can take; API Gateway itself refuses 10 MB."""

_STATUSES: Mapping[type[errors.LoyaltyError], int] = {
    errors.RequestError: 400,
    errors.PayloadTooLarge: 413,
    errors.NotFound: 404,
    errors.Unscorable: 422,
    errors.Unavailable: 503,
}

Event = dict[str, Any]
"""An API Gateway HTTP API event, payload version 2.0."""


def status_of(error: type[errors.LoyaltyError]) -> int:
    """The status of the nearest ancestor that has one."""
    return next(_STATUSES[kind] for kind in error.__mro__ if kind in _STATUSES)


def responses(answer: Any, *kinds: type[errors.LoyaltyError]) -> dict[int, Any]:
    """What a route's OpenAPI entry says of its answer and of the errors that it can give instead."""
    codes: dict[int, list[str]] = {}
    for kind in kinds:
        codes.setdefault(status_of(kind), []).append(f"`{kind.code}`")
    codes[500] = ["`INTERNAL`"]
    described: dict[int, Any] = {200: {"description": "OK", "content": {"application/json": {"model": answer}}}}
    for status, names in sorted(codes.items()):
        described[status] = {
            "description": ", ".join(names),
            "content": {"application/json": {"model": ErrorAnswer}},
        }
    return described


_PREDICTION_ERRORS = (
    errors.InvalidJson,
    errors.InvalidRequest,
    errors.UnknownType,
    errors.PayloadTooLarge,
    errors.ModelUnavailable,
    errors.FeatureStoreUnavailable,
)
SINGLE_ERRORS = (*_PREDICTION_ERRORS, errors.CustomerNotFound, errors.MissingFeatures, errors.InvalidFeatures)
BATCH_ERRORS = (*_PREDICTION_ERRORS, errors.BatchTooLarge)


def json_route(app: APIGatewayHttpResolver) -> Callable[[Callable[..., Any]], Callable[..., Response[str]]]:
    """Makes a function of a request model (or of nothing) into a route of `app` that reads and writes JSON.

    The function keeps its signature for the OpenAPI document. Done here rather than by the resolver's own validation,
    which costs three times as much a request and answers with its own errors.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Response[str]]:
        parameters = inspect.signature(function).parameters
        model = parameters["request"].annotation if "request" in parameters else None

        @functools.wraps(function)
        def route(**path_parameters: str) -> Response[str]:
            if model is not None:
                path_parameters["request"] = read_body(app.current_event.raw_event, model)
            answer = function(**path_parameters)
            telemetry.count_answer(answer)
            return _json_response(200, answer)

        return route

    return decorate


def entrypoint(app: APIGatewayHttpResolver) -> Callable[[Event, LambdaContext], dict[str, Any]]:
    """The Lambda handler of a resolver: routes, errors, correlation id, and the request's one line of log."""
    app.exception_handler(errors.LoyaltyError)(_answer_error)
    app.exception_handler(NotFoundError)(_answer_no_route)
    app.exception_handler(Exception)(_answer_bug)

    def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
        started = time.perf_counter()
        correlation_id = event["requestContext"]["requestId"]
        logger.set_correlation_id(correlation_id)
        if event["rawPath"].endswith("/"):  # each route answers with and without it
            event = {**event, "rawPath": event["rawPath"].rstrip("/")}
        response = app.resolve(event, context)
        response["headers"]["X-Correlation-Id"] = correlation_id
        telemetry.write_request(
            route=event.get("routeKey", ""),
            status=response["statusCode"],
            milliseconds=1000 * (time.perf_counter() - started),
            correlation_id=correlation_id,
        )
        return response

    return telemetry.traced(handler)


def read_body(event: Event, model: type[RequestT]) -> RequestT:
    """The event's body as a request model. Raises the RequestError that says what is wrong with it."""
    text: str = event.get("body") or ""
    try:
        body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    except UnicodeEncodeError as error:
        raise errors.InvalidJson("The body is not valid Unicode text.") from error
    if len(body) > MAX_BODY_BYTES:
        raise errors.PayloadTooLarge(f"The body is over {MAX_BODY_BYTES:,} bytes: send fewer customers in a request.")
    if not body:
        raise errors.InvalidJson("The request has no body: send a JSON object.")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _request_error(error) from error


def _request_error(error: ValidationError) -> errors.RequestError:
    problems = [
        (".".join(map(str, problem["loc"])), problem["type"], problem["msg"].removeprefix("Value error, "))
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    for field, kind, message in problems:
        if kind == "json_invalid":
            return errors.InvalidJson(f"The body is not JSON: {message.removeprefix('Invalid JSON: ')}.")
        if (field, kind) == ("customer_ids", "too_long"):
            return errors.BatchTooLarge(
                f"A batch has at most {MAX_BATCH} customer ids: split it into several requests.", {"limit": MAX_BATCH}
            )
    for field, _, message in problems:
        if field == "type":
            return errors.UnknownType(f"type: {message}.", {"types": list(get_args(PredictionType))})
    fields = [{"field": field or "body", "problem": message} for field, _, message in problems]
    sentence = "; ".join(f"{field or 'body'}: {message}" for field, _, message in problems[:3])
    return errors.InvalidRequest(f"The request is not valid: {sentence}.", {"fields": fields})


def _json_response(status: int, answer: Any) -> Response[str]:
    return Response(status, "application/json", orjson.dumps(answer).decode())


def _answer_error(error: errors.LoyaltyError) -> Response[str]:
    telemetry.count_failure(error.code)
    answer: ErrorAnswer = {"error": error.message, "code": error.code}
    if error.details:
        answer["details"] = dict(error.details)
    return _json_response(status_of(type(error)), answer)


def _answer_no_route(error: NotFoundError) -> Response[str]:
    return _answer_error(errors.RouteNotFound("There is no such route: openapi.json lists those that there are."))


def _answer_bug(error: Exception) -> Response[str]:
    logger.exception("A bug: an exception that nothing expected")
    telemetry.count_failure("INTERNAL")
    correlation_id = logger.get_correlation_id()
    answer: ErrorAnswer = {
        "error": f"Something went wrong on our side; the log has it under {correlation_id}.",
        "code": "INTERNAL",
        "details": {"correlation_id": correlation_id},
    }
    return _json_response(500, answer)
