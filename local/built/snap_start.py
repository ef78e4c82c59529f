"""A built function as SnapStart starts it, under Lambda's own runtime on this machine: initialised, held where its
snapshot would be taken, and restored when that is asked for.

The emulator knows no SnapStart, so this is the other side of Lambda's Runtime API itself, as far as one instance needs.
"""

import contextlib
import http.server
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from local.built.emulator import FunctionError, build_folder, built_function, lambdas_environment, runtimes_python

WAIT_SECONDS = 60.0
_VERSION = "/2018-06-01/runtime"


class RuntimeApi(http.server.ThreadingHTTPServer):
    """What a runtime asks for its next step and tells the outcome to.

    snapshot: set once INIT is done; restored: set to let the instance go on from there; events: what it is to answer;
    outcomes: (where the runtime sent it, the JSON that it sent), such as ("invocation/1/response", {...}).
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.snapshot = threading.Event()
        self.restored = threading.Event()
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.outcomes: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # of an instance that was ended
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """As in the variable AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        headers = {}
        body = b""
        if self.path == f"{_VERSION}/restore/next":
            self.server.snapshot.set()
            self.server.restored.wait()
        else:
            body = orjson.dumps(self.server.events.get())
            deadline_ms = round(1000 * (time.time() + WAIT_SECONDS))
            headers = {"Lambda-Runtime-Aws-Request-Id": "1", "Lambda-Runtime-Deadline-Ms": str(deadline_ms)}
        self._answer(HTTPStatus.OK, body, headers)

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.outcomes.put((self.path.removeprefix(f"{_VERSION}/"), orjson.loads(sent)))
        self._answer(HTTPStatus.ACCEPTED, b"{}", {})

    def _answer(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Not a line a request."""


class Instance:
    """A function's instance, whose INIT is done, at its snapshot. Made by `snap_started`.

    pid: its process; log_file: what it has written.
    """

    def __init__(self, api: RuntimeApi, process: subprocess.Popen[bytes], log_file: Path) -> None:
        self.pid = process.pid
        self.log_file = log_file
        self._api = api
        self._process = process

    def restore(self) -> None:
        """Lets the instance go on from its snapshot: its hooks run, then it waits for events."""
        self._api.restored.set()

    def invoke(self, event: Any) -> Any:
        """The answer to an event, both what JSON can hold. Raises FunctionError where the function or a hook raised."""
        self._api.events.put(event)
        where, outcome = self._api.outcomes.get(timeout=WAIT_SECONDS)
        if not where.endswith("/response"):
            raise FunctionError(outcome["errorType"], outcome["errorMessage"])
        return outcome

    def _initialised(self) -> None:
        give_up_at = time.monotonic() + WAIT_SECONDS
        while not self._api.snapshot.wait(0.01):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"INIT did not end well: {self.log_file.read_text(errors='replace')}")


@contextlib.contextmanager
def snap_started(
    function: str, variables: Mapping[str, str] = {}, *, physical_ids: Mapping[str, str] = {}, build: Path | None = None
) -> Iterator[Instance]:
    """An instance of the function of this logical id, initialised and not yet restored; see emulator.emulated for the
    rest. Raises RuntimeError, with what the function wrote, where INIT fails."""
    built = built_function(function, build or build_folder(), physical_ids)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{function}-")))
        api = stack.enter_context(RuntimeApi())
        threading.Thread(target=api.serve_forever, daemon=True).start()
        stack.callback(api.shutdown)
        log_file = folder / "log.txt"
        process = subprocess.Popen(
            [runtimes_python(), "-m", "awslambdaric", built.handler],
            cwd=built.code,
            env={
                **lambdas_environment(built, folder),
                **built.variables,
                "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
                "AWS_LAMBDA_RUNTIME_API": api.address,
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=stack.enter_context(log_file.open("ab")),
            stderr=subprocess.STDOUT,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        instance = Instance(api, process, log_file)
        instance._initialised()
        yield instance
