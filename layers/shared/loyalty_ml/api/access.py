"""Who may call a route: the claims that the gateway verified, looked at again.

The gateway checks each token's signature before a function runs. A function goes by the claims that the gateway hands
on, and not by the gateway's settings: without claims of the issuer, or without the route's scope, it answers nothing.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from loyalty_ml.errors import MissingScope, Unauthenticated

Scope = Literal["loyalty/read", "loyalty/predict", "loyalty/segments", "loyalty/models"]

Signed = Literal["AWS_IAM"]
SIGNED: Signed = "AWS_IAM"
"""In place of a scope: the request is signed by somebody of AWS whose policy lets them call the route."""


@dataclass(frozen=True, slots=True)
class Access:
    """issuer: of the tokens, as in "iss"; "" if nobody is asked for a token, as on a developer's machine.

    audiences: a token is for at least one of them.
    """

    issuer: str
    audiences: frozenset[str]

    def check(self, event: Mapping[str, Any], scope: Scope | Signed) -> None:
        """event: of an HTTP API, payload 2.0. Raises Unauthenticated or MissingScope."""
        if not self.issuer:
            return
        if scope == SIGNED:
            if not _signer(event):
                raise Unauthenticated("The request is not signed by AWS Signature Version 4: sign it for execute-api.")
            return
        claims = claims_of(event)
        if claims.get("iss") != self.issuer or not self.audiences & _audiences(claims) or not _is_in_time(claims):
            raise Unauthenticated
        if scope not in _scopes(claims):
            raise MissingScope(f"The token lacks the scope {scope}: ask for a token that has it.", {"scope": scope})


def claims_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claims of the request's token, as the gateway verified them: each a text. Empty if there are none."""
    claims: Any = event["requestContext"]
    for part in ("authorizer", "jwt", "claims"):
        claims = claims.get(part) if isinstance(claims, Mapping) else None
    return claims if isinstance(claims, Mapping) else {}


def _signer(event: Mapping[str, Any]) -> str:
    """Who signed the request, as the gateway verified it: an ARN; "" if nobody did."""
    authorizer = event["requestContext"].get("authorizer")
    signed = authorizer.get("iam") if isinstance(authorizer, Mapping) else None
    arn = signed.get("userArn") if isinstance(signed, Mapping) else None
    return arn if isinstance(arn, str) else ""


def _audiences(claims: Mapping[str, Any]) -> frozenset[str]:
    """As the gateway has it: "client_id" counts for a token without "aud", such as Amazon Cognito's."""
    named = claims["aud"] if "aud" in claims else claims.get("client_id")
    return _listed(named) or frozenset({named} if isinstance(named, str) else ())


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    named = (claims.get("scope"), claims.get("scp"))
    # RFC 6749, 3.3: between scopes is a space, and no other blank.
    return frozenset[str]().union(*(_listed(each) or each.split(" ") for each in named if isinstance(each, str)))


def _listed(claim: Any) -> frozenset[str]:
    """A list as the gateway writes it: "[one two]"; empty for what is none."""
    is_list = isinstance(claim, str) and claim.startswith("[") and claim.endswith("]")
    return frozenset(filter(None, claim[1:-1].split(" ")) if is_list else ())


def _is_in_time(claims: Mapping[str, Any]) -> bool:
    try:
        expires = float(claims["exp"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    return math.isfinite(expires) and expires > time.time()
