"""What goes wrong in the middle of work, and what nobody expects in a name."""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, Route, expect

from tests import sample_set
from tests.page.conftest import View

pytestmark = [pytest.mark.page, pytest.mark.process]

VERSION = sample_set.manifest().models["churn"].version
# What an answer fails with, and what the page says of it.
TROUBLES: dict[str, tuple[Callable[[Route], None], str]] = {
    "not signed in": (lambda route: route.fulfill(status=401, body="{}"), "You are not signed in"),
    "unavailable": (lambda route: route.fulfill(status=503, body="{}"), "cannot answer at the moment"),
    "away": (lambda route: route.abort(), "The service does not answer"),
    "throttled": (lambda route: route.fulfill(status=429, body="{}"), "Too many requests"),
    "not JSON": (lambda route: route.fulfill(status=502, body="<html>Bad Gateway</html>"), "failed to answer"),
    "own sentence": (
        lambda route: route.fulfill(status=500, json={"error": "The <b>disk</b> is full.", "code": "INTERNAL"}),
        "The <b>disk</b> is full.",
    ),
}


def some_and_all(common: list[str], everything: list[str]) -> list[Any]:
    """Some in `make test`, the others in `make test-long`."""
    return [each if each in common else pytest.param(each, marks=pytest.mark.long) for each in everything]


def troubles(*common: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("trouble", some_and_all(list(common), list(TROUBLES)))


def sign_in_if_asked(page: Page, trouble: str) -> None:
    if trouble == "not signed in":
        page.get_by_label("Token").fill("a.token.b")
        page.get_by_role("button", name="Use this token").click()
        expect(page.get_by_role("button", name="Forget the token")).to_be_visible()


@troubles("unavailable", "away")
def test_a_failed_prediction_loses_nothing_that_was_typed(view: Callable[..., View], trouble: str) -> None:
    fail, sentence = TROUBLES[trouble]
    page = view().go("predict?mode=batch&type=churn")
    box = page.get_by_label("Customer IDs, one per line")
    box.fill("1\n2")
    page.route("**/ml/predict/batch", fail)
    page.get_by_role("button", name="Run Batch Prediction").click()
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(box).to_have_value("1\n2")
    page.unroute("**/ml/predict/batch")
    sign_in_if_asked(page, trouble)
    page.get_by_role("button", name="Run Batch Prediction").click()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@troubles("not signed in")
def test_a_segment_that_is_not_saved_stays_in_the_builder(view: Callable[..., View], trouble: str) -> None:
    fail, sentence = TROUBLES[trouble]
    opened = view()
    page = opened.go("segments?define=churn_risk")
    page.get_by_role("textbox", name="Name").fill("Kept")
    page.get_by_label("Id", exact=True).fill("kept")
    page.get_by_role("combobox", name="Risk band").select_option("medium")
    page.route("**/segments/kept", fail)
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    page.unroute("**/segments/kept")
    sign_in_if_asked(page, trouble)
    expect(page.get_by_role("textbox", name="Name")).to_have_value("Kept")
    expect(page.get_by_role("combobox", name="Risk band")).to_have_value("medium")
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Kept")
    requests.delete(f"{opened.running.base}/segments/kept", timeout=30).raise_for_status()


READS: dict[str, tuple[str, str | re.Pattern[str]]] = {
    "status": ("status", "**/config/ml/status"),
    "versions": ("status", "**/api/loyalty/v1/models"),
    "report": (f"status/churn/{VERSION}", "**/models/churn/*"),
    "segments": ("segments", re.compile(r"/segments\?")),
    "definition": ("segments/champions", "**/segments/champions"),
    "statistics": ("segments/champions", "**/ml/stats*"),
    "preview": ("segments/champions", "**/segments/preview"),
    "jobs": ("files", re.compile(r"/ml/jobs\?")),
}


@troubles("unavailable")
def test_each_panel_says_what_failed_and_asks_again(view: Callable[..., View], trouble: str) -> None:
    fail, sentence = TROUBLES[trouble]
    opened = view()
    page = opened.page
    for name, (address, pattern) in READS.items():
        page.route(pattern, fail)
        opened.go("predict")
        opened.go(address)
        alert = page.get_by_role("alert").first
        expect(alert, name).to_contain_text(sentence)
        assert opened.violations() == [], name
        page.unroute(pattern)
        if trouble == "not signed in":
            # Signing in asks again by itself; the token is forgotten for the next.
            sign_in_if_asked(page, trouble)
            expect(page.get_by_role("alert"), name).to_have_count(0)
            page.get_by_role("button", name="Forget the token").click()
        else:
            alert.get_by_role("button", name="Try again").click()
            expect(page.get_by_role("alert"), name).to_have_count(0)


def test_a_slow_prediction_shows_that_it_runs_and_can_be_cancelled(view: Callable[..., View]) -> None:
    page = view().go("predict?mode=single&type=churn")
    page.route("**/ml/predict", lambda route: None)
    page.get_by_label("Customer ID").fill("2")
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_role("status").filter(has_text="Predicting")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Nothing was asked yet.")).to_be_visible()
    expect(page.get_by_label("Customer ID")).to_have_value("2")


@pytest.mark.parametrize("name", some_and_all(["statistics"], [name for name in READS if name != "versions"]))
def test_a_slow_panel_shows_that_it_loads_and_can_be_cancelled(view: Callable[..., View], name: str) -> None:
    address, pattern = READS[name]
    opened = view()
    page = opened.page
    page.route(pattern, lambda route: None)
    page.goto(f"{opened.origin}/admin#/{address}")
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.get_by_role("alert").first).to_contain_text("You cancelled this.")
    page.unroute(pattern)
    page.get_by_role("alert").first.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".spinner")).to_have_count(0)


def test_a_chart_that_cannot_be_fetched_says_so_and_the_rest_works(view: Callable[..., View]) -> None:
    opened = view()
    page = opened.page
    page.route("**/assets/histogram-*.js", lambda route: route.abort())
    opened.go("segments/champions")
    expect(page.get_by_role("alert")).to_contain_text("This part of the page could not be fetched")
    page.get_by_label("Choose members").focus()
    page.keyboard.press("Home")
    expect(page.get_by_role("button", name="Make a segment of these 395")).to_be_visible()
    page.unroute("**/assets/histogram-*.js")
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(page.locator(".histogram canvas")).to_be_visible()


@pytest.mark.long
def test_a_job_is_followed_again_when_the_service_is_back(view: Callable[..., View]) -> None:
    opened = view()
    page = opened.page
    running = job_of(1, "incoming/churn/a.csv", status="running")
    page.route("**/ml/jobs/j1", lambda route: route.fulfill(json=running))
    page.goto(f"{opened.origin}/admin#/files/j1")
    expect(page.get_by_text("Running", exact=True)).to_be_visible()
    page.route("**/ml/jobs/j1", lambda route: route.abort())
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    expect(page.get_by_text("Running", exact=True)).to_be_visible()
    page.route("**/ml/jobs/j1", lambda route: route.fulfill(json=running | {"status": "succeeded"}))
    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_hundred_thousand_segments_are_paged(view: Callable[..., View]) -> None:
    opened = view()

    def page_of(route: Route) -> None:
        after = re.search(r"next=s(\d+)", route.request.url)
        begin = int(after[1]) + 1 if after else 0
        segments = [
            {"segment_id": f"s{number}", "segment_name": f"S {number}", "kind": "rule", "version": 1, "updated": "x"}
            for number in range(begin, min(begin + 20, 100_000))
        ]
        route.fulfill(json={"segments": segments, "next": f"s{begin + 19}" if begin + 20 < 100_000 else None})

    opened.page.route(re.compile(r"/segments\?"), page_of)
    page = opened.go("segments")
    expect(page.get_by_role("link", name="S 19")).to_be_visible()
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("link", name="S 39")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="S 0", exact=True)).to_be_visible()
    opened.go("segments?after=s99979")
    expect(page.get_by_role("link", name="S 99999")).to_be_visible()
    expect(page.get_by_role("link", name="Next page")).to_have_count(0)
    # One among so many is found by its id.
    page.get_by_label("Go to a segment by its id").fill("champions")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Champions")


def job_of(number: int, key: str, **more: Any) -> dict[str, Any]:
    return {
        "job_id": f"j{number}",
        "kind": "file",
        "status": "succeeded",
        "created": "2026-11-23T12:30:05.000Z",
        "updated": "2026-11-23T12:30:06.000Z",
        "progress": {"processed": number, "total": number, "errors": 0, "share": 1.0, "rate": None},
        "request": {"type": "churn", "key": key},
        **more,
    }


def test_a_hundred_thousand_jobs_are_paged(view: Callable[..., View]) -> None:
    opened = view()

    def page_of(route: Route) -> None:
        after = re.search(r"next=j(\d+)", route.request.url)
        begin = int(after[1]) + 1 if after else 0
        jobs = [job_of(number, f"incoming/churn/file-{number}.csv") for number in range(begin, begin + 20)]
        route.fulfill(json={"jobs": jobs, "next": f"j{begin + 19}" if begin + 20 < 100_000 else None})

    opened.page.route(re.compile(r"/ml/jobs\?"), page_of)
    page = opened.go("files")
    expect(page.get_by_role("link", name="file-19.csv")).to_be_visible()
    page.get_by_role("link", name="Older jobs").click()
    expect(page.get_by_role("link", name="file-39.csv")).to_be_visible()
    page.get_by_role("link", name="Newest jobs").click()
    expect(page.get_by_role("link", name="file-0.csv")).to_be_visible()


NAMES = {
    "markup": "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&amp;",
    "long": "W" * 256,
    "right to left": "לקוחות " * 12 + "العملاء " * 12,
    "emoji": "👩‍👩‍👧‍👦" * 20 + "🏳️‍🌈",
    "marks": "Ẑ̈̃" + "\u0301" * 60 + "\u202e dna \u200b\u2066x",
    "formula": "=HYPERLINK(1)",
    "path": "../../%2e%2e/?a=b#c/d&e",
}


TYPED = "[...document.querySelectorAll('input, textarea, option')].map((each) => each.value).join(' ')"


def answer_with(answer: Any, route: Route) -> None:
    # Not the ASCII escapes of route.fulfill(json=...): as the service writes it.
    body = json.dumps(answer, ensure_ascii=False)
    route.fulfill(body=body, content_type="application/json; charset=utf-8")


@pytest.mark.parametrize("kind", some_and_all(["markup", "long"], list(NAMES)))
def test_names_of_every_kind_are_text_and_fit(view: Callable[..., View], kind: str) -> None:
    name = NAMES[kind]
    opened = view(360)
    page = opened.page
    base = opened.running.base

    def get(path: str) -> Any:
        return requests.get(base + path, timeout=60).json()

    definition = get("/segments/champions") | {"segment_name": name}
    stats = get("/segments/champions/ml/stats")
    stats["stats"]["nbo"]["distribution"] = {name: 3, "B": 2}
    stats["message"] = name
    stats["drift"]["all_customers"]["churn"]["features"] = {
        name: stats["drift"]["all_customers"]["churn"]["score"] | {"alarm": True, "psi": 1.0}
    }
    card = get(f"/models/nbo/{sample_set.manifest().models['nbo'].version}")
    card["offers"][0]["offer_name"] = card["offers"][0]["offer_code"] = name
    summary = {"segment_id": "champions", "segment_name": name, "kind": "rule", "version": 1, "updated": "x"}
    nbo = requests.post(f"{base}/ml/predict", json={"customer_id": "1", "type": "nbo"}, timeout=30).json()
    nbo["result"]["top_offer"]["offer_name"] = nbo["result"]["offers"][0]["offer_name"] = name
    error = {"customer_id": name, "error": name, "code": "CUSTOMER_NOT_FOUND"}
    batch = {"type": "churn", "mode": "batch", "total": 1, "successful": 0, "failed": 1, "results": []}
    failed = job_of(1, f"incoming/churn/{name}", status="failed", error=name, code="INTERNAL")
    answers: dict[str | re.Pattern[str], Any] = {
        re.compile(r"/segments\?"): {"segments": [summary], "next": None},
        "**/segments/champions": definition,
        "**/segments/champions/ml/stats*": stats,
        "**/models/nbo/*": card,
        "**/ml/predict": nbo,
        "**/ml/predict/batch": batch | {"errors": [error], "mock": False},
        re.compile(r"/ml/jobs\?"): {"jobs": [failed], "next": None},
        "**/ml/jobs/j1": failed,
    }
    for pattern, answer in answers.items():
        page.route(pattern, partial(answer_with, answer))
    page.on("dialog", lambda dialog: opened.complaints.append(f"A dialog: {dialog.message}"))
    found = {}
    for address in (
        "segments",
        "segments/champions",
        "segments/champions?edit=1",
        "predict?mode=single&type=nbo&id=1",
        "predict?mode=batch&type=churn&ids=1",
        "files",
        "files/j1",
    ):
        opened.go(address)
        problems = opened.violations()
        if opened.overflows():
            problems.append("the page scrolls sideways")
        if page.locator("main img, main script").count():
            problems.append("markup became elements")
        shown = page.locator("main").inner_text() + str(page.evaluate(TYPED))
        tail = name.rsplit("/", 1)[-1] if address.startswith("files") else name
        if "".join(tail.split()) not in "".join(shown.split()):
            problems.append("the name is not shown as it is")
        if problems:
            found[address] = problems
    opened.keep(f"names-{kind.replace(' ', '-')}")
    assert found == {}


def test_who_wants_no_motion_sees_none(view: Callable[..., View]) -> None:
    opened = view(reduced_motion="reduce")
    page = opened.page
    page.route("**/config/ml/status", lambda route: None)
    page.goto(f"{opened.origin}/admin#/status")
    expect(page.get_by_role("status").filter(has_text="Loading")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
