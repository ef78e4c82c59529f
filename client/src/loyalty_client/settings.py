"""What both clients are made of."""

import functools
import ssl
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import httpx

from loyalty_client import environment, options
from loyalty_client.auth import Token
from loyalty_client.calls import Calls, Retries

PredictionType: TypeAlias = Literal["churn", "nbo", "rfm", "all"]
JobStatus: TypeAlias = Literal["awaiting_upload", "queued", "running", "succeeded", "partly_failed", "failed"]
Auth: TypeAlias = str | Callable[[], str] | httpx.Auth | None
AGENT = {"User-Agent": "loyalty-client"}


class Settings:
    """The arguments of a client, and what the environment says where they say nothing.

    options: those of httpx's own clients.
    Raises TypeError and ValueError for an argument that no request could go with.
    """

    def __init__(self, base_url: str | None, auth: Auth, at_once: int, retries: Retries | None, timeout: float) -> None:
        options.check_whole("at_once", at_once, "the number of requests side by side")
        options.check_seconds("timeout", timeout, may_be_zero=False)
        if not (retries is None or isinstance(retries, Retries)):
            raise TypeError(f"retries says how often and when, as Retries(tries=3) does: not {retries!r}.")
        if not (auth is None or isinstance(auth, str | httpx.Auth) or callable(auth)):
            raise TypeError("auth is a token, a function that gives one, or an httpx.Auth such as ClientCredentials.")
        self.at_once = at_once
        self.calls = Calls(retries or Retries())
        if auth is None:
            self.auth = environment.auth()
        else:
            self.auth = auth if isinstance(auth, httpx.Auth) else Token(auth)
        self.options: dict[str, Any] = {
            "base_url": environment.base_url(base_url),
            "headers": AGENT,
            "timeout": timeout,
            "verify": _tls(),
            "limits": httpx.Limits(max_connections=None, max_keepalive_connections=at_once),
        }


@functools.cache
def _tls() -> ssl.SSLContext:
    """Made once, because reading all certificates takes 60 ms: a client of its own for each call costs nothing."""
    return httpx.create_ssl_context()
