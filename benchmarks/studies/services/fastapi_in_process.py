"""python -m ...fastapi_in_process SECONDS: FastAPI's application called in a loop, with no server.

As lambda_in_process.py calls a function's handler, with the same lines in and out; an event's path and body are made an
ASGI request. Nothing in the application waits, so that a call is done when it is driven once.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Coroutine
from typing import Any

from benchmarks.studies.services.fastapi_service import with_litert
from benchmarks.studies.services.lambda_in_process import measured


def main() -> None:
    asyncio.run(run(float(sys.argv[1]), json.load(sys.stdin)))


async def run(seconds: float, events: dict[str, list[Any]]) -> None:
    app = with_litert()

    def handler(event: Any, _: object) -> dict[str, Any]:
        return answered(app, event["requestContext"]["http"]["path"].removeprefix("/api/loyalty/v1"), event["body"])

    async with app.router.lifespan_context(app):
        print(json.dumps({kind: handler(some[0], None) for kind, some in events.items()}), flush=True)
        print(json.dumps(measured(handler, events, seconds)))


def answered(app: Any, path: str, body: str) -> dict[str, Any]:
    """Status and body, as API Gateway wants them of a function."""
    content = body.encode()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    drive(app(scope, receive, send))
    start, *parts = sent
    return {"statusCode": start["status"], "body": b"".join(part["body"] for part in parts).decode()}


def drive(call: Coroutine[Any, Any, None]) -> None:
    """Runs what never waits. Raises RuntimeError where it does."""
    with contextlib.suppress(StopIteration):
        call.send(None)
        raise RuntimeError("The application waited for something: it cannot be called without a server.")


if __name__ == "__main__":
    main()
