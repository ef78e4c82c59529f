"""What the pictures of a segment show: its spread, its map, what drives it, who is missing, how it moved."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import requests
from playwright.sync_api import Page, expect

from tests import sample_set
from tests.page.conftest import View
from tests.page.measured import CHURN_QUALITY, active_in

pytestmark = [pytest.mark.page, pytest.mark.process]

CHURN_VERSION = sample_set.manifest().models["churn"].version


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


def test_what_drives_a_segment_is_shown_largest_first_or_why_it_is_not(view: Callable[..., View]) -> None:
    opened = view()
    stats = requests.get(f"{opened.running.base}/segments/at-risk/ml/stats", timeout=60).json()
    page = opened.go("segments/at-risk")
    drivers = page.locator("section.card").filter(has=page.get_by_role("heading", name="What drives it here"))
    drivers.locator("summary").first.click()
    churn = drivers.locator(".best").filter(has=page.get_by_role("heading", name="What drives churn here"))
    shown = [float(each.split()[0]) for each in churn.locator(".number").all_inner_texts()]
    means = [100 * each["mean_absolute_contribution"] for each in stats["drivers"]["churn"]["features"]]
    assert shown == pytest.approx(means, abs=0.05)
    assert shown == sorted(shown, reverse=True)
    expect(churn).to_contain_text(f"From {stats['drivers']['churn']['customers']} members who have not lapsed.")


@pytest.mark.long
def test_a_segment_whose_drivers_are_not_known_says_why(view: Callable[..., View]) -> None:
    opened = view()
    stats = requests.get(f"{opened.running.base}/segments/at-risk/ml/stats", timeout=60).json()
    stats["drivers"] = {"rfm": {"customers": 0, "features": []}}
    stats["models"]["nbo"]["version"] = "mock"
    opened.page.route("**/segments/at-risk/ml/stats*", lambda route: route.fulfill(json=stats))
    page = opened.go("segments/at-risk")
    for sentence in ("Not measured: the model was trained", "these answers are made up", "no member has an answer"):
        expect(page.get_by_text(sentence)).to_be_visible()
