"""An OIDC issuer for `AUTH=1 make run`: it knows nobody, so whoever asks chooses a name and scopes.

Discovery, keys, the authorization code with PKCE behind a form to sign in, client credentials, and refresh tokens.
Codes are kept in memory for a minute; all else is signed, so that a token lives on when changed code is reloaded.
"""

import base64
import hashlib
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from markupsafe import Markup
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

from loyalty_ml.api.access import Scope

SCOPES: tuple[str, ...] = get_args(Scope)
AUDIENCE = "loyalty"
PAGE = "page"
"""The public client: a page on this machine, of any port."""
MACHINE, SECRET = "machine", "local"
"""The client for programs. Its secret is no secret: the server listens on the loopback interface only."""
PATH = "/issuer"
_OF_THIS_MACHINE = re.compile(r"http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")
"""The page's origin, at whichever port. As a text: what parses an address leaves out line ends, and raises for some."""
TOKEN_SECONDS = 3600
_CODE_SECONDS = 60
_REFRESH_SECONDS = 12 * 3600

FORM = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in on this machine</title>
<style>:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:2rem auto;padding:0 1rem}
fieldset{margin:1rem 0}label{display:block}button{font:inherit;padding:.4rem 1rem}</style>
<h1>Sign in on this machine</h1>
<p>This issuer is for trying things out: choose who you are, and what you may do.</p>
<form method="post">%(hidden)s
<label>Name <input name="name" value="you" required></label>
<fieldset><legend>Scopes</legend>%(scopes)s</fieldset>
<button name="answer" value="yes">Sign in</button> <button name="answer" value="no">Refuse</button>
</form></html>"""


class InvalidRequest(Exception):
    """An OAuth error's code, such as invalid_grant, and the status to answer with."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


def new_key() -> str:
    """A private RSA key, in PEM."""
    return RSAKey.generate_key(2048).as_pem(private=True).decode()


class Issuer:
    """A WSGI application, to be mounted at PATH."""

    def __init__(self, issuer: str, private_key: str, callback: str, now: Callable[[], float] = time.time) -> None:
        """issuer: its address, PATH included, as in "iss"; private_key: RSA, in PEM; callback: the path of the page's
        redirect_uri; now: seconds since 1970.
        """
        self.issuer = issuer
        self._callback = callback
        self._key = RSAKey.import_key(private_key)
        self._key.ensure_kid()
        self._now = now
        self._codes: dict[str, dict[str, str]] = {}

    def keys(self) -> KeySet:
        """The public keys, as /jwks has them."""
        return KeySet.import_key_set(self._jwks())

    def _jwks(self) -> Any:
        public = {**self._key.as_dict(private=False), "use": "sig", "alg": "RS256"}
        return {"keys": [public]}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        response = self._answer(request)
        origin = request.headers.get("Origin", "")
        if _OF_THIS_MACHINE.fullmatch(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        response.headers["Cache-Control"] = "no-store"
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        routes: Mapping[tuple[str, str], Callable[[], Response]] = {
            ("GET", "/.well-known/openid-configuration"): lambda: _json(self._metadata()),
            ("GET", "/jwks"): lambda: _json(self._jwks()),
            ("GET", "/authorize"): lambda: self._form(self._asked(request.args)),
            ("POST", "/authorize"): lambda: self._decided(self._asked(request.form), request),
            ("POST", "/token"): lambda: _json(self._token(request)),
        }
        answer = routes.get((request.method, request.path))
        if answer is None:
            return _json({"error": "invalid_request", "error_description": "The issuer has no such address."}, 404)
        try:
            return answer()
        except InvalidRequest as problem:
            return _json({"error": problem.error, "error_description": str(problem)}, problem.status)

    def _metadata(self) -> Mapping[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "authorization_response_iss_parameter_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _asked(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """An authorization request. Raises InvalidRequest for one that the page does not send: nobody is led away."""
        challenge = ("code_challenge", "code_challenge_method")
        names = ("client_id", "redirect_uri", "response_type", "scope", "state", *challenge)
        asked = {name: given.get(name, "") for name in names}
        origin = asked["redirect_uri"].removesuffix(self._callback)
        if asked["client_id"] != PAGE or origin == asked["redirect_uri"] or not _OF_THIS_MACHINE.fullmatch(origin):
            raise InvalidRequest("invalid_request", f"client_id is '{PAGE}', and redirect_uri is of this machine.")
        if asked["response_type"] != "code" or asked["code_challenge_method"] != "S256" or not asked["code_challenge"]:
            raise InvalidRequest("invalid_request", "This issuer gives a code (response_type), with PKCE by S256.")
        return asked

    def _form(self, asked: Mapping[str, str]) -> Response:
        hidden = Markup("").join(
            Markup('<input type="hidden" name="{}" value="{}">').format(name, value) for name, value in asked.items()
        )
        scopes = Markup("").join(
            Markup('<label><input type="checkbox" name="granted" value="{0}" checked> {0}</label>').format(scope)
            for scope in _scopes(asked["scope"])
        )
        response = Response(FORM % {"hidden": hidden, "scopes": scopes}, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        response.headers["X-Frame-Options"] = "DENY"
        return response

    def _decided(self, asked: Mapping[str, str], request: Request) -> Response:
        """Back to the page, with a code or with the refusal."""
        answer = {"state": asked["state"], "iss": self.issuer}
        if request.form.get("answer") == "yes":
            code = secrets.token_urlsafe(32)
            granted = [scope for scope in _scopes(asked["scope"]) if scope in request.form.getlist("granted")]
            self._codes[code] = {
                **asked,
                "granted": " ".join(granted),
                "name": request.form.get("name", ""),
                "until": str(self._now() + _CODE_SECONDS),
            }
            answer["code"] = code
        else:
            answer |= {"error": "access_denied", "error_description": "Whoever was to sign in refused."}
        return Response(status=303, headers={"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"})

    def _token(self, request: Request) -> Mapping[str, Any]:
        form = request.form
        match form.get("grant_type"):
            case "client_credentials":
                _authenticate_machine(request)
                scope = " ".join(_scopes(form.get("scope") or " ".join(SCOPES)))
                return self._tokens(MACHINE, MACHINE, scope, refreshable=False)
            case "authorization_code":
                code = self._codes.pop(form.get("code", ""), None)
                if code is None or float(code["until"]) < self._now():
                    raise InvalidRequest("invalid_grant", "The code is unknown, used or too old: sign in again.")
                if (form.get("client_id"), form.get("redirect_uri")) != (code["client_id"], code["redirect_uri"]):
                    raise InvalidRequest("invalid_grant", "The code is another client's.")
                digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
                if not secrets.compare_digest(_base64url(digest).encode(), code["code_challenge"].encode()):
                    raise InvalidRequest("invalid_grant", "The code is not of this code_verifier.")
                return self._tokens(code["name"], PAGE, code["granted"], refreshable=True)
            case "refresh_token":
                claims = self._refreshed(form.get("refresh_token", ""))
                return self._tokens(claims["sub"], PAGE, claims["scope"], refreshable=True)
        raise InvalidRequest("unsupported_grant_type", "This issuer knows no such grant_type.")

    def _refreshed(self, token: str) -> Mapping[str, Any]:
        try:
            claims = jwt.decode(token, self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError) as error:
            raise InvalidRequest("invalid_grant", "The refresh token is not of this issuer: sign in again.") from error
        if claims.get("aud") != self.issuer or claims["exp"] <= self._now():
            raise InvalidRequest("invalid_grant", "This is no refresh token, or it has expired: sign in again.")
        return claims

    def _tokens(self, subject: str, client: str, scope: str, *, refreshable: bool) -> Mapping[str, Any]:
        told = {"sub": subject, "client_id": client, "scope": scope}
        refresh = {"refresh_token": self._sign(told, self.issuer, _REFRESH_SECONDS)} if refreshable else {}
        return {
            "access_token": self._sign(told, AUDIENCE, TOKEN_SECONDS),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": scope,
            **refresh,
        }

    def _sign(self, told: Mapping[str, Any], audience: str, seconds: int) -> str:
        now = int(self._now())
        times = {"iat": now, "nbf": now, "exp": now + seconds}
        claims = {"iss": self.issuer, "aud": audience, **times, "jti": str(uuid.uuid4()), **told}
        return jwt.encode({"alg": "RS256", "kid": self._key.kid}, claims, self._key)


def _scopes(asked: str) -> list[str]:
    """Of the scopes that are asked for, those that there are, each once."""
    return [scope for scope in SCOPES if scope in asked.split()]


def _authenticate_machine(request: Request) -> None:
    basic = request.authorization
    given = (
        (basic.username, basic.password)
        if basic and basic.type == "basic"
        else (request.form.get("client_id"), request.form.get("client_secret"))
    )
    if given != (MACHINE, SECRET):
        raise InvalidRequest("invalid_client", f"The client is '{MACHINE}', with the secret '{SECRET}'.", 401)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json")
