"""The panel Files: a file from drop to download."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

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
    page.get_by_label("Choose a file").set_input_files(tmp_path / "good.csv")
    page.get_by_role("link", name="Follow the job").click()
    expect(page.get_by_role("link", name="Download predictions")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="Download errors")).to_have_count(0)


def test_a_file_that_cannot_be_scored_is_told_before_it_is_sent(view: Callable[..., View], tmp_path: Path) -> None:
    page = view().go("files")
    (tmp_path / "customers.xlsx").write_text("x")
    (tmp_path / "empty.csv").write_text("")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "customers.xlsx")
    expect(page.get_by_role("alert")).to_contain_text("customers.xlsx is not of a format")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "empty.csv")
    expect(page.get_by_role("alert")).to_contain_text("empty.csv is empty")
