"""Conditional requests: ETag, If-Match and If-None-Match (RFC 9110, sections 8.8.3 and 13.1), and Prefer (RFC 7240)."""

import hashlib
import re
from typing import Annotated, Any, Literal

import orjson
from aws_lambda_powertools.event_handler.openapi.params import Header

from loyalty_ml.errors import InvalidRequest

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag of a version: only this version is changed; otherwise the answer is 412. `*` is any "
        "version that there is",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="ETags of versions: if the segment is at one of them, the answer is 304, without a body",
    ),
]
IfSeen = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="ETags of answers: if the answer still has one of them, it is 304, without a body",
    ),
]
IfNew = Annotated[
    str | None,
    Header(
        alias="If-None-Match", description="`*`: the request only creates; if the segment exists, the answer is 412"
    ),
]
Prefer = Annotated[
    str | None,
    Header(alias="Prefer", description="`respond-async`: start a job at once and do not wait for the answer"),
]

_VERSION_ETAG = re.compile(r'"([1-9][0-9]{0,14})"')


def etag_of_version(version: int) -> str:
    return f'"{version}"'


def etag_of_answer(answer: Any) -> str:
    """Equal for equal answers: the first 128 bits of the SHA-256 of their JSON."""
    return f'"{hashlib.sha256(orjson.dumps(answer)).hexdigest()[:32]}"'


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller has this version already, so that the answer to a GET is 304.

    The comparison is the weak one, as the RFC asks of If-None-Match: W/"3" is "3" here, since proxies weaken ETags.
    """
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags


def expected_version(if_match: str | None) -> int | Literal["*"] | None:
    """The version that If-Match allows a change of, `*` for any that there is; None without the header.

    Raises InvalidRequest.
    """
    if if_match is None or if_match.strip() == "*":
        return "*" if if_match else None
    version = _VERSION_ETAG.fullmatch(if_match.strip())
    if version is None:
        raise InvalidRequest.of(
            "If-Match", 'this is not an ETag of a segment: send one with its quotes, such as "3", or *'
        )
    return int(version[1])


def must_be_new(if_none_match: str | None, if_match: str | None) -> bool:
    """Whether a PUT may only create (If-None-Match: *). Raises InvalidRequest for ETags in it, and for both headers."""
    if if_none_match is None:
        return False
    if if_none_match != "*":
        raise InvalidRequest.of("If-None-Match", "a PUT takes only * here, which creates and never replaces")
    if if_match:
        raise InvalidRequest.of("If-Match", "this does not go with If-None-Match: send one of the two")
    return True


def prefers_async(prefer: str | None) -> bool:
    """Whether the caller asks for a job at once: the preference `respond-async`."""
    return "respond-async" in [preference.strip() for preference in (prefer or "").lower().split(",")]
