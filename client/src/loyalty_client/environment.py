"""Where the service is and who calls, as the environment says."""

import os
from collections.abc import Mapping

import httpx

from loyalty_client.auth import ClientCredentials, Token

BASE_PATH = "/api/loyalty/v1"
LOCAL = f"http://127.0.0.1:8000{BASE_PATH}"
"""That of `make run`."""
URL, TOKEN = "LOYALTY_URL", "LOYALTY_TOKEN"
ISSUER, CLIENT_ID, CLIENT_SECRET = "LOYALTY_ISSUER", "LOYALTY_CLIENT_ID", "LOYALTY_CLIENT_SECRET"
SCOPE, AUDIENCE = "LOYALTY_SCOPE", "LOYALTY_AUDIENCE"


def base_url(given: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """The address that is given, else LOYALTY_URL's, else the local service's; the API's path is added to a bare host.

    Raises ValueError if it is no address.
    """
    text = (given or environment.get(URL) or LOCAL).strip()
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as problem:
        raise ValueError(f"{text!r} is no address ({problem}): give one such as {LOCAL}.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{text!r} is no address of a service: give one such as {LOCAL}.")
    if url.query or url.fragment:  # the API's path would become a part of them
        raise ValueError(f"{text!r} has more than an address, from its ? or # on: leave that out.")
    return str(url.copy_with(path=BASE_PATH) if url.path in ("", "/") else url).rstrip("/")


def auth(environment: Mapping[str, str] = os.environ) -> httpx.Auth | None:
    """LOYALTY_TOKEN, or the client's credentials; None if there is neither.

    Raises ValueError if the credentials are given in part.
    """
    if token := environment.get(TOKEN):
        return Token(token)
    needed = {name: environment.get(name, "") for name in (ISSUER, CLIENT_ID, CLIENT_SECRET)}
    if not any(needed.values()):
        return None
    if missing := [name for name, value in needed.items() if not value]:
        raise ValueError(f"The client's credentials are not whole: set {' and '.join(missing)}, too.")
    return ClientCredentials(
        *needed.values(), scope=environment.get(SCOPE) or None, audience=environment.get(AUDIENCE) or None
    )
