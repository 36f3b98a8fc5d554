"""Homes with an embedded server: new ones, and one that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from billingo_assets_tests.support.embedded_users import fresh_home, nobody_left


@pytest.fixture
def home() -> Iterator[Path]:
    """Where no embedded server was yet."""
    with fresh_home() as home:
        yield home


@pytest.fixture(scope="module")
def module_home() -> Iterator[Path]:
    """One home for the tests of a module."""
    with fresh_home() as home:
        yield home


@pytest.fixture
def used_home(module_home: Path) -> Iterator[Path]:
    """The home that the tests before have used: its data are there, its server is not."""
    with nobody_left(module_home):
        yield module_home
