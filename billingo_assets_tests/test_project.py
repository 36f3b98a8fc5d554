"""The project's own files: what is installed is pinned, and what the documents name is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from billingo_assets_tests.conftest import SLOW

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=! ;]", requirement)[0].lower()


def test_every_package_of_the_lock_is_pinned_with_hashes() -> None:
    packages = re.split(r"\n(?=[a-z0-9])", LOCK.split("\n", 2)[2])
    assert len(packages) > 50
    assert [package for package in packages if not re.match(r"[a-z0-9.-]+(\[[a-z,-]+\])?==", package)] == []
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


@pytest.mark.parametrize("page", ["docs/guarantees.md", "SECURITY.md"])
def test_every_promise_names_tests_that_are_there(page: str) -> None:
    promises = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("| ")]
    rows = [row.rsplit("|", 2)[1] for row in promises if "held by" not in row]
    tests = "\n".join(file.read_text() for file in (ROOT / "billingo_assets_tests").rglob("test_*.py"))
    written = set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))
    assert len(rows) > 10
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named, row
        assert named <= written


def test_the_lock_of_the_benchmark_is_pinned_and_names_no_place_either() -> None:
    lock = (ROOT / "benchmarks" / "requirements.lock").read_text()
    assert lock.count("--hash=sha256:") > lock.count("==") > 20
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock)


def test_every_room_and_module_that_is_slow_is_there() -> None:
    assert [name for name in SLOW if not (ROOT / "billingo_assets_tests" / name).exists()] == []
