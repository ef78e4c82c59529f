"""Tokens: of one's own, and of an issuer: fetched once, renewed before they expire, and once if they are refused."""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from loyalty_client import AsyncLoyalty, ClientCredentials, Loyalty, Retries, environment, errors
from tests.client.misbehaving import batch_answer

pytestmark = pytest.mark.process  # asyncio opens a socket of its own

BASE = "https://service/api/loyalty/v1"
ISSUER = "https://issuer.example/pool"


@dataclass
class Issuer:
    """An issuer and the service that trusts it, as a transport's handler."""

    described: dict[str, Any] = field(
        default_factory=lambda: {"issuer": ISSUER, "token_endpoint": "https://issuer.example/oauth2/token"}
    )
    expires_in: Any = 3600
    refused: set[str] = field(default_factory=set)
    answer: dict[str, Any] | None = None
    """What it answers in place of a token: the arguments of a response."""
    discoveries: int = 0
    asked: list[httpx.Request] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    clock: float = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/pool/.well-known/openid-configuration":
            self.discoveries += 1
            return httpx.Response(200, json=self.described)
        if request.url.path == "/oauth2/token":
            self.asked.append(request)
            token = {"access_token": f"t{len(self.asked)}", "token_type": "Bearer", "expires_in": self.expires_in}
            return httpx.Response(**(self.answer or {"status_code": 200, "json": token}))
        assert request.url.host == "service"
        sent = request.headers["Authorization"].removeprefix("Bearer ")
        self.used.append(sent)
        if sent in self.refused:
            return httpx.Response(401, json={"message": "Unauthorized"})
        if request.method == "POST":
            return httpx.Response(200, json=batch_answer(request.content))
        return httpx.Response(200, json={"models": {}})

    def credentials(self, client_secret: str = "s:e/c", **options: Any) -> ClientCredentials:
        return ClientCredentials(ISSUER, "client", client_secret, now=lambda: self.clock, **options)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, issuer: Issuer) -> Any:
    """Calls methods of either client, one after the other, with credentials."""

    def calls(auth: Any, *named: tuple[Any, ...]) -> list[Any]:
        if request.param == "sync":
            with Loyalty(BASE, auth, transport=httpx.MockTransport(issuer)) as loyalty:
                return [getattr(loyalty, name)(*arguments) for name, *arguments in named]

        async def awaited() -> list[Any]:
            async with AsyncLoyalty(BASE, auth, transport=httpx.MockTransport(issuer)) as loyalty:
                return [await getattr(loyalty, name)(*arguments) for name, *arguments in named]

        return asyncio.run(awaited())

    return calls


def test_a_token_is_fetched_once_however_many_requests_want_it(issuer: Issuer, call: Any) -> None:
    call(issuer.credentials(scope="loyalty/predict", audience="api"), ("predict", "churn", range(2000)), ("status",))
    assert (issuer.discoveries, len(issuer.asked)) == (1, 1)
    assert issuer.used == ["t1"] * 21
    (asked,) = issuer.asked
    form = {"grant_type": ["client_credentials"], "scope": ["loyalty/predict"], "audience": ["api"]}
    assert parse_qs(asked.content.decode()) == form
    basic = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode()
    assert basic == "client:s%3Ae%2Fc", "as RFC 6749, 2.3.1 has it"


@pytest.mark.parametrize(("lifetime", "kept"), [(3600, 3539), (100, 49), (None, 239), ("soon", 239)])
def test_a_token_is_renewed_before_it_expires(issuer: Issuer, call: Any, lifetime: Any, kept: float) -> None:
    issuer.expires_in = lifetime
    credentials = issuer.credentials()
    call(credentials, ("status",))
    issuer.clock = kept
    call(credentials, ("status",))
    issuer.clock = kept + 2
    call(credentials, ("status",), ("status",))
    assert issuer.used == ["t1", "t1", "t2", "t2"]
    assert issuer.discoveries == 1


def test_a_token_that_is_refused_is_renewed_once(issuer: Issuer, call: Any) -> None:
    issuer.refused = {"t1"}
    (rows,) = call(issuer.credentials(), ("predict", "churn", range(1000)))
    assert len(rows) == 1000
    assert not rows.failed
    assert len(issuer.asked) == 2, "once for all who were refused"
    assert issuer.used.count("t2") == 10
    issuer.used.clear()
    issuer.asked.clear()
    issuer.refused = {f"t{number}" for number in range(100)}
    with pytest.raises(errors.Unauthorized):
        call(issuer.credentials(), ("status",))
    assert issuer.used == ["t1", "t2"]
    assert len(issuer.asked) == 2


def test_an_issuer_that_takes_no_basic_is_sent_a_form(issuer: Issuer, call: Any) -> None:
    issuer.described["token_endpoint_auth_methods_supported"] = ["client_secret_post", "private_key_jwt"]
    call(issuer.credentials(), ("status",))
    assert "Authorization" not in issuer.asked[0].headers
    assert parse_qs(issuer.asked[0].content.decode())["client_secret"] == ["s:e/c"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"status_code": 400, "json": {"error": "invalid_client"}}, r"status 400, invalid_client\): check"),
        ({"status_code": 400, "json": {"error": "x", "error_description": "No such scope"}}, "No such scope"),
        ({"status_code": 200, "json": {"token_type": "Bearer"}}, "without a token"),
        ({"status_code": 200, "content": b"<html>"}, "gave no token"),
        ({"status_code": 502, "content": b""}, "gave no token"),
    ],
)
def test_an_issuer_that_gives_no_token_says_why(
    issuer: Issuer, call: Any, answer: dict[str, Any], sentence: str
) -> None:
    issuer.answer = answer
    with pytest.raises(errors.NoToken, match=sentence) as raised:
        call(issuer.credentials("shhh"), ("status",))
    assert "shhh" not in str(raised.value)
    assert issuer.used == []


NOT_SECRET = {"issuer": ISSUER, "token_endpoint": "http://issuer.example/oauth2/token"}


@pytest.mark.parametrize(
    "described",
    [{"issuer": "https://another"}, {"issuer": 3}, {"issuer": ISSUER}, {}, NOT_SECRET]
    + [{"issuer": ISSUER, "token_endpoint": endpoint} for endpoint in (3, "", "/oauth2/token", "https://x:y")],
)
def test_a_description_of_another_issuer_or_of_no_endpoint_is_refused(
    issuer: Issuer, call: Any, described: dict[str, Any]
) -> None:
    issuer.described = described
    with pytest.raises(errors.NoToken, match=r"another issuer|no token endpoint"):
        call(issuer.credentials(), ("status",))
    assert issuer.asked == [], "the secret is sent to nobody"


@pytest.mark.parametrize("methods", [None, 3, "client_secret_post", []])
def test_an_issuer_that_says_nothing_of_how_it_is_asked_is_sent_basic(issuer: Issuer, call: Any, methods: Any) -> None:
    issuer.described["token_endpoint_auth_methods_supported"] = methods
    call(issuer.credentials(), ("status",))
    assert issuer.asked[0].headers["Authorization"].startswith("Basic ")


UNUSABLE = ["", " ", "sec ret", "sécret", "sec\r\nX: ret", "sec\0ret", None, 3]


@pytest.mark.parametrize("token", UNUSABLE)
def test_a_token_that_no_header_holds_is_refused_without_being_shown(issuer: Issuer, call: Any, token: Any) -> None:
    issuer.answer = {"status_code": 200, "json": {"access_token": token}}
    for auth in (lambda: token, issuer.credentials(), *([token] if isinstance(token, str) else [])):
        with pytest.raises(errors.NoToken) as raised:
            call(auth, ("status",))
        assert "ret" not in str(raised.value).replace("secret", "")
        assert raised.value.__cause__ is None
    assert issuer.used == []


def test_a_line_end_behind_a_token_is_no_part_of_it(issuer: Issuer, call: Any) -> None:
    call("mine\n", ("status",))
    call(lambda: " mine\r\n", ("status",))
    assert issuer.used == ["mine", "mine"]


def test_a_secret_is_sent_over_https_only() -> None:
    with pytest.raises(ValueError, match="https://"):
        ClientCredentials("http://issuer.example", "client", "secret")
    ClientCredentials("http://127.0.0.1:9000/pool", "client", "secret")


def test_a_token_may_be_a_text_or_what_gives_one(issuer: Issuer, call: Any) -> None:
    tokens: Iterator[str] = iter("ab")
    call("mine", ("status",))
    call(lambda: next(tokens), ("status",), ("status",))
    assert issuer.used == ["mine", "a", "b"]


def test_the_environment_says_where_and_who() -> None:
    assert environment.base_url(None, {}) == "http://127.0.0.1:8000/api/loyalty/v1"
    assert environment.base_url(None, {"LOYALTY_URL": "https://a.example/"}) == "https://a.example/api/loyalty/v1"
    assert environment.base_url(" https://a.example\n", {}) == "https://a.example/api/loyalty/v1"
    assert environment.base_url("https://b/x/v1/", {"LOYALTY_URL": "https://a"}) == "https://b/x/v1"
    assert environment.auth({}) is None
    assert isinstance(environment.auth({"LOYALTY_ISSUER": ISSUER, "LOYALTY_CLIENT_ID": "c", "LOYALTY_CLIENT_SECRET": "s"}), ClientCredentials)  # fmt: skip # noqa: E501
    with pytest.raises(ValueError, match="set LOYALTY_CLIENT_ID and LOYALTY_CLIENT_SECRET, too"):
        environment.auth({"LOYALTY_ISSUER": ISSUER})


@pytest.mark.parametrize(
    "address", ["service", "ftp://service", "http://", "http://[::1", "127.0.0.1:8000", "http://x:y"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"is no address"):
        Loyalty(address)


@pytest.mark.parametrize("address", ["https://service?stage=1", "https://service/api/loyalty/v1#a", "https://s/?a"])
def test_an_address_with_more_than_a_path_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"from its \? or # on"):
        Loyalty(address)


@pytest.mark.parametrize("of_kind", [Loyalty, AsyncLoyalty])
@pytest.mark.parametrize(
    ("option", "given", "error"),
    [
        *[("at_once", given, ValueError) for given in (0, -1)],
        *[("at_once", given, TypeError) for given in (1.5, "8", True, None)],
        *[("timeout", given, ValueError) for given in (0, -1, float("nan"), float("inf"), 1e300)],
        *[("timeout", given, TypeError) for given in ("35", None, True)],
        *[("retries", given, TypeError) for given in (3, 0, "often")],
        *[("auth", given, TypeError) for given in (5, b"token", ("user", "password"))],
    ],
)
def test_an_option_that_no_request_can_go_with_is_refused_where_it_is_given(
    of_kind: Any, option: str, given: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=option):
        of_kind(BASE, **{option: given})


@pytest.mark.parametrize(
    ("option", "given", "error"),
    [
        *[("tries", given, ValueError) for given in (0, -3)],
        *[("tries", given, TypeError) for given in (1.5, "4", None)],
        *[(wait, given, ValueError) for wait in ("first_wait", "longest_wait") for given in (-1, float("nan"), 1e300)],
        *[(wait, given, TypeError) for wait in ("first_wait", "longest_wait") for given in ("1", None)],
        ("jitter", 0.5, TypeError),
    ],
)
def test_retries_that_cannot_be_are_refused_and_not_found_out_at_the_first_failure(
    option: str, given: Any, error: type[Exception]
) -> None:
    options: dict[str, Any] = {option: given}
    with pytest.raises(error, match=option):
        Retries(**options)
