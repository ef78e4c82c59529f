"""Who calls: a token of your own, or one that is fetched with a client's credentials (OpenID Connect)."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeGuard
from urllib.parse import quote

import httpx

from loyalty_client import errors

RENEWED_BEFORE = 60.0
"""Seconds before its end in which a token is not used any more: its last request has to arrive, too."""
KEPT_UNSAID = 300.0
"""Seconds that a token is kept if the issuer does not say how long it is good for."""
_VISIBLE = re.compile(r"[!-~]+")


class Token(httpx.Auth):
    """A token that is there already; or a function that gives one, which is asked for each request.

    Blanks and line ends around it, as a file has them, are no part of it. A request raises NoToken if nothing is left,
    or what no header can hold.
    """

    def __init__(self, token: str | Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token if isinstance(self._token, str) else self._token()
        if not _is_token(token):  # httpx would refuse it with a sentence that has the secret in it
            raise errors.NoToken(
                "The token is empty or no text, or has blanks, line ends or other than ASCII characters in it: give "
                "it as the issuer gave it."
            )
        yield _with(request, token)


class ClientCredentials(httpx.Auth):
    """A token of the issuer's for this client: fetched once, kept, and renewed before it expires.

    If the service refuses it all the same (401), another is fetched once. One object may serve many clients, and many
    threads. Raises NoToken if the issuer gives none.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str | None = None,
        audience: str | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """issuer: its URL, below which is /.well-known/openid-configuration.

        scope:    names apart by blanks, such as "loyalty/predict".
        audience: for issuers that ask for one.
        now:      seconds.
        """
        if not _keeps_secrets(issuer):
            raise ValueError(f"The issuer must have an https:// URL, because it is sent a secret: not {issuer!r}.")
        self._issuer = issuer.rstrip("/")
        self._client_id = client_id
        self._client_secret = client_secret
        self._asked = {name: value for name, value in (("scope", scope), ("audience", audience)) if value}
        self._now = now
        self._described: dict[str, Any] | None = None
        self._token: str | None = None
        self._good_until = 0.0
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        refused = None
        while True:
            with self._lock:
                flow = self._renewed(refused)
                try:
                    wanted = next(flow)
                    while True:
                        response = yield wanted
                        response.read()
                        wanted = flow.send(response)
                except StopIteration as done:
                    token = done.value
            response = yield _with(request, token)
            if response.status_code != httpx.codes.UNAUTHORIZED or refused is not None:
                return
            refused = token

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        refused = None
        while True:
            # Only tried: a thread that waited for a lock would stop the others of its loop, of which one may hold it.
            while not self._lock.acquire(blocking=False):
                await asyncio.sleep(0.01)
            try:
                flow = self._renewed(refused)
                try:
                    wanted = next(flow)
                    while True:
                        response = yield wanted
                        await response.aread()
                        wanted = flow.send(response)
                except StopIteration as done:
                    token = done.value
            finally:
                self._lock.release()
            response = yield _with(request, token)
            if response.status_code != httpx.codes.UNAUTHORIZED or refused is not None:
                return
            refused = token

    def _renewed(self, refused: str | None) -> Generator[httpx.Request, httpx.Response, str]:
        """A token that is good still, and is not the refused one; what it yields is for the issuer."""
        if self._token is not None and self._token != refused and self._now() < self._good_until:
            return self._token
        if self._described is None:
            self._described = self._read((yield self._discovery()))
            if str(self._described.get("issuer")).rstrip("/") != self._issuer:
                self._described = None
                raise errors.NoToken(f"What {self._issuer} describes is another issuer: check the issuer's URL.")
        asked_at = self._now()
        answer = self._read((yield self._token_request(self._described)))
        token, seconds = answer.get("access_token"), answer.get("expires_in", KEPT_UNSAID)
        if not _is_token(token):
            raise errors.NoToken(f"{self._issuer} answered without a token: check the client's grants.")
        seconds = float(seconds) if isinstance(seconds, int | float) else KEPT_UNSAID
        self._token = token
        self._good_until = asked_at + max(seconds - RENEWED_BEFORE, seconds / 2)
        return token

    def _discovery(self) -> httpx.Request:
        return httpx.Request("GET", f"{self._issuer}/.well-known/openid-configuration")

    def _token_request(self, described: dict[str, Any]) -> httpx.Request:
        """As RFC 6749, 4.4 and 2.3.1 have it."""
        endpoint = described.get("token_endpoint")
        if not isinstance(endpoint, str) or not _keeps_secrets(endpoint):
            raise errors.NoToken(
                f"{self._issuer} describes no token endpoint that has an https:// URL: check the issuer's URL."
            )
        form = {"grant_type": "client_credentials", **self._asked}
        methods = described.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if not isinstance(methods, list):
            methods = []
        if "client_secret_basic" not in methods and "client_secret_post" in methods:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
            return httpx.Request("POST", endpoint, data=form)
        request = httpx.Request("POST", endpoint, data=form)
        basic = httpx.BasicAuth(quote(self._client_id, safe=""), quote(self._client_secret, safe=""))
        return next(basic.auth_flow(request))

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        said = answer.get("error_description") or answer.get("error") if isinstance(answer, dict) else None
        raise errors.NoToken(
            f"{self._issuer} gave no token (status {response.status_code}{f', {said}' if said else ''}): check the "
            "issuer's URL, the client's id and secret, and its scope."
        )


def _keeps_secrets(address: str) -> bool:
    """Whether what is sent there is seen by nobody on the way."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return False
    return url.scheme == "https" or (url.scheme == "http" and url.host in ("127.0.0.1", "localhost", "::1"))


def _is_token(given: Any) -> TypeGuard[str]:
    return isinstance(given, str) and _VISIBLE.fullmatch(given.strip()) is not None


def _with(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token.strip()}"
    return request
