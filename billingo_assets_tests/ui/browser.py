"""The browser of the tests in this folder: finds one that is installed, or installs one.

`python -m billingo_assets_tests.ui.browser` makes sure that there is one; `make test` does so before the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ANSWER_SECONDS = 60
INSTALL_SECONDS = 900

NO_BROWSER = (
    "No Chromium was found, and the tests of the UI need one. Install it with"
    " `.venv/bin/playwright install --with-deps chromium`, or with your system's packages"
    " (on Debian: `sudo apt-get install chromium`)."
)


class NoBrowserError(Exception):
    """There is no browser, by any way."""


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
    return [*quiet, "--no-sandbox"] if _is_root() else quiet


def find_browser(own: Path) -> Path:
    """Return the first Chromium that starts: Playwright's `own`, then the system's.

    Raises:
        NoBrowserError: none does.
    """
    installed = [own, *(Path(program) for name in NAMES if (program := shutil.which(name)))]
    for program in installed:
        if _starts(program):
            return program
    raise NoBrowserError(NO_BROWSER)


def playwrights_own() -> Path:
    """Where Playwright's own download is, or would be."""
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def _starts(program: Path) -> bool:
    # A package may leave a program that only says where to get it, or lack a library.
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=ANSWER_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _ways() -> Iterator[list[list[str]]]:
    yield [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if _is_root() and shutil.which("apt-get"):
        yield [["apt-get", "update", "--quiet"], ["apt-get", "install", "--yes", "--quiet", "chromium"]]


def main() -> None:
    """Make sure that there is a browser, and say which; otherwise end with what to do."""
    own = playwrights_own()
    for way in [[], *_ways()]:
        for command in way:
            print(f"Installing a browser for the tests: {' '.join(command)}", flush=True)  # noqa: T201
            try:
                ended = subprocess.run(command, check=False, timeout=INSTALL_SECONDS).returncode
            except (OSError, subprocess.TimeoutExpired):
                break
            if ended != 0:
                break
        try:
            print(f"The tests of the UI use {find_browser(own)}")  # noqa: T201
        except NoBrowserError:
            continue
        return
    sys.exit(NO_BROWSER)


if __name__ == "__main__":
    main()
