"""Finding a browser: which one is taken, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from billingo_assets_tests.support.browser import find_browser
from billingo_assets_tests.support.programs import NoProgramError


def program(path: Path, *, ends_with: int) -> Path:
    path.write_text(f"#!/bin/sh\nexit {ends_with}\n")
    path.chmod(0o755)
    return path


def test_playwrights_own_browser_goes_before_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "chromium", ends_with=0)
    own = program(tmp_path / "own", ends_with=0)
    assert find_browser(own) == own


def test_a_browser_that_does_not_start_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "chromium", ends_with=1)
    sound = program(tmp_path / "google-chrome", ends_with=0)
    assert find_browser(tmp_path / "not there") == sound


def test_without_a_browser_it_is_said_how_to_install_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoProgramError, match=r"Install it with `\.venv/bin/playwright install --with-deps chromium`"):
        find_browser(tmp_path / "not there")
