"""The functions of a test's process behind the local gateway, on a port of this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import make_server

from local import template
from local.gateway import Gateway
from tests.service import BASE, DESCRIBED, process

FUNCTIONS = {
    "PredictFunction": "predict",
    "BatchFunction": "batch",
    "SegmentFunction": "segment",
    "AdminFunction": "admin",
}


@contextmanager
def served() -> Iterator[str]:
    """Gives the API's base URL."""
    handlers = {name: process().handlers[function] for name, function in FUNCTIONS.items()}
    gateway = Gateway(template.routes(DESCRIBED), handlers, threading.Lock())
    server = make_server("127.0.0.1", 0, gateway, threaded=True)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{BASE}"
    finally:
        server.shutdown()
        server.server_close()
