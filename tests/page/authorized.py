"""The running service behind the real gateway with its authorizer, and the real issuer: as `AUTH=1 make run` has it.

A service of its own would take longer to start than all the tests of signing in: requests that the gateway lets through
go to the one that is running. The page is answered by the real function, which names the issuer.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import requests
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from functions.admin import app as admin
from local import issuer, template
from local.authorizer import JwtAuthorizer
from local.gateway import Gateway
from local.ports import free_port
from local.server import tokens_of
from loyalty_ml.api.http import entrypoint
from loyalty_ml.api.page import CALLBACK, SignIn


@dataclass
class Authorized:
    """port: where the page is; requests: "METHOD /path" of each that a function was asked, and the scopes with it."""

    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """The issuer's origin."""
        return f"http://localhost:{self.port}"


@contextmanager
def authorized(base: str, store: str) -> Iterator[Authorized]:
    """base: of the service that is running; store: the origin of its S3."""
    port = free_port()
    tokens = tokens_of(port)
    local_issuer = issuer.Issuer(tokens["JWT_ISSUER"], issuer.new_key(), CALLBACK)
    front = Authorized(port)
    sign_in = SignIn(local_issuer.issuer, issuer.PAGE, issuer.AUDIENCE, "")
    parts: Any = SimpleNamespace(sign_in=sign_in, upload_origin=store)
    page = entrypoint(admin.make_app(lambda: parts))
    service = urlsplit(base)

    def forward(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if "/admin" in event["rawPath"]:
            return page(event, context)
        method = event["requestContext"]["http"]["method"]
        claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
        front.asked.append((f"{method} {event['rawPath']}", claims["scope"]))
        answer = requests.request(
            method,
            f"{service.scheme}://{service.netloc}{event['rawPath']}?{event['rawQueryString']}",
            headers={name: value for name, value in event["headers"].items() if name not in ("host", "authorization")},
            data=event.get("body", "").encode(),
            timeout=60,
        )
        headers = {name: value for name, value in answer.headers.items() if name not in ("Server", "Date")}
        return {"statusCode": answer.status_code, "headers": headers, "body": answer.text}

    described = template.load()
    handlers = dict.fromkeys(template.functions(described), forward)
    authorizer = JwtAuthorizer(local_issuer.issuer, [issuer.AUDIENCE], local_issuer.keys)
    gateway = Gateway(template.routes(described), handlers, threading.Lock(), authorizer=authorizer)
    server = make_server("127.0.0.1", port, DispatcherMiddleware(gateway, {issuer.PATH: local_issuer}), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()
