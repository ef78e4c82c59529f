"""What the functions are given: their variables, and events as API Gateway sends them."""

import json
from typing import Any

from local import template
from local.gateway import LambdaContext

CONTEXT: Any = LambdaContext("bench", timeout_seconds=86_400)


def variables() -> dict[str, str]:
    """The environment that the template gives its functions; each store's name is "bench"."""
    described = template.load()
    return template.environment(described, dict.fromkeys(described["Resources"], "bench"))


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """API Gateway's event of a POST; path: below the API's base path."""
    path = f"/api/loyalty/v1{path}"
    return {
        "version": "2.0",
        "routeKey": f"POST {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "example.execute-api.eu-west-1.amazonaws.com"},
        "requestContext": {
            "stage": "$default",
            "requestId": "JKJaXmPLvHcESHA=",
            "http": {"method": "POST", "path": path, "sourceIp": "192.0.2.1", "userAgent": "bench"},
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
