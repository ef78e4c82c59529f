"""One load generator for every server that is measured: HTTP/1.1 on sockets kept open, from a process of its own.
A closed loop sends a connection's next request when the last is answered: it measures throughput, and the latency of a
server that is as busy as its callers let it be. An open loop sends at a rate, whatever the server does, and counts each
latency from the moment when the request was due: what waits behind a stalled server is in the figures, where a closed
loop would have sent less and looked well.
"""

import contextlib
import heapq
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

TIMEOUT = 10.0
PAUSE_AFTER_ERROR = 0.05  # of a closed loop: a server that refuses is not asked a hundred thousand times
READ_SIZE = 1 << 18
SHOWN = 300
ROOT = Path(__file__).parents[2]


class Request(NamedTuple):
    """One HTTP request.

    content: its bytes.
    kind: what its latency is told under.
    expected: what a 2xx answer's body must hold somewhere; without it the answer is an error, not an answer.
    """

    content: bytes
    kind: str = ""
    expected: bytes = b""


@dataclass(frozen=True, slots=True)
class Latency:
    """Of `count` requests: median, 99th percentile and longest, in seconds; 0.0 where there were none."""

    count: int
    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load.

    seconds: from the first request to the last answer.
    statuses: answers by HTTP status.
    errors: requests without an answer, by what happened: refused, closed half-way, late, not as expected.
    latency: of all that were answered, and of those given up after `timeout`, which waited at least that long.
    kinds: the same by the requests' kind.
    first_refusal: status and beginning of the first answer that is no 2xx, or not as expected; empty without one.
    """

    seconds: float
    statuses: dict[int, int]
    errors: dict[str, int]
    latency: Latency
    kinds: dict[str, Latency]
    first_refusal: str

    @property
    def p50(self) -> float:
        return self.latency.p50

    @property
    def p99(self) -> float:
        return self.latency.p99

    @property
    def rate(self) -> float:
        """Answers a second, of any status."""
        return sum(self.statuses.values()) / self.seconds if self.seconds else 0.0

    @property
    def clean(self) -> bool:
        """Whether everything was answered, and with a 2xx."""
        return bool(self.statuses) and not self.errors and all(200 <= status < 300 for status in self.statuses)


def request(
    url: str,
    body: Any = None,
    *,
    kind: str = "",
    expected: bytes = b"",
) -> Request:
    """A POST of `body` as JSON, or a GET without one."""
    parts = urlsplit(url)
    content = b"" if body is None else json.dumps(body).encode()
    fields = {"Host": parts.netloc, "Accept": "*/*"}
    if body is not None:
        fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), **fields}
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{'GET' if body is None else 'POST'} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return Request("\r\n".join([*lines, "", ""]).encode() + content, kind, expected)


def closed_loop(
    url: str,
    requests: Sequence[Request],
    *,
    connections: int,
    seconds: float,
    timeout: float = TIMEOUT,
    cpus: Collection[int] | None = None,
) -> Load:
    """`connections` callers, each with one request in flight, for `seconds`; `requests` are sent in turn.

    url: of the server; its host and port are used.
    cpus: those that the generator runs on; None: any.
    Raises RuntimeError where the generator itself fails.
    """
    return in_own_process(
        url, requests, connections=connections, seconds=seconds, rate=None, timeout=timeout, cpus=cpus
    )


def open_loop(
    url: str,
    requests: Sequence[Request],
    *,
    rate: float,
    connections: int,
    seconds: float,
    timeout: float = TIMEOUT,
    cpus: Collection[int] | None = None,
) -> Load:
    """`rate` requests a second for `seconds`, evenly, on at most `connections`; latency from when each was due.

    Those that were due and had no connection wait for one. What is not answered `timeout` seconds after it was due is
    given up: an error, and in the latency as long as it waited. Otherwise as closed_loop.
    """
    return in_own_process(
        url, requests, connections=connections, seconds=seconds, rate=rate, timeout=timeout, cpus=cpus
    )


def in_own_process(
    url: str,
    requests: Sequence[Request],
    *,
    connections: int,
    seconds: float,
    rate: float | None,
    timeout: float,
    cpus: Collection[int] | None,
) -> Load:
    """A new interpreter, which imports nothing but this module: a fork would share its parent's lock and memory."""
    task = {
        "url": url,
        "requests": [[each.content.decode("latin-1"), each.kind, each.expected.decode("latin-1")] for each in requests],
        "connections": connections,
        "seconds": seconds,
        "rate": rate,
        "timeout": timeout,
        "cpus": None if cpus is None else sorted(cpus),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.studies.load"],
        input=json.dumps(task),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + timeout + 30,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"The load generator failed: {done.stderr.strip()[-SHOWN:]}")
    answer = json.loads(done.stdout)
    return Load(
        seconds=answer["seconds"],
        statuses={int(status): count for status, count in answer["statuses"].items()},
        errors=answer["errors"],
        latency=Latency(**answer["latency"]),
        kinds={kind: Latency(**latency) for kind, latency in answer["kinds"].items()},
        first_refusal=answer["first_refusal"],
    )


# What runs in that process: one thread, and a few dozen sockets that do not block.


@dataclass(slots=True, eq=False)
class Connection:
    """One socket, and the request in flight on it."""

    channel: socket.socket | None = None
    request: Request | None = None
    due: float = 0.0
    unsent: bytes = b""
    received: bytearray = field(default_factory=bytearray)


class Answer(NamedTuple):
    status: int
    body: bytes
    reusable: bool  # whether the server keeps the connection open


class Generator:
    """One load, in this process: closed_loop's and open_loop's parameters; `rate` is None for a closed loop."""

    def __init__(
        self,
        url: str,
        requests: Sequence[Request],
        *,
        connections: int,
        seconds: float,
        rate: float | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.requests = requests
        self.timeout = timeout
        self.seconds = seconds
        self.rate = rate
        # select() waits by the microsecond, where epoll rounds up to the next millisecond: each request would be late.
        self.selector = selectors.SelectSelector()
        self.idle = [Connection() for _ in range(connections)]
        self.busy: set[Connection] = set()
        # When requests are due: a heap. A closed loop adds the next when one is done.
        self.due: list[float] = []
        self.sent = 0
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.latencies: dict[str, list[float]] = {each.kind: [] for each in requests}
        self.first_refusal = ""

    def run(self) -> Load:
        started = time.perf_counter()
        end = started + self.seconds
        if self.rate is None:
            self.due = [started] * len(self.idle)
        else:
            self.due = [started + number / self.rate for number in range(round(self.rate * self.seconds))]
        look_for_late = started + self.timeout
        while True:
            now = time.perf_counter()
            if self.rate is None and now >= end:
                self.due.clear()
            while self.idle and self.due and self.due[0] <= now:
                self.begin(self.idle.pop(), heapq.heappop(self.due))
            if not self.busy and not self.due:
                break
            if now >= look_for_late:
                look_for_late = now + self.timeout / 100
                self.give_up_late(now)
            wake = min(look_for_late, self.due[0] if self.idle and self.due else look_for_late)
            for key, events in self.selector.select(max(wake - now, 0.0)):
                self.ready(key.data, events)
        took = time.perf_counter() - started
        for connection in self.idle:
            self.close(connection)
        self.selector.close()
        return Load(
            seconds=took,
            statuses=dict(sorted(self.statuses.items())),
            errors=dict(self.errors.most_common()),
            latency=latency_of([each for taken in self.latencies.values() for each in taken]),
            kinds={kind: latency_of(taken) for kind, taken in self.latencies.items()},
            first_refusal=self.first_refusal,
        )

    def begin(self, connection: Connection, due: float) -> None:
        """Gives the connection its next request, and opens it where it is not open."""
        connection.request = self.requests[self.sent % len(self.requests)]
        connection.due = due
        connection.unsent = connection.request.content
        connection.received.clear()
        self.busy.add(connection)
        self.sent += 1
        try:
            if connection.channel is None:
                self.open(connection)
            else:
                self.send(connection)
        except OSError as error:
            self.fail(connection, sentence(error))

    def open(self, connection: Connection) -> None:
        connection.channel = socket.socket()
        connection.channel.setblocking(False)
        connection.channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(connection.channel, selectors.EVENT_WRITE, connection)
        with contextlib.suppress(BlockingIOError):  # on its way: it can be written to when it is there
            connection.channel.connect(self.address)

    def send(self, connection: Connection) -> None:
        """Sends what the socket takes now, and waits for the answer, or for the socket to take the rest."""
        assert connection.channel is not None
        with contextlib.suppress(BlockingIOError):
            connection.unsent = connection.unsent[connection.channel.send(connection.unsent) :]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if self.selector.get_key(connection.channel).events != events:
            self.selector.modify(connection.channel, events, connection)

    def ready(self, connection: Connection, events: int) -> None:
        assert connection.channel is not None
        try:
            if events & selectors.EVENT_READ:
                self.receive(connection, connection.channel.recv(READ_SIZE))
            elif number := connection.channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.fail(connection, sentence(OSError(number, os.strerror(number))))
            else:
                self.send(connection)
        except (OSError, ValueError) as error:
            self.fail(connection, sentence(error))

    def receive(self, connection: Connection, chunk: bytes) -> None:
        """Takes what has arrived, and the answer where it is whole now."""
        if connection not in self.busy:
            self.close(connection)  # the server ended an idle connection, which it may
            return
        connection.received += chunk
        answer = answer_in(connection.received, ended=not chunk)
        if answer is not None:
            self.take(connection, answer)
        elif not chunk:
            self.fail(connection, "The server closed the connection before its answer was whole.")

    def take(self, connection: Connection, answer: Answer) -> None:
        assert connection.request is not None
        good = 200 <= answer.status < 300
        wrong = good and connection.request.expected not in answer.body
        if wrong:
            self.errors[f"An answer without {connection.request.expected.decode(errors='replace')}."] += 1
        else:
            self.latencies[connection.request.kind].append(time.perf_counter() - connection.due)
            self.statuses[answer.status] += 1
        if (wrong or not good) and not self.first_refusal:
            self.first_refusal = f"{answer.status} {answer.body[:SHOWN].decode(errors='replace')}"
        if not answer.reusable:
            self.close(connection)
        self.free(connection)

    def give_up_late(self, now: float) -> None:
        """What has waited for `timeout` since it was due, sent or not, is an error that took as long."""
        error = f"No answer within {self.timeout:g} s."
        for connection in [each for each in self.busy if now - each.due > self.timeout]:
            assert connection.request is not None
            self.latencies[connection.request.kind].append(now - connection.due)
            self.fail(connection, error)
        while self.due and now - self.due[0] > self.timeout:
            kind = self.requests[self.sent % len(self.requests)].kind
            self.latencies[kind].append(now - heapq.heappop(self.due))
            self.errors[error] += 1
            self.sent += 1

    def fail(self, connection: Connection, error: str) -> None:
        self.close(connection)
        if connection in self.busy:
            self.errors[error] += 1
            self.free(connection, PAUSE_AFTER_ERROR)

    def free(self, connection: Connection, pause: float = 0.0) -> None:
        self.busy.remove(connection)
        self.idle.append(connection)
        if self.rate is None:
            heapq.heappush(self.due, time.perf_counter() + pause)

    def close(self, connection: Connection) -> None:
        if connection.channel is not None:
            self.selector.unregister(connection.channel)
            connection.channel.close()
            connection.channel = None


def sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def latency_of(taken: list[float]) -> Latency:
    """Percentiles as one of the values, never between two: the nearest rank."""
    if not taken:
        return Latency(0, 0.0, 0.0, 0.0)
    ordered = sorted(taken)

    def rank(percent: int) -> float:
        return ordered[-(-len(ordered) * percent // 100) - 1]

    return Latency(len(ordered), rank(50), rank(99), ordered[-1])


def answer_in(received: bytes | bytearray, *, ended: bool) -> Answer | None:
    """The answer, once it has arrived whole; None before.

    ended: the server sends no more. An answer with neither length nor chunks is whole then.
    Raises ValueError for what is not HTTP/1.x, or is longer than it says.
    """
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    first, *lines = bytes(received[:head_end]).split(b"\r\n")
    version, status_text = (*first.split(b" ", 2), b"")[:2]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not status_text.isdigit():
        raise ValueError(f"The server does not speak HTTP/1: {first[:80]!r}")
    status, begin = int(status_text), head_end + 4
    if status < 200:
        return answer_in(received[begin:], ended=ended)
    fields = {
        name.strip().lower(): value.strip().lower() for name, _, value in (line.partition(b":") for line in lines)
    }
    asked = fields.get(b"connection", b"")
    reusable = not ended and asked != b"close" and (version == b"HTTP/1.1" or asked == b"keep-alive")
    if status in {204, 304}:
        body, length = b"", 0
    elif b"chunked" in fields.get(b"transfer-encoding", b""):
        whole = chunks_in(received, begin)
        if whole is None:
            return None
        body, length = whole
    elif b"content-length" in fields:
        length = int(fields[b"content-length"])
        if len(received) < begin + length:
            return None
        body = bytes(received[begin : begin + length])
    elif ended:
        body, length = bytes(received[begin:]), len(received) - begin
    else:
        return None
    if len(received) > begin + length:
        raise ValueError(f"The answer is longer than it says: {len(received) - begin} bytes, not {length}.")
    return Answer(status, body, reusable)


def chunks_in(received: bytes | bytearray, begin: int) -> tuple[bytes, int] | None:
    """Body, and its length on the wire, of chunks that are all there; None where some are to come."""
    parts, at = [], begin
    while True:
        line_end = received.find(b"\r\n", at)
        if line_end < 0:
            return None
        size = int(bytes(received[at:line_end]).partition(b";")[0], 16)
        at = line_end + 2
        if size == 0:
            break
        parts.append(bytes(received[at : at + size]))
        at += size + 2
    while True:  # trailers, up to an empty line
        line_end = received.find(b"\r\n", at)
        if line_end < 0:
            return None
        trailer, at = received[at:line_end], line_end + 2
        if not trailer:
            return b"".join(parts), at - begin


def main() -> None:
    """Does the load that `in_own_process` writes to standard input, and prints its figures as JSON."""
    task = json.load(sys.stdin)
    cpus = task.pop("cpus")
    if cpus is not None:
        os.sched_setaffinity(0, cpus)
    requests = [
        Request(content.encode("latin-1"), kind, expected.encode("latin-1"))
        for content, kind, expected in task.pop("requests")
    ]
    load = Generator(task.pop("url"), requests, **task).run()
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
