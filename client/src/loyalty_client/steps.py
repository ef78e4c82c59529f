"""What a plan asks of whoever runs it. A plan does no input and no output, so that it serves both kinds of client.

A plan is a generator. It yields steps, is sent what each came to, or has the error thrown into it, and returns its
result. loyalty_client.running carries out steps: with threads, or with asyncio.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the API.

    path:    below the base URL.
    newer:   names of the body's fields that an older server does not know.
    is_safe: whether it may be sent again although the first may have arrived.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    newer: Collection[str] = ()
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    is_safe: bool = True


def segment_of_path(given: str) -> str:
    """An id as one segment of a path. Raises ValueError for what would lead elsewhere: "" to the list of all."""
    if given in ("", ".", "..") or "/" in given:
        raise ValueError(f"{given!r} is no id: give one that the service lists.")
    return quote(given, safe="")


@dataclass(frozen=True, slots=True)
class Send:
    """Comes to an httpx.Response that is read to its end. Raises httpx.HTTPError."""

    request: Request


@dataclass(frozen=True, slots=True)
class Upload:
    """Sends a file as a form, with no token. Comes to an httpx.Response. Raises httpx.HTTPError and OSError."""

    url: str
    fields: Mapping[str, str]
    path: Path


@dataclass(frozen=True, slots=True)
class Download:
    """Writes what an address has into a file, with no token; the file is there only if it is whole.

    Comes to an httpx.Response, whose body is read only if its status is no 200. Raises httpx.HTTPError and OSError.
    """

    url: str
    path: Path


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Runs plans, so many at a time as the client may. Comes to a list of their results, in order."""

    plans: Sequence["Plan[Any]"]


Step: TypeAlias = Send | Upload | Download | Pause | SideBySide
Plan: TypeAlias = Generator[Step, Any, ResultT]
