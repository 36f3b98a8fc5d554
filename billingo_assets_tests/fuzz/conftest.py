"""Runs a property on a few inputs, the same each time, or with `--fuzz` on a share of so many, and tells how many."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from billingo_assets_tests.support.fuzz_running import run_property

Fuzz = Callable[..., None]


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Fuzz:
    """`fuzz("what", property, inputs=100, share=0.2)`: on 100 inputs, or on a fifth of all that `--fuzz` asks for."""
    in_all: int = request.config.getoption("--fuzz")

    def run(what: str, check: Callable[[], None], *, inputs: int, share: float) -> None:
        line = run_property(what, check, inputs=max(inputs, round(in_all * share)), repeatable=not in_all)
        if in_all:
            with capsys.disabled():
                sys.stdout.write(f"{line}\n")

    return run
