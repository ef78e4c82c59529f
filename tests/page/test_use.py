"""The page used as a person uses it: what is typed, chosen, confirmed, and what goes wrong in the middle of it."""

import csv
import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from playwright.sync_api import Route, expect

from tests import sample_set
from tests.local.make_run import Running
from tests.page.conftest import View
from training import registry

pytestmark = [pytest.mark.page, pytest.mark.process]

FIRST_VIEW_BYTES = 150_000
SAMPLE = {name: model.version for name, model in sample_set.manifest().models.items()}


def test_the_first_view_is_small_over_the_wire(running: Running) -> None:
    origin = f"http://127.0.0.1:{running.port}"

    def fetch(path: str) -> bytes:
        answer = requests.get(origin + path, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=30)
        assert answer.status_code == 200, path
        assert answer.headers["Content-Encoding"] == "gzip"
        content: bytes = answer.raw.read(decode_content=False)
        return content

    index = fetch("/admin")
    html = gzip.decompress(index).decode()
    assets = re.findall(r'(?:src|href)="(/[^"]+)"', html)
    assert len(assets) >= 3
    assert all("/assets/" in asset and re.search(r"-[\w-]{8}\.\w+$", asset) for asset in assets)
    assert not re.search(r"<script>|<style|style=|onload", html)
    assert sum(map(len, [index, *map(fetch, assets)])) <= FIRST_VIEW_BYTES


def test_one_customer_is_predicted_and_the_address_says_who(view: Callable[..., View]) -> None:
    page = view().go("predict")
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_text("Type an id first.")).to_be_visible()
    page.get_by_label("Customer ID").fill(" 1 ")
    page.get_by_role("radio", name="All three").check()
    page.get_by_label("Customer ID").press("Enter")
    expect(page.get_by_role("heading", name="Customer 1")).to_be_visible()
    expect(page.get_by_text("Send Birthday Bonus")).to_be_visible()
    expect(page.get_by_text("Champions: bought")).to_be_visible()
    assert page.url.endswith("#/predict?mode=single&type=all&id=1")
    page.reload()
    expect(page.get_by_role("heading", name="Customer 1")).to_be_visible()
    page.get_by_text("Raw JSON").click()
    expect(page.get_by_text('"features_as_of"').first).to_be_visible()


def test_back_leads_to_what_was_shown_before(view: Callable[..., View]) -> None:
    page = view().go("status")
    page.get_by_role("link", name="Segments").click()
    page.get_by_role("link", name="Test ML Predictions").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Test ML Predictions")
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Status")


def test_a_pasted_list_is_tidied_counted_predicted_sorted_filtered_and_saved(
    view: Callable[..., View], tmp_path: Path
) -> None:
    page = view().go("predict?mode=batch&type=all")
    box = page.get_by_label("Customer IDs, one per line")
    box.fill('1, 2; "3"\n\n5\n5\nnobody')
    expect(page.get_by_text("5 of 100")).to_be_visible()
    expect(page.get_by_text("1 repeated id is asked for once.")).to_be_visible()
    page.get_by_role("button", name="Run Batch Prediction").click()
    results = page.get_by_role("region", name="Results")
    expect(results.get_by_role("row")).to_have_count(5)
    failed = page.get_by_role("region", name="Customers without an answer")
    expect(failed.get_by_text("CUSTOMER_NOT_FOUND")).to_have_count(3)
    results.get_by_role("button", name="Probability of leaving").click()
    results.get_by_role("button", name="Probability of leaving").click()
    shown = [float(text.rstrip("%")) for text in results.locator(".value").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    expect(results.get_by_role("columnheader", name="Probability of leaving")).to_have_attribute(
        "aria-sort", "descending"
    )
    page.get_by_placeholder("Filter by id").fill("champ")
    expect(results.get_by_role("row")).to_have_count(4)
    page.get_by_placeholder("Filter by id").fill("nothing like it")
    expect(page.get_by_text("No result matches the filter.")).to_be_visible()
    page.get_by_placeholder("Filter by id").fill("")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["customer_id"] for row in rows] == ["1", "2", "3", "5"]
    assert rows[0]["segment"] == "Champions"


def test_ids_of_every_kind_are_text_and_too_many_are_told(view: Callable[..., View]) -> None:
    page = view().go("predict?mode=batch&type=churn")
    box = page.get_by_label("Customer IDs, one per line")
    markup = "<img src=x onerror=alert(1)>"
    long = "ש" * 256
    box.fill(f"{markup}\n😀\n{long}")
    page.get_by_role("button", name="Run Batch Prediction").click()
    failed = page.get_by_role("region", name="Customers without an answer")
    for each in (markup, "😀", long):
        expect(failed.get_by_text(each, exact=True)).to_be_visible()
    assert page.locator("img").count() == 0
    box.fill("\n".join(str(number) for number in range(101)))
    expect(page.get_by_text("1 id too many")).to_be_visible()
    expect(page.get_by_role("button", name="Run Batch Prediction")).to_be_disabled()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "You are not signed in"), (503, "cannot answer at the moment"), (None, "The service does not answer")],
)
def test_the_service_going_away_loses_nothing_that_was_typed(
    view: Callable[..., View], status: int | None, sentence: str
) -> None:
    page = view().go("predict?mode=single&type=churn")
    page.get_by_label("Customer ID").fill("2")
    pattern = "**/ml/predict"
    page.route(pattern, lambda route: route.abort() if status is None else route.fulfill(status=status, body="{}"))
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_role("alert")).to_contain_text(sentence)
    expect(page.get_by_label("Customer ID")).to_have_value("2")
    page.unroute(pattern)
    if status == 401:
        page.get_by_label("Token").fill("a.token.b")
        page.get_by_role("button", name="Use this token").click()
        expect(page.get_by_role("button", name="Forget the token")).to_be_visible()
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_role("heading", name="Customer 2")).to_be_visible()


def test_a_slow_answer_shows_that_it_runs_and_can_be_cancelled(view: Callable[..., View]) -> None:
    page = view().go("predict?mode=single&type=churn")
    page.route("**/ml/predict", lambda route: None)
    page.get_by_label("Customer ID").fill("2")
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_role("status").filter(has_text="Predicting")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Nothing was asked yet.")).to_be_visible()


def test_mock_answers_and_placeholders_are_said(view: Callable[..., View]) -> None:
    opened = view()
    page = opened.page
    answer = requests.get(f"{opened.running.base}/config/ml/status", timeout=30).json()
    answer["models"]["churn"] |= {"exists": False, "loaded": False, "version": None, "placeholder": None}
    page.route("**/config/ml/status", lambda route: route.fulfill(json=answer))
    opened.go("status")
    expect(page.get_by_text("Some of what you see is invented")).to_be_visible()
    expect(page.get_by_text("No Churn model is published")).to_be_visible()
    expect(page.get_by_text("These models are placeholders")).to_be_visible()
    opened.keep("status-mock")
    assert opened.violations() == []


def test_what_one_may_not_do_is_not_offered(view: Callable[..., View]) -> None:
    page = view().go("status")
    expect(page.get_by_role("button", name="Roll back")).to_be_visible()
    page.route("**/models", lambda route: route.fulfill(status=401, body="{}"))
    page.reload()
    page.get_by_label("Token").fill("x.eyJzY29wZSI6ImxveWFsdHkvcmVhZCJ9.y")  # {"scope":"loyalty/read"}
    page.unroute("**/models")
    page.get_by_role("button", name="Use this token").click()
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(page.get_by_text("not change which are active")).to_be_visible()
    expect(page.get_by_role("button", name="Roll back")).to_have_count(0)


def test_a_version_is_promoted_and_rolled_back_by_keyboard(view: Callable[..., View], other_models: Path) -> None:
    opened = view()
    client = boto3.client(
        "s3",
        endpoint_url=opened.store,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        region_name="eu-west-1",
    )
    bucket = re.search(r"models (\S+), data", opened.running.printed())
    assert bucket
    registry.stage(client, bucket[1], other_models)
    page = opened.go("status")
    page.get_by_role("button", name="Use this version: churn v2").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"churn: from {SAMPLE['churn']} to v2")
    expect(dialog).to_contain_text(f"nbo: stays {SAMPLE['nbo']}")
    opened.keep("status-promote", whole=False)
    assert opened.violations() == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Use this version: churn v2").click()
    dialog.get_by_role("button", name="Make it active").click()
    expect(page.get_by_text("Done. Now active: churn v2")).to_be_visible()
    page.get_by_role("button", name="Roll back").click()
    expect(dialog).to_contain_text(f"churn: from v2 to {SAMPLE['churn']}")
    # Someone else is quicker.
    requests.post(f"{opened.running.base}/models/promote", json={"versions": SAMPLE}, timeout=30).raise_for_status()
    dialog.get_by_role("button", name="Roll back").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Another model set became active meanwhile")
    dialog.get_by_role("button", name="Cancel").click()
    requests.post(f"{opened.running.base}/models/promote", json={"versions": {"churn": "v2"}}, timeout=30)
    page.reload()
    page.get_by_role("button", name="Roll back").click()
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text(f"Done. Now active: churn {SAMPLE['churn']}")).to_be_visible()


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
    expect(page.get_by_role("heading", level=1)).to_contain_text("The likeliest of")
    page.go_back()
    page.get_by_role("button", name="Score all members as a file").click()
    page.get_by_role("status").get_by_role("link", name="Files").click()
    page.get_by_role("link", name="from-builder").first.click()
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


def test_the_best_of_a_segment_for_an_offer_are_handed_on(view: Callable[..., View], tmp_path: Path) -> None:
    opened = view()
    page = opened.go("segments/champions")
    page.get_by_role("textbox", name="How many").fill("0")
    expect(page.get_by_role("button", name="Download as CSV")).to_be_disabled()
    page.get_by_role("textbox", name="How many").fill("5")
    page.get_by_role("combobox", name="Offer").select_option("Flash Sale")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    download.value.save_as(tmp_path / "best.csv")
    with (tmp_path / "best.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = requests.post(
        f"{opened.running.base}/segments/champions/ml/predict?top=5&offer=6", json={"type": "nbo"}, timeout=30
    ).json()["results"]
    assert [row["customer_id"] for row in rows] == [result["customer_id"] for result in best]
    assert {row["offer_name"] for row in rows} == {"Flash Sale"}


def test_a_cell_of_the_rfm_map_leads_to_a_segment_of_its_name(view: Callable[..., View]) -> None:
    page = view().go("segments/champions")
    page.get_by_role("link", name=re.compile("^Champions, recency 5, frequency 5")).click()
    expect(page.get_by_role("combobox", name="RFM name")).to_have_value("Champions")


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
        expect(page.locator("canvas")).to_be_visible()
        expect(page.get_by_text("because customers moved")).to_be_visible()
    opened.keep(f"segment-history-{points}")
    assert opened.violations() == []


def test_a_long_list_of_segments_is_paged(view: Callable[..., View]) -> None:
    opened = view()

    def page_of(route: Route) -> None:
        after = re.search(r"next=s(\d+)", route.request.url)
        begin = int(after[1]) + 1 if after else 0
        segments = [
            {"segment_id": f"s{number}", "segment_name": f"S {number}", "kind": "rule", "version": 1, "updated": "x"}
            for number in range(begin, begin + 20)
        ]
        route.fulfill(json={"segments": segments, "next": f"s{begin + 19}"})

    opened.page.route(re.compile(r"/segments\?"), page_of)
    page = opened.go("segments")
    expect(page.get_by_role("link", name="S 19")).to_be_visible()
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("link", name="S 39")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="S 0", exact=True)).to_be_visible()


def test_a_file_goes_from_drop_to_download(view: Callable[..., View], tmp_path: Path) -> None:
    opened = view()
    page = opened.go("files")
    with page.expect_download() as sample:
        page.get_by_role("button", name="Download a sample").click()
    sample.value.save_as(tmp_path / "customers.csv")
    # Dropped, as a hand does it.
    page.evaluate(
        """(text) => {
          const data = new DataTransfer();
          data.items.add(new File([text], "customers.csv"));
          document.querySelector(".drop").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }""",
        (tmp_path / "customers.csv").read_text(),
    )
    expect(page.get_by_text("Sent. The service scores it now")).to_be_visible()
    jobs = page.get_by_role("region", name="Jobs")
    expect(jobs.get_by_text("Done").first).to_be_visible(timeout=60_000)
    opened.keep("files-done")
    jobs.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="The first errors")).to_be_visible()
    expect(page.get_by_role("region", name="The first errors")).to_contain_text("CUSTOMER_NOT_FOUND")
    opened.keep("files-job")
    assert opened.violations() == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download predictions").click()
    download.value.save_as(tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open() as file:
        assert [row["customer_id"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def test_a_file_that_cannot_be_scored_is_told_before_it_is_sent(view: Callable[..., View], tmp_path: Path) -> None:
    page = view().go("files")
    (tmp_path / "customers.xlsx").write_text("x")
    (tmp_path / "empty.csv").write_text("")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "customers.xlsx")
    expect(page.get_by_role("alert")).to_contain_text("customers.xlsx is not of a format")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "empty.csv")
    expect(page.get_by_role("alert")).to_contain_text("empty.csv is empty")


def ranged(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def group(name: str, customers: int, happened: int, predicted: float) -> dict[str, Any]:
    share = happened / customers
    return {
        "name": name,
        "customers": customers,
        "happened": happened,
        "predicted": predicted,
        "share": ranged(share, share - 0.04, share + 0.04),
    }


CHURN_QUALITY = {
    "customers": 2000,
    "left": 420,
    "lists": [
        {
            "share": share,
            "customers": customers,
            "found": ranged(found, found - 9, found + 9),
            "rule": ranged(rule, rule - 9, rule + 9),
            "rule_days": 45,
            "chance": ranged(chance, chance - 6, chance + 6),
            "word": "useful",
            "sentence": f"Of {customers} that you can write to, this finds {found}, your 45-day rule {rule}, chance "
            f"{chance}.",
        }
        for share, customers, found, rule, chance in ((0.05, 100, 71, 58, 21), (0.1, 200, 131, 104, 42))
    ],
    "bands": [group("high", 200, 131, 0.64), group("medium", 400, 120, 0.31), group("low", 1400, 169, 0.11)],
    "tenths": [
        group(str(place + 1), 200, max(4, 131 - 15 * place), max(0.03, 0.64 - 0.07 * place)) for place in range(10)
    ],
}


def test_a_measured_model_says_what_it_is_worth_in_customers(view: Callable[..., View]) -> None:
    opened = view()
    page = opened.page
    card = requests.get(f"{opened.running.base}/models/churn/{SAMPLE['churn']}", timeout=30).json()
    status = requests.get(f"{opened.running.base}/config/ml/status", timeout=30).json()
    for model in status["models"].values():
        model["placeholder"] = False
    card |= {"placeholder": False, "churn_quality": CHURN_QUALITY}
    page.route("**/models/churn/*", lambda route: route.fulfill(json=card))
    page.route("**/config/ml/status", lambda route: route.fulfill(json=status))
    opened.go("status")
    expect(page.get_by_text("Useful", exact=True)).to_be_visible()
    expect(page.get_by_text("this finds 131, your 45-day rule 104, chance 42")).to_be_visible()
    expect(page.get_by_text("These models are placeholders")).to_have_count(0)
    opened.keep("status-real")
    assert opened.violations() == []
    page.get_by_role("link", name="Open the report").first.click()
    bands = page.get_by_role("region", name="What each band meant")
    expect(bands.get_by_role("row").nth(1)).to_contain_text("65.5%")
    opened.keep("report-real")
    assert opened.violations() == []
    opened.go("predict?mode=single&type=churn&id=1")
    expect(page.get_by_text("Of 1,400 held-out customers with low risk, 169 left (12.1%")).to_be_visible()
    opened.keep("predict-real")


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
