"""The page's files over HTTP: which may be kept for how long, and what the page may load and call."""

import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from aws_lambda_powertools.event_handler import Response

from loyalty_ml.api import preconditions
from loyalty_ml.api.http import BASE_PATH
from loyalty_ml.errors import RouteNotFound

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
}
CALLBACK = f"{BASE_PATH}/admin/signed-in"
"""Where the issuer leads back to: the page's redirect address."""
KEPT = "public, max-age=31536000, immutable"
"""What is named by its content never changes."""
ASKED_AGAIN = "no-cache"

_SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",  # the issuer's window to sign in is one
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


_NO_WEIGHT = re.compile(r"q\s*=\s*0(\.0*)?")


@dataclass(frozen=True, slots=True)
class PageFile:
    content: bytes
    gzipped: bytes
    content_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """How a person signs in: at the issuer, as its public client `client_id`.

    audience: what to ask for a token for, None if the client's tokens are for the API anyway; token_origin: where the
    issuer gives tokens, "" for its own origin.
    """

    issuer: str
    client_id: str
    audience: str | None
    token_origin: str

    @property
    def origins(self) -> tuple[str, ...]:
        """Those that the page asks: of the issuer, and of where it gives tokens."""
        issuer = urlsplit(self.issuer)
        return tuple(dict.fromkeys(filter(None, (f"{issuer.scheme}://{issuer.netloc}", self.token_origin))))


class Page:
    """A folder that Vite wrote: index.html, signed-in.html, and in assets/ what they load, named by its content."""

    def __init__(self, folder: Path, uploads_to: Callable[[], str], sign_in: Callable[[], SignIn | None]) -> None:
        """uploads_to: the origin that files are sent to and results are read from, beside the page's own.

        sign_in: None if the page does not sign in.
        """
        self._folder = folder
        self._uploads_to = uploads_to
        self._sign_in = sign_in

    def index(self, headers: Mapping[str, str]) -> Response[Any]:
        """headers: of the request, their names in lower case. Raises RouteNotFound where no page was built."""
        sign_in = self._sign_in()
        policy = _policy("'self'", self._uploads_to(), *(sign_in.origins if sign_in else ()))
        return _answer(self._file("index.html"), headers, ASKED_AGAIN, {"Content-Security-Policy": policy})

    def signed_in(self, headers: Mapping[str, str]) -> Response[Any]:
        """Where the issuer leads back to, in a window of its own: it tells the page, and closes itself.

        Raises RouteNotFound where no page was built.
        """
        # It came from the issuer's origin: with a policy of its own the browser would put it into a group apart, where
        # a window may not close itself.
        policy = {"Content-Security-Policy": _policy("'none'"), "Cross-Origin-Opener-Policy": "unsafe-none"}
        return _answer(self._file("signed-in.html"), headers, ASKED_AGAIN, policy)

    def configuration(self) -> Response[str]:
        """What the page asks first: how one signs in, null if nobody does."""
        sign_in = self._sign_in()
        told = sign_in and {"issuer": sign_in.issuer, "client_id": sign_in.client_id, "audience": sign_in.audience}
        headers: dict[str, str | list[str]] = {**_SAFETY, "Cache-Control": "no-store"}
        return Response(200, "application/json", orjson.dumps({"sign_in": told}).decode(), headers)

    def asset(self, name: str, headers: Mapping[str, str]) -> Response[Any]:
        """Raises RouteNotFound where the page has no such file."""
        return _answer(self._file(f"assets/{name}"), headers, KEPT)

    def description(self, headers: Mapping[str, str]) -> Response[Any]:
        """openapi.json. Raises RouteNotFound where no page was built."""
        return _answer(self._file("openapi.json"), headers, ASKED_AGAIN)

    @cached_property
    def _files(self) -> Mapping[str, PageFile]:
        # By name: a request's path opens nothing.
        paths = [path for path in self._folder.glob("**/*") if path.suffix in CONTENT_TYPES]
        return {path.relative_to(self._folder).as_posix(): _read(path) for path in paths}

    def _file(self, name: str) -> PageFile:
        if not self._files:
            raise RouteNotFound("The page is not built here: run 'make run' or 'make build', which build it.")
        if name not in self._files:
            raise RouteNotFound("The page has no such file: load the page again, which may be newer by now.")
        return self._files[name]


def _policy(*connects_to: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src {' '.join(connects_to)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def _read(path: Path) -> PageFile:
    content = path.read_bytes()
    return PageFile(
        content,
        gzip.compress(content, 9, mtime=0),
        CONTENT_TYPES[path.suffix],
        f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    )


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is among the codings that the caller names, and not named as one to leave (RFC 9110, 12.5.3)."""
    for coding in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in coding.split(";"))
        if name == "gzip":
            return not any(_NO_WEIGHT.fullmatch(parameter) for parameter in parameters)
    return False


def _answer(
    file: PageFile, headers: Mapping[str, str], cache_control: str, more: Mapping[str, str] | None = None
) -> Response[Any]:
    answered: dict[str, str | list[str]] = {
        **_SAFETY,
        "Cache-Control": cache_control,
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
        **(more or {}),
    }
    if preconditions.is_known(headers.get("if-none-match"), file.etag):
        return Response(304, headers=answered)
    if file.content_type == "application/json":  # of which the resolver takes text and no bytes
        return Response(200, file.content_type, file.content.decode(), answered)
    if _takes_gzip(headers.get("accept-encoding", "")):
        return Response(200, file.content_type, file.gzipped, {**answered, "Content-Encoding": "gzip"})
    return Response(200, file.content_type, file.content, answered)
