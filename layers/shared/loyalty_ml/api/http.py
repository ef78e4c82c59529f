"""HTTP at the edge, once for all functions: a request's body checked, an answer written, an exception made a status."""

import base64
import functools
import inspect
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import orjson
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, TypeAdapter, ValidationError

from loyalty_ml import errors, telemetry
from loyalty_ml.api.access import Access, Scope, Signed, claims_of
from loyalty_ml.api.contracts import ErrorAnswer
from loyalty_ml.aws.budget import RESERVE_SECONDS, WAIT_SECONDS, Budget, spending
from loyalty_ml.scoring.contracts import MAX_BATCH
from loyalty_ml.telemetry import logger
from loyalty_ml.vocabulary import problem_in

RequestT = TypeVar("RequestT", bound=BaseModel)

BASE_PATH = "/api/loyalty/v1"
MAX_BODY_BYTES = 1024 * 1024
"""Well over what a hundred ids can take; API Gateway itself refuses 10 MB."""
MAX_ANSWER_BYTES = 6 * 1024 * 1024 + 100 - 4096
"""What Lambda takes of a function (it says "6291556 bytes"), less the status, the headers and what is put around them.

More than that, and the function's process ends; the gateway's answer would be a 500 that does not say why.
"""
MAX_PROBLEMS = 200
"""In one answer: more than a batch has ids. A body full of unknown fields would make it larger than Lambda may send."""

NO_ROUTE = "$default"
"""The key of the gateway's route for what no other route matches."""
_NO_ROUTE = "There is no such route: openapi.json lists all routes."

RETRY_SECONDS = 5
"""Until a store that did not answer is worth another try: it was tried for some seconds before the error."""

_STATUSES: Mapping[type[errors.LoyaltyError], int] = {
    errors.RequestError: 400,
    errors.Unauthenticated: 401,
    errors.MissingScope: 403,
    errors.PayloadTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.IdempotencyKeyReused: 422,
    errors.VersionConflict: 412,
    errors.ModelsChanged: 409,
    errors.NotFound: 404,
    errors.Unscorable: 422,
    errors.Unavailable: 503,
}

Event = dict[str, Any]
"""An API Gateway HTTP API event, payload version 2.0."""


class Api(APIGatewayHttpResolver):
    """The routes of one function. access: who may call them; asked for when a route that wants a token is called."""

    def __init__(self, access: Callable[[], Access]) -> None:
        super().__init__(strip_prefixes=[BASE_PATH])
        self.access = access

    def scopes(self) -> dict[tuple[str, str], Scope | Signed | None]:
        """Method and path, as in the description -> the scope that `json_route` was given, None for no token.

        A route that is none of `json_route` is not in it.
        """
        return {
            (route.method, route.openapi_path): route.func.scope
            for route in (*self._static_routes, *self._dynamic_routes)
            if hasattr(route.func, "scope")
        }


def status_of(error: type[errors.LoyaltyError]) -> int:
    """The status of the nearest ancestor that has one."""
    return next(_STATUSES[kind] for kind in error.__mro__ if kind in _STATUSES)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a route gives back whose status is not 200, or that has headers of its own; without an answer, no body."""

    answer: Mapping[str, Any] | None
    status: int = 200
    headers: Mapping[str, str] | None = None


def responses(answer: Any, *kinds: type[errors.LoyaltyError]) -> dict[int, Any]:
    """What a route's OpenAPI entry says of its answer, None for no body, and of the errors that it can give instead."""
    entries: dict[int, Any] = {204: {"description": "Done"}}
    if answer is not None:
        entries = {200: {"description": "OK", "content": {"application/json": {"model": answer}}}}
    return entries | error_responses(*kinds)


def error_responses(*kinds: type[errors.LoyaltyError]) -> dict[int, Any]:
    """What a route's OpenAPI entry says of the errors that it can give.

    INVALID_REQUEST is an error of every route: none takes an unknown query parameter.
    """
    codes: dict[int, list[str]] = {}
    every: tuple[type[errors.LoyaltyError], ...] = (
        kinds if errors.InvalidRequest in kinds else (*kinds, errors.InvalidRequest)
    )
    for kind in every:
        codes.setdefault(status_of(kind), []).append(f"`{kind.code}`")
    codes[500] = ["`INTERNAL`"]
    entries: dict[int, Any] = {}
    for status, names in sorted(codes.items()):
        entries[status] = {
            "description": ", ".join(names),
            "content": {"application/json": {"model": ErrorAnswer}},
        }
    if 503 in entries:
        description = "Seconds to wait before the next try; absent if the same request cannot succeed later"
        entries[503]["headers"] = {"Retry-After": {"description": description, "schema": {"type": "integer"}}}
    return entries


_PREDICTION_ERRORS = (
    errors.InvalidJson,
    errors.InvalidRequest,
    errors.UnknownType,
    errors.PayloadTooLarge,
    errors.UnsupportedMediaType,
    errors.ModelUnavailable,
    errors.FeatureStoreUnavailable,
)
SINGLE_ERRORS = (
    *_PREDICTION_ERRORS,
    errors.CustomerNotFound,
    errors.NoPurchases,
    errors.MissingFeatures,
    errors.InvalidFeatures,
)
BATCH_ERRORS = (*_PREDICTION_ERRORS, errors.BatchTooLarge)


def json_route(
    app: Api, scope: Scope | Signed | None, read: Callable[[Event, type[Any]], BaseModel] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Response[str]]]:
    """Makes a function into a route of `app` that reads and writes JSON, for tokens with the scope; None: for everyone.

    read: how the body becomes `request`, in place of read_body.

    This is where a route's scope is written: the description and the tests of template.yaml go by it.

    The function takes the path's variables, `request` where there is a body, and a parameter for each header and each
    query parameter that it wants: Annotated[str | None, Header(alias="If-Match")], Annotated[int | None, Query(ge=1)].
    It gives an answer or a Reply. It keeps its signature for the OpenAPI document. Done here rather than by the
    resolver's own validation, which costs three times as much a request and answers with its own errors.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Response[str]]:
        parameters = inspect.signature(function).parameters
        model = parameters["request"].annotation if "request" in parameters else None
        headers_read = {
            name: mark.alias  # in lower case, as the gateway sends it
            for name, parameter in parameters.items()
            for mark in getattr(parameter.annotation, "__metadata__", ())
            if isinstance(mark, Header)
        }

        queries = {
            mark.alias or name: (name, TypeAdapter[Any](parameter.annotation))
            for name, parameter in parameters.items()
            for mark in getattr(parameter.annotation, "__metadata__", ())
            if isinstance(mark, Query)
        }

        @functools.wraps(function)
        def route(**arguments: Any) -> Response[str]:
            event = app.current_event.raw_event
            if scope is not None:
                app.access().check(event, scope)
            for name, header in headers_read.items():
                arguments[name] = event["headers"].get(header)
            arguments |= read_query(event, queries)
            if model is not None:
                arguments["request"] = (read or read_body)(event, model)
            answer = function(**arguments)
            status, headers = 200, None
            if isinstance(answer, Reply):
                status, headers, answer = answer.status, answer.headers, answer.answer
            if answer is None:
                return Response(status, headers=headers)
            response = _json_response(status, answer, headers)
            if response.status_code == status:
                telemetry.count_answer(answer)
            return response

        route.scope = scope  # type: ignore[attr-defined]
        return route

    return decorate


_JSON = re.compile(r"application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_CORRELATION_ID = re.compile(r"[!-~]{1,128}")


def entrypoint(app: Api, wait_seconds: float = WAIT_SECONDS) -> Callable[[Event, LambdaContext], dict[str, Any]]:
    """The Lambda handler of a resolver: routes, errors, correlation id, and the request's one line of log.

    wait_seconds: what a request may wait for its stores; see Budget.
    """
    app.exception_handler(errors.LoyaltyError)(_answer_error)
    app.exception_handler(NotFoundError)(_answer_no_route)
    app.exception_handler(Exception)(_answer_bug)

    def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
        started = time.perf_counter()
        request_id: str = event["requestContext"]["requestId"]
        asked_for = event["headers"].get("x-correlation-id", request_id)
        correlation_id = asked_for if _CORRELATION_ID.fullmatch(asked_for) else request_id
        logger.set_correlation_id(correlation_id)
        problem = _problem_before_routes(event, asked_for is not correlation_id)
        budget = Budget(wait_seconds, context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS)
        with spending(budget):
            response = _sent(problem) if problem else app.resolve(_as_routed(event), context)
        if event["requestContext"]["http"]["method"] == "HEAD":
            response = {**response, "body": "", "isBase64Encoded": False}
        response["headers"]["X-Correlation-Id"] = correlation_id
        telemetry.write_request(
            route=event.get("routeKey", ""),
            status=response["statusCode"],
            milliseconds=1000 * (time.perf_counter() - started),
            correlation_id=correlation_id,
            request_id=request_id,
        )
        return response

    return telemetry.traced(handler)


def caller(event: Event) -> str:
    """Who sends the request, as the token says; "" where no token is asked for."""
    claims = claims_of(event)
    return str(claims.get("sub") or claims.get("client_id") or "")


def _problem_before_routes(event: Event, is_misnamed: bool) -> errors.LoyaltyError | None:  # noqa: FBT001
    """What is wrong with a request whichever route it is for."""
    if event.get("routeKey") == NO_ROUTE:  # nobody was asked for a token, so no route may answer
        return errors.RouteNotFound(_NO_ROUTE)
    if is_misnamed:
        return errors.InvalidRequest.of(
            "X-Correlation-Id", "must have 1 to 128 characters of visible ASCII, without spaces"
        )
    # A pattern that ends in $ lets a line end pass, and the segment of another id would be changed.
    if _CONTROL.search(event["rawPath"]):
        return errors.InvalidRequest.of("path", "must not have control characters, such as %0A: remove them")
    return None


def _as_routed(event: Event) -> Event:
    """The event as the routes know it: without a slash at its end, and HEAD as the GET that it is without a body."""
    context = event["requestContext"]
    if context["http"]["method"] == "HEAD":
        event = {**event, "requestContext": {**context, "http": {**context["http"], "method": "GET"}}}
    if event["rawPath"].endswith("/"):
        event = {**event, "rawPath": event["rawPath"].rstrip("/")}
    return event


def _sent(error: errors.LoyaltyError) -> dict[str, Any]:
    """An error's answer as Lambda sends it."""
    response = _answer_error(error)
    return {
        "statusCode": response.status_code,
        "headers": {"Content-Type": "application/json"},
        "body": response.body,
        "isBase64Encoded": False,
    }


def read_body(event: Event, model: type[RequestT]) -> RequestT:
    """The event's body as a request model. Raises the RequestError that says what is wrong with it."""
    check_media_type(event)
    return parse_body(body_of(event), model)


def check_media_type(event: Event) -> None:
    """Raises UnsupportedMediaType if the body is not said to be JSON.

    A page of any site can send a form or text to a service on a developer's machine, but not this.
    """
    if not _JSON.fullmatch(event["headers"].get("content-type", "")):
        raise errors.UnsupportedMediaType


def body_of(event: Event, most_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The event's body, which is not empty. Raises InvalidJson and PayloadTooLarge."""
    text: str = event.get("body") or ""
    try:
        body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    except UnicodeEncodeError as error:
        raise errors.InvalidJson("The body is not valid Unicode: send UTF-8 without lone surrogates.") from error
    if len(body) > most_bytes:
        raise errors.PayloadTooLarge(f"The body is larger than {most_bytes:,} bytes: split it into several requests.")
    if not body:
        raise errors.InvalidJson("The request has no body: send a JSON object.")
    return body


def parse_body(body: bytes, model: type[RequestT]) -> RequestT:
    """JSON as a request model. Raises the RequestError that says what is wrong with it."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _request_error(error, model) from error


def read_query(event: Event, parameters: Mapping[str, tuple[str, TypeAdapter[Any]]]) -> dict[str, Any]:
    """The query's parameters, each checked, under the names that the function has for them.

    Raises InvalidRequest, also for a parameter that the route does not have: a misspelt `limit` would be answered in
    full. The gateway sends `queryStringParameters` only if there are any.
    """
    query: Mapping[str, str] = event.get("queryStringParameters") or {}
    arguments: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for name, text in query.items():
        if name not in parameters:
            others = f", or use one of {', '.join(parameters)}" if parameters else ""
            problems.append((name, f"this route has no such query parameter: remove it{others}"))
            continue
        argument, adapter = parameters[name]
        try:
            arguments[argument] = adapter.validate_python(text)
        except ValidationError as error:
            problems.append((name, problem_in(error.errors(include_url=False)[0])))
    if problems:
        raise errors.InvalidRequest(problems[:MAX_PROBLEMS])
    return arguments


def _request_error(error: ValidationError, model: type[BaseModel]) -> errors.RequestError:
    problems = [
        (".".join(map(str, problem["loc"])), problem["type"], problem_in(problem))
        for problem in error.errors(include_url=False, include_input=False)
    ]
    for field, kind, message in problems:
        if kind == "json_invalid" and "recursion limit" in message:
            return errors.InvalidJson("The body is nested too deeply: send a flatter JSON object.")
        if kind == "json_invalid":
            return errors.InvalidJson(
                f"The body is not JSON: {message.removeprefix('Invalid JSON: ')}. Send a JSON object."
            )
        if (field, kind) == ("customer_ids", "too_long"):
            return errors.BatchTooLarge(
                f"A batch has at most {MAX_BATCH} customer ids: split it into several requests.", {"limit": MAX_BATCH}
            )
    for field, _, message in problems:
        if field == "type" and "type" in model.model_fields:
            return errors.UnknownType(
                f"type {message}.", {"types": list(get_args(model.model_fields["type"].annotation))}
            )
    return errors.InvalidRequest([(field or "body", message) for field, _, message in problems[:MAX_PROBLEMS]])


def _json_response(status: int, answer: Any, headers: Mapping[str, str] | None = None) -> Response[str]:
    """The answer, or where Lambda cannot send as much, an error in its place."""
    body = json_text(answer)
    # A character is at most four bytes, so that of an answer of usual size only the length is asked.
    if len(body) > MAX_ANSWER_BYTES // 4 and (size := size_in_json(body)) > MAX_ANSWER_BYTES:
        return _answer_error(
            errors.PayloadTooLarge(
                f"The answer has {size:,} bytes, but Lambda sends at most {MAX_ANSWER_BYTES:,}: ask for less, with a "
                "smaller limit, history or top, or with fewer ids.",
                {"bytes": size, "limit": MAX_ANSWER_BYTES},
            )
        )
    return Response(status, "application/json", body, headers)


def json_text(answer: Any) -> str:
    return orjson.dumps(answer).decode()


def size_in_json(body: str) -> int:
    """Bytes of a JSON document within another, as Lambda is given it: in quotes, and with those in it escaped again."""
    return len(body.encode()) + body.count('"') + body.count("\\") + 2


def _answer_error(error: errors.LoyaltyError) -> Response[str]:
    telemetry.count_failure(error.code)
    answer: ErrorAnswer = {"error": error.message, "code": error.code}
    if error.details:
        answer["details"] = dict(error.details)
    return _json_response(status_of(type(error)), answer, error_headers(error))


def error_headers(error: errors.LoyaltyError) -> Mapping[str, str] | None:
    """What an error's answer has beside its body."""
    if isinstance(error, errors.Unavailable) and error.retry:
        return {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    return None


def _answer_no_route(error: NotFoundError) -> Response[str]:
    return _answer_error(errors.RouteNotFound(_NO_ROUTE))


def _answer_bug(error: Exception) -> Response[str]:
    logger.exception("A bug: an exception that nothing expected")
    code, sentence = telemetry.described(error)
    telemetry.count_failure(code)
    answer: ErrorAnswer = {
        "error": sentence,
        "code": code,
        "details": {"correlation_id": logger.get_correlation_id()},
    }
    return _json_response(500, answer)
