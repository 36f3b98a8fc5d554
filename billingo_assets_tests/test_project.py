"""The project's own files: what is installed is pinned, and nothing in it names a place to fetch it from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=! ;]", requirement)[0].lower()


def test_every_package_of_the_lock_is_pinned_with_hashes() -> None:
    packages = re.split(r"\n(?=[a-z0-9])", LOCK.split("\n", 2)[2])
    assert len(packages) > 50
    assert [package for package in packages if not re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==", package)] == []
    assert [package for package in packages if "--hash=sha256:" not in package] == []


def test_the_lock_names_no_place_to_fetch_from() -> None:
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", LOCK)


def test_every_direct_dependency_is_in_the_lock() -> None:
    locked = {_name(line) for line in LOCK.splitlines() if re.match(r"[a-z0-9]", line)}
    direct = {_name(line) for line in (*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"])}
    assert direct <= locked


def test_every_direct_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for requirement in (*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]):
        assert re.search(re.escape(f'"{requirement}",') + r"\s+# \w+", text), requirement
