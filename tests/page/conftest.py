"""The page in a real browser, over `make run`."""

import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.local.conftest import make_run
from tests.local.make_run import REPOSITORY, Running
from tests.page.node import node_folder

NODE_MODULES = Path(__file__).with_name("node_modules")
CHROMIUM = NODE_MODULES / ".chromium"
AXE = NODE_MODULES / "axe-core" / "axe.min.js"
SCREENSHOTS = REPOSITORY / "build" / "page"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# A machine that has other things to do is slow, and not wrong.
expect.set_options(timeout=30_000)

Scheme = Literal["light", "dark"]

# One for all files: to start it takes longer than most tests, and each test leaves it as it was.
running = pytest.fixture(scope="session")(make_run)


@dataclass
class View:
    """The page in a tab: what it complained of, and whom it asked beside its own origin."""

    page: Page
    running: Running
    name: str = ""
    complaints: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)
    own_origin: str | None = None
    others: set[str] = field(default_factory=set)
    """Whom it may ask beside its own origin and the local S3."""

    @property
    def origin(self) -> str:
        return self.own_origin or f"http://127.0.0.1:{self.running.port}"

    @property
    def store(self) -> str:
        return self.store_of(self.running)

    @staticmethod
    def store_of(running: Running) -> str:
        """The origin of the local S3, which files go to."""
        found = re.search(r"AWS_ENDPOINT_URL=(\S+)", running.printed())
        assert found
        return found[1]

    def go(self, address: str) -> Page:
        """Opens #/address as a link would, in the tab as it is, and waits until nothing is loaded any more."""
        self.page.goto(f"{self.origin}/admin#/{address}")
        # A change of the hash alone loads nothing, and is drawn in the next frames.
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        # Twice: what was loaded may show a part that is then fetched, such as a chart.
        for _ in range(2):
            self.page.wait_for_load_state("networkidle")
            expect(self.page.locator(".spinner, .pending")).to_have_count(0)
        return self.page

    def violations(self) -> list[str]:
        """What axe finds against WCAG 2.2 AA and its best practices; empty for nothing."""
        # Evaluated past the policy, which the page itself stays under.
        self.page.evaluate(AXE.read_text())
        found: Any = self.page.evaluate(
            """(tags) => axe.run(document, {
                runOnly: tags,
                resultTypes: ['violations'],
                rules: {'target-size': {enabled: true}},
            })""",
            STANDARDS,
        )
        return [
            f"{violation['id']}: {violation['help']}: {[node['html'][:200] for node in violation['nodes'][:3]]}"
            for violation in found["violations"]
        ]

    def overflows(self) -> bool:
        """Whether the page as a whole scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))

    def keep(self, name: str, *, whole: bool = True) -> None:
        """A picture of the page, or of what of it is in the window, as with a dialog over it."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # The one of tests/page/package.json is for this processor only.
    own = str(CHROMIUM / "chromium") if platform.machine() == "x86_64" else None
    executable = own or shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("There is no Chromium for this processor here: install one, such as 'apt-get install chromium'.")
    # The Node that Playwright brings needs a library (libatomic) that a bare machine lacks.
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(node_folder() / "node")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox", "--disable-gpu"],
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(CHROMIUM / "al2023" / "lib"),
                "FONTCONFIG_PATH": str(CHROMIUM / "fonts"),
            },
        )
        yield browser
        browser.close()


@pytest.fixture
def view(browser: Browser, running: Running) -> Iterator[Callable[..., View]]:
    """Opens the page: view(1440, "light"). In the end it must have complained of nothing and asked nobody else."""
    views: list[View] = []

    def open_page(width: int = 1440, scheme: Scheme = "light", **more: Any) -> View:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB", accept_downloads=True, **more
        )
        page = context.new_page()
        opened = View(page, running)

        def hear(message: ConsoleMessage) -> None:
            # The browser notes each answer of 400 and more, which the page shows.
            if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
                opened.complaints.append(message.text)

        def see(request: Request) -> None:
            parts = urlsplit(request.url)
            if parts.scheme != "blob":
                opened.origins.add(f"{parts.scheme}://{parts.netloc}")

        page.on("console", hear)
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("request", see)
        page.set_default_timeout(20_000)
        views.append(opened)
        return opened

    yield open_page
    for opened in views:
        opened.page.context.close()
        assert opened.complaints == []
        assert opened.origins <= {opened.origin, opened.store, *opened.others}
