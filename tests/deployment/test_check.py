"""The look at a deployed API from outside, over HTTP: the local gateway, with the check of tokens before it."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from deployment import __main__ as command
from deployment import check
from deployment.problem import Problem
from local import template
from local.gateway import Gateway

pytestmark = pytest.mark.moto

DESCRIBED = template.load()
ROUTES = list(template.routes(DESCRIBED))
BASE = "/api/loyalty/v1"
PUBLIC = {f"{BASE}/health", f"{BASE}/openapi.json", f"{BASE}/admin"}
TOKEN = "a-good-token"
STATUS = {"models": {"churn": {"loaded": True, "version": "v1"}, "nbo": {"loaded": False, "version": None}}}


class Deployed:
    """An API whose functions answer 200; `open_to_all` and `left_out` are paths whose authorizer is wrong."""

    def __init__(self) -> None:
        self.open_to_all: set[str] = set()
        self.left_out = False
        self.health = [200]
        self.status_code = 200
        self.checked_by_functions = False
        self.called: list[str] = []
        handlers = dict.fromkeys(template.functions(DESCRIBED), self._function)
        self._gateway = Gateway(ROUTES, handlers, threading.Lock())

    def _function(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        path = event["requestContext"]["http"]["path"]
        if event["routeKey"] == "$default":
            return {"statusCode": 404, "body": '{"code": "ROUTE_NOT_FOUND"}'}
        status: int = 200
        body: Any = {}
        if path.endswith("/health"):
            body = {"status": "ok"}
            status = self.health.pop(0) if len(self.health) > 1 else self.health[0]
        elif path.endswith("/openapi.json"):
            body = json.loads((template.PATH.parent / "openapi.json").read_text())
        elif path.endswith("/config/ml/status"):
            status, body = self.status_code, STATUS
        else:
            self.called.append(path)
        if self.checked_by_functions and path not in PUBLIC:
            status, body = 401, {"code": "UNAUTHENTICATED", "error": "The request has no token."}
        return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        if request.path not in PUBLIC:
            if self.left_out:
                return Response('{"message":"Not Found"}', 404)(environ, start_response)
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token != TOKEN and request.path not in self.open_to_all:
                if "/sql/" in request.path:  # which asks for a signature
                    return Response('{"message":"Forbidden"}', 403)(environ, start_response)
                return Response('{"message":"Unauthorized"}', 401)(environ, start_response)
        return self._gateway(environ, start_response)


@pytest.fixture
def deployed() -> Deployed:
    return Deployed()


@pytest.fixture
def url(deployed: Deployed) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, deployed)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{BASE}"
    server.shutdown()
    thread.join()
    server.server_close()


def looked_at(url: str, token: str | None = None) -> list[str]:
    return list(check.check(check.over_http(url), token, lambda seconds: None))


def test_an_api_that_is_as_it_should_be(url: str, deployed: Deployed) -> None:
    health, routes, status = looked_at(url, TOKEN)
    described = json.loads((template.PATH.parent / "openapi.json").read_text())["paths"]
    protected = [
        (method, path)
        for path, operations in described.items()
        for method in operations
        if path.removeprefix(BASE) not in check.PUBLIC
    ]
    assert "200" in health
    assert routes.startswith(f"{len(protected)} routes")
    assert status.endswith("models loaded: churn v1.")
    assert not deployed.called, "no function is reached without a token"


def test_without_a_token_it_says_what_was_not_looked_at(url: str) -> None:
    assert "LOYALTY_TOKEN" in looked_at(url)[-1]


def test_a_stage_that_is_not_ready_yet_is_asked_again(url: str, deployed: Deployed) -> None:
    deployed.health = [500, 503, 200]
    assert "200" in looked_at(url)[0]


Wrong = Callable[[Deployed], None]


def never_well(deployed: Deployed) -> None:
    deployed.health = [503]


def without_routes(deployed: Deployed) -> None:
    deployed.left_out = True


def without_authorizer(deployed: Deployed) -> None:
    deployed.open_to_all = {f"{BASE}/models"}
    deployed.checked_by_functions = True


def status_fails(deployed: Deployed) -> None:
    deployed.status_code = 500


@pytest.mark.parametrize(
    ("wrong", "token", "sentence"),
    [
        (never_well, None, "health answers 503"),
        (without_routes, None, "Check JwtIssuer"),
        (without_authorizer, None, "GET /models is refused by the function, and not by API Gateway"),
        (status_fails, TOKEN, "status answers 500"),
        (lambda _: None, "expired", "has expired, or is not of JwtIssuer"),
    ],
)
def test_what_is_wrong_is_said(url: str, deployed: Deployed, wrong: Wrong, token: str | None, sentence: str) -> None:
    wrong(deployed)
    with pytest.raises(Problem, match=sentence):
        looked_at(url, token)


@pytest.mark.parametrize(
    "path", sorted({re.sub(r"\{(segment_id|job_id|function)\}", check.NO_SUCH_ID, route.path)
                    for route in ROUTES if route.path.startswith(BASE) and "+}" not in route.path
                    and "{name}" not in route.path} - PUBLIC)
)  # fmt: skip
def test_any_route_that_is_open_to_all_is_found(path: str) -> None:
    """Over the application itself: a server for each would be slow."""
    deployed = Deployed()
    deployed.open_to_all = {path}

    def ask(method: str, below: str, headers: Mapping[str, str]) -> check.Answer:
        from werkzeug.test import Client

        response = Client(deployed).open(BASE + below, method=method, headers=dict(headers))
        return check.Answer(response.status_code, check._read(response.data))

    with pytest.raises(Problem, match="open to everybody"):
        list(check.check(ask, None, lambda seconds: None))


def without_api(answers: Callable[[Request], Response | bytes]) -> Iterator[str]:
    """The address of a server that answers as it likes: a Response, or bytes and then the end of the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                return
            with connection:
                head = connection.recv(65_536).decode("latin-1")
                method, path, _ = head.split(" ", 2)
                token = re.search("(?m)^Authorization: (.*)\r$", head)
                request = Request.from_values(path, method=method, headers={"Authorization": token[1] if token else ""})
                answer = answers(request)
                if isinstance(answer, Response):
                    text = f"HTTP/1.1 {answer.status}\r\nConnection: close\r\n{answer.headers}"
                    answer = text.encode() + answer.data
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def odd_server() -> Iterator[Callable[[Callable[[Request], Response | bytes]], str]]:
    with contextlib.ExitStack() as running:
        yield lambda answers: running.enter_context(contextlib.contextmanager(without_api)(answers))


HTML = Response("<html>Sign in</html>", content_type="text/html")
AWAY = Response(status=302, headers={"Location": "http://127.0.0.1:9/login"})
PLACES: tuple[tuple[str, Callable[[Request], bool]], ...] = (
    ("/health", lambda request: True),
    ("/openapi.json", lambda request: request.path != "/health"),
    ("/config/ml/status", lambda request: TOKEN in request.headers["Authorization"]),
)


@pytest.mark.parametrize(("place", "is_there"), PLACES, ids=[place for place, _ in PLACES])
@pytest.mark.parametrize(
    "odd",
    [
        HTML,
        AWAY,
        Response("null"),
        Response("[]"),
        Response('{"paths": {"/x": []}, "models": {"churn": 1}, "status": "up"}'),
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["html", "redirect", "null", "list", "other", "nothing", "ssh", "cut off", "bad chunk"],
)
def test_what_is_no_api_of_this_project_is_a_problem_that_names_the_place(
    odd_server: Callable[..., str], place: str, is_there: Callable[[Request], bool], odd: Response | bytes
) -> None:
    def answers(request: Request) -> Response | bytes:
        if is_there(request):
            return odd
        bodies = {"/health": {"status": "ok"}, "/openapi.json": {"paths": {"/models": {"get": {}}}}}
        if request.path in bodies:
            return Response(json.dumps(bodies[request.path]))
        return Response('{"message":"Unauthorized"}', 401)

    with pytest.raises(Problem, match=place):
        looked_at(odd_server(answers), TOKEN)


def test_the_token_follows_no_redirect(odd_server: Callable[..., str]) -> None:
    sent: list[str] = []

    def elsewhere(request: Request) -> Response:
        sent.append(request.headers["Authorization"])
        return Response(json.dumps(STATUS))

    away = Response(status=307, headers={"Location": odd_server(elsewhere)})
    ask = check.over_http(odd_server(lambda request: away))
    assert ask("GET", "/config/ml/status", {"Authorization": f"Bearer {TOKEN}"}).status == 307
    assert not sent


def test_an_answer_that_never_ends_is_left(odd_server: Callable[..., str]) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (check._ANSWER_BYTES + 1)
    with pytest.raises(Problem, match="does not end"):
        check.over_http(odd_server(lambda request: endless))("GET", "/health", {})


@pytest.mark.parametrize("address", ["nowhere", "http://[", "http://127.0.0.1:port", "http://127.0.0.1:9", "x://y"])
def test_an_address_that_is_none_is_said(address: str) -> None:
    with pytest.raises(Problem, match="check the address"):
        looked_at(address)


@pytest.mark.parametrize("token", ["a\nb", "a b", " ", "t\u00f6ken", "token\r\n"])
def test_a_token_that_no_header_can_carry_is_said_before_anything_is_asked(token: str) -> None:
    with pytest.raises(Problem, match="LOYALTY_TOKEN"):
        looked_at("http://127.0.0.1:9", token)


def test_the_command_ends_with_1_and_a_sentence_where_something_is_wrong(
    url: str, deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOYALTY_TOKEN", raising=False)
    assert command.main(["check", "--url", url]) == 0
    deployed.left_out = True
    assert command.main(["check", "--url", url]) == 1
    assert "JwtIssuer" in capsys.readouterr().err
    assert command.main(["check", "--url", "http://127.0.0.1:9"]) == 1


def test_the_stack_of_the_last_guided_deployment_is_looked_at(tmp_path: Any) -> None:
    assert command.configured_stack() == ("loyalty-ml", None)
    kept = tmp_path / "samconfig.toml"
    kept.write_text(
        command.SAMCONFIG.read_text().replace(
            "[default.deploy.parameters]\n",
            '[default.deploy.parameters]\nstack_name = "sales"\nregion = "eu-west-1"\n',
        )
    )
    assert command.configured_stack(kept) == ("sales", "eu-west-1")


@pytest.mark.parametrize("content", ["", "x = 1", "[default]", "[default.deploy.parameters]\nstack_name = 1", "[[[",
                                     "default = 1", "[default]\nglobal = 1", b"\xff"])  # fmt: skip
def test_a_configuration_that_names_no_stack_is_said(tmp_path: Any, content: str | bytes) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Problem, match="give --stack or --url"):
        command.configured_stack(path)
    with pytest.raises(Problem, match="give --stack or --url"):
        command.configured_stack(tmp_path / "none.toml")
