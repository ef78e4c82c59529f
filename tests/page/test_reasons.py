"""Why an answer is what it is, and what if: bars of reasons, and sliders."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests
from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.page.conftest import View
from tests.page.test_trouble import TROUBLES, sign_in_if_asked, some_and_all

pytestmark = [pytest.mark.page, pytest.mark.process]

DAYS = "no purchase for … days"


def numbers(text: str) -> list[float]:
    """The numbers in a sentence, each without the sign of percent behind it and the full stop."""
    return [float(found.replace(",", "")) for found in re.findall(r"[+-]?\d[\d,]*(?:\.\d+)?", text)]


def at(opened: View, address: str) -> Page:
    """The page as a link opens it; what is looked for is waited for, so that a second of silence need not be."""
    opened.page.goto(f"{opened.origin}/admin#/{address}")
    return opened.page


def what_if_of(page: Page) -> Locator:
    """The card of what if, once it is there."""
    found = card(page, "What if")
    expect(found).to_be_visible()
    return found


def body_of(request: Request) -> dict[str, Any]:
    body: Any = request.post_data_json
    assert isinstance(body, dict)
    return body


def predict(opened: View, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = requests.post(
        f"{opened.running.base}/ml/predict", json={"customer_id": "1", **more}, timeout=30
    ).json()
    return answer


def card(page: Page, heading: str) -> Locator:
    """The card with this heading."""
    return page.locator("section.card").filter(has=page.get_by_role("heading", name=heading, exact=True, level=3))


@pytest.mark.parametrize(
    ("kind", "heading"),
    [
        ("churn", "Churn"),
        *(pytest.param(*each, marks=pytest.mark.long) for each in (("nbo", "Next best offer"), ("rfm", "RFM"))),
    ],
)
def test_the_reasons_are_the_services_largest_first_and_add_up_as_printed(
    view: Callable[..., View], kind: str, heading: str
) -> None:
    opened = view()
    result = predict(opened, type=kind, explain=True)["result"]
    page = opened.go(f"predict?mode=single&type={kind}&id=1")
    why = card(page, heading).locator(".why")
    expect(why.get_by_role("listitem").first).to_be_visible()
    for summary in why.locator("summary").all():
        summary.click()
    rows = why.get_by_role("listitem").all()
    words = [row.locator("bdi").inner_text() for row in rows]
    assert [re.sub(r": [+-][\d.]+$", "", reason["words"]) for reason in result["reasons"]] == words
    added = [numbers(row.locator(".number").inner_text())[0] for row in rows]
    points = 1 if kind == "rfm" else 100
    assert added == pytest.approx([points * reason["contribution"] for reason in result["reasons"]], abs=0.1)
    for row, reason in zip(rows, result["reasons"], strict=True):
        is_more = reason["contribution"] >= 0
        expect(row).to_have_class("more" if is_more else "less")
    sentence = why.get_by_text("The typical", exact=False).first.inner_text()
    baseline, *between, score = numbers(sentence)
    raises = sum(each for each in added if each > 0)
    lowers = -sum(each for each in added if each < 0)
    assert between == pytest.approx([each for each in (raises, lowers) if each], abs=1e-6)
    assert baseline + raises - lowers == pytest.approx(score, abs=1e-6)
    assert score == pytest.approx(points * result["explained"]["score"], abs=0.05)


def test_a_slider_asks_what_if_shows_old_and_new_and_goes_back(view: Callable[..., View]) -> None:
    opened = view()
    page = at(opened, "predict?mode=single&type=all&id=1")
    what_if = what_if_of(page)
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if "/ml/predict" in request.url else None)
    expect(what_if).to_contain_text("It is not what would happen")
    slider = what_if.get_by_role("slider", name=DAYS)
    expect(slider).to_have_attribute("aria-valuetext", "no purchase for 1 day")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    field = what_if.get_by_role("textbox", name=DAYS)
    days = int(field.input_value())
    assert days > 7
    expect(what_if.get_by_text(f"Changed: no purchase for {days} days instead of 1.")).to_be_visible()
    answer = predict(opened, type="all", overrides={"days_since_last": days}, explain=True)["results"]
    assert asked == [
        {"customer_id": "1", "type": "all", "features": True, "overrides": {"days_since_last": days}, "explain": True}
    ]
    churn = answer["churn"]["what_if"]
    before, after = (f"{100 * churn[name]:.1f}" for name in ("score_before", "score_after"))
    moved = float(after) - float(before)
    expect(
        what_if.get_by_text(f"Probability of leaving: {after}% instead of {before}%, {moved:+.1f} points.")
    ).to_be_visible()
    expect(what_if.get_by_text(f"{answer['nbo']['top_offer']['offer_name']}: ")).to_be_visible()
    expect(what_if.get_by_text(f"RFM: {answer['rfm']['rfm_segment']}")).to_be_visible()
    what_if.get_by_text("Why, with your changes").click()
    expect(what_if.get_by_text(f"no purchase for {days} days, typical 7").first).to_be_visible()
    assert opened.violations() == []
    # Another panel, and back: the sliders are as they were.
    page.get_by_role("link", name="Files", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Files")
    page.go_back()
    expect(what_if.get_by_text(f"Changed: no purchase for {days} days instead of 1.")).to_be_visible()
    expect(field).to_have_value(str(days))
    assert page.url.endswith(f"#/predict?mode=single&type=all&id=1&if=days_since_last%3A{days}")
    what_if.get_by_role("button", name=f"Back to as it is: {DAYS}").click()
    expect(field).to_have_value("1")
    expect(what_if.get_by_text("You have changed nothing yet.")).to_be_visible()
    assert len(asked) == 2
    assert page.url.endswith("#/predict?mode=single&type=all&id=1")
    # A change that fails leaves the slider where it is, and is asked for again.
    page.route("**/ml/predict", lambda route: route.fulfill(status=503, body="{}"))
    slider.press("PageUp")
    days = int(field.input_value())
    expect(what_if.get_by_role("alert")).to_contain_text("cannot answer at the moment")
    page.unroute("**/ml/predict")
    what_if.get_by_role("button", name="Try again").click()
    expect(what_if.get_by_text(f"Changed: no purchase for {days} days instead of 1.")).to_be_visible()
    expect(field).to_have_value(str(days))


@pytest.mark.long
def test_what_is_typed_is_held_against_the_domain_and_goes_beyond_the_slider(view: Callable[..., View]) -> None:
    opened = view(360, "dark")
    page = at(opened, "predict?mode=single&type=churn&id=1")
    what_if = what_if_of(page)
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if "/ml/predict" in request.url else None)
    field = what_if.get_by_role("textbox", name=DAYS)
    for wrong in ("-1", "2.5", "100000", "many"):
        field.fill(wrong)
        expect(what_if.get_by_text("Give a whole number, at least 0 and below 100,000.")).to_be_visible()
        expect(field).to_have_attribute("aria-invalid", "true")
    assert opened.violations() == []
    field.fill("99,999")
    expect(what_if.get_by_text("Changed: no purchase for 99,999 days instead of 1.")).to_be_visible()
    expect(what_if.locator(".as-if").get_by_text("Lapsed")).to_be_visible()
    expect(what_if.get_by_text("has lapsed is a rule of its own")).to_be_visible()
    slider = what_if.get_by_role("slider", name=DAYS)
    assert slider.evaluate("range => range.value === range.max")
    what_if.get_by_role("textbox", name="… spent in all").fill("0.5")
    expect(what_if.get_by_text("0.5 spent in all instead of 2,415.56")).to_be_visible()
    assert asked[-1]["overrides"] == {"days_since_last": 99_999, "lifetime_value": 0.5}
    assert not opened.overflows()
    # The outcome stays in sight, and what has the focus is not under it.
    what_if.get_by_role("slider").last.focus()
    for _ in range(6):
        page.keyboard.press("Shift+Tab")
    assert page.evaluate(
        """() => {
            const [focused, outcome] = [document.activeElement, document.querySelector(".outcome")]
                .map((each) => each.getBoundingClientRect());
            return outcome.top >= 0 && focused.top >= outcome.bottom;
        }"""
    )
    opened.keep("what-if-dark-360")
    what_if.get_by_role("textbox", name="… spent in 30 days").fill("many")
    what_if.get_by_role("button", name="All back to as it is").click()
    expect(what_if.get_by_role("textbox", name="… spent in 30 days")).not_to_have_value("many")
    expect(field).to_have_value("1")
    expect(what_if.get_by_text("You have changed nothing yet.")).to_be_visible()


@pytest.mark.long
@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_fails_is_said_and_leaves_the_sliders_as_they_are(view: Callable[..., View], trouble: str) -> None:
    fail, sentence = TROUBLES[trouble]
    opened = view()
    page = at(opened, "predict?mode=single&type=churn&id=1")
    what_if = what_if_of(page)
    page.route("**/ml/predict", fail)
    what_if.get_by_role("textbox", name=DAYS).fill("60")
    expect(what_if.get_by_role("alert")).to_contain_text(sentence)
    assert opened.violations() == []
    expect(page.get_by_role("heading", name="Churn")).to_be_visible()
    page.unroute("**/ml/predict")
    sign_in_if_asked(page, trouble)
    # Signing in asks again by itself.
    if trouble != "not signed in":
        what_if.get_by_role("button", name="Try again").click()
    expect(what_if.get_by_text("Changed: no purchase for 60 days instead of 1.")).to_be_visible()
    expect(what_if.get_by_role("textbox", name=DAYS)).to_have_value("60")
    expect(what_if.get_by_role("alert")).to_have_count(0)


@pytest.mark.long
def test_a_link_says_what_is_changed_and_back_follows_it(view: Callable[..., View]) -> None:
    opened = view()
    page = at(opened, "predict?mode=single&type=churn&id=1&if=days_since_last:60,nothing:1,revenue:x")
    what_if = what_if_of(page)
    expect(what_if.get_by_text("Changed: no purchase for 60 days instead of 1.")).to_be_visible()
    assert page.url.endswith("&id=1&if=days_since_last%3A60")
    page.evaluate("location.hash = location.hash.replace('60', '90')")
    expect(what_if.get_by_text("Changed: no purchase for 90 days instead of 1.")).to_be_visible()
    page.go_back()
    expect(what_if.get_by_text("Changed: no purchase for 60 days instead of 1.")).to_be_visible()
    # Another customer is as it is.
    page.get_by_label("Customer ID").fill("2")
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_role("heading", name="Customer 2")).to_be_visible()
    expect(what_if.get_by_text("You have changed nothing yet.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Customer 1")).to_be_visible()
    expect(what_if.get_by_text("Changed: no purchase for 60 days instead of 1.")).to_be_visible()


@pytest.mark.long
def test_what_the_service_says_of_a_feature_stands_at_its_slider(view: Callable[..., View]) -> None:
    opened = view()
    base = opened.running.base
    opened.page.route("**/models/churn/*", lambda route: route.fulfill(status=503, body="{}"))
    page = at(opened, "predict?mode=single&type=churn&id=1")
    # Without the card nobody here knows the domain.
    what_if = what_if_of(page)
    days = what_if.locator(".feature").filter(has=page.get_by_role("slider", name="… days since the last purchase"))
    days.get_by_role("textbox").fill("-1")
    error = requests.post(
        f"{base}/ml/predict", json={"customer_id": "1", "overrides": {"days_since_last": -1}}, timeout=30
    ).json()["error"]
    expect(days.get_by_role("alert")).to_have_text(error)
    expect(what_if.locator(".outcome")).to_contain_text("There is no answer to your changes")
    days.get_by_role("textbox").fill("2")
    expect(what_if.get_by_text("Changed: 2 days since the last purchase instead of 1.")).to_be_visible()


@pytest.mark.long
def test_only_the_last_change_is_answered_and_what_it_overtook_is_cancelled(view: Callable[..., View]) -> None:
    opened = view()
    page = at(opened, "predict?mode=single&type=churn&id=1")
    waiting: list[Route] = []
    cancelled: list[Any] = []

    def hold_the_first(route: Route) -> None:
        if not waiting:
            waiting.append(route)
        else:
            route.continue_()

    what_if = what_if_of(page)
    page.route("**/ml/predict", hold_the_first)

    def note(request: Request) -> None:
        cancelled.append(body_of(request)["overrides"])

    page.on("requestfailed", note)
    field = what_if.get_by_role("textbox", name=DAYS)
    with page.expect_request("**/ml/predict"):
        field.fill("60")
    expect(what_if.get_by_text("Predicting …")).to_be_visible()
    field.fill("90")
    expect(what_if.get_by_text("Changed: no purchase for 90 days instead of 1.")).to_be_visible()
    assert cancelled == [{"days_since_last": 60}]


UNEXPLAINED = {
    "NO_BASELINE": (409, "this version was trained before there were any"),
    "NOT_EXPLAINED": (422, "they do not add up to this prediction"),
}


@pytest.mark.parametrize("code", some_and_all(["NO_BASELINE"], list(UNEXPLAINED)))
def test_a_prediction_without_reasons_is_shown_and_says_why(view: Callable[..., View], code: str) -> None:
    status, sentence = UNEXPLAINED[code]
    opened = view()

    def refuse_reasons(route: Route) -> None:
        body = body_of(route.request)
        if body.get("explain") and body["type"] != "rfm":
            route.fulfill(status=status, json={"error": "None.", "code": code})
        else:
            route.continue_()

    opened.page.route("**/ml/predict", refuse_reasons)
    page = at(opened, "predict?mode=single&type=all&id=1")
    for heading in ("Churn", "Next best offer"):
        expect(card(page, heading).get_by_text(sentence)).to_be_visible()
    expect(page.get_by_text("Send Birthday Bonus")).to_be_visible()
    expect(card(page, "RFM").get_by_role("listitem")).to_have_count(3)
    what_if = what_if_of(page)
    what_if.get_by_role("textbox", name=DAYS).fill("60")
    expect(what_if.get_by_text("Changed: no purchase for 60 days instead of 1.")).to_be_visible()
    what_if.get_by_text("Why, with your changes").click()
    expect(what_if.get_by_text(sentence)).to_have_count(2)
    expect(what_if.get_by_text("no purchase for 60 days, typical 90")).to_be_visible()
    assert opened.violations() == []


@pytest.mark.long
def test_a_mock_answer_has_no_reasons_and_nothing_to_change(view: Callable[..., View]) -> None:
    opened = view()
    answer = predict(opened, type="churn")
    mock = answer | {"mock": True, "features": {}, "model": answer["model"] | {"version": "mock"}}

    def answer_as_mock(route: Route) -> None:
        if body_of(route.request).get("explain"):
            route.fulfill(status=409, json={"error": "None.", "code": "NO_BASELINE"})
        else:
            route.fulfill(json=mock)

    opened.page.route("**/ml/predict", answer_as_mock)
    page = at(opened, "predict?mode=single&type=churn&id=1")
    expect(page.get_by_text("There are no reasons: this answer is made up.")).to_be_visible()
    expect(what_if_of(page)).to_contain_text("There is nothing to change")
    expect(page.get_by_role("slider")).to_have_count(0)
