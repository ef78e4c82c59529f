"""`AUTH=1 make run`: each token that API Gateway refuses is refused here, over HTTP, in the gateway's own shape."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, get_args
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server
from werkzeug.test import Client

from local import issuer, openapi, template
from local.authorizer import JwtAuthorizer, Refused
from local.gateway import Gateway
from loyalty_ml.api.access import Scope
from loyalty_ml.api.http import BASE_PATH

pytestmark = pytest.mark.process

ISSUER = "https://issuer.example.com"
AUDIENCE = "loyalty"
DESCRIBED = template.load()
SCOPES = get_args(Scope)
ROUTE = f"{BASE_PATH}/ml/predict"


@cache
def key(name: str, kid: str = "own") -> RSAKey:
    """One of this name: made when it is first asked for, which takes a moment."""
    return RSAKey.generate_key(2048, {"kid": kid})


def own_keys() -> KeySet:
    return KeySet([key("own")])


def gateway() -> Gateway:
    """The template's routes; what passes is answered with what the function is told of the token."""

    def echo(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return {"statusCode": 200, "body": json.dumps(event["requestContext"].get("authorizer"))}

    handlers = dict.fromkeys(template.functions(DESCRIBED), echo)
    authorizer = JwtAuthorizer(ISSUER, [AUDIENCE], own_keys)
    return Gateway(template.routes(DESCRIBED), handlers, threading.Lock(), authorizer=authorizer)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, gateway())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def claims(**changed: Any) -> dict[str, Any]:
    """Good ones, but for what is changed; None takes a claim out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "crm", "iat": now, "nbf": now, "exp": now + 3600}
    return {name: value for name, value in (good | {"scope": "loyalty/predict"} | changed).items() if value is not None}


def signed(told: Any, by: str = "own", algorithm: str = "RS256", kid: str | None = "own", **header: Any) -> str:
    header |= {"alg": algorithm, "typ": "JWT", **({"kid": kid} if kid else {})}
    return jws.serialize_compact(header, json.dumps(told), key(by), algorithms=[algorithm])


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def with_the_public_key_as_a_secret() -> str:
    """By hand: the library makes no such token."""
    text = f"{part({'alg': 'HS256', 'kid': 'own'})}.{part(claims())}"
    mac = hmac.digest(key("own").as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def unsigned(algorithm: str, signature: str = "") -> str:
    return f"{part({'alg': algorithm, 'kid': 'own'})}.{part(claims())}.{signature}"


def tampered() -> str:
    header, _, signature = signed(claims(scope="loyalty/read")).split(".")
    return f"{header}.{part(claims())}.{signature}"


def past() -> int:
    return int(time.time()) - 1


def ahead() -> int:
    return int(time.time()) + 3600


AUDIENCE_WRONG = "the token does not have a valid audience"
UNVERIFIED = "the token cannot be verified"
NO_KEY = "the token names no key of the issuer"
NO_SCOPE = "the token does not have a scope of the route"
REFUSED: dict[str, tuple[Callable[[], str] | None, int, str]] = {
    "no token": (None, 401, ""),
    "expired": (lambda: signed(claims(exp=past())), 401, "the token has expired"),
    "without an end": (lambda: signed(claims(exp=None)), 401, "the token has expired"),
    "an end that is no time": (lambda: signed(claims(exp="tomorrow")), 401, "the token has expired"),
    "an end that is no number": (lambda: signed(claims(exp=float("nan"))), 401, "the token has expired"),
    "not yet valid": (lambda: signed(claims(nbf=ahead())), 401, "the token is not valid yet (nbf)"),
    "made later": (lambda: signed(claims(iat=ahead())), 401, "the token is not valid yet (iat)"),
    "wrong audience": (lambda: signed(claims(aud="another")), 401, AUDIENCE_WRONG),
    "no audience": (lambda: signed(claims(aud=None)), 401, AUDIENCE_WRONG),
    "client for audience": (lambda: signed(claims(aud="another", client_id=AUDIENCE)), 401, AUDIENCE_WRONG),
    "wrong issuer": (lambda: signed(claims(iss="https://other.example.com")), 401, "the token is not of the issuer"),
    "no issuer": (lambda: signed(claims(iss=None)), 401, "the token is not of the issuer"),
    "unsigned": (lambda: unsigned("RS256"), 401, UNVERIFIED),
    "alg none": (lambda: unsigned("none"), 401, UNVERIFIED),
    "alg None": (lambda: unsigned("None"), 401, UNVERIFIED),
    "alg none with a signature": (lambda: unsigned("none", part("x")), 401, UNVERIFIED),
    "HS256 with the public key": (with_the_public_key_as_a_secret, 401, UNVERIFIED),
    "PS256": (lambda: signed(claims(), algorithm="PS256"), 401, UNVERIFIED),
    "unknown key": (lambda: signed(claims(), "unknown", kid="unknown"), 401, NO_KEY),
    "no key named": (lambda: signed(claims(), kid=None), 401, NO_KEY),
    "another key under the name": (lambda: signed(claims(), "another"), 401, UNVERIFIED),
    "a key that it brings": (
        lambda: signed(claims(), "another", jwk=key("another").as_dict(private=False)),
        401,
        UNVERIFIED,
    ),
    "tampered": (tampered, 401, UNVERIFIED),
    "cut off": (lambda: signed(claims())[:-9], 401, UNVERIFIED),
    "claims that are a list": (lambda: signed([claims()]), 401, "the token has no claims"),
    "an end beyond any number": (lambda: signed(claims(exp=10**400)), 401, "the token has expired"),
    "a start beyond any number": (lambda: signed(claims(nbf=-(10**400))), 401, "the token is not valid yet (nbf)"),
    "no JWT": (lambda: "opaque", 401, UNVERIFIED),
    "missing scope": (lambda: signed(claims(scope="loyalty/read")), 403, NO_SCOPE),
    "no scope": (lambda: signed(claims(scope=None)), 403, NO_SCOPE),
    "scopes with another blank between": (
        lambda: signed(claims(scope="loyalty/read\u00a0loyalty/predict")),
        403,
        NO_SCOPE,
    ),
    "a scope and a line end": (lambda: signed(claims(scope="loyalty/predict\n")), 403, NO_SCOPE),
    "part of a scope": (lambda: signed(claims(scope="loyalty/predictions")), 403, NO_SCOPE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_token_is_refused(address: str, name: str) -> None:
    token, status, description = REFUSED[name]
    headers = {} if token is None else {"Authorization": f"Bearer {token()}"}
    answer = requests.post(address + ROUTE, json={}, headers=headers, timeout=30)
    message = {401: "Unauthorized", 403: "Forbidden"}[status]
    assert (answer.status_code, answer.json()) == (status, {"message": message})
    challenge = answer.headers["WWW-Authenticate"]
    assert description in challenge
    assert challenge.startswith("Bearer" if token is None else 'Bearer scope="loyalty/predict" error=')


@pytest.mark.parametrize("prefix", ["Bearer ", ""])
@pytest.mark.parametrize(
    "good",
    [
        {},
        {"aud": ["elsewhere", AUDIENCE]},
        {"aud": None, "client_id": AUDIENCE},
        {"nbf": None, "iat": None},
        {"scope": "loyalty/read loyalty/predict"},
        {"scope": None, "scp": ["loyalty/read", "loyalty/predict"]},
    ],
)
def test_a_good_token_passes_and_the_function_is_told_its_claims_as_texts(
    address: str, good: dict[str, Any], prefix: str
) -> None:
    told = claims(**good)
    headers = {"Authorization": f"{prefix}{signed(told)}"}
    answer = requests.post(address + ROUTE, json={}, headers=headers, timeout=30)
    assert answer.status_code == 200
    jwt = answer.json()["jwt"]
    assert jwt["scopes"] == ["loyalty/predict"]
    expected = {name: f"[{' '.join(value)}]" if isinstance(value, list) else str(value) for name, value in told.items()}
    assert jwt["claims"] == expected


def test_each_route_of_the_template_and_of_the_description_asks_for_a_token_or_is_open_for_a_reason() -> None:
    client = Client(gateway())
    tokens = {scope: signed(claims(scope=scope)) for scope in SCOPES}
    paths = {(route.method, route.path) for route in template.routes(DESCRIBED) if route.path != template.DEFAULT_ROUTE}
    described = {
        (method.upper(), BASE_PATH + path)
        for path, operations in openapi.document()["paths"].items()
        for method in operations
    }
    assert {(method, path) for method, path in described if f"{BASE_PATH}/v2/" not in path} <= paths
    signed_paths = {(route.method, route.path) for route in template.routes(DESCRIBED) if route.is_signed}
    asking = 0
    for method, path in sorted(paths):
        sent = path.replace("{proxy+}", "").replace("{", "").replace("}", "")
        plain = sent.removeprefix(BASE_PATH).removesuffix("/")
        without = client.open(sent, method=method).status_code
        if any(plain == each or plain.startswith(f"{each}/") for each in openapi.OPEN):
            assert without == 200, (method, path)
            continue
        is_signed = (method, path) in signed_paths
        assert without == (403 if is_signed else 401), (method, path)
        let_in = [
            scope
            for scope, token in tokens.items()
            if client.open(sent, method=method, headers={"Authorization": f"Bearer {token}"}).status_code == 200
        ]
        assert len(let_in) == (0 if is_signed else 1), (method, path, let_in)
        asking += 1
    assert asking > 2 * len(SCOPES)


SECRETS = st.text() | st.binary().map(lambda value: base64.b64encode(value).decode())


@given(st.one_of(SECRETS, st.tuples(SECRETS, SECRETS, SECRETS).map(".".join)))
def test_no_header_of_any_kind_is_more_than_refused(given_header: str) -> None:
    authorizer = JwtAuthorizer(ISSUER, [AUDIENCE], own_keys)
    with pytest.raises(Refused):
        authorizer.context(given_header, ["loyalty/read"])


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "b64", "zip"]), JSON), JSON | st.just({}))
def test_no_token_of_another_header_is_more_than_refused(header: dict[str, Any], told: Any) -> None:
    authorizer = JwtAuthorizer(ISSUER, [AUDIENCE], own_keys)
    with pytest.raises(Refused):
        authorizer.context(f"Bearer {part(header)}.{part(told)}.{part('x')}", [])


NUMBERS = st.floats() | st.integers() | st.sampled_from([10**400, -(10**400), 10**4000])


@settings(max_examples=50)  # each is signed
@given(
    st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "scope", "scp"]), JSON | NUMBERS, min_size=1)
)
def test_signed_claims_of_any_kind_are_refused_or_handed_on_as_texts(told: dict[str, Any]) -> None:
    authorizer = JwtAuthorizer(ISSUER, [AUDIENCE], own_keys)
    try:
        context = authorizer.context(signed({**claims(), **told}), ["loyalty/predict"])
    except Refused:
        return
    assert all(isinstance(value, str) for value in context["jwt"]["claims"].values())


CALLBACK = f"{BASE_PATH}/admin/signed-in"
VERIFIER = "v" * 43
CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"


@pytest.fixture
def local_issuer() -> SimpleNamespace:
    now = SimpleNamespace(seconds=time.time())
    pem = key("own").as_pem(private=True).decode()
    made = issuer.Issuer("http://localhost:1/issuer", pem, CALLBACK, lambda: now.seconds)
    return SimpleNamespace(client=Client(made), now=now, issuer=made)


def authorize(client: Client, **changed: str) -> Any:
    asked = {
        "client_id": "page",
        "redirect_uri": f"http://127.0.0.1:8000{CALLBACK}",
        "response_type": "code",
        "scope": "loyalty/read loyalty/models other",
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changed
    form = client.get("/authorize", query_string=asked)
    if form.status_code != 200:
        return form
    return client.post("/authorize", data=asked | {"name": "ann", "granted": "loyalty/read", "answer": "yes"})


def exchange(client: Client, code: str, **changed: str) -> Any:
    told = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": "page",
        "redirect_uri": f"http://127.0.0.1:8000{CALLBACK}",
        "code_verifier": VERIFIER,
    }
    return client.post("/token", data=told | changed)


def sent_back(answer: Any) -> dict[str, str]:
    assert answer.status_code == 303
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def test_the_issuer_gives_a_page_a_token_with_the_scopes_that_were_chosen(local_issuer: SimpleNamespace) -> None:
    client = local_issuer.client
    back = sent_back(authorize(client))
    assert (back["state"], back["iss"]) == ("s", local_issuer.issuer.issuer)
    answer = exchange(client, back["code"]).json
    assert (answer["scope"], answer["token_type"], answer["expires_in"]) == ("loyalty/read", "Bearer", 3600)
    authorizer = JwtAuthorizer(local_issuer.issuer.issuer, [AUDIENCE], local_issuer.issuer.keys)
    told = authorizer.context(f"Bearer {answer['access_token']}", ["loyalty/read"])["jwt"]["claims"]
    assert (told["sub"], told["client_id"]) == ("ann", "page")
    # The code is used up; the refresh token gives others, and is none for the API.
    assert exchange(client, back["code"]).json["error"] == "invalid_grant"
    again = client.post("/token", data={"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}).json
    assert again["scope"] == "loyalty/read"
    with pytest.raises(Refused, match="audience"):
        authorizer.context(f"Bearer {answer['refresh_token']}", [])


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "other"},
        {"redirect_uri": f"https://evil.example.com{CALLBACK}"},
        {"redirect_uri": f"http://127.0.0.1@evil.example.com{CALLBACK}"},
        {"redirect_uri": f"http://127.0.0.1.evil.example.com{CALLBACK}"},
        {"redirect_uri": "http://127.0.0.1:8000/elsewhere"},
        {"redirect_uri": f"http://127.0.0.1:8000{CALLBACK}?a=b"},
        {"redirect_uri": f"http://127.0.0.1:8000{CALLBACK}#fragment"},
        {"redirect_uri": f"http://127.0.0.1:8000{CALLBACK}\r\n"},
        {"redirect_uri": f"http://127.0.0.1:8000\n{CALLBACK}"},
        {"redirect_uri": f"http://[{CALLBACK}"},
        {"redirect_uri": f"http://127.0.0.1:port{CALLBACK}"},
        {"redirect_uri": CALLBACK},
        {"redirect_uri": ""},
        {"response_type": "token"},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
    ],
)
def test_the_issuer_leads_nobody_to_another_page_and_wants_pkce(
    local_issuer: SimpleNamespace, changed: dict[str, str]
) -> None:
    answer = authorize(local_issuer.client, **changed)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"client_id": "machine"},
        {"redirect_uri": f"http://localhost:8000{CALLBACK}"},
        {"code": "guessed"},
        {"grant_type": "refresh_token"},
        {"grant_type": "password"},
    ],
)
def test_a_code_is_of_use_to_nobody_else(local_issuer: SimpleNamespace, changed: dict[str, str]) -> None:
    code = sent_back(authorize(local_issuer.client))["code"]
    assert exchange(local_issuer.client, **({"code": code} | changed)).status_code == 400


def test_codes_and_refresh_tokens_end(local_issuer: SimpleNamespace) -> None:
    client = local_issuer.client
    code = sent_back(authorize(client))["code"]
    local_issuer.now.seconds += 61
    assert exchange(client, code).json["error"] == "invalid_grant"
    refresh = {
        "grant_type": "refresh_token",
        "refresh_token": exchange(client, sent_back(authorize(client))["code"]).json["refresh_token"],
    }
    local_issuer.now.seconds += 12 * 3600
    assert client.post("/token", data=refresh).json["error"] == "invalid_grant"


def test_a_program_gets_the_scopes_that_it_asks_for_with_its_secret_only(local_issuer: SimpleNamespace) -> None:
    client = local_issuer.client
    asked = {"grant_type": "client_credentials", "scope": "loyalty/read other"}
    assert client.post("/token", data=asked, auth=("machine", "local")).json["scope"] == "loyalty/read"
    whole = client.post("/token", data=asked | {"scope": ""}, auth=("machine", "local")).json
    assert whole["scope"].split() == list(SCOPES)
    for auth in (None, ("machine", "wrong"), ("page", "")):
        assert client.post("/token", data=asked, auth=auth).status_code == 401


def test_whoever_refuses_is_led_back_and_only_pages_of_this_machine_may_read_answers(
    local_issuer: SimpleNamespace,
) -> None:
    asked = {
        "client_id": "page",
        "redirect_uri": f"http://localhost:5173{CALLBACK}",
        "response_type": "code",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "s",
    }
    back = sent_back(local_issuer.client.post("/authorize", data=asked | {"answer": "no"}))
    assert back["error"] == "access_denied"
    for origin, allowed in (
        ("http://127.0.0.1:8000", True),
        ("https://evil.example.com", False),
        ("null", False),
        ("http://[", False),
    ):
        answer = local_issuer.client.get("/jwks", headers={"Origin": origin})
        assert ("Access-Control-Allow-Origin" in answer.headers) is allowed
    assert local_issuer.client.get("/elsewhere").status_code == 404


FORMS = st.fixed_dictionaries(
    {"grant_type": st.sampled_from(["authorization_code", "refresh_token", "client_credentials"])},
    optional=dict.fromkeys(
        ("code", "client_id", "redirect_uri", "code_verifier", "refresh_token", "scope", "client_secret"),
        st.text(st.characters(exclude_categories=["Cs"])),
    ),
)


@pytest.mark.long
@given(FORMS, st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_form_of_any_kind_gets_a_token_or_breaks_the_issuer(form: dict[str, str], challenge: str) -> None:
    made = issuer.Issuer("http://localhost:1/issuer", key("own").as_pem(private=True).decode(), CALLBACK)
    client = Client(made)
    assert client.post("/token", data=form).status_code in (400, 401)
    code = sent_back(authorize(client, code_challenge=challenge))["code"]
    assert exchange(client, code).status_code == (200 if challenge == CHALLENGE else 400)
