"""Segments defined, changed and handed on."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import FilePayload, Page, expect

from tests.page.conftest import View
from tests.page.measured import active_in

pytestmark = [pytest.mark.page, pytest.mark.process]


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


@pytest.mark.parametrize("language", ["en-US@posix", "C"])
def test_charts_are_drawn_in_a_browser_whose_language_is_no_tag(view: Callable[..., View], language: str) -> None:
    opened = view()
    # As Chromium without a locale has it, such as on a server.
    opened.page.add_init_script(
        f"for (const [name, value] of [['language', {language!r}], ['languages', [{language!r}]]])"
        " Object.defineProperty(Navigator.prototype, name, {get: () => value});"
    )
    page = opened.go("segments/champions")
    assert page.evaluate("new Intl.NumberFormat(navigator.language).format(1)") == "1"
    expect(page.locator(".histogram canvas")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


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


def test_who_changes_a_segment_that_another_tab_deletes_is_told_and_may_make_it_anew(view: Callable[..., View]) -> None:
    opened = view()
    address = f"{opened.running.base}/segments/deleted-meanwhile"
    requests.put(address, json={"segment_name": "Mine", "churn_risk": "high"}, timeout=30).raise_for_status()
    page = opened.go("segments/deleted-meanwhile?edit=1")
    requests.delete(address, timeout=30).raise_for_status()
    page.get_by_role("textbox", name="Name").fill("Mine again")
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("alert")).to_contain_text("Someone else has deleted this segment")
    expect(page.get_by_role("textbox", name="Name")).to_have_value("Mine again")
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mine again")
    requests.delete(address, timeout=30).raise_for_status()


def test_a_segment_that_is_made_by_the_slider_replaces_none(view: Callable[..., View]) -> None:
    opened = view()
    base = opened.running.base
    id_of_64 = "x" * 64
    definition = {"segment_name": "Long", "customer_ids": ["1", "2", "3"]}
    requests.put(f"{base}/segments/{id_of_64}", json=definition, timeout=30).raise_for_status()
    made = []
    for _ in range(2):
        page = opened.go(f"segments/{id_of_64}")
        page.get_by_label("Choose members").focus()
        page.keyboard.press("Home")
        page.get_by_role("button", name="Make a segment of these 3").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("The likeliest (0% and more) of Long")
        made.append(page.url.rsplit("/", 1)[-1])
    assert len({id_of_64, *made}) == 3
    assert requests.get(f"{base}/segments/{id_of_64}", timeout=30).json()["segment_name"] == "Long"
    for each in (id_of_64, *made):
        requests.delete(f"{base}/segments/{each}", timeout=30).raise_for_status()


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


@pytest.mark.long
def test_as_many_of_the_likeliest_as_one_can_write_to_are_handed_on_as_a_file(
    view: Callable[..., View], tmp_path: Path
) -> None:
    page = view().go("segments/high-value")
    field = page.get_by_role("textbox", name="Or write to this many")
    for wrong in ("0", "1.5", "many", "100000"):
        field.fill(wrong)
        expect(page.get_by_role("button", name="Score the likeliest")).to_be_disabled()
        expect(page.get_by_text(re.compile(r"^Give a whole number from 1 to \d+\.$"))).to_be_visible()
    field.fill("200")
    rows = download_of(page, "Score the likeliest 200 as a file", tmp_path / "likeliest")
    assert len(rows) == 200
    probabilities = [float(row["churn_probability"]) for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    assert "lapsed" not in {row["churn_risk"] for row in rows}


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (
            {"rule": {"or": [{">": [{"var": "lifetime_value"}, 1000]}, {"<=": [{"var": "days_since_last"}, 60]}]}},
            [
                "Customers who match any of these:",
                "lifetime_value more than 1000 (spent ever)",
                "days_since_last at most 60 (days since the last purchase)",
            ],
        ),
        ({"rule": {"!": [{">": [{"var": "revenue"}, 1]}]}}, ["A rule that is more than conditions"]),
        ({"rule": {}}, ["Every customer"]),
        ({"customer_ids": ["1", "2"]}, ["A list of 2 customers"]),
        ({"churn_risk": "high"}, ["Customers in the risk band High"]),
        ({"rfm_segment": "At Risk"}, ["Customers whose RFM name is At Risk"]),
        ({"recommended_offer": 3}, ["Customers whose best offer is 3"]),
    ],
    ids=["conditions", "more", "everyone", "list", "band", "name", "offer"],
)
def test_a_segment_says_in_words_who_is_in_it(
    view: Callable[..., View], definition: dict[str, Any], words: list[str]
) -> None:
    opened = view()
    address = f"{opened.running.base}/segments/in-words"
    requests.put(address, json={"segment_name": "In words", **definition}, timeout=30).raise_for_status()
    page = opened.go("segments/in-words")
    said = page.locator("section").filter(has=page.get_by_role("heading", name="Definition"))
    for each in words:
        expect(said).to_contain_text(each)
    requests.delete(address, timeout=30).raise_for_status()


def rule_of(least: float, *, cell: tuple[int, int] | None = None) -> list[dict[str, Any]]:
    """What the slider adds to a segment."""
    scores = zip(("r_score", "f_score"), cell or (), strict=False)
    return [
        *({"==": [{"var": name}, score]} for name, score in scores),
        {">=": [{"var": "churn_probability"}, least]},
        {"!=": [{"var": "churn_risk"}, "lapsed"]},
    ]


@pytest.mark.long
def test_the_likeliest_of_any_number_are_a_segment_that_goes_on_saying_who_and_a_file(
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
    page.get_by_role("button", name=f"Make a segment of these {active:,}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The likeliest (0% and more) of Everyone")
    expect(page.get_by_text(f"{active:,} customers. Features as of")).to_be_visible()
    made = page.url.rsplit("/", 1)[-1]
    assert requests.get(f"{base}/segments/{made}", timeout=30).json()["rule"] == {"and": rule_of(0)}
    requests.delete(f"{base}/segments/{made}", timeout=30).raise_for_status()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Everyone")
    page.get_by_label("Choose members").focus()
    page.keyboard.press("Home")
    rows = download_of(page, f"Score these {active:,} as a file", tmp_path / "likeliest")
    assert len(rows) == active
    probabilities = [float(row["churn_probability"]) for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    requests.delete(f"{base}/segments/everyone", timeout=30)


def test_the_likeliest_of_a_cell_are_a_segment_beside_what_the_segment_says_itself(view: Callable[..., View]) -> None:
    opened = view()
    base = opened.running.base
    definition: dict[str, Any] = {
        "segment_name": "Combined",
        "rule": {"or": [{">=": [{"var": "revenue"}, 500]}, {"==": [{"var": "rfm_segment"}, "At Risk"]}]},
        "churn_risk": "medium",
    }
    requests.put(f"{base}/segments/combined", json=definition, timeout=30).raise_for_status()
    cells = requests.post(f"{base}/segments/preview", json=definition, timeout=60).json()["rfm"]
    cell = max(cells, key=lambda each: each["members"])
    place = cell["r_score"], cell["f_score"]
    page = opened.go("segments/combined?cell=R{}F{}".format(*place))
    said = page.locator("section").filter(has=page.get_by_role("heading", name="Definition"))
    for words in (
        "Whoever is in all of these:",
        "Customers who match any of these:",
        "revenue at least 500 (spent in the last 365 days)",
        "rfm_segment exactly At Risk (RFM name)",
        "Customers in the risk band Medium",
    ):
        expect(said).to_contain_text(words)
    slider = page.get_by_label("Choose members")
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    chosen = sum(map(active_in, (each for each in cell["bins"] if each["begins"] >= 0.4)))
    assert chosen > 0
    page.get_by_role("button", name=f"Make a segment of these {chosen}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "The likeliest (40% and more, R {} F {}) of Combined".format(*place)
    )
    expect(page.get_by_text(f"{chosen} customer")).to_be_visible()
    made = page.url.rsplit("/", 1)[-1]
    stored = requests.get(f"{base}/segments/{made}", timeout=30).json()
    assert stored["rule"] == {"and": [definition["rule"], *rule_of(0.4, cell=place)]}
    assert stored["churn_risk"] == "medium"
    for each in ("combined", made):
        requests.delete(f"{base}/segments/{each}", timeout=30).raise_for_status()


def test_a_combined_segment_is_built_previewed_listed_and_changed_without_a_loss(view: Callable[..., View]) -> None:
    opened = view(360)
    base = opened.running.base
    page = opened.go("segments?define=rule")
    page.get_by_role("textbox", name="Name").fill("VIPs")
    page.get_by_role("combobox", name="Feature").fill("churn_risk")
    page.get_by_role("combobox", name="Value").select_option("Low risk")
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_role("combobox", name="Feature").nth(1).fill("r_score")
    page.get_by_role("textbox", name="Value").fill("3")
    shown = page.get_by_text(re.compile(r"^\d[\d,]* members?$"))
    expect(shown).to_be_visible()
    for kind in ("Best offer", "List of customers", "RFM name"):
        page.get_by_role("checkbox", name=kind).press("Space")
    page.get_by_role("textbox", name="Customer IDs").fill("\n".join(map(str, range(1, 2000))))
    page.get_by_role("combobox", name="Offer code").fill("4")
    page.get_by_role("combobox", name="RFM name").select_option("Champions")
    definition: dict[str, Any] = {
        "segment_name": "VIPs",
        "rule": {"and": [{"==": [{"var": "churn_risk"}, "low"]}, {">=": [{"var": "r_score"}, 3]}]},
        "customer_ids": [str(number) for number in range(1, 2000)],
        "rfm_segment": "Champions",
        "recommended_offer": "4",
    }
    members = requests.post(f"{base}/segments/preview", json=definition, timeout=60).json()["answer"]["total_customers"]
    assert members > 0
    expect(shown).to_have_text(re.compile(f"^{members} members?$"))
    assert opened.violations() == []
    assert not opened.overflows()
    opened.keep("segment-combined-360")
    page.get_by_role("button", name="Save the segment").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("VIPs")
    asked = ("segment_id", "version", "updated")

    def stored() -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{base}/segments/vips", timeout=30).json()
        return {name: value for name, value in answer.items() if name not in asked}

    assert stored() == definition
    opened.go("segments?after=pilot")
    expect(page.get_by_role("row").filter(has_text="VIPs")).to_contain_text("Combined")
    page = opened.go("segments/vips?edit=1")
    page.get_by_role("textbox", name="Name").fill("VIPs 2")
    page.get_by_role("checkbox", name="RFM name").uncheck()
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("VIPs 2")
    del definition["rfm_segment"]
    assert stored() == definition | {"segment_name": "VIPs 2"}
    requests.delete(f"{base}/segments/vips", timeout=30).raise_for_status()


def test_a_list_too_long_for_the_text_area_is_a_file_that_is_kept_and_narrowed(view: Callable[..., View]) -> None:
    opened = view()
    base = opened.running.base
    page = opened.go("segments?define=customer_ids")
    page.get_by_role("textbox", name="Name").fill("Long List")
    customers = "\n".join(["customer_id", *(str(number) for number in range(1, 150_001))])
    ids: FilePayload = {"name": "ids.csv", "mimeType": "text/csv", "buffer": customers.encode()}
    page.get_by_label("Or a file of ids").set_input_files(ids)
    expect(page.get_by_text("ids.csv")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^150,000 members, of whom"))).to_be_visible()
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_text("A list of 150,000 customers")).to_be_visible()
    before = requests.get(f"{base}/segments/long-list", timeout=30).json()
    opened.go("segments/long-list?edit=1")
    expect(page.get_by_text("150,000 ids")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^150,000 members, of whom"))).to_be_visible()
    assert opened.violations() == []
    page.get_by_role("textbox", name="Name").fill("Renamed")
    page.get_by_role("button", name="Save the segment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Renamed")
    after = requests.get(f"{base}/segments/long-list", timeout=30).json()
    assert after["customer_list"] == before["customer_list"]
    page.get_by_role("button", name="Make a segment of these").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("The likeliest")
    made = page.url.rsplit("/", 1)[-1]
    stored = requests.get(f"{base}/segments/{made}", timeout=30).json()
    assert stored["customer_list"] == before["customer_list"]
    assert "rule" in stored
    for each in ("long-list", made):
        requests.delete(f"{base}/segments/{each}", timeout=30).raise_for_status()
