"""The load generator tells what happened: every answer counted, every failure named, no wait left out."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from benchmarks.load import Generator, Request, answer_in, closed_loop, latency_of, open_loop, request

pytestmark = pytest.mark.process

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HANG_UP = b""


@dataclass
class Server:
    """A server of one behaviour: what it sends for the nth request, piece by piece; after HANG_UP it hangs up."""

    url: str
    requests: int = 0
    connections: int = 0
    bodies: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def serving(answer: Callable[[int], list[bytes]]) -> Iterator[Server]:
    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with server.lock:
                server.connections += 1
            while self.rfile.readline():
                length = 0
                while (line := self.rfile.readline()).strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                body = self.rfile.read(length)
                with server.lock:
                    number = server.requests
                    server.requests += 1
                    server.bodies.append(body)
                pieces = answer(number)
                for piece in pieces:
                    self.request.sendall(piece)
                if pieces[-1] == HANG_UP:
                    return

        def finish(self) -> None:
            with contextlib.suppress(OSError):
                super().finish()

    class Threads(socketserver.ThreadingTCPServer):
        request_queue_size = 64
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that gave up is what some tests are about."""

    with Threads(("127.0.0.1", 0), Connection) as listening:
        server = Server(f"http://127.0.0.1:{listening.server_address[1]}")
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def test_a_closed_loop_counts_what_the_server_answered_on_connections_that_stay_open() -> None:
    with serving(lambda _: [OK]) as server:
        requests = [request(f"{server.url}/a", {"n": 1}, kind="a"), request(f"{server.url}/b", kind="b")]
        load = closed_loop(server.url, requests, connections=4, seconds=0.3)

    assert load.clean
    assert load.statuses == {200: server.requests}
    assert server.connections == 4
    assert load.kinds["a"].count + load.kinds["b"].count == load.latency.count == server.requests
    assert abs(load.kinds["a"].count - load.kinds["b"].count) <= 4
    assert set(server.bodies) == {b'{"n": 1}', b""}
    assert 0 < load.p50 <= load.p99 <= load.max <= load.seconds
    assert load.rate == pytest.approx(server.requests / load.seconds)


def test_an_open_loop_sends_all_that_was_due() -> None:
    with serving(lambda _: [OK]) as server:
        load = open_loop(server.url, [request(server.url)], rate=200, connections=4, seconds=0.5)

    assert load.clean
    assert load.statuses == {200: 100}
    assert server.requests == 100


def test_an_open_loop_counts_the_wait_of_those_behind_a_stalled_server() -> None:
    def answer(number: int) -> list[bytes]:
        if number == 20:
            time.sleep(0.4)
        return [OK]

    with serving(answer) as server:
        load = Generator(server.url, [request(server.url)], rate=200, connections=1, seconds=1).run()

    assert load.statuses == {200: 200}
    assert load.max >= 0.4
    # Eighty were due meanwhile, of which a closed loop would have sent one.
    assert load.p99 >= 0.2


def test_connections_that_the_server_closes_are_opened_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    with serving(lambda _: [closing, HANG_UP]) as server:
        load = Generator(server.url, [request(server.url)], rate=100, connections=2, seconds=0.3).run()

    assert load.clean
    assert load.statuses == {200: 30}
    assert server.connections == 30


def test_an_idle_connection_that_the_server_ends_without_a_word_is_no_error() -> None:
    with serving(lambda _: [OK, HANG_UP]) as server:
        load = Generator(server.url, [request(server.url)], rate=5, connections=1, seconds=0.6).run()

    assert load.clean
    assert server.connections == 3


def test_chunks_in_pieces_are_one_answer() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [head + b"3\r\nhel\r", b"\n2;x=y\r\nlo\r\n0", b"\r\nTrailer: 1\r\n", b"\r\n"]
    with serving(lambda _: pieces) as server:
        wanted = request(server.url, expected=b"hello")
        load = Generator(server.url, [wanted], rate=50, connections=1, seconds=0.2).run()

    assert load.clean
    assert load.statuses == {200: 10}
    assert server.connections == 1


def test_answers_are_counted_by_status_and_the_first_refusal_is_shown() -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nnot now!"
    with serving(lambda number: [refusal if number % 4 == 3 else OK]) as server:
        load = Generator(server.url, [request(server.url)], rate=200, connections=1, seconds=0.2).run()

    assert load.statuses == {200: 30, 503: 10}
    assert load.errors == {}
    assert load.first_refusal == "503 not now!"
    assert not load.clean


def test_a_200_without_what_was_expected_is_an_error() -> None:
    with serving(lambda _: [OK]) as server:
        wanted = request(server.url, expected=b"goodbye")
        load = Generator(server.url, [wanted], rate=100, connections=1, seconds=0.1).run()

    assert load.statuses == {}
    assert load.errors == {"An answer without goodbye.": 10}
    assert load.first_refusal == "200 hello"
    assert not load.clean


@pytest.mark.parametrize("sent", [b"", OK[:10], OK[:-2]])
def test_an_answer_that_breaks_off_is_an_error(sent: bytes) -> None:
    with serving(lambda number: [sent, HANG_UP] if number % 2 else [OK]) as server:
        load = Generator(server.url, [request(server.url)], rate=100, connections=1, seconds=0.1).run()

    assert load.statuses == {200: 5}
    assert load.errors == {"The server closed the connection before its answer was whole.": 5}


def test_what_is_not_answered_in_time_is_given_up_and_its_wait_is_told() -> None:
    released = threading.Event()

    def answer(number: int) -> list[bytes]:
        if number == 0:
            released.wait(10)
        return [OK]

    with serving(answer) as server:
        load = Generator(server.url, [request(server.url)], connections=1, seconds=0.5, timeout=0.2).run()
        released.set()

    assert load.errors == {"No answer within 0.2 s.": 1}
    assert load.max >= 0.2
    assert load.statuses[200] == load.latency.count - 1 > 0  # it went on, on another connection


def test_what_was_due_and_never_sent_is_given_up_too() -> None:
    released = threading.Event()

    def answer(_: int) -> list[bytes]:
        released.wait(10)
        return [OK]

    with serving(answer) as server:
        load = Generator(server.url, [request(server.url)], rate=100, connections=1, seconds=0.3, timeout=0.1).run()
        released.set()

    assert load.statuses == {}
    assert load.errors == {"No answer within 0.1 s.": 30}
    assert load.latency.count == 30


@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_server_that_is_not_there_is_an_error_and_not_a_crash(rate: float | None) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        load = Generator(url, [request(url)], rate=rate, connections=2, seconds=0.2).run()

    assert load.statuses == {}
    assert list(load.errors) == ["ConnectionRefusedError: [Errno 111] Connection refused"]
    assert load.latency.count == 0
    assert not load.clean


def test_a_large_request_and_a_large_answer_go_through_whole() -> None:
    megabytes = b"x" * 5_000_000
    with serving(lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + megabytes]) as server:
        large = request(server.url, megabytes, expected=b"x" * 10)
        load = Generator(server.url, [large], rate=10, connections=1, seconds=0.2).run()

    assert load.clean
    assert server.bodies == [megabytes, megabytes]


def test_a_generator_that_fails_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"The load generator failed: .*"):
        closed_loop("http://127.0.0.1:1", [Request(b"")], connections=1, seconds=0.1, cpus=[4095])


@pytest.mark.parametrize(
    ("received", "body", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", b"", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    ],
)
def test_an_answer_is_whole_with_its_last_byte_and_not_before(received: bytes, body: bytes, *, reusable: bool) -> None:
    answer = answer_in(received, ended=False)

    assert answer is not None
    assert (answer.body, answer.reusable) == (body, reusable)
    assert all(answer_in(received[:length], ended=False) is None for length in range(len(received)))


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    received = b"HTTP/1.1 200 OK\r\n\r\nto the end"

    assert answer_in(received, ended=False) is None
    answer = answer_in(received, ended=True)
    assert answer is not None
    assert answer.body == b"to the end"


@pytest.mark.parametrize(
    "received", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay", b"HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_answer_is_refused(received: bytes) -> None:
    with pytest.raises(ValueError, match=r"HTTP/1|longer than it says"):
        answer_in(received, ended=False)


def test_percentiles_are_times_that_were_measured() -> None:
    latency = latency_of([float(number) for number in range(200, 0, -1)])

    assert (latency.count, latency.p50, latency.p99, latency.max) == (200, 100.0, 198.0, 200.0)
    assert latency_of([7.0]).p99 == 7.0
