"""The panel Status used as a person uses it: what is healthy, what a model is worth, which version is active."""

import gzip
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import requests
from playwright.sync_api import expect

from tests import sample_set
from tests.local.make_run import Running
from tests.page.conftest import View
from tests.page.measured import CHURN_QUALITY
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


def test_back_leads_to_what_was_shown_before(view: Callable[..., View]) -> None:
    page = view().go("status")
    page.get_by_role("link", name="Segments").click()
    page.get_by_role("link", name="Test ML Predictions").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Test ML Predictions")
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Status")


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


@pytest.mark.parametrize(
    "address",
    [
        "segments/champions",
        *(
            pytest.param(address, marks=pytest.mark.long)
            for address in ("predict", "segments", "segments?define=rule", "segments/champions?edit=1", "files")
        ),
    ],
)
def test_every_panel_with_figures_of_placeholders_says_so(view: Callable[..., View], address: str) -> None:
    page = view().go(address)
    expect(page.get_by_text("These models are placeholders")).to_have_count(1)
    expect(page.get_by_text("Churn, Next best offer: trained on generated data.")).to_be_visible()


def test_what_one_may_not_do_is_not_offered(view: Callable[..., View]) -> None:
    page = view().go("status")
    expect(page.get_by_role("button", name="Roll back")).to_be_visible()
    page.route("**/models", lambda route: route.fulfill(status=401, body="{}"))
    page.reload()
    page.get_by_label("Token").fill("x.eyJzY29wZSI6ImxveWFsdHkvcmVhZCJ9.y")  # {"scope":"loyalty/read"}
    page.unroute("**/models")
    page.get_by_role("button", name="Use this token").click()
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
    expect(dialog).to_contain_text(f"Churn: from {SAMPLE['churn']} to v2")
    expect(dialog).to_contain_text(f"Next best offer: stays {SAMPLE['nbo']}")
    opened.keep("status-promote", whole=False)
    assert opened.violations() == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Use this version: churn v2").click()
    dialog.get_by_role("button", name="Make it active").click()
    expect(page.get_by_text("Done. Now active: Churn v2")).to_be_visible()
    page.get_by_role("button", name="Roll back").click()
    expect(dialog).to_contain_text(f"Churn: from v2 to {SAMPLE['churn']}")
    # Someone else is quicker.
    requests.post(f"{opened.running.base}/models/promote", json={"versions": SAMPLE}, timeout=30).raise_for_status()
    dialog.get_by_role("button", name="Roll back").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Another model set became active meanwhile")
    dialog.get_by_role("button", name="Cancel").click()
    requests.post(f"{opened.running.base}/models/promote", json={"versions": {"churn": "v2"}}, timeout=30)
    page.reload()
    page.get_by_role("button", name="Roll back").click()
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text(f"Done. Now active: Churn {SAMPLE['churn']}")).to_be_visible()


@pytest.mark.long
def test_a_placeholder_is_told_from_a_trained_version_before_it_is_made_active(view: Callable[..., View]) -> None:
    opened = view()
    page = opened.page
    models, status, card = (
        requests.get(f"{opened.running.base}/{path}", timeout=30).json()
        for path in ("models", "config/ml/status", f"models/churn/{SAMPLE['churn']}")
    )
    versions = models["models"]["churn"]["versions"]
    placeholder = next(version for version in versions if version["version"] == SAMPLE["churn"])
    trained = placeholder | {"version": "trained", "active": True, "placeholder": False, "metrics": {"auc": 0.845}}
    placeholder |= {"active": False, "metrics": {"auc": 0.899}}
    versions[:] = [trained, placeholder]
    models["active"]["models"]["churn"] = "trained"
    page.route("**/models", lambda route: route.fulfill(json=models))
    page.route("**/models/churn/*", lambda route: route.fulfill(json=card | {"version": "trained"}))
    page.route("**/config/ml/status", lambda route: route.fulfill(json=status))
    opened.go("status")
    table = page.get_by_role("region", name="Churn: Versions")
    expect(table.get_by_role("row").nth(1)).to_contain_text("0.845")
    expect(table.get_by_role("row").nth(2)).not_to_contain_text("0.899")
    expect(page.get_by_text("so none are shown")).to_have_count(2)  # of NBO too
    page.get_by_role("button", name=f"Use this version: churn {SAMPLE['churn']}").click()
    expect(page.get_by_role("dialog")).to_contain_text("Churn: this version is a placeholder")
    opened.keep("status-promote-placeholder", whole=False)
    assert opened.violations() == []
    page.get_by_role("button", name="Cancel").click()
    # The service still answers from the placeholder, and the page sees by itself when that ends.
    expect(page.get_by_text("The service takes it up within a minute.")).to_be_visible()
    status["models"]["churn"] |= {"version": "trained", "placeholder": False}
    expect(page.get_by_text("The service takes it up within a minute.")).to_have_count(0)
    expect(page.get_by_text("trained", exact=True).first).to_be_visible()


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


def test_rfm_needs_no_file_and_says_when_its_cut_points_were_published(view: Callable[..., View]) -> None:
    opened = view()
    models = requests.get(f"{opened.running.base}/models", timeout=30).json()
    models["active"] |= {"created": "2026-11-23T12:30:05Z"}
    models["active"]["rfm"] |= {"version": "20180102T000000Z-2469"}
    opened.page.route("**/models", lambda route: route.fulfill(json=models))
    page = opened.go("status")
    card = page.locator("section.card", has=page.get_by_role("heading", name="RFM", exact=True))
    expect(card.get_by_text("None needed: calculated")).to_have_count(2)
    expect(card.get_by_text("20180102T000000Z-2469")).to_be_visible()
    expect(card.get_by_text("published on 23 Nov 2026")).to_be_visible()


def test_features_of_yesterday_under_a_model_of_today_are_said_to_be_old(view: Callable[..., View]) -> None:
    opened = view()
    status = requests.get(f"{opened.running.base}/config/ml/status", timeout=30).json()
    yesterday = datetime.now(UTC) - timedelta(hours=30)
    status["features"]["as_of"] = yesterday.isoformat()
    opened.page.route("**/config/ml/status", lambda route: route.fulfill(json=status))
    page = opened.go("status")
    expect(page.get_by_text("yesterday: predictions say how it was then.")).to_be_visible()
    stats = requests.get(f"{opened.running.base}/segments/pilot/ml/stats", timeout=60).json()
    stats["message"] = "The newest snapshot lacks offers_seen, so this is from the one before. Materialize again."
    opened.page.route("**/segments/pilot/ml/stats*", lambda route: route.fulfill(json=stats))
    opened.go("segments/pilot")
    expect(page.get_by_text(stats["message"])).to_be_visible()
    assert opened.violations() == []
