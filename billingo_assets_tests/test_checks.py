"""The registry of checks, and what the README says of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from billingo_assets.checks import CHECKS, Check
from billingo_assets.project import checkout


def readme() -> str:
    root = checkout()
    assert root is not None
    return Path(root, "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_every_check_has_advice_for_one_company(check: Check) -> None:
    advice = check.advise("it-cardigan")
    assert advice
    assert "{" not in advice
    assert check.cleared_by


def test_the_readme_has_every_check_and_when_it_holds() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", readme(), re.M))
    assert {name: rows.get(name) for name in CHECKS} == {name: check.holds_when for name, check in CHECKS.items()}
