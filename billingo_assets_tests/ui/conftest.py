"""What the browser tests share: `billingo-assets dev` with three synced companies, and pages that are watched."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright
from sqlalchemy import URL, Engine

from billingo_assets.project import project_root
from billingo_assets.sandbox import SandboxServer, World
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.support.browser import arguments, find_browser
from billingo_assets_tests.support.patience import PATIENCE_SECONDS
from billingo_assets_tests.support.services import PROGRAM, Place, Services, running_services

WAIT_MS = 1_000 * PATIENCE_SECONDS
PICTURES = project_root() / "docs" / "images"

Picture = Callable[[Page, str], None]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        program = find_browser(Path(playwright.chromium.executable_path))
        chromium = playwright.chromium.launch(executable_path=program, args=arguments())
        yield chromium
        chromium.close()


@contextmanager
def new_place(server_url: URL, admin: Engine, template: str, home: Path) -> Iterator[Place]:
    """A database and a home of its own, with the sandbox's companies registered."""
    world = World()
    with fresh_database(server_url, admin, template=template) as url, SandboxServer(world) as sandbox:
        here = Place(url, home, world, sandbox.url)
        here.register_companies()
        yield here
        here.engine.dispose()


@pytest.fixture(scope="package")
def place(
    server_url: URL, admin: Engine, dagster_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Every company is synced: what was not, the services would sync by themselves, at a moment of their choice."""
    with new_place(server_url, admin, dagster_template, tmp_path_factory.mktemp("ui") / "home") as here:
        subprocess.run([PROGRAM, "sync", "--json"], env=here.environment, check=True, capture_output=True)
        yield here


@pytest.fixture(scope="package")
def services(place: Place) -> Iterator[Services]:
    with running_services(place) as running:
        yield running


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all pages: what they share is loaded once."""
    with browser.new_context(
        viewport={"width": 1400, "height": 900}, timezone_id="Europe/Budapest", locale="en-GB"
    ) as shared:
        shared.set_default_timeout(WAIT_MS)
        yield shared


@contextmanager
def watched_page(context: BrowserContext, services: Services) -> Iterator[Page]:
    """A page of the UI; what it logs as an error, or throws, while the block runs fails the test."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(f"{message.text} ({message.location['url']})")

    def note_thrown(error: Error) -> None:
        errors.append(str(error))

    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", note_thrown)
    try:
        page.goto(services.url)
        page.wait_for_url("**/timeline")  # its own redirect would undo an early click
        yield page
    finally:
        page.close()
    assert errors == []


@pytest.fixture
def page(context: BrowserContext, services: Services) -> Iterator[Page]:
    with watched_page(context, services) as watched:
        yield watched


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Picture:
    """Takes a picture for the README if `--screenshots` asks for it."""

    def take(page: Page, name: str) -> None:
        if request.config.getoption("--screenshots"):
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.mouse.move(0, 0)
            expect(page.get_by_role("progressbar")).to_have_count(0)
            page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")

    return take


def open_room(page: Page, name: str) -> None:
    """Go to one of the places that the UI's navigation names."""
    page.get_by_role("navigation").get_by_text(name, exact=True).click()


def open_asset(page: Page, name: str, tab: str = "Overview") -> None:
    """Go to an asset's page by its address, and to one of its tabs."""
    page.goto(urljoin(page.url, f"/assets/billingo/{name}"))
    page.get_by_role("tab", name=tab).first.click()


def open_run(page: Page, run_id: str) -> None:
    """Go to a run's page by its address."""
    page.goto(urljoin(page.url, f"/runs/{run_id}"))
