"""What each view says of itself and of its state, whatever the address, the answers and the sign-in are."""

import json
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Route, expect

from tests.page.conftest import View

pytestmark = [pytest.mark.page, pytest.mark.process]


def test_an_address_that_nobody_made_shows_a_panel_and_breaks_none(view: Callable[..., View]) -> None:
    opened = view()
    page = opened.go("status")
    for name in ("constructor", "__proto__", "toString", "..", "%00", "a%2Fb%3Fc", "?", "&=#"):
        for panel in ("", "status/churn/", "status/", "segments/", "files/"):
            page.evaluate("(to) => { location.hash = to; }", f"#/{panel}{name}")
            page.evaluate("new Promise((done) => setTimeout(done, 50))")
            expect(page.get_by_role("heading", level=1), panel + name).to_be_visible()
            expect(page.locator("main"), panel + name).not_to_contain_text("native code")
    page.get_by_role("link", name="Segments", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Segments")


def test_each_view_has_a_title_of_its_own_and_the_focus_goes_with_the_reader(view: Callable[..., View]) -> None:
    page = view().go("segments")
    titles = [page.title()]
    for name in ("Champions", "Edit", "Files", "Status"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page).not_to_have_title(titles[-1])
        titles.append(page.title())
        assert page.evaluate("document.activeElement.id") == "content", name
    assert len(set(titles)) == len(titles)
    assert "champions" in titles[1]


def test_an_average_of_before_is_not_shown_as_that_of_now(view: Callable[..., View]) -> None:
    opened = view()
    stats = requests.get(f"{opened.running.base}/segments/champions/ml/stats", timeout=60).json()
    before = stats["history"][-1]
    now = json.loads(json.dumps(before))
    stats["stats"]["churn"] |= {"avg_probability": None, "count": 0}
    now["stats"]["churn"] |= {"avg_probability": None, "count": 0}
    stats["history"] = [before, now | {"features_as_of": "2026-01-01T00:00:00Z", "snapshot": "later"}]
    opened.page.route("**/segments/champions/ml/stats*", lambda route: route.fulfill(json=stats))
    page = opened.go("segments")
    row = page.get_by_role("row").filter(has_text="Champions")
    expect(row).to_contain_text("no answer for any member")
    expect(row).not_to_contain_text("average risk")
    expect(row).not_to_contain_text("first snapshot")


def test_who_has_to_sign_in_within_a_dialog_does_so_there_and_clicks_again(view: Callable[..., View]) -> None:
    opened = view()
    base = opened.running.base
    definition = {"segment_name": "To delete", "churn_risk": "high"}
    requests.put(f"{base}/segments/to-delete", json=definition, timeout=30).raise_for_status()
    page = opened.go("segments/to-delete")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    page.route("**/segments/to-delete", lambda route: route.fulfill(status=401, body="{}"))
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("You are not signed in")
    dialog.get_by_label("Token").fill("no token 😀")
    dialog.get_by_role("button", name="Use this token").click()
    expect(dialog.get_by_text("This is no token")).to_be_visible()
    assert opened.violations() == []
    opened.keep("dialog-sign-in", whole=False)
    dialog.get_by_label("Token").fill("another.service.s")
    dialog.get_by_role("button", name="Use this token").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_text("does not accept this token")).to_be_visible()
    page.unroute("**/segments/to-delete")
    dialog.get_by_label("Token").fill("a.token.b")
    dialog.get_by_role("button", name="Use this token").click()
    expect(dialog.get_by_label("Token")).to_have_count(0)
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Segments")
    assert requests.get(f"{base}/segments/to-delete", timeout=30).status_code == 404


def test_a_change_whose_answer_was_lost_is_not_said_to_have_failed(view: Callable[..., View]) -> None:
    opened = view()
    page = opened.go("segments?define=churn_risk")
    page.get_by_role("textbox", name="Name").fill("Lost answer")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/segments/lost-answer", lose_the_answer)
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("alert")).to_contain_text("it may have been done all the same")
    page.unroute("**/segments/lost-answer")
    # What is there is one's own: nobody else has changed anything.
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lost answer")
    requests.delete(f"{opened.running.base}/segments/lost-answer", timeout=30).raise_for_status()
