"""A transport that injects faults: a proxy between the functions and moto, through which every call of AWS goes."""

import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

JSON_ERROR = "application/x-amz-json-1.0"
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


class Call(NamedTuple):
    """A call of AWS: the service (such as s3), the operation (such as BatchGetItem, or GET), and the path."""

    service: str
    operation: str
    path: str


class Answer(NamedTuple):
    """What moto answered, or what is answered in its place."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class CutOff(NamedTuple):
    """An answer that breaks off after so many bytes of its body."""

    answer: Answer
    after: int


Fault = Callable[[Call, Callable[[], Answer]], Answer | CutOff | None]
"""Answers a call, with what moto would answer, or in its place; None closes the connection without an answer."""


def slow(seconds: float) -> Fault:
    def answer(_: Call, ask: Callable[[], Answer]) -> Answer:
        time.sleep(seconds)
        return ask()

    return answer


def refused(status: int, code: str) -> Fault:
    """An error of AWS's, in the shape of the service."""

    def answer(call: Call, _: Callable[[], Answer]) -> Answer:
        if call.service == "s3":
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
            return Answer(status, {"Content-Type": "application/xml"}, body)
        text = json.dumps({"__type": f"com.amazonaws#{code}", "message": "No."}).encode()
        return Answer(status, {"Content-Type": JSON_ERROR, "x-amzn-errortype": code}, text)

    return answer


def away(_: Call, __: Callable[[], Answer]) -> None:
    """The service takes the connection, and ends it."""


def cut_off(after: int) -> Fault:
    def answer(_: Call, ask: Callable[[], Answer]) -> Answer | CutOff:
        found = ask()
        return CutOff(found, after) if len(found.body) > after else found

    return answer


def half_unprocessed(_: Call, ask: Callable[[], Answer]) -> Answer:
    """Half of the items of a BatchGetItem are left out, and their keys said to be unprocessed; of one, none."""
    found = ask()
    answered = json.loads(found.body)
    for table, items in answered["Responses"].items():
        kept, left = items[: (len(items) + 1) // 2], items[(len(items) + 1) // 2 :]
        answered["Responses"][table] = kept
        if left:
            keys = [{"customer_id": item["customer_id"]} for item in left]
            answered["UnprocessedKeys"] = {table: {"Keys": keys}}
    return Answer(found.status, found.headers, json.dumps(answered).encode())


class Faults:
    """The faults of the moment, by what they are of. `calls` has the calls that met one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[tuple[str, str, str, Fault, int | None]] = []
        self.calls: list[Call] = []

    @contextmanager
    def of(
        self, service: str, fault: Fault, *, operation: str = "", path: str = "", times: int | None = None
    ) -> Iterator[None]:
        """The fault meets those calls while this lasts. operation, path: patterns; times: only the first so many."""
        entry = (service, operation, path, fault, times)
        with self._lock:
            self._faults.append(entry)
            self.calls.clear()
        try:
            yield
        finally:
            with self._lock:
                self._faults.clear()

    def meeting(self, call: Call) -> Fault | None:
        with self._lock:
            for place, (service, operation, path, fault, times) in enumerate(self._faults):
                if service != call.service or not re.search(operation, call.operation):
                    continue
                if not re.search(path, call.path) or times == 0:
                    continue
                if times is not None:
                    self._faults[place] = (service, operation, path, fault, times - 1)
                self.calls.append(call)
                return fault
        return None


@contextmanager
def proxy(target: str, faults: Faults) -> Iterator[str]:
    """The address of a proxy of the server at `target`, "127.0.0.1:4566", whose calls meet the faults."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            scope = re.search(r"Credential=[^/]+/\d+/[^/]+/(\w+)/", self.headers.get("Authorization", ""))
            operation = self.headers.get("X-Amz-Target", self.command).rpartition(".")[2]
            call = Call(scope[1] if scope else "", operation, self.path)

            def ask() -> Answer:
                connection = http.client.HTTPConnection(target, timeout=30)
                try:
                    headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                    connection.request(self.command, self.path, body, headers)
                    found = connection.getresponse()
                    return Answer(found.status, dict(found.getheaders()), found.read())
                finally:
                    connection.close()

            fault = faults.meeting(call)
            given = fault(call, ask) if fault else ask()
            if given is None:
                self.close_connection = True
                return
            answer = given.answer if isinstance(given, CutOff) else given
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(answer.body)))
            self.end_headers()
            if isinstance(given, CutOff):
                self.wfile.write(answer.body[: given.after])
                self.close_connection = True
            elif self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815  as http.server looks for them

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # a client that has waited long enough
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
