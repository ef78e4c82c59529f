"""API Gateway's JWT authorizer on this machine: what an HTTP API checks of a token, and how it refuses one.

After AWS's "Control access to HTTP APIs with JWT authorizers": only RSA signatures, by the key of the issuer that the
token names; "iss"; "aud", or without one "client_id"; "exp", "nbf", "iat"; and one of the route's scopes in "scope" or
"scp".
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ("RS256", "RS384", "RS512")


class Refused(Exception):
    """The request is answered with this status, and with `challenge` as the header WWW-Authenticate."""

    def __init__(self, status: int, challenge: str) -> None:
        super().__init__(challenge)
        self.status = status
        self.challenge = challenge


class JwtAuthorizer:
    """Checks tokens of one issuer."""

    def __init__(
        self, issuer: str, audiences: Iterable[str], keys: Callable[[], KeySet], now: Callable[[], float] = time.time
    ) -> None:
        """keys: the issuer's public keys; now: seconds since 1970."""
        self._issuer = issuer
        self._audiences = frozenset(audiences)
        self._keys = keys
        self._now = now

    def context(self, authorization: str | None, scopes: Sequence[str]) -> dict[str, Any]:
        """What the function is told of the request's token: `requestContext.authorizer` of its event.

        authorization: the header; scopes: the route's. Raises Refused.
        """
        if not authorization:
            raise Refused(401, "Bearer")
        claims = self._verified(authorization.removeprefix("Bearer ").strip(), scopes)
        if scopes and not set(scopes) & (_words(claims.get("scope")) | _words(claims.get("scp"))):
            _refuse(scopes, "insufficient_scope", "the token does not have a scope of the route", 403)
        told = {name: _as_text(value) for name, value in claims.items()}
        return {"jwt": {"claims": told, "scopes": list(scopes) or None}}

    def _verified(self, token: str, scopes: Sequence[str]) -> Mapping[str, Any]:
        claims = self._signed(token, scopes)
        if claims.get("iss") != self._issuer:
            _refuse(scopes, "invalid_token", "the token is not of the issuer")
        if not self._audiences & _audiences(claims):
            _refuse(scopes, "invalid_token", "the token does not have a valid audience")
        now = self._now()
        if not _is_time(claims.get("exp")) or claims["exp"] <= now:
            _refuse(scopes, "invalid_token", "the token has expired")
        for name in ("nbf", "iat"):
            if name in claims and (not _is_time(claims[name]) or claims[name] > now):
                _refuse(scopes, "invalid_token", f"the token is not valid yet ({name})")
        return claims

    def _signed(self, token: str, scopes: Sequence[str]) -> Mapping[str, Any]:
        """The claims of a token that one of the issuer's keys has signed."""
        try:
            header = jws.extract_compact(token.encode()).headers()
            key = next((key for key in self._keys().keys if key.kid == header.get("kid")), None)
            if key is None:
                _refuse(scopes, "invalid_token", "the token names no key of the issuer")
            claims = json.loads(jws.deserialize_compact(token, key, algorithms=ALGORITHMS).payload)
        except (JoseError, ValueError, RecursionError):
            _refuse(scopes, "invalid_token", "the token cannot be verified")
        if not isinstance(claims, dict):
            _refuse(scopes, "invalid_token", "the token has no claims")
        return claims


def _refuse(scopes: Sequence[str], error: str, description: str, status: int = 401) -> NoReturn:
    raise Refused(status, f'Bearer scope="{" ".join(scopes)}" error="{error}" error_description="{description}"')


def _audiences(claims: Mapping[str, Any]) -> set[str]:
    named = claims["aud"] if "aud" in claims else claims.get("client_id")
    return {each for each in (named if isinstance(named, list) else [named]) if isinstance(each, str)}


def _words(claim: Any) -> set[str]:
    if isinstance(claim, list):
        return {each for each in claim if isinstance(each, str)}
    return set(claim.split(" ")) if isinstance(claim, str) else set()  # RFC 6749, 3.3: a space, and no other blank


def _is_time(value: Any) -> bool:
    """Of a double's range: a longer integer is no time that anything here can compare, and NaN is in no range."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _as_text(value: Any) -> str:
    """A claim as the gateway hands it on: a text as it is, a list as [one two]."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(map(_as_text, value))}]"
    return json.dumps(value)
