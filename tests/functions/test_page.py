"""The page's files over HTTP: kept for as long as they stay the same, and nothing beside them."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from functions.admin import app as admin_function
from loyalty_ml.api.http import entrypoint
from loyalty_ml.api.page import CALLBACK
from tests.service import BASE, CONTEXT, Service, new_process, process

pytestmark = pytest.mark.moto

HTML = "<!doctype html><title>Loyalty ML</title>"
SCRIPT = "console.log('é')" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / "page"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text(HTML)
    (built / "assets" / "index-1a2b.js").write_text(SCRIPT)
    (built / "openapi.json").write_text('{"openapi": "3.1.0"}')
    (tmp_path / "secret.json").write_text("{}")
    return built


def get(folder: Path, path: str, **headers: str) -> dict[str, Any]:
    handler = entrypoint(admin_function.make_app(lambda: process().admin, folder))
    answer: dict[str, Any] = handler(
        {
            "version": "2.0",
            "routeKey": f"GET {path}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": headers,
            "requestContext": {"stage": "$default", "requestId": "id", "http": {"method": "GET", "path": path}},
            "isBase64Encoded": False,
        },
        CONTEXT,
    )
    return answer


def content(answer: dict[str, Any]) -> bytes:
    assert answer["isBase64Encoded"]
    body = base64.b64decode(answer["body"])
    return gzip.decompress(body) if answer["headers"].get("Content-Encoding") == "gzip" else body


@pytest.mark.smoke
@pytest.mark.parametrize("path", [f"{BASE}/admin", f"{BASE}/admin/", "/admin", "/admin/"])
def test_the_page_is_asked_for_again_and_may_load_only_its_own(service: Service, folder: Path, path: str) -> None:
    answer = get(folder, path)
    assert (answer["statusCode"], content(answer).decode()) == (200, HTML)
    headers = answer["headers"]
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.pop("connect-src") == (f"'self' https://{service.ids['DataBucket']}.s3.eu-west-1.amazonaws.com")
    assert {name: policy[name] for name in ("default-src", "script-src", "style-src", "frame-ancestors")} == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "frame-ancestors": "'none'",
    }
    assert not re.search(r"unsafe|\*|http:", headers["Content-Security-Policy"])


def test_files_go_where_the_policy_lets_the_page_send_them(service: Service, folder: Path) -> None:
    started = service.call("POST", "/ml/jobs", {"type": "churn", "format": "csv"})
    policy = get(folder, "/admin")["headers"]["Content-Security-Policy"]
    allowed = re.search(r"connect-src 'self' (\S+);", policy)
    assert allowed
    assert allowed[1] in started.body["upload"]["url"]


def test_an_asset_is_kept_for_ever_and_sent_small(service: Service, folder: Path) -> None:
    path = f"{BASE}/admin/assets/index-1a2b.js"
    plain = get(folder, path)
    assert content(plain).decode() == SCRIPT
    assert plain["headers"]["Cache-Control"] == "public, max-age=31536000, immutable"
    assert plain["headers"]["Vary"] == "Accept-Encoding"
    small = get(folder, path, **{"accept-encoding": "gzip, br"})
    assert content(small).decode() == SCRIPT
    assert len(small["body"]) < len(plain["body"]) / 3


@pytest.mark.parametrize(
    ("accepted", "small"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip;q=0.5", True),
        ("br;q=0, gzip", True),
        ("gzip;q=0", False),
        ("gzip; q = 0.000, br", False),
        ("identity", False),
        ("none", False),
        ("not-gzip", False),
        ("", False),
    ],
)
def test_only_who_takes_gzip_gets_it(service: Service, folder: Path, accepted: str, *, small: bool) -> None:
    answer = get(folder, "/admin", **{"accept-encoding": accepted})
    assert (answer["headers"].get("Content-Encoding") == "gzip") == small
    assert content(answer).decode() == HTML


def test_what_a_browser_has_already_is_not_sent_again(service: Service, folder: Path) -> None:
    etag = get(folder, "/admin")["headers"]["ETag"]
    again = get(folder, "/admin", **{"if-none-match": etag})
    assert (again["statusCode"], again["body"] or "") == (304, "")
    (folder / "index.html").write_text(HTML + "newer")
    assert get(folder, "/admin", **{"if-none-match": etag})["statusCode"] == 200


@pytest.mark.parametrize(
    "name", ["none.js", "../index.html", "..%2Findex.html", "../../secret.json", "%2e%2e/%2e%2e/secret.json"]
)
def test_nothing_but_the_pages_assets_is_read(service: Service, folder: Path, name: str) -> None:
    answer = get(folder, f"{BASE}/admin/assets/{name}")
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (404, "ROUTE_NOT_FOUND")


def test_the_description_is_served(service: Service, folder: Path) -> None:
    answer = get(folder, f"{BASE}/openapi.json")
    assert (answer["headers"]["Content-Type"], json.loads(answer["body"])) == (
        "application/json",
        {"openapi": "3.1.0"},
    )


def test_a_page_that_was_not_built_says_how_to_build_it(service: Service, tmp_path: Path) -> None:
    for path in (f"{BASE}/admin", f"{BASE}/openapi.json"):
        answer = get(tmp_path / "nothing", path)
        assert answer["statusCode"] == 404
        assert "make run" in json.loads(answer["body"])["error"]


def told_of(monkeypatch: pytest.MonkeyPatch, folder: Path, **variables: str) -> tuple[Any, str]:
    """What the page is told of signing in, and whom it may ask besides the data bucket."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    new_process()
    answer = get(folder, f"{BASE}/admin/config.json")
    assert (answer["statusCode"], answer["headers"]["Cache-Control"]) == (200, "no-store")
    policy = dict(
        part.split(" ", 1) for part in get(folder, "/admin")["headers"]["Content-Security-Policy"].split("; ")
    )
    others = [name for name, allowed in policy.items() if name != "connect-src" and "issuer.example" in allowed]
    assert others == [], "the issuer's origin is for asking alone"
    return json.loads(answer["body"])["sign_in"], policy["connect-src"].partition("amazonaws.com")[2].strip()


ISSUER = {"JWT_ISSUER": "https://issuer.example.com/realms/x", "JWT_AUDIENCE": "loyalty"}


def test_the_page_is_told_of_its_issuer_and_may_ask_it(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told_of(monkeypatch, folder) == (None, "")
    assert told_of(monkeypatch, folder, **ISSUER) == (None, ""), "whose client the page is not"
    sign_in = {"issuer": ISSUER["JWT_ISSUER"], "client_id": "abc", "audience": "loyalty"}
    assert told_of(monkeypatch, folder, **ISSUER, PAGE_CLIENT_ID="abc") == (sign_in, "https://issuer.example.com")


def test_the_page_of_a_user_pool_asks_its_domain_for_tokens_and_for_no_audience(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As template.yaml sets the variables where no issuer is named."""
    pool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x"
    domain = "https://loyalty-x.auth.eu-west-1.amazoncognito.com"
    sign_in, may_ask = told_of(
        monkeypatch,
        folder,
        JWT_ISSUER=pool,
        JWT_AUDIENCE="abc machine",
        PAGE_CLIENT_ID="abc",
        PAGE_TOKEN_ORIGIN=domain,
    )
    assert sign_in == {"issuer": pool, "client_id": "abc", "audience": None}
    assert may_ask == f"https://cognito-idp.eu-west-1.amazonaws.com {domain}"


def test_where_the_issuer_leads_back_to_may_ask_nobody(service: Service, folder: Path) -> None:
    (folder / "signed-in.html").write_text(HTML)
    answer = get(folder, CALLBACK)
    assert content(answer).decode() == HTML
    assert "connect-src 'none'" in answer["headers"]["Content-Security-Policy"]
    assert answer["headers"]["Referrer-Policy"] == "no-referrer"
    # In a group of its own, after the issuer's page, a window could not close itself.
    assert answer["headers"]["Cross-Origin-Opener-Policy"] == "unsafe-none"
