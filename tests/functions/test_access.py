"""Every route of every function: behind a gateway that lets everyone through, the claims are still asked for."""

import json
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from functions.admin import app as admin
from functions.batch import app as batch
from functions.predict import app as predict
from functions.segment import app as segment
from local import openapi
from loyalty_ml.api import http
from loyalty_ml.api.access import SIGNED, Access, Scope
from loyalty_ml.wiring.settings import AdminSettings, BatchSettings, PredictSettings, SegmentSettings
from tests.service import BASE, CONTEXT

pytestmark = pytest.mark.unit

ISSUER = "https://issuer.example.com"
PARTS: Any = SimpleNamespace(settings=SimpleNamespace(access=Access(ISSUER, frozenset({"loyalty"}))))
"""A deployment of which nothing is there but who may call: a request that gets further fails for want of the rest."""
APPS = {
    "predict": predict.make_app(lambda: PARTS),
    "batch": batch.make_app(lambda: PARTS),
    "segment": segment.make_app(lambda: PARTS),
    "admin": admin.make_app(lambda: PARTS),
}
HANDLERS = {name: http.entrypoint(app) for name, app in APPS.items()}
ROUTES = [(name, *key, scope) for name, app in APPS.items() for key, scope in app.scopes().items()]
PROTECTED = [(name, method, path, scope) for name, method, path, scope in ROUTES if scope not in (None, SIGNED)]
SCOPES: tuple[Scope, ...] = get_args(Scope)


def call(name: str, method: str, path: str, scope: str | None, slash: str = "") -> tuple[int, Mapping[str, Any]]:
    """scope: of the token; None for a request without claims."""
    path = BASE + path.replace("{", "").replace("}", "") + slash
    told = {"iss": ISSUER, "aud": "loyalty", "exp": str(time.time() + 60), "scope": scope}
    answer = HANDLERS[name](
        {
            "version": "2.0",
            "routeKey": f"{method} {path}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"content-type": "application/json"},
            "requestContext": {
                "requestId": "id",
                "stage": "$default",
                "http": {"method": method, "path": path},
                **({} if scope is None else {"authorizer": {"jwt": {"claims": told, "scopes": None}}}),
            },
            "isBase64Encoded": False,
        },
        CONTEXT,
    )
    assert (answer["headers"].get("WWW-Authenticate") == "Bearer") is (answer["statusCode"] == 401)
    return answer["statusCode"], json.loads(answer["body"] or "{}")


def told(path: str, body: Mapping[str, Any], code: str) -> bool:
    """Whether the error is the one of this code, in the form that the path's protocol has."""
    return body.keys() == {"error"} if path.startswith("/v2") else body["code"] == code


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("name", "method", "path", "scope"), PROTECTED)
def test_a_route_asks_for_claims_and_for_its_scope(name: str, method: str, path: str, scope: str, slash: str) -> None:
    status, body = call(name, method, path, None, slash)
    assert (status, told(path, body, "UNAUTHENTICATED")) == (401, True), body
    others = " ".join(each for each in SCOPES if each != scope)
    status, body = call(name, method, path, others, slash)
    assert (status, told(path, body, "MISSING_SCOPE")) == (403, True), body
    assert scope in body["error"]
    status, body = call(name, method, path, scope, slash)
    assert status not in (401, 403), body


@pytest.mark.parametrize(
    ("authorizer", "status"),
    [
        (None, 401),
        ({"iam": None}, 401),
        ({"iam": {"userArn": ""}}, 401),
        ({"jwt": {"claims": {"iss": ISSUER, "aud": "loyalty", "exp": "9999999999", "scope": " ".join(SCOPES)}}}, 401),
        ({"iam": {"userArn": "arn:aws:sts::000000000000:assumed-role/snowflake/session"}}, 400),
    ],
)
def test_a_signed_route_asks_who_signed_and_takes_no_token_for_it(authorizer: Any, status: int) -> None:
    path = f"{BASE}/sql/loyalty_churn"
    answer = HANDLERS["batch"](
        {
            "routeKey": f"POST {path}",
            "rawPath": path,
            "headers": {"content-type": "application/json"},
            "requestContext": {
                "requestId": "id",
                "stage": "$default",
                "http": {"method": "POST", "path": path},
                "authorizer": authorizer,
            },
            "isBase64Encoded": False,
        },
        CONTEXT,
    )
    assert answer["statusCode"] == status


@pytest.mark.parametrize(("name", "method", "path", "scope"), [route for route in PROTECTED if route[1] == "GET"])
def test_head_asks_for_as_much_as_get(name: str, method: str, path: str, scope: str) -> None:
    assert call(name, "HEAD", path, None)[0] == 401
    assert call(name, "HEAD", path, "")[0] == 403


def test_each_route_of_each_function_says_its_scope_or_is_open_for_a_reason() -> None:
    """A function that is made a route in another way than by `json_route` would ask for nothing."""
    known = {key for app in APPS.values() for key, scope in app.scopes().items() if scope is not None}  # or a signature
    for app in APPS.values():
        for route in (*app._static_routes, *app._dynamic_routes):
            if (route.method, route.openapi_path) not in known:
                open_at = next((path for path in openapi.OPEN if route.openapi_path.startswith(path)), None)
                assert open_at, f"{route.method} {route.openapi_path} asks for no token, and no reason is given"
                assert openapi.OPEN[open_at]
    assert {scope for app in APPS.values() for scope in app.scopes().values()} == {None, SIGNED, *SCOPES}


def test_the_description_names_the_scope_of_each_operation() -> None:
    described = {
        (method.upper(), path): [scope for each in operation["security"] for scope in each.get("jwt", [SIGNED])]
        for path, operations in openapi.document()["paths"].items()
        for method, operation in operations.items()
    }
    scopes = {(method, path): scope for _, method, path, scope in ROUTES}
    for key, named in described.items():
        scope = scopes.get(key)
        assert named == ([scope] if scope else []), key
        assert named or key[1] in openapi.OPEN, key


@pytest.mark.parametrize("settings", [PredictSettings, BatchSettings, SegmentSettings, AdminSettings])
def test_a_function_that_is_not_told_whose_tokens_to_accept_does_not_start(settings: Any) -> None:
    """Or a variable that is lost would open it to all."""
    others = {str(field.alias): "x" for field in settings.model_fields.values() if field.is_required()}
    others |= {"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": "a b"}
    assert settings.read(others).access == Access(ISSUER, frozenset({"a", "b"}))
    for name in ("JWT_ISSUER", "JWT_AUDIENCE"):
        with pytest.raises(ValidationError):
            settings.read({key: value for key, value in others.items() if key != name})
        with pytest.raises(ValidationError):
            settings.read(others | {name: ""})
    assert settings.read(others | {"JWT_ISSUER": "", "JWT_AUDIENCE": ""}).access.issuer == ""
