"""A deployed API looked at from outside: does it answer, and does each route ask for a token?

An authorizer whose issuer could not be reached is left out by API Gateway together with its routes, and a wrong setting
may let everybody in. Either shows only to one who calls it.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from deployment.problem import Problem

TRIES = 6
PAUSE_SECONDS = 5.0
"""A stage that was changed a moment ago may answer as before for a while."""
TIMEOUT_SECONDS = 35.0
"""More than an HTTP API gives a function."""
PUBLIC = ("/health", "/admin", "/openapi.json")
"""The paths that ask for no token."""
NO_SUCH_ID = "deployment-check"
METHODS = ("get", "post", "put", "delete")


class Answer(NamedTuple):
    status: int
    body: Any


Ask = Callable[[str, str, Mapping[str, str]], Answer]
"""Sends a request without a body: method, path below the base, headers."""


def over_http(base_url: str) -> Ask:
    """base_url: the stack's output ApiUrl, such as https://x.execute-api.eu-west-1.amazonaws.com/api/loyalty/v1."""
    base = base_url.rstrip("/")

    def ask(method: str, path: str, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(base + path, method=method, headers=dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return Answer(response.status, _read(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _read(error.read()))
        except OSError as error:
            raise Problem(f"{base}{path} cannot be reached ({error}): check the address.") from error

    return ask


def check(ask: Ask, token: str | None, sleep: Callable[[float], object] = time.sleep) -> Iterator[str]:
    """Gives a line for each thing that is as it should be. Raises Problem for the first one that is not."""
    health = _health(ask, sleep)
    if health.status != HTTPStatus.OK:
        raise Problem(
            f"/health answers {health.status}, not 200: look at the log of the predict function. {_said(health)}"
        )
    yield "/health answers 200."
    description = ask("GET", "/openapi.json", {})
    if description.status != HTTPStatus.OK:
        raise Problem(f"/openapi.json answers {description.status}, not 200: look at the admin function's log.")
    yield from _protected(ask, description.body)
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


def _protected(ask: Ask, description: Mapping[str, Any]) -> Iterator[str]:
    """Each route of the API's description but the public ones, without a token and with one that nobody has issued.

    No request has a body or a content type, and no id is one that there is: where a route is open by mistake, nothing
    is changed.
    """
    asked = 0
    for path, operations in description["paths"].items():
        below = path.removeprefix("/api/loyalty/v1")
        if below in PUBLIC or path in PUBLIC:
            continue
        for method in operations.keys() & set(METHODS):
            # Of a route that wants a signature, the gateway says so by another status.
            is_signed = {"sigv4": []} in operations[method].get("security", ())
            refused = HTTPStatus.FORBIDDEN if is_signed else HTTPStatus.UNAUTHORIZED
            filled = "/".join(NO_SUCH_ID if part.startswith("{") else part for part in below.split("/"))
            for headers in ({}, {"Authorization": "Bearer not-a-token"}):
                answer = ask(method.upper(), filled, headers)
                if answer.status != refused or _is_functions(answer):
                    raise Problem(_not_refused(f"{method.upper()} {below}", answer, refused))
            asked += 1
    if not asked:
        raise Problem("The API's description has no route that asks for a token: deploy it anew.")
    yield f"{asked} routes refuse a request without a token and one with a token that is none."


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
    models = answer.body["models"]
    loaded = ", ".join(f"{name} {model['version']}" for name, model in models.items() if model["loaded"])
    return f"/config/ml/status answers 200 with a token; models loaded: {loaded or 'none, publish a set'}."


def _said(answer: Answer) -> str:
    return f"It says: {json.dumps(answer.body)[:300]}" if answer.body else "It says nothing."


def _read(body: bytes) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return body.decode(errors="replace")
