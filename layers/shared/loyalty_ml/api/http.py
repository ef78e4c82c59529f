"""HTTP at the edge, once for all functions: routes, an answer written, an exception made a status."""

import functools
import inspect
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.params import Header, Query
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, TypeAdapter

from loyalty_ml import errors, telemetry
from loyalty_ml.api import reading
from loyalty_ml.api.access import Access, Scope, Signed, claims_of
from loyalty_ml.api.contracts import ErrorAnswer
from loyalty_ml.api.reading import Event
from loyalty_ml.aws.budget import RESERVE_SECONDS, WAIT_SECONDS, Budget, spending
from loyalty_ml.telemetry import logger

BASE_PATH = "/api/loyalty/v1"
MAX_ANSWER_BYTES = 6 * 1024 * 1024 + 100 - 4096
"""What Lambda takes of a function (it says "6291556 bytes"), less the status, the headers and what is put around them.

More than that, and the function's process ends; the gateway's answer would be a 500 that does not say why.
"""

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
    errors.NoBaseline: 409,
    errors.NotFound: 404,
    errors.Unscorable: 422,
    errors.Unavailable: 503,
}


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
    errors.NoBaseline,
    errors.CustomerNotFound,
    errors.NoPurchases,
    errors.MissingFeatures,
    errors.InvalidFeatures,
    errors.NotExplained,
)
BATCH_ERRORS = (*_PREDICTION_ERRORS, errors.BatchTooLarge, errors.NoBaseline)


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
            arguments |= reading.read_query(event, queries)
            if model is not None:
                arguments["request"] = (read or reading.read_body)(event, model)
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


_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_NOT_ROUTED = re.compile(r"[^/\w\-._~()'!*:@,;=+&$%<> \[\]{}|^]")
"""What the resolver's routes take for no part of a variable, so that they would say that there is no such route."""
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
        # The gateway sends names in lower case, but `sam local` as the caller wrote them.
        event = {**event, "headers": {name.lower(): value for name, value in event["headers"].items()}}
        asked_for = event["headers"].get("x-correlation-id", request_id)
        correlation_id = asked_for if _CORRELATION_ID.fullmatch(asked_for) else request_id
        logger.set_correlation_id(correlation_id)
        problem = _problem_before_routes(event, is_misnamed=asked_for is not correlation_id)
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


def _problem_before_routes(event: Event, *, is_misnamed: bool) -> errors.LoyaltyError | None:
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
    if found := _NOT_ROUTED.search(event["rawPath"]):
        return errors.InvalidRequest.of("path", f"must not have {found[0]}, which no id of a path has: correct it")
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


def _json_response(status: int, answer: Any, headers: Mapping[str, str] | None = None) -> Response[str]:
    """The answer, or where Lambda cannot send as much, an error in its place."""
    body = json_text(answer)
    # A character is at most four bytes, so that of an answer of usual size only the length is asked.
    if len(body) > MAX_ANSWER_BYTES // 4 and (size := size_in_json(body)) > MAX_ANSWER_BYTES:
        return _answer_error(
            errors.PayloadTooLarge(
                f"The answer has {size:,} bytes, but Lambda sends at most {MAX_ANSWER_BYTES:,}: ask for less, with a "
                "smaller limit, history or top, with fewer ids, or without explain.",
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
