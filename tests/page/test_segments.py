"""The panel Segments: from the builder to a file, and what its pictures show."""

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from playwright.sync_api import Page, expect

from tests import sample_set
from tests.page.conftest import View
from tests.page.measured import CHURN_QUALITY

pytestmark = [pytest.mark.page, pytest.mark.process]

CHURN_VERSION = sample_set.manifest().models["churn"].version


def test_a_segment_goes_from_the_builder_to_a_file(view: Callable[..., View], tmp_path: Path) -> None:
    opened = view()
    page = opened.go("segments")
    page.get_by_role("link", name="New segment").click()
    expect(page.get_by_text(re.compile(r"^\d[\d,]* members$"))).to_be_visible()  # before it has a name
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("alert")).to_have_text("Give the segment a name.")
    markup = "<img src=x onerror=alert(1)> שלום"
    page.get_by_role("textbox", name="Name").fill(markup)
    page.get_by_label("Id", exact=True).fill("from-builder")
    page.get_by_role("combobox", name="Feature").fill("revenue")
    page.get_by_role("textbox", name="Value").fill("4000")
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_role("combobox", name="Feature").nth(1).fill("days_since_last")
    page.get_by_role("textbox", name="Value").nth(1).fill("30")
    expect(page.get_by_text(re.compile(r"^\d[\d,]* members?$"))).to_be_visible()
    opened.keep("segment-builder")
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(markup)
    assert page.locator("img").count() == 0
    stored = requests.get(f"{opened.running.base}/segments/from-builder", timeout=30).json()
    assert stored["rule"] == {"and": [{">=": [{"var": "revenue"}, 4000]}, {">=": [{"var": "days_since_last"}, 30]}]}
    # Those of a probability from 0 on are all members.
    page.get_by_label("Choose members").focus()
    page.keyboard.press("Home")
    page.get_by_role("button", name="Make a segment of these").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("The likeliest (0% and more) of")
    page.go_back()
    page.get_by_role("button", name="Score all members as a file").click()
    page.get_by_role("link", name="Follow the job").click()
    expect(page.get_by_text("Done")).to_be_visible(timeout=60_000)


def test_two_tabs_that_change_one_segment_are_told_and_see_both(view: Callable[..., View]) -> None:
    first, second = view(), view()
    base = first.running.base
    requests.put(
        f"{base}/segments/two-tabs", json={"segment_name": "Two", "churn_risk": "high"}, timeout=30
    ).raise_for_status()
    for opened in (first, second):
        opened.go("segments/two-tabs?edit=1")
    first.page.get_by_role("textbox", name="Name").fill("First")
    first.page.get_by_role("button", name="Save the segment").click()
    expect(first.page.get_by_role("heading", level=1)).to_have_text("First")
    page = second.page
    page.get_by_role("textbox", name="Name").fill("Second")
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_text("Someone else has changed this segment")).to_be_visible()
    expect(page.get_by_text('"segment_name": "First"')).to_be_visible()
    expect(page.get_by_text('"segment_name": "Second"')).to_be_visible()
    second.keep("segment-conflict")
    assert second.violations() == []
    page.get_by_role("button", name="Save mine over theirs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Second")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Segments")
    assert requests.get(f"{base}/segments/two-tabs", timeout=30).status_code == 404


def download_of(page: Page, button: str, path: Path) -> list[dict[str, str]]:
    """The rows of the file that a button has members scored to, once its job is done."""
    page.get_by_role("button", name=button).click()
    page.get_by_role("link", name="Follow the job").click()
    expect(page.get_by_text("Done", exact=True)).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download predictions").click()
    download.value.save_as(path)
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_best_of_a_segment_for_an_offer_are_handed_on_as_a_file(view: Callable[..., View], tmp_path: Path) -> None:
    opened = view()
    page = opened.go("segments/champions")
    page.get_by_role("textbox", name="How many").fill("0")
    expect(page.get_by_role("button", name="Score the best")).to_be_disabled()
    expect(page.get_by_text("Give a whole number from 1 to 1,000,000.")).to_be_visible()
    page.get_by_role("textbox", name="How many").fill("5")
    page.get_by_role("combobox", name="Offer").select_option("Flash Sale")
    rows = download_of(page, "Score the best 5 as a file", tmp_path / "best")
    best = requests.post(
        f"{opened.running.base}/segments/champions/ml/predict?top=5&offer=6", json={"type": "nbo"}, timeout=30
    ).json()["results"]
    assert [row["customer_id"] for row in rows] == [result["customer_id"] for result in best]


def test_more_of_the_likeliest_than_a_list_takes_are_handed_on_as_a_file(
    view: Callable[..., View], tmp_path: Path
) -> None:
    opened = view()
    base = opened.running.base
    everyone: dict[str, Any] = {"segment_name": "Everyone", "rule": {}}
    requests.put(f"{base}/segments/everyone", json=everyone, timeout=30).raise_for_status()
    page = opened.go("segments/everyone")
    page.get_by_label("Choose members").focus()
    page.keyboard.press("Home")
    bins = requests.post(f"{base}/segments/preview", json=everyone, timeout=60).json()["bins"]
    active = sum(active_in(each) for each in bins)
    assert active > 1000
    expect(page.get_by_role("button", name="Make a segment")).to_have_count(0)
    rows = download_of(page, f"Score these {active:,} as a file", tmp_path / "likeliest")
    assert len(rows) == active
    probabilities = [float(row["churn_probability"]) for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    requests.delete(f"{base}/segments/everyone", timeout=30)


def active_in(each: dict[str, Any]) -> int:
    return sum(members for band, members in each["by_risk"].items() if band != "lapsed")


def figures(page: Page) -> list[str]:
    """The big numbers under the histogram."""
    return page.locator("dd.figure").all_inner_texts()


def preview_of(opened: View, segment: str) -> dict[str, Any]:
    definition = requests.get(f"{opened.running.base}/segments/{segment}", timeout=30).json()
    for name in ("segment_id", "version", "updated"):
        del definition[name]
    answer: dict[str, Any] = requests.post(
        f"{opened.running.base}/segments/preview", json=definition, timeout=60
    ).json()
    return answer


def test_a_cell_of_the_rfm_map_filters_the_spread_by_keyboard_and_in_the_address(view: Callable[..., View]) -> None:
    opened = view()
    cells = [cell for cell in preview_of(opened, "high-value")["rfm"] if any(map(active_in, cell["bins"]))]
    cell = max(cells, key=lambda each: each["members"])
    score = f"recency {cell['r_score']}, frequency {cell['f_score']}"
    page = opened.go("segments/high-value")
    before = figures(page)
    button = page.get_by_role("button", name=re.compile(f"^{cell['segment']}, {score}: "))
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("status").filter(has_text="Only")).to_contain_text(
        f"Only {cell['members']:,} members with recency {cell['r_score']} and frequency {cell['f_score']}"
    )
    assert page.url.endswith(f"#/segments/high-value?cell=R{cell['r_score']}F{cell['f_score']}")
    page.get_by_label("Choose members").focus()
    page.keyboard.press("Home")
    assert figures(page)[0] == f"{sum(map(active_in, cell['bins'])):,}"
    leave = sum(each["expected"] for each in cell["bins"])
    assert figures(page)[1] == f"{leave:.0f}"
    opened.keep("segment-cell")
    assert opened.violations() == []
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.get_by_role("link", name="Show all again").click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert figures(page) == before
    page.go_back()
    page.get_by_role("link", name=f"Define a segment of all who are {cell['segment']}").click()
    expect(page.get_by_role("combobox", name="RFM name")).to_have_value(cell["segment"])
    opened.go("segments/high-value?cell=R9F9")
    expect(page.get_by_text("Show all again")).to_have_count(0)


def test_the_slider_says_what_becomes_of_the_chosen_by_probability_and_by_held_out_truth(
    view: Callable[..., View],
) -> None:
    opened = view()
    page = opened.page
    card = requests.get(f"{opened.running.base}/models/churn/{CHURN_VERSION}", timeout=30).json()
    page.route("**/models/churn/*", lambda route: route.fulfill(json=card | {"churn_quality": CHURN_QUALITY}))
    opened.go("segments/high-value")
    bins = preview_of(opened, "high-value")["bins"]
    # A click on the bar from 30 to 35 %.
    plot = page.locator(".histogram .u-over")
    box = plot.bounding_box()
    assert box
    plot.click(position={"x": 0.32 * box["width"], "y": box["height"] / 2})
    slider = page.get_by_label("Choose members")
    expect(slider).to_have_attribute("aria-valuetext", "30%")
    tenths = sorted(CHURN_QUALITY["tenths"], key=lambda tenth: tenth["predicted"])
    chosen = [each for each in bins[6:] if active_in(each)]

    def left(end: str) -> float:
        means = [each["expected"] / active_in(each) for each in chosen]
        known = [tenth["predicted"] for tenth in tenths], [tenth["share"][end] for tenth in tenths]
        return float(np.dot([active_in(each) for each in chosen], np.interp(means, *known)))

    members = sum(map(active_in, chosen))
    leave = sum(each["expected"] for each in chosen)
    low, high = math.floor(left("low")), math.ceil(left("high"))
    assert figures(page) == [
        f"{members}",
        f"{leave:.0f}",
        f"{left('value'):.0f} ({low} to {high})",
        f"{members - leave:.0f}",
        f"{members - left('value'):.0f} ({members - high} to {members - low})",
    ]
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "35%")
    opened.keep("segment-measured")


def test_who_is_missing_adds_up_to_all_and_says_why(view: Callable[..., View]) -> None:
    opened = view()
    answer = requests.get(f"{opened.running.base}/segments/champions/ml/stats", timeout=60).json()
    members = answer["member_count"]
    for name, codes in {
        "churn": {"CUSTOMER_NOT_FOUND": 30, "MISSING_FEATURES": 4, "INVALID_FEATURES": 1},
        "nbo": {"NO_PURCHASES": 7, "BRAND_NEW_CODE": 2},
        "rfm": None,  # stored before there were codes
    }.items():
        failed = sum(codes.values()) if codes else 11
        answer["stats"][name] |= {"failed": failed, "count": members - failed, "failed_by_code": codes or {}}
    del answer["stats"]["rfm"]["failed_by_code"]
    opened.page.route("**/segments/champions/ml/stats*", lambda route: route.fulfill(json=answer))
    page = opened.go("segments/champions")
    table = page.get_by_role("region", name="Who is missing, and why")
    for said in (
        "With an answer",
        "Not in the warehouse's snapshot",
        "Lack a feature that the model reads",
        "Have a feature value that cannot be",
        "Have bought nothing yet",
        "BRAND_NEW_CODE",
        "Without an answer; why was not kept",
    ):
        expect(table.get_by_text(said)).to_be_visible()
    rows = [row.locator("td").all_inner_texts()[1:] for row in table.locator("tbody tr").all()]
    counts = [[int(cell.replace(",", "")) for cell in row] for row in rows]
    assert [sum(column) for column in zip(*counts[:-1], strict=True)] == counts[-1] == [members] * 3
    opened.keep("segment-missing")


def test_drift_is_said_in_words_by_what_the_model_leans_on(view: Callable[..., View]) -> None:
    opened = view()
    answer = requests.get(f"{opened.running.base}/segments/champions/ml/stats", timeout=60).json()
    moved = {"psi": 0.4, "band": "significant", "count": 900, "p_value": 1e-9, "weight": 0.02, "alarm": False}
    answer["drift"]["all_customers"] = {
        "churn": {
            "score": moved | {"psi": 0.02, "band": "stable", "weight": 1.0, "p_value": 0.4},
            "features": {
                "revenue": moved | {"alarm": True, "weight": 0.9},
                "service_count": moved,
                "offers_seen": moved | {"weight": None},
                "product_count": moved | {"p_value": 0.3},
                "lifetime_value": moved | {"psi": None, "band": "too_few", "alarm": None, "p_value": None},
            },
        }
    }
    opened.page.route("**/segments/champions/ml/stats*", lambda route: route.fulfill(json=answer))
    page = opened.go("segments/champions")
    table = page.get_by_role("region", name="Drift").first
    for feature, word in {
        "revenue": "moved, and the model leans on it",
        "service_count": "moved, but the model hardly looks at it",
        "offers_seen": "moved; what the model makes of it is unknown",
        "product_count": "no further than by luck",
        "lifetime_value": "too few to tell",
        "the score itself": "as at training",
    }.items():
        expect(table.get_by_role("row").filter(has_text=feature)).to_contain_text(word)
    expect(page.get_by_text("1 of 6 moved so far")).to_be_visible()
    opened.keep("segment-drift")
    assert opened.violations() == []


@pytest.mark.parametrize("points", [1, 1000])
def test_a_history_of_one_point_and_of_a_thousand(view: Callable[..., View], points: int) -> None:
    opened = view()
    answer = requests.get(f"{opened.running.base}/segments/champions/ml/stats", timeout=60).json()
    last = answer["history"][-1]
    change = dict.fromkeys(("member_count", "avg_probability", "high_percentage"), 1)
    answer["history"] = [
        {
            **last,
            "snapshot": str(number),
            "features_as_of": f"{2000 + number // 360}-{1 + number // 30 % 12:02}-{1 + number % 28:02}T00:00:00Z",
            "change": {"since": "x", "total": change, "customers": change} if number else None,
        }
        for number in range(points)
    ]
    opened.page.route("**/segments/champions/ml/stats*", lambda route: route.fulfill(json=answer))
    page = opened.go("segments/champions")
    if points == 1:
        expect(page.get_by_text("This is the first snapshot")).to_be_visible()
    else:
        expect(page.locator("section", has_text="How it moved").locator("canvas")).to_be_visible()
        expect(page.get_by_text("because customers moved")).to_be_visible()
    opened.keep(f"segment-history-{points}")
    assert opened.violations() == []


def test_a_segment_whose_members_have_all_lapsed_says_so(view: Callable[..., View]) -> None:
    opened = view()
    answer = requests.post(
        f"{opened.running.base}/segments/preview", json={"segment_name": "X", "rule": {}}, timeout=60
    ).json()
    for each in answer["bins"]:
        each |= {"by_risk": {"high": 0, "medium": 0, "low": 0, "lapsed": 3}, "expected": 0}
    opened.page.route("**/segments/preview", lambda route: route.fulfill(json=answer))
    page = opened.go("segments/champions")
    expect(page.get_by_text("There is nobody here to lose")).to_be_visible()
    expect(page.get_by_text("60 members have lapsed already")).to_be_visible()
