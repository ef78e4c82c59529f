"""The panel Files: a file from drop to download."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect

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
    (tmp_path / "customers.xlsx").write_text("x")
    (tmp_path / "empty.csv").write_text("")
    page.get_by_label("Choose files").set_input_files(tmp_path / "customers.xlsx")
    expect(page.get_by_role("alert")).to_contain_text("customers.xlsx is not of a format")
    page.get_by_label("Choose files").set_input_files(tmp_path / "empty.csv")
    expect(page.get_by_role("alert")).to_contain_text("empty.csv is empty")


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
