"""The look at a deployed API from outside, over HTTP: the local gateway, with the check of tokens before it."""

import json
import re
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
        status, body = 200, {}
        if path.endswith("/health"):
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
