"""The panel Files: a file from drop to download."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import FilePayload, Route, expect

from tests.page.conftest import View

pytestmark = [pytest.mark.page, pytest.mark.process]


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
    (tmp_path / "customers.xlsx").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty.csv").write_text("")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "customers.xlsx")
    expect(page.get_by_role("alert")).to_contain_text("customers.xlsx is not of a format")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "empty.csv")
    expect(page.get_by_role("alert")).to_contain_text("empty.csv is empty")


def test_a_failed_job_says_why_in_the_list_has_its_results_and_is_removed(view: Callable[..., View]) -> None:
    opened = view(360)
    page = opened.go("files")
    strangers: FilePayload = {"name": "strangers.csv", "mimeType": "text/csv", "buffer": b"customer_id\nnobody\n"}
    page.get_by_label("Choose a file").set_input_files(strangers)
    row = page.get_by_role("row").filter(has_text="strangers.csv")
    expect(row).to_contain_text("NO_PREDICTIONS", timeout=60_000)
    expect(row).to_contain_text("Failed")
    opened.keep("files-failed-360")
    assert opened.violations() == []
    assert not opened.overflows()
    row.get_by_role("link").click()
    expect(page.get_by_role("alert")).to_contain_text("NO_PREDICTIONS")
    expect(page.get_by_role("link", name="Download errors")).to_be_visible()
    expect(page.get_by_role("region", name="The first errors")).to_contain_text("CUSTOMER_NOT_FOUND")
    page.get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Remove strangers.csv?")
    opened.keep("files-remove-360", whole=False)
    assert opened.violations() == []
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("link", name="Download errors")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Files")
    expect(page.get_by_role("row").filter(has_text="strangers.csv")).to_have_count(0)


def test_a_start_whose_answer_got_lost_is_one_job_when_it_is_tried_again_and_is_stopped(
    view: Callable[..., View],
) -> None:
    opened = view()
    base = opened.running.base
    page = opened.page
    started: list[str] = []

    def lose(route: Route) -> None:
        started.append(route.fetch().json()["job_id"])
        route.abort()

    opened.go("segments/pilot")
    page.route("**/ml/jobs", lose)
    page.get_by_role("button", name="Score all members as a file").click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute("**/ml/jobs")
    page.get_by_role("button", name="Score all members as a file").click()
    page.get_by_role("link", name="Follow the job").click()
    assert page.url.endswith(f"/files/{started[0]}")
    job = requests.get(f"{base}/ml/jobs/{started[0]}", timeout=30).json()
    running = job | {"status": "running", "progress": job["progress"] | {"share": 0.5}}
    for status in ("results", "error", "summary"):
        running.pop(status, None)
    page.route(f"**/ml/jobs/{started[0]}", lambda route: shown_or_sent(route, running))
    page.reload()
    page.get_by_role("button", name="Stop and remove").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It stops within seconds")
    dialog.get_by_role("button", name="Stop and remove").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Files")
    assert requests.get(f"{base}/ml/jobs/{started[0]}", timeout=30).status_code == 404


def shown_or_sent(route: Route, job: dict[str, Any]) -> None:
    """A job as it was when it ran; what is done to it goes to the service."""
    if route.request.method == "GET":
        route.fulfill(json=job)
    else:
        route.continue_()


def test_a_file_whose_name_says_nothing_keeps_its_own_columns(view: Callable[..., View], tmp_path: Path) -> None:
    page = view(360).go("files")
    page.get_by_role("checkbox", name="Keep my own columns").check()
    export: FilePayload = {"name": "export.txt", "mimeType": "", "buffer": b"customer_id\tcity\n1\tUlm\n"}
    page.get_by_label("Choose a file").set_input_files(export)
    row = page.get_by_role("row").filter(has_text="export.txt")
    expect(row).to_contain_text("Done", timeout=60_000)
    row.get_by_role("link").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download predictions").click()
    download.value.save_as(tmp_path / "predictions")
    with (tmp_path / "predictions").open() as file:
        (kept,) = csv.DictReader(file, delimiter="\t")
    assert (kept["customer_id"], kept["city"]) == ("1", "Ulm")
    assert kept["churn_risk"]
