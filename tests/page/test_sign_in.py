"""A person signs in: in a window of its own, for what the scopes allow, and nothing typed is lost when that ends."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Response, Route, expect

from local.issuer import SCOPES
from tests.local.make_run import Running
from tests.page.authorized import Authorized, authorized
from tests.page.conftest import View

pytestmark = [pytest.mark.page, pytest.mark.process]


@pytest.fixture(scope="module")
def front(running: Running) -> Iterator[Authorized]:
    with authorized(running.base, View.store_of(running)) as made:
        yield made


@dataclass
class SignedIn:
    """The page behind the gateway, whose issuer one signs in at."""

    opened: View
    front: Authorized

    @property
    def page(self) -> Page:
        return self.opened.page

    def go(self, address: str) -> Page:
        return self.opened.go(address)

    def sign_in(self, *without: str) -> None:
        """At the issuer, for all scopes but these."""
        with self.page.expect_popup() as popup:
            self.page.get_by_role("button", name="Sign in").click()
        window = popup.value
        for scope in without:
            window.get_by_role("checkbox", name=scope).uncheck()
        with window.expect_event("close"):
            window.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()


@pytest.fixture
def signed_in(view: Callable[..., View], front: Authorized) -> Callable[..., SignedIn]:
    def open_page(**more: Any) -> SignedIn:
        opened = view(**more)
        opened.own_origin = f"http://127.0.0.1:{front.port}"
        opened.others.add(front.issuer)
        return SignedIn(opened, front)

    return open_page


def test_one_signs_in_and_the_tokens_are_in_memory_only(signed_in: Callable[..., SignedIn]) -> None:
    it = signed_in()
    page = it.go("predict?mode=single&type=churn&id=1")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    assert it.opened.violations() == []
    it.opened.keep("sign-in")
    asked: list[Request] = []

    def hear(request: Request) -> None:
        asked.append(request)

    page.on("request", hear)
    it.sign_in()
    expect(page.get_by_role("heading", name="Customer 1")).to_be_visible()
    # What the address asked for was asked with the token, and the token went nowhere else.
    with_token = [request for request in asked if "authorization" in request.headers]
    assert with_token
    assert all(request.url.startswith(f"{it.opened.origin}/api/") for request in with_token)
    kept = page.evaluate(
        """async () => JSON.stringify([
            {...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state,
            (await indexedDB.databases()), (await caches.keys()),
        ])"""
    )
    assert json.loads(kept) == [
        {},
        {},
        "",
        f"{it.opened.origin}/admin#/predict?mode=single&type=churn&id=1",
        None,
        [],
        [],
    ]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_role("heading", name="Customer 1")).to_have_count(0)


def refuse(route: Route) -> None:
    route.fulfill(status=401, json={"message": "Unauthorized"})


@pytest.mark.long
def test_a_token_that_ends_is_renewed_and_nobody_notices(signed_in: Callable[..., SignedIn]) -> None:
    it = signed_in()
    page = it.go("predict?mode=batch&type=churn")
    it.sign_in()
    tokens: list[str] = []

    def hear(request: Request) -> None:
        if "/issuer/token" in request.url:
            tokens.append(request.post_data or "")

    page.on("request", hear)
    page.get_by_label("Customer IDs, one per line").fill("1\n2")
    page.route("**/ml/predict/batch", refuse, times=1)
    page.get_by_role("button", name="Run Batch Prediction").click()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert [each.split("grant_type=")[1].split("&")[0] for each in tokens] == ["refresh_token"]


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.long
def test_a_sign_in_that_ends_loses_nothing_that_was_typed(signed_in: Callable[..., SignedIn], width: int) -> None:
    it = signed_in(width=width)
    page = it.go("segments?define=churn_risk")
    it.sign_in()
    page.get_by_role("textbox", name="Name").fill("Kept")
    page.get_by_role("combobox", name="Risk band").select_option("medium")
    page.route("**/segments/kept", refuse)
    page.route("**/issuer/token", lambda route: route.fulfill(status=400, json={"error": "invalid_grant"}))
    page.get_by_role("button", name="Save the segment").click()
    # Where one is, however far down that is, and it says why.
    expect(page.get_by_role("heading", name="Sign in again")).to_be_visible()
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert page.evaluate("scrollY") > 0
    expect(page.get_by_role("heading", name="Sign in again")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Sign in")).to_be_in_viewport()
    expect(page.get_by_text("or the service does not accept it")).to_be_in_viewport()
    it.opened.keep("sign-in-again", whole=False)
    page.unroute("**/segments/kept")
    page.unroute("**/issuer/token")
    it.sign_in()
    expect(page.get_by_role("heading", name="Sign in")).to_have_count(0)
    expect(page.get_by_role("main")).to_be_focused()
    expect(page.get_by_role("textbox", name="Name")).to_have_value("Kept")
    expect(page.get_by_role("combobox", name="Risk band")).to_have_value("medium")


@pytest.mark.long
def test_whoever_refuses_or_closes_the_window_can_try_again(signed_in: Callable[..., SignedIn]) -> None:
    it = signed_in()
    page = it.go("status")
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("status")).to_contain_text("Go on in the window")
    popup.value.close()
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Open the window again").click()
    with popup.value.expect_event("close"):
        popup.value.get_by_role("button", name="Refuse").click()
    expect(page.get_by_role("alert")).to_contain_text("You were not signed in")
    page.route("**/issuer/token", lambda route: route.abort())
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Open the window again").click()
    with popup.value.expect_event("close"):
        popup.value.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("could not be reached")
    assert it.opened.violations() == []


PANELS = {
    "Status": "loyalty/read",
    "Test ML Predictions": "loyalty/predict",
    "Segments": "loyalty/read",
    "Files": "loyalty/read",
}
EVERYWHERE = (
    "status",
    "predict?mode=single&type=all&id=1",
    "predict?mode=batch&type=churn&ids=1,2",
    "segments",
    "segments/champions",
    "segments/pilot",
    "segments/champions?edit=1",
    "segments?define=rule",
    "files",
)
OFFERED = {
    # What is offered at an address to whoever has a scope, and to nobody else.
    "status": {"Roll back": "loyalty/models"},
    "segments": {"New segment": "loyalty/segments"},
    "segments/champions": {
        "Edit": "loyalty/segments",
        "Delete": "loyalty/segments",
        "Score all members": "loyalty/predict",
    },
    "files": {"Choose files": "loyalty/predict"},
}


@pytest.mark.parametrize("missing", ["", *SCOPES])
@pytest.mark.long
def test_what_a_missing_scope_does_not_allow_is_neither_offered_nor_asked_for(
    signed_in: Callable[..., SignedIn], missing: str
) -> None:
    """Wherever one goes, no request is refused; what the others allow is there."""
    it = signed_in()
    refused: list[str] = []

    def see(answer: Response) -> None:
        if answer.status in (401, 403):
            refused.append(answer.url)

    it.page.on("response", see)
    page = it.go("status")
    it.sign_in(*([missing] if missing else []))
    navigation = page.get_by_role("navigation").get_by_role("link")
    assert navigation.all_inner_texts() == [name for name, scope in PANELS.items() if scope != missing]
    for address in EVERYWHERE:
        it.go(address)
        assert refused == [], address
        assert it.opened.violations() == [], address
        if missing == "loyalty/read" and not address.startswith("predict"):
            expect(page.get_by_text("Your sign-in does not include this")).to_be_visible()
            expect(page.get_by_text(f"the scope {missing}, then sign in again")).to_be_visible()
            continue
        for name, scope in OFFERED.get(address, {}).items():
            control = page.locator("a, button, label").filter(has_text=name)
            assert (control.count() > 0) is (scope != missing), (address, name)
    it.opened.keep(f"without-{missing.partition('/')[2] or 'nothing'}")
