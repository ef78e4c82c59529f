"""Predictions for one customer and for many, as a person asks for them."""

import csv
import json
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from tests import sample_set
from tests.page.conftest import View
from tests.page.measured import CHURN_QUALITY

pytestmark = [pytest.mark.page, pytest.mark.process]


def test_one_customer_is_predicted_and_the_address_says_who(view: Callable[..., View]) -> None:
    page = view().go("predict")
    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if "/ml/predict" in request.url else None)
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_text("Type an id first.")).to_be_visible()
    page.get_by_label("Customer ID").fill(" 1 ")
    page.get_by_role("radio", name="All three").check()
    page.get_by_label("Customer ID").press("Enter")
    expect(page.get_by_role("heading", name="Customer 1")).to_be_visible()
    expect(page.get_by_text("Send Birthday Bonus")).to_be_visible()
    expect(page.get_by_text("Champions: bought")).to_be_visible()
    expect(page.get_by_text("it does not predict who leaves")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Would take it")).to_be_visible()
    assert page.url.endswith("#/predict?mode=single&type=all&id=1")
    assert asked == [{"customer_id": "1", "type": "all", "features": True, "explain": True}]
    page.reload()
    expect(page.get_by_role("heading", name="Customer 1")).to_be_visible()
    page.get_by_text("Raw JSON").click()
    expect(page.get_by_text('"features_as_of"').first).to_be_visible()


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
    expect(failed.get_by_role("row")).to_have_count(2)
    expect(failed.get_by_role("row").nth(1)).to_contain_text("All three")
    expect(failed.get_by_role("row").nth(1)).to_contain_text("CUSTOMER_NOT_FOUND")
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
    with (tmp_path / "predictions.csv").open(encoding="utf-8-sig") as file:  # as Excel wants it
        rows = list(csv.DictReader(file))
    assert [row["customer_id"] for row in rows] == ["1", "2", "3", "5"]
    assert rows[0]["segment"] == "Champions"
    results.get_by_role("link", name="3", exact=True).click()
    expect(page.get_by_role("heading", name="Customer 3")).to_be_visible()


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


def test_a_measured_model_says_how_many_of_a_hundred_left_and_who_was_counted(view: Callable[..., View]) -> None:
    opened = view()
    page = opened.page
    version = sample_set.manifest().models["churn"].version
    card = requests.get(f"{opened.running.base}/models/churn/{version}", timeout=30).json()
    page.route("**/models/churn/*", lambda route: route.fulfill(json=card | {"churn_quality": CHURN_QUALITY}))
    answer = requests.post(
        f"{opened.running.base}/ml/predict", json={"customer_id": "1", "type": "churn"}, timeout=30
    ).json()
    nearest = min(
        CHURN_QUALITY["tenths"], key=lambda tenth: abs(tenth["predicted"] - answer["result"]["churn_probability"])
    )
    low, high = math.floor(100 * nearest["share"]["low"]), math.ceil(100 * nearest["share"]["high"])
    opened.go("predict?mode=single&type=churn&id=1")
    expect(page.get_by_text(re.compile(r"^Of 100 active customers like this, \d+ left"))).to_contain_text(
        f"({low} to {high})"
    )
    expect(
        page.get_by_text(f"200 held-out customers with a similar probability, {nearest['happened']} left")
    ).to_be_visible()
    expect(page.get_by_text("High risk from 70.0%, medium from 40.0%.")).to_be_visible()
    opened.keep("predict-measured")


def test_the_features_of_an_answer_are_shown_with_their_values_and_day(view: Callable[..., View]) -> None:
    opened = view()
    answer = requests.post(
        f"{opened.running.base}/ml/predict",
        json={"customer_id": "1", "type": "churn", "features": True},
        timeout=30,
    ).json()
    page = opened.go("predict?mode=single&type=churn&id=1")
    page.get_by_text("Made from 10 features as of 2 Jan 2018").first.click()
    rows = page.get_by_role("region", name="Made from").locator("tbody tr")
    expect(rows).to_have_count(10)
    names = [row.locator("td").first.inner_text() for row in rows.all()]
    assert names == list(answer["features"])
    values = [float(row.locator("td").nth(1).inner_text().replace(",", "")) for row in rows.all()]
    assert values == pytest.approx(list(answer["features"].values()), abs=0.005)
    opened.keep("predict-features")
    assert opened.violations() == []


def test_an_offer_that_is_tried_on_purpose_says_so(view: Callable[..., View]) -> None:
    opened = view()
    answer = requests.post(
        f"{opened.running.base}/ml/predict", json={"customer_id": "1", "type": "nbo"}, timeout=30
    ).json()
    first, second, *_ = answer["result"]["offers"]
    first |= {"evidence": "too_few", "explored": True}
    second |= {"evidence": "unknown"}
    answer["result"]["top_offer"] = first
    opened.page.route("**/ml/predict", lambda route: route.fulfill(json=answer))
    page = opened.go("predict?mode=single&type=nbo&id=1")
    expect(page.get_by_text(f"Send {first['offer_name']}: too little is known of it")).to_be_visible()
    table = page.get_by_role("region", name="All offers")
    expect(table.get_by_text("tried on purpose, so that more becomes known")).to_have_count(1)
    expect(table.get_by_role("row").filter(has_text=second["offer_name"])).to_contain_text("not looked at")
    assert opened.violations() == []


def test_a_customer_who_lacks_one_of_the_three_answers_has_the_others_and_the_reason(view: Callable[..., View]) -> None:
    opened = view(360)
    base = opened.running.base
    one = requests.post(f"{base}/ml/predict", json={"customer_id": "1", "type": "all"}, timeout=30).json()
    many = requests.post(
        f"{base}/ml/predict/batch", json={"customer_ids": ["1", "2"], "type": "all"}, timeout=30
    ).json()
    failure = {"error": "The customer has no purchase.", "code": "NO_PURCHASES"}
    for answer in (one, many["results"][0]):
        del answer["results"]["churn"]
        answer["errors"] = {"churn": failure}
    opened.page.route("**/ml/predict", lambda route: route.fulfill(json=one))
    opened.page.route("**/ml/predict/batch", lambda route: route.fulfill(json=many))
    page = opened.go("predict?mode=single&type=all&id=1")
    expect(page.get_by_text("The customer has no purchase.", exact=True)).to_be_visible()
    expect(page.get_by_text("Send Birthday Bonus")).to_be_visible()
    assert opened.violations() == []
    opened.go("predict?mode=batch&type=all&ids=1,2")
    expect(page.get_by_text("Churn: 2 customers: 1 answered, 1 failed")).to_be_visible()
    expect(page.get_by_text("RFM: 2 customers: 2 answered, 0 failed")).to_be_visible()
    expect(page.get_by_role("region", name="Customers without an answer")).to_contain_text("NO_PURCHASES")
    assert not opened.overflows()


def test_the_three_types_are_one_command_for_a_terminal(view: Callable[..., View]) -> None:
    opened = view()
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=opened.origin)
    for address, body in {
        "mode=single&type=all&id=1": {"customer_id": "1", "type": "all", "features": True, "explain": True},
        "mode=batch&type=all&ids=1,2": {"customer_ids": ["1", "2"], "type": "all"},
    }.items():
        page = opened.go(f"predict?{address}")
        page.get_by_role("button", name="Copy as curl").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        command = shlex.split(page.evaluate("navigator.clipboard.readText()"))
        assert command[0] == "curl"
        assert json.loads(command[-1]) == body


def test_back_and_forward_show_what_the_address_says(view: Callable[..., View]) -> None:
    page = view().go("predict?mode=batch&type=churn&ids=1,2,3")
    results = page.get_by_role("region", name="Results")
    heading = page.get_by_role("heading", level=2)
    for _ in range(2):
        results.get_by_role("link", name="3", exact=True).click()
        expect(heading).to_have_text("Customer 3")
        page.get_by_label("Customer ID").fill("2")
        page.get_by_role("button", name="Run Prediction").click()
        expect(heading).to_have_text("Customer 2")
        page.go_back()
        expect(heading).to_have_text("Customer 3")
        expect(page.get_by_label("Customer ID")).to_have_value("3")
        page.go_back()
        expect(results.get_by_role("row")).to_have_count(4)
    page.go_forward()
    expect(heading).to_have_text("Customer 3")
    expect(page.get_by_role("heading", name="Churn")).to_be_visible()
    page.get_by_role("radio", name="RFM").check()
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_role("heading", name="RFM")).to_be_visible()
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", name="Churn")).to_be_visible()


def test_what_was_cancelled_or_failed_is_asked_again_by_who_comes_back(view: Callable[..., View]) -> None:
    page = view().go("predict")
    page.route("**/ml/predict", lambda route: route.abort())
    page.get_by_label("Customer ID").fill("2")
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute("**/ml/predict")
    page.get_by_role("link", name="Segments", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Segments")
    page.go_back()
    expect(page.get_by_role("heading", level=2)).to_have_text("Customer 2")


def test_an_id_that_is_too_long_is_told_and_not_cut(view: Callable[..., View]) -> None:
    page = view().go("predict?mode=single&type=churn")
    box = page.get_by_label("Customer ID")
    box.fill("1" * 257)
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_text("An id has at most 256 characters")).to_be_visible()
    expect(page.get_by_text("Nothing was asked yet.")).to_be_visible()
    box.fill("😀" * 256)
    page.get_by_role("button", name="Run Prediction").click()
    expect(page.get_by_role("alert")).to_contain_text("not found")
    expect(box).to_have_value("😀" * 256)
