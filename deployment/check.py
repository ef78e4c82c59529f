"""A deployed API looked at from outside: does it answer, and does each route ask for a token?

An authorizer whose issuer could not be reached is left out by API Gateway together with its routes, and a wrong setting
may let everybody in. Either shows only to one who calls it.
"""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple

from deployment.problem import Problem

TRIES = 6
PAUSE_SECONDS = 5.0
"""A stage that was changed a moment ago may answer as before for a while."""
TIMEOUT_SECONDS = 35.0
"""More than an HTTP API gives a function; for the whole of an answer, however it trickles."""
_ANSWER_BYTES = 10_000_000
"""More than Lambda sends: what answers more is not this API."""
PUBLIC = ("/health", "/admin", "/openapi.json")
"""The paths that ask for no token."""
NO_SUCH_ID = "deployment-check"
METHODS = ("get", "post", "put", "delete")
_TOKEN = re.compile(r"[!-~]+")


class Answer(NamedTuple):
    status: int
    body: Any


Ask = Callable[[str, str, Mapping[str, str]], Answer]
"""Sends a request without a body: method, path below the base, headers."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The API redirects nobody, and whoever stands in its place is not to be sent the token on."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def over_http(base_url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Ask:
    """base_url: the stack's output ApiUrl, such as https://x.execute-api.eu-west-1.amazonaws.com/api/loyalty/v1."""
    base = base_url.rstrip("/")
    opener = urllib.request.build_opener(_NoRedirects)

    def ask(method: str, path: str, headers: Mapping[str, str]) -> Answer:
        ends = time.monotonic() + timeout_seconds
        try:
            request = urllib.request.Request(base + path, method=method, headers=dict(headers))
            try:
                with opener.open(request, timeout=timeout_seconds) as response:
                    return Answer(response.status, _read(_whole(response, ends)))
            except urllib.error.HTTPError as error:
                with error:
                    return Answer(error.code, _read(_whole(error, ends)))
        except (OSError, HTTPException, ValueError) as error:
            raise Problem(f"{base}{path} cannot be reached ({error!r}): check the address.") from error

    return ask


def _whole(response: HTTPResponse | urllib.error.HTTPError, ends: float) -> bytes:
    """ends: of time.monotonic(). Raises OSError for an answer that does not come to its end."""
    body = b""
    while part := response.read1(65_536):
        body += part
        if len(body) > _ANSWER_BYTES or time.monotonic() > ends:
            raise TimeoutError(f"the answer does not end: {len(body):,} bytes so far")
    if getattr(response, "length", None):
        raise OSError(f"the answer was cut off after {len(body):,} bytes")
    return body


def check(ask: Ask, token: str | None, sleep: Callable[[float], object] = time.sleep) -> Iterator[str]:
    """Gives a line for each thing that is as it should be. Raises Problem for the first one that is not."""
    if token is not None and not _TOKEN.fullmatch(token):
        raise Problem("LOYALTY_TOKEN has blanks, line ends or other characters that no token has: set it again.")
    health = _health(ask, sleep)
    if health.status != HTTPStatus.OK:
        raise Problem(
            f"/health answers {health.status}, not 200: look at the log of the predict function. {_said(health)}"
        )
    if not isinstance(health.body, Mapping) or health.body.get("status") != "ok":
        raise Problem(f"/health answers 200, but not as this API: check the address. {_said(health)}")
    yield "/health answers 200."
    description = ask("GET", "/openapi.json", {})
    if description.status != HTTPStatus.OK:
        raise Problem(f"/openapi.json answers {description.status}, not 200: look at the admin function's log.")
    yield from _protected(ask, list(_routes(description)))
    if token is None:
        yield "No token was given, so that no answer behind one was asked for: set LOYALTY_TOKEN."
        return
    yield _status(ask("GET", "/config/ml/status", {"Authorization": f"Bearer {token}"}))


def _health(ask: Ask, sleep: Callable[[float], object]) -> Answer:
    for tried in range(TRIES):
        if tried:
            sleep(PAUSE_SECONDS)
        answer = ask("GET", "/health", {})
        if answer.status == HTTPStatus.OK:
            break
    return answer


def _routes(description: Answer) -> Iterator[tuple[str, str, HTTPStatus]]:
    """Each route of the API's description but the public ones: its method, its path below the base, and the status by
    which the gateway refuses. Of a route that wants a signature, it says so by another one.
    """
    try:
        for path, operations in description.body["paths"].items():
            below = path.removeprefix("/api/loyalty/v1")
            if below in PUBLIC or path in PUBLIC:
                continue
            for method in METHODS:
                if (operation := operations.get(method)) is not None:
                    is_signed = {"sigv4": []} in operation.get("security", ())
                    yield method.upper(), below, HTTPStatus.FORBIDDEN if is_signed else HTTPStatus.UNAUTHORIZED
    except (TypeError, KeyError, AttributeError) as error:
        sentence = "/openapi.json answers 200, but with no description of an API: check the address, or deploy anew."
        raise Problem(f"{sentence} {_said(description)}") from error


def _protected(ask: Ask, routes: list[tuple[str, str, HTTPStatus]]) -> Iterator[str]:
    """Each route without a token and with one that nobody has issued.

    No request has a body or a content type, and no id is one that there is: where a route is open by mistake, nothing
    is changed.
    """
    for method, below, refused in routes:
        filled = "/".join(NO_SUCH_ID if part.startswith("{") else part for part in below.split("/"))
        for headers in ({}, {"Authorization": "Bearer not-a-token"}):
            answer = ask(method, filled, headers)
            if answer.status != refused or _is_functions(answer):
                raise Problem(_not_refused(f"{method} {below}", answer, refused))
    if not routes:
        raise Problem("The API's description has no route that asks for a token: deploy it anew.")
    yield f"{len(routes)} routes refuse a request without a token and one with a token that is none."


def _is_functions(answer: Answer) -> bool:
    """Whether a function answered, which checks the claims again: the gateway has let the request through."""
    return isinstance(answer.body, Mapping) and "error" in answer.body


def _not_refused(route: str, answer: Answer, refused: HTTPStatus) -> str:
    if answer.status == refused:
        return (
            f"{route} is refused by the function, and not by API Gateway, which lets everybody through: its "
            "authorizer is gone. Deploy again."
        )
    if answer.status == HTTPStatus.NOT_FOUND:
        return (
            f"{route} is not there (404): API Gateway leaves routes out whose issuer it cannot reach. Check JwtIssuer, "
            "whose /.well-known/openid-configuration must be public, and deploy again."
        )
    return (
        f"{route} answers {answer.status} to a request without a valid token, not {refused}: it may be open to "
        "everybody. Take the stage down until the API's authorizer is right."
    )


def _status(answer: Answer) -> str:
    if answer.status == HTTPStatus.FORBIDDEN:
        raise Problem("/config/ml/status answers 403: the token lacks the scope loyalty/read.")
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise Problem(
            "/config/ml/status answers 401: the token has expired, or is not of JwtIssuer for JwtAudience. Get another."
        )
    if answer.status != HTTPStatus.OK:
        raise Problem(f"/config/ml/status answers {answer.status}, not 200. {_said(answer)}")
    try:
        models = answer.body["models"]
        loaded = ", ".join(f"{name} {model['version']}" for name, model in models.items() if model["loaded"])
    except (TypeError, KeyError, AttributeError) as error:
        raise Problem(
            f"/config/ml/status answers 200, but not as this API: check the address. {_said(answer)}"
        ) from error
    return f"/config/ml/status answers 200 with a token; models loaded: {loaded or 'none, publish a set'}."


def _said(answer: Answer) -> str:
    return f"It says: {json.dumps(answer.body)[:300]}" if answer.body else "It says nothing."


def _read(body: bytes) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return body.decode(errors="replace")
