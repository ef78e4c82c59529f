"""An answer read: its JSON, or the exception that it stands for."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from loyalty_client import errors
from loyalty_client.codes import BY_CODE, InvalidRequest


def read(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object. Raises a LoyaltyError for whatever else it is."""
    if not response.is_success:
        raise _error(response)
    return _object(response)


def field(answer: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """A field that this client needs. Raises OldServer if it is missing, and InvalidAnswer if it is of another kind."""
    if not isinstance(answer, Mapping):  # an entry of a list, of which nothing is known yet
        raise errors.InvalidAnswer(
            f"The answer has {answer!r:.40} in place of an object with '{name}', which this client does not know: "
            "install the client of the server's version."
        )
    if name not in answer:
        raise errors.OldServer(
            f"The answer has no field '{name}', so the server is older than this client: update the server, or install "
            "the client of its version."
        )
    value = answer[name]
    if not isinstance(value, kind):
        raise errors.InvalidAnswer(
            f"The answer's field '{name}' is {type(value).__name__}, which this client does not know: install the "
            "client of the server's version."
        )
    return value


def fields_of(error: InvalidRequest) -> list[tuple[str, str]]:
    """What the service says is wrong with a request: each field, and its problem."""
    fields = error.details.get("fields")
    problems = [problem for problem in fields if isinstance(problem, dict)] if isinstance(fields, list) else []
    return [(str(problem.get("field")), str(problem.get("problem"))) for problem in problems]


def of_an_old_server(error: errors.LoyaltyError, newer: Collection[str]) -> errors.OldServer | None:
    """The error of a server that does not know a field of the request; None if it is not that."""
    if not isinstance(error, InvalidRequest):
        return None
    unknown = [name for name, problem in fields_of(error) if name in newer and problem.startswith("is not known")]
    if not unknown:
        return None
    return errors.OldServer(
        f"The server does not know '{unknown[0]}', so it is older than this client: update the server, or ask without."
    )


def no_connection(problem: httpx.HTTPError) -> errors.LoyaltyError:
    """What kept a request from being answered."""
    reason = str(problem) or type(problem).__name__
    try:
        host = problem.request.url.netloc.decode("ascii")
    except RuntimeError:  # a problem of no request
        host = "the service"
    if isinstance(problem, httpx.TimeoutException):
        return errors.TimedOut(f"{host} did not answer in time ({type(problem).__name__}): try again.")
    if isinstance(problem, httpx.ConnectError | httpx.UnsupportedProtocol | httpx.ProxyError):
        return errors.NotReachable(
            f"{host} cannot be reached ({reason}): check the address, the network, and that the service runs."
        )
    if isinstance(problem, httpx.RemoteProtocolError) and "complete message body" in reason:
        return errors.HalfAnswer(f"{host} ended the connection in the middle of its answer: try again.")
    if isinstance(problem, httpx.DecodingError):
        return errors.HalfAnswer(f"The answer of {host} cannot be unpacked ({reason}): try again.")
    return errors.NoConnection(f"{host} broke the connection off before it answered ({reason}): try again.")


def retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait as the server says, 0 or more; None if it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # its day, hour or offset may be any number
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _object(response: httpx.Response) -> dict[str, Any]:
    is_json = response.headers.get("Content-Type", "").partition(";")[0].strip().endswith("json")
    try:
        answer = json.loads(response.content)
    except RecursionError:  # brackets without end
        raise _stranger(response) from None
    except ValueError:  # of JSON or of UTF-8
        if is_json:
            raise errors.HalfAnswer("The answer is JSON that breaks off in the middle: try again.") from None
        raise _stranger(response) from None
    if not isinstance(answer, dict):
        raise _stranger(response)
    return answer


def _error(response: httpx.Response) -> errors.LoyaltyError:
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        answer = {}
    sentence, code, details = answer.get("error"), answer.get("code"), answer.get("details")
    if isinstance(sentence, str) and isinstance(code, str):
        return BY_CODE.get(code, errors.ServiceError)(
            sentence,
            code,
            details=details if isinstance(details, dict) else None,
            status=response.status_code,
            correlation_id=response.headers.get("X-Correlation-Id"),
            retry_after=retry_after(response),
        )
    return _of_gateway(response)


def _of_gateway(response: httpx.Response) -> errors.LoyaltyError:
    status, wait = response.status_code, retry_after(response)
    if status == httpx.codes.UNAUTHORIZED:
        return _unauthorized(response)
    if status == httpx.codes.FORBIDDEN:
        return errors.Forbidden(
            "The token lacks the scope of this route: ask for one with the scope that the API page names.", status
        )
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return errors.BodyTooLarge("The request is larger than the gateway takes: send a file instead.", status)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return errors.Throttled("The gateway lets no more requests through now: try again later.", status, wait)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return errors.GatewayUnavailable(f"The gateway answered {status}: try again later.", status, wait)
    return _stranger(response)


def _unauthorized(response: httpx.Response) -> errors.Unauthorized:
    """The gateway says in a header why it refuses a token."""
    if "expired" in response.headers.get("WWW-Authenticate", "").lower():
        return errors.TokenExpired("The token has expired: get another one from your issuer.", response.status_code)
    return errors.Unauthorized(
        "The service wants a token and got none that is good for it: get one from your issuer, for this service's "
        "audience.",
        response.status_code,
    )


def _stranger(response: httpx.Response) -> errors.NotTheService:
    return errors.NotTheService(
        f"What answers at {response.url.copy_with(query=None)} is not the service (status {response.status_code}): "
        "check the base URL."
    )
