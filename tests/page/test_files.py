"""The panel Files: a file from drop to download."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import FilePayload, Page, Request, Route, expect

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
    expect(page.get_by_text("Sent: customers.csv.")).to_be_visible()
    jobs = page.get_by_role("region", name="Jobs")
    expect(jobs.get_by_text("Done").first).to_be_visible(timeout=60_000)
    opened.keep("files-done")
    page.get_by_role("link", name="Follow the job").click()
    expect(page.get_by_role("heading", name="The first errors")).to_be_visible()
    expect(page.get_by_role("region", name="The first errors")).to_contain_text("CUSTOMER_NOT_FOUND")
    opened.keep("files-job")
    assert opened.violations() == []
    expect(page.get_by_role("link", name="Download errors")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download predictions").click()
    download.value.save_as(tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open() as file:
        assert [row["customer_id"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def test_a_job_without_errors_offers_none(view: Callable[..., View], tmp_path: Path) -> None:
    page = view().go("files")
    (tmp_path / "good.csv").write_text("customer_id\n1\n")
    page.get_by_label("Choose files").set_input_files(tmp_path / "good.csv")
    page.get_by_role("link", name="Follow the job").click()
    expect(page.get_by_role("link", name="Download predictions")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="Download errors")).to_have_count(0)


def test_a_file_that_cannot_be_scored_is_told_before_it_is_sent(view: Callable[..., View], tmp_path: Path) -> None:
    page = view().go("files")
    (tmp_path / "customers.xlsx").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty.csv").write_text("")
    page.get_by_label("Choose files").set_input_files(tmp_path / "customers.xlsx")
    expect(page.get_by_role("alert")).to_contain_text("customers.xlsx is not of a format")
    page.get_by_label("Choose files").set_input_files(tmp_path / "empty.csv")
    expect(page.get_by_role("alert")).to_contain_text("empty.csv is empty")


def test_a_failed_job_says_why_in_the_list_has_its_results_and_is_removed(view: Callable[..., View]) -> None:
    opened = view(360)
    page = opened.go("files")
    strangers: FilePayload = {"name": "strangers.csv", "mimeType": "text/csv", "buffer": b"customer_id\nnobody\n"}
    page.get_by_label("Choose files").set_input_files(strangers)
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
    expect(page.get_by_text("Sent: strangers.csv.")).to_have_count(0)


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
    page.get_by_label("Choose files").set_input_files(export)
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


def keep_in(held: list[Route]) -> Callable[[Route], None]:
    """Holds each request until it is let go: Playwright takes no method of a list."""

    def keep(route: Route) -> None:
        held.append(route)

    return keep


def wait_for(page: Page, held: list[Route], requests: int) -> None:
    for _ in range(600):
        if len(held) >= requests:
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{len(held)} of {requests} requests were made.")


def test_two_files_at_once_are_both_sent_and_one_is_cancelled(view: Callable[..., View], tmp_path: Path) -> None:
    opened = view()
    page = opened.go("files")
    for name in ('one\'s "first".csv', "two.csv", "three.csv"):
        (tmp_path / name).write_text("customer_id\n1\n")
    held: list[Route] = []
    store = f"{opened.store}/**"
    page.route(store, keep_in(held))  # each on its way until it is let go
    chosen = page.get_by_label("Choose files")
    chosen.set_input_files([tmp_path / 'one\'s "first".csv', tmp_path / "two.csv"])
    chosen.set_input_files(tmp_path / "three.csv")
    for name in ('one\'s "first".csv', "two.csv", "three.csv"):
        expect(page.get_by_text(f"Sending {name}")).to_be_visible()
    wait_for(page, held, 2)
    page.get_by_role("button", name="Cancel two.csv").click()
    expect(page.get_by_text("Sending two.csv")).to_have_count(0)
    wait_for(page, held, 3)  # the third has waited for a place
    for route in held:  # the first two in either order
        if route.request.failure is None:
            route.continue_()
    expect(page.get_by_text(re.compile("^Sent: ")).first).to_be_visible()
    expect(page.get_by_text("Sending")).to_have_count(0)
    jobs = page.get_by_role("region", name="Jobs")
    for name in ('one\'s "first".csv', "three.csv"):
        expect(jobs.get_by_role("row").filter(has_text=name)).to_contain_text("Done", timeout=60_000)
    expect(jobs.get_by_text("two.csv")).to_have_count(0)


def test_an_upload_that_is_cancelled_before_it_has_an_address_sends_nothing(
    view: Callable[..., View], tmp_path: Path
) -> None:
    opened = view()
    page = opened.go("files")
    (tmp_path / "one.csv").write_text("customer_id\n1\n")
    held: list[Route] = []
    sent: list[Request] = []
    page.route("**/ml/jobs", keep_in(held))
    page.on("request", lambda request: sent.append(request) if request.url.startswith(opened.store) else None)
    page.get_by_label("Choose files").set_input_files(tmp_path / "one.csv")
    page.get_by_role("button", name="Cancel one.csv").click()
    expect(page.get_by_text("Sending")).to_have_count(0)
    held[0].continue_()
    page.wait_for_load_state("networkidle")
    assert sent == []


def test_a_file_that_was_not_sent_is_sent_again_without_being_chosen_again(
    view: Callable[..., View], tmp_path: Path
) -> None:
    opened = view()
    page = opened.go("files")
    (tmp_path / "again.csv").write_text("customer_id\n1\n")
    page.route("**/ml/jobs", lambda route: route.fulfill(status=401, body="{}"))
    page.get_by_label("Choose files").set_input_files(tmp_path / "again.csv")
    failed = page.get_by_role("alert").filter(has_text="again.csv was not sent")
    expect(failed).to_contain_text("You are not signed in")
    page.unroute("**/ml/jobs")
    page.get_by_label("Token").fill("a.token.b")
    page.get_by_role("button", name="Use this token").click()
    failed.get_by_role("button", name="Try again").click()
    expect(page.get_by_text(re.compile("^Sent: ")).first).to_be_visible()
    expect(failed).to_have_count(0)
