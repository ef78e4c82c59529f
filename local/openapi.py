"""Writes openapi.json: the API's description, generated from the functions' own routes and contracts."""

import argparse
import json
from pathlib import Path
from typing import Any, NoReturn

from functions.admin import app as admin
from functions.batch import app as batch
from functions.predict import app as predict
from functions.segment import app as segment
from local import openapi_schemas
from loyalty_ml.api.access import SIGNED, Scope, Signed
from loyalty_ml.api.http import BASE_PATH, Api


def _no_parts() -> NoReturn:
    raise AssertionError("The description is made of routes, and no route is called")


APPS: tuple[Api, ...] = tuple(module.make_app(_no_parts) for module in (predict, batch, segment, admin))
PATH = Path(__file__).parent.parent / "openapi.json"

OPEN = {
    "/health": "It says that the function answers, and nothing else; a load balancer has no token.",
    "/admin": "The page is nobody's data, and a browser sends no token for it: what it shows, it asks the API for.",
    "/openapi.json": "The description is in the public repository.",
}
"""What is answered without a token, and why."""

DESCRIPTION = """\
Churn probability, next best offer and RFM for one customer, up to 100, a segment, or files of any size.

Every route answers with and without a trailing slash, and HEAD wherever GET does. Each answer has an
`X-Correlation-Id` header, the caller's own if there was one: the logs name the request by it. Numbers are exact: a
probability is the model's float32, written so that it reads back to the bit. A route refuses query parameters and
fields that it does not have.
"""
CORRELATION_ID = {
    "name": "X-Correlation-Id",
    "in": "header",
    "required": False,
    "description": "Your own name of the request, of visible ASCII: the answer and the log have it. Without it, the "
    "gateway makes one",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
    "example": "order-17",
}
_GATEWAY = {
    "401": "There is no token, it has expired, or it is for another audience",
    "403": "The token lacks the scope",
    "429": "Too many requests: try again later",
}
_AGAIN = {"401": "`UNAUTHENTICATED`", "403": "`MISSING_SCOPE`"}
"""What the function answers with if the gateway let the request through all the same."""


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of all functions, without what the resolver adds from its own validation and answers."""
    paths: dict[str, Any] = {}
    scopes: dict[tuple[str, str], Scope | Signed | None] = {}
    schemas: dict[str, Any] = {}
    for app in APPS:
        schema = app.get_openapi_schema(title="", version="").model_dump(mode="json", by_alias=True, exclude_none=True)
        paths |= schema["paths"]
        scopes |= app.scopes()
        schemas |= schema["components"]["schemas"]
    schemas = openapi_schemas.with_whole_bodies(schemas)
    openapi_schemas.mark_moments(schemas)
    openapi_schemas.type_job_answers(schemas)
    for unused in ("HTTPValidationError", "ResponseValidationError", "ValidationError", "Reply"):
        schemas.pop(unused, None)
    for path, operations in paths.items():
        for method, operation in operations.items():
            openapi_schemas.name_operation(method, path, operation)
            for without_body in operation["responses"].keys() & {"204", "304"}:
                operation["responses"][without_body].pop("content", None)
            scope = None if path in OPEN else scopes[method.upper(), path]
            operation["security"] = [{"sigv4": []}] if scope == SIGNED else [{"jwt": [scope]}] if scope else []
            if scope is None:
                continue
            ours = "InferenceError" if path.startswith("/v2") else "ErrorAnswer"
            operation["responses"] |= {status: _refusal(status, reason, ours) for status, reason in _GATEWAY.items()}
            operation.setdefault("parameters", []).append(CORRELATION_ID)
            operation["responses"] = dict(sorted(operation["responses"].items()))
    schemas["GatewayError"] = {
        "type": "object",
        "title": "GatewayError",
        "description": "An answer of API Gateway's own, which has no code",
        "properties": {"message": {"type": "string"}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Loyalty ML", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": BASE_PATH}],
        "security": [{"jwt": []}],
        "tags": [
            {"name": name, "description": meaning} for name, meaning in dict(openapi_schemas.TAGS.values()).items()
        ],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "jwt": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "AWS Signature Version 4, for execute-api",
                },
            },
        },
    }


def _refusal(status: str, reason: str, error: str) -> dict[str, Any]:
    gateways, ours = ({"$ref": f"#/components/schemas/{name}"} for name in ("GatewayError", error))
    description = f"{reason} (answered by the gateway"
    if status not in _AGAIN:
        return {"description": f"{description})", "content": {"application/json": {"schema": gateways}}}
    return {
        "description": f"{description}, or {_AGAIN[status]} by the function)",
        "content": {"application/json": {"schema": {"anyOf": [gateways, ours]}}},
    }


def text() -> str:
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m local.openapi", description=__doc__).parse_args()
    PATH.write_text(text())
    print(f"Wrote {PATH.name}")
