"""A real HTTP server of this machine that does with each request what a test says."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Says:
    """What the server says to a request.

    declared: the Content-Length, if it is another than the body's; 0 for none at all.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    declared: int | None = None


DROPS = None
"""It closes the connection and says nothing."""
Behaviour = Callable[[Received], Says | None]


def half(answer: Any) -> Says:
    """The first half of an answer whose length was said."""
    whole = json.dumps(answer).encode()
    return Says(body=whole[: len(whole) // 2], declared=len(whole))


def cut(answer: Any) -> Says:
    """The first half of an answer whose length nobody said."""
    whole = json.dumps(answer).encode()
    return Says(body=whole[: len(whole) // 2], declared=0)


@dataclass
class Server:
    address: str
    received: list[Received]
    behaviours: list[Behaviour]
    """The next request's, in order; the last one is all further ones', too."""

    def will(self, *behaviours: Behaviour | Says | None) -> None:
        self.behaviours[:] = [_behaviour(each) for each in behaviours]


def _behaviour(given: Behaviour | Says | None) -> Behaviour:
    return given if callable(given) else lambda _: given


@contextmanager
def running() -> Iterator[Server]:
    received: list[Received] = []
    behaviours: list[Behaviour] = []
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = Received(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
            with one_at_a_time:
                received.append(request)
                behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
            said = behaviour(request)
            self.close_connection = True
            if said is None:
                return
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            self.send_header("Content-Type", said.content_type)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if said.declared != 0:
                self.send_header("Content-Length", str(len(body) if said.declared is None else said.declared))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815  http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", received, behaviours)
    finally:
        server.shutdown()
        server.server_close()


def batch_answer(request: Received | bytes, unknown: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What the service answers to a batch of churn, in which some ids are unknown."""
    body = json.loads(request if isinstance(request, bytes) else request.body)
    ids = body["customer_ids"]
    results = [
        {"customer_id": each, "result": {"customer_id": each, "churn_probability": 0.25, "churn_risk": "low"}}
        for each in ids
        if each not in unknown
    ]
    errors = [
        {"customer_id": each, "error": "Customer not found in DWH", "code": "CUSTOMER_NOT_FOUND"}
        for each in ids
        if each in unknown
    ]
    return {
        "type": body["type"], "mode": "batch", "total": len(ids), "successful": len(results), "failed": len(errors),
        "results": results, "errors": errors, "mock": False,
        "model": {"name": "churn", "version": "v1", "placeholder": False}, "features_as_of": "2018-01-02T00:00:00Z",
    }  # fmt: skip
