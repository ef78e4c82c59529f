"""What can go wrong between a program and the service. The text of each is one sentence or two for a person.

LoyaltyError
├── ServiceError             the service answered with an error's code: loyalty_client.codes has a class for each code
├── GatewayError             API Gateway answered, and the service was not asked
│   ├── Unauthorized         401
│   │   └── TokenExpired
│   ├── Forbidden            403
│   ├── BodyTooLarge         413
│   ├── Throttled            429
│   └── GatewayUnavailable   500 and over
├── NoConnection             the connection was refused, dropped, or took too long
│   ├── NotReachable
│   └── TimedOut
├── InvalidAnswer            the answer is not what the API's description says
│   ├── HalfAnswer           it is cut off
│   ├── OldServer            it lacks a field
│   └── NotTheService        something else answers at this address
├── NoToken                  the issuer gave no token, or what was given as one is none
├── TransferFailed           a file did not get to the store or from it
└── JobUnfinished            a job took longer than it was waited for; it goes on
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar


class LoyaltyError(Exception):
    """Base of all. `retry_after` has the seconds after which the same request may work; None if waiting cannot help."""

    code: ClassVar[str | None] = None
    retry_after: float | None = None

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """As copies and other processes get it: Python would call the class with the sentence alone."""
        return _again, (type(self), *self.args), self.__dict__


def _again(kind: type[LoyaltyError], *arguments: Any) -> LoyaltyError:
    return kind.__new__(kind, *arguments)


class ServiceError(LoyaltyError):
    """The service answered with an error. Of this class itself if the client does not know the code.

    code, message: as the service gave them; the message says what to do.
    details:       what the service said besides, such as `fields`.
    status:        of HTTP; None for an error of a job or of a customer.
    correlation_id: names the request in the service's log.
    """

    def __init__(
        self,
        message: str,
        code: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        status: int | None = None,
        correlation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details or {})
        self.status = status
        self.correlation_id = correlation_id
        self.retry_after = retry_after
        self.job: Mapping[str, Any] | None = None
        """The job that failed, if this is why."""
        if code is not None:
            self.code = code  # type: ignore[misc]  # an instance's own, if no class has it


class GatewayError(LoyaltyError):
    """API Gateway answered. `status` is that of HTTP."""

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Unauthorized(GatewayError):
    """There is no token, or it is for another audience or another issuer."""

    code = "UNAUTHORIZED"


class TokenExpired(Unauthorized):
    """The token was good once."""

    code = "TOKEN_EXPIRED"


class Forbidden(GatewayError):
    """The token lacks the route's scope."""

    code = "FORBIDDEN"


class BodyTooLarge(GatewayError):
    """The body is larger than the gateway takes."""

    code = "BODY_TOO_LARGE"


class Throttled(GatewayError):
    """More requests than the gateway lets through."""

    code = "THROTTLED"


class GatewayUnavailable(GatewayError):
    """No function answered the gateway in time."""

    code = "GATEWAY_UNAVAILABLE"


class NoConnection(LoyaltyError):
    """The connection broke before there was an answer."""

    code = "NO_CONNECTION"


class NotReachable(NoConnection):
    """There is no connection to the address."""

    code = "NOT_REACHABLE"


class TimedOut(NoConnection):
    """There was no answer in time."""

    code = "TIMED_OUT"


class InvalidAnswer(LoyaltyError):
    """The answer is not what the API's description says."""

    code = "INVALID_ANSWER"


class HalfAnswer(InvalidAnswer):
    """The answer is cut off."""

    code = "HALF_ANSWER"


class OldServer(InvalidAnswer):
    """The answer lacks a field that this client needs."""

    code = "OLD_SERVER"


class NotTheService(InvalidAnswer):
    """What answers at the address is not the service."""

    code = "NOT_THE_SERVICE"


class NoToken(LoyaltyError):
    """The issuer gave no token, or what was given as one is none."""

    code = "NO_TOKEN"


class TransferFailed(LoyaltyError):
    """A file did not get to the store or from it. `job_id` is its job's."""

    code = "TRANSFER_FAILED"

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class JobUnfinished(LoyaltyError):
    """A job took longer than it was waited for. It goes on: `resume(job_id)` waits for it again."""

    code = "JOB_UNFINISHED"

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id
