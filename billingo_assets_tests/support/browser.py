"""The browser of the tests in this folder."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from billingo_assets_tests.support.programs import Needed, apt_get, first_that_starts, installed, is_root

NO_BROWSER = (
    "No Chromium was found, and the tests of the UI need one. Install it with"
    " `.venv/bin/playwright install --with-deps chromium`, or with your system's packages"
    " (on Debian: `sudo apt-get install chromium`)."
)


def arguments() -> list[str]:
    """What Chromium is started with: nothing that talks to others, and no sandbox where root could have none."""
    quiet = [
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    return [*quiet, "--no-sandbox"] if is_root() else quiet


def find_browser(own: Path) -> Path:
    """Return the first Chromium that starts: Playwright's `own`, then the system's.

    Raises:
        NoProgramError: none does.
    """
    others = installed("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return first_that_starts([own, *others], "--version", otherwise=NO_BROWSER)


def _playwrights_own() -> Path:
    """Where Playwright's own download is, or would be."""
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


CHROMIUM = Needed(
    "a browser",
    lambda: find_browser(_playwrights_own()),
    [[[sys.executable, "-m", "playwright", "install", "chromium"]], *apt_get("chromium")],
)
