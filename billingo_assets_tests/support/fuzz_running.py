"""Runs a property of Hypothesis on a number of inputs and says what came of it. No tests here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings


def run_property(what: str, check: Callable[[], None], *, inputs: int, repeatable: bool) -> str:
    """Raises what the property raises, with the smallest input that does it."""
    number = 0
    inner: Any = check.hypothesis.inner_test  # type: ignore[attr-defined]

    def counted(*arguments: Any, **named: Any) -> None:
        nonlocal number
        number += 1
        inner(*arguments, **named)

    check.hypothesis.inner_test = counted  # type: ignore[attr-defined]
    chosen = settings(
        max_examples=inputs,
        derandomize=repeatable,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    began = time.monotonic()
    try:
        chosen(check)()
    except BaseException as defect:
        defect.add_note(f"{what}: a defect after {number:,} inputs")
        raise
    return f"{what:<24} {number:>8,} inputs  {time.monotonic() - began:6.1f} s  nothing found"
