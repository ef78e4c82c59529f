"""API Gateway's part on this machine: HTTP requests to HTTP API events (payload 2.0), and the functions' answers back.

Tokens are checked if there is an authorizer (local/authorizer.py); the server listens on the loopback interface only.
"""

import base64
import itertools
import re
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.authorizer import JwtAuthorizer, Refused
from local.template import DEFAULT_ROUTE, Cors, Route, path_pattern

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_BODY_BYTES = 10_000_000
"""What an HTTP API takes at most."""

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """What a function is told of its invocation."""

    function_name: str
    timeout_seconds: float = 25
    memory_limit_in_mb: int = 1769
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:000000000000:function:local"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self._started + self.timeout_seconds - time.monotonic())))


class Gateway:
    """A WSGI application over the functions' handlers, each called while `one_at_a_time` is held."""

    def __init__(
        self,
        routes: Iterable[Route],
        handlers: Mapping[str, Handler],
        one_at_a_time: threading.Lock,
        cors: Cors | None = None,
        timeout_seconds: float = 25,
        *,
        authorizer: JwtAuthorizer | None = None,
    ) -> None:
        """cors: without it, no page of another origin may call, and OPTIONS is a method as any other.

        timeout_seconds: what each function is told that it has; authorizer: without it, nobody is asked for a token.
        """
        known = list(routes)
        # As in API Gateway the more specific route wins: no variable, then one a segment, then greedy; long first.
        by_specificity = sorted(known, key=lambda route: ("+}" in route.path, "{" in route.path, -len(route.path)))
        self._routes = [(route, path_pattern(route.path)) for route in by_specificity if route.path != DEFAULT_ROUTE]
        self._default = next((route for route in known if route.path == DEFAULT_ROUTE), None)
        self._cors = cors
        self._authorizer = authorizer
        self._timeout_seconds = timeout_seconds
        self._handlers = handlers
        self._one_at_a_time = one_at_a_time

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        started = time.perf_counter()
        request = Request(environ)
        response = self._shared(request, self._answer(request))
        milliseconds = 1000 * (time.perf_counter() - started)
        print(f"{request.method} {request.path} {response.status_code} {milliseconds:.1f} ms", file=sys.stderr)
        return response(environ, start_response)

    def _shared(self, request: Request, response: Response) -> Response:
        """The answer, with what lets a page of an allowed origin read it."""
        origin = request.headers.get("Origin")
        if self._cors is None or origin is None or not {origin, "*"} & set(self._cors.origins):
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = ",".join(self._cors.exposed)
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = ",".join(self._cors.methods)
            response.headers["Access-Control-Allow-Headers"] = ",".join(self._cors.headers)
            response.headers["Access-Control-Max-Age"] = str(self._cors.max_age)
        return response

    def _answer(self, request: Request) -> Response:
        if self._cors and request.method == "OPTIONS":
            return Response(status=204)
        route, variables = self._match(request)
        if route is None:
            return _message(404, "Not Found")
        if request.content_length and request.content_length > MAX_BODY_BYTES:
            return _message(413, "Request Entity Too Large")
        try:
            authorizer = self._authorizer_context(request, route)
        except Refused as refused:
            answer = _message(refused.status, "Unauthorized" if refused.status == 401 else "Forbidden")
            if refused.challenge:
                answer.headers["WWW-Authenticate"] = refused.challenge
            return answer
        event = http_event(request, route, variables)
        if authorizer:
            event["requestContext"]["authorizer"] = authorizer
        try:
            with self._one_at_a_time:
                context = LambdaContext(route.function, self._timeout_seconds)
                answered = self._handlers[route.function](event, context)
        except Exception:
            traceback.print_exc()
            return _message(500, "Internal Server Error")
        body = answered.get("body") or ""
        return Response(
            base64.b64decode(body) if answered.get("isBase64Encoded") else body,
            status=answered["statusCode"],
            headers=answered.get("headers", {}),
        )

    def _authorizer_context(self, request: Request, route: Route) -> dict[str, Any] | None:
        """What the event says of who sends the request; None if nobody is asked. Raises Refused."""
        if self._authorizer and route.is_signed:
            raise Refused(403, "")  # nobody here can verify a signature
        if self._authorizer and route.scopes is not None:
            return self._authorizer.context(request.headers.get("Authorization"), route.scopes)
        return None

    def _match(self, request: Request) -> tuple[Route | None, dict[str, str]]:
        for route, pattern in self._routes:
            if route.method in (request.method, "ANY") and (found := pattern.fullmatch(request.path)):
                return route, found.groupdict()
        return self._default, {}


def http_event(request: Request, route: Route, variables: Mapping[str, str]) -> dict[str, Any]:
    """The event that API Gateway sends a function for this request."""
    now = datetime.now(UTC)
    headers = {
        name: ",".join(value for _, value in values)
        for name, values in itertools.groupby(
            sorted((name.lower(), value) for name, value in request.headers if name.lower() != "cookie"),
            key=lambda header: header[0],
        )
    }
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": request.query_string.decode(),
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": request.host,
            "domainPrefix": "local",
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                "sourceIp": request.remote_addr or "127.0.0.1",
                "userAgent": request.user_agent.string,
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": route.key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if request.args:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in request.args.lists()}
    if request.cookies:
        event["cookies"] = [f"{name}={value}" for name, value in request.cookies.items(multi=True)]
    if variables:
        event["pathParameters"] = dict(variables)
    if body := request.get_data():
        event["isBase64Encoded"] = not _is_text(headers.get("content-type", ""), body)
        event["body"] = base64.b64encode(body).decode() if event["isBase64Encoded"] else body.decode()
    return event


def _is_text(content_type: str, body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return re.match(r"$|text/|application/(json|xml|javascript|.*\+json)", content_type) is not None


def _message(status: int, message: str) -> Response:
    """An answer of the gateway's own, in its form."""
    return Response(f'{{"message":"{message}"}}', status=status, content_type="application/json")
