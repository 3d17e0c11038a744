"""A browser, and a deployment to look at: phantoms, SQLite, a real Redis, real processes."""

import os
import shutil
from http import HTTPStatus
from pathlib import Path

import pytest
from deployment import Deployment
from playwright.sync_api import Page, sync_playwright

from worker.demo.embedded_redis import free_port
from worker.films.phantoms import write_dataset, write_films

#: Switches off Chromium's own requests, which would fail without a network and fill the console.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


class Site:
    """The dashboard in a browser: collects errors of the browser, and takes screenshots."""

    def __init__(self, page: Page, address: str, pictures: Path) -> None:
        self.page = page
        self.address = address
        self.pictures = pictures
        self.complaints: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", self._on_failure)
        page.on("request", self._on_request)

    def _on_console(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _on_request(self, request) -> None:
        if not request.url.startswith(self.address):
            self.complaints.append(f"a request to another host: {request.url}")

    def _on_failure(self, request) -> None:
        # Leaving a page aborts its polling, which is not a failure.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.url}: {request.failure}")

    def open(self, path: str, status: int = 200) -> None:
        """Go to a page and check its status; the browser's complaint about an expected error status is dropped."""
        answer = self.page.goto(self.address + path, wait_until="networkidle")
        assert answer is not None
        assert status == answer.status, f"{path}: {answer.status}"
        if status >= HTTPStatus.BAD_REQUEST:
            self.complaints = [text for text in self.complaints if f"status of {status}" not in text]

    def log_in(self) -> None:
        self.open("/login")
        self.page.fill("input[name=name]", "demo")
        self.page.fill("input[name=password]", "demo")
        self.page.get_by_role("button", name="Log in").click()

    def picture(self, name: str) -> None:
        """Take screenshots at the widths of a desktop and of a phone."""
        for width, height in ((1440, 900), (390, 844)):
            self.page.set_viewport_size({"width": width, "height": height})
            if self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                self.complaints.append(f"{name} scrolls sideways at {width} pixels")
            self.page.screenshot(path=self.pictures / f"{name}-{width}.png", full_page=True)
        self.page.set_viewport_size({"width": 1440, "height": 900})


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """The folder of screenshots: THORAQ_TEST_PICTURES, or a temporary folder."""
    folder = Path(os.environ.get("THORAQ_TEST_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def product(tmp_path, broker_url):
    """A deployment with 24 scored phantoms and a small training set; its trainer is not started."""
    port = free_port()
    (tmp_path / "thoraq").mkdir()
    deployment = Deployment(
        tmp_path / "thoraq",
        broker_url=broker_url,
        THORAQ_TRAINING_DATA=str(tmp_path / "dataset"),
        THORAQ_TRAINING_NETWORK="phantom",
        THORAQ_TRAINING_EPOCHS="2",
    )
    deployment.address = f"http://127.0.0.1:{port}"
    deployment.thoraq("db", "upgrade")
    deployment.thoraq("models", "import")
    phantom = next(row["version"] for row in deployment.json("models", "list") if row["trained_on"] == "phantoms")
    deployment.thoraq("models", "promote", phantom)
    deployment.thoraq("user", "add", "demo", "--role", "admin", "--password-stdin", stdin="demo")
    write_films(tmp_path / "films", per_finding=6, seed=2024)
    write_dataset(tmp_path / "dataset", per_finding=10, seed=5)
    deployment.start("intake")
    deployment.start("worker")
    deployment.start("dashboard", "--port", str(port))
    deployment.thoraq("submit", str(tmp_path / "films"), "--wait")
    yield deployment
    deployment.stop()


@pytest.fixture
def site(product, pictures):
    """A new browser on the dashboard."""
    chromium = shutil.which("chromium")
    if not chromium:
        if os.environ.get("CI"):
            pytest.fail("CI must have chromium")
        pytest.skip("chromium is not on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        yield Site(page, product.address, pictures)
        browser.close()
