"""How long a test waits for what must come. No tests here.

One bound for all, far above what a machine under load needs: only a test that fails spends it. What must *not* come,
or come late, has bounds of its own beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 300
"""A test that took seconds on an idle machine of two cores took two minutes with a load of 25."""

Answer = TypeVar("Answer")


def until(ask: Callable[[], Answer | None], *, what: str, seconds: float = PATIENCE_SECONDS) -> Answer:
    """Ask again and again until there is an answer; fail when the patience is over.

    It pauses for at least four times as long as a question takes, since answering costs time on the same cores.
    """
    deadline = time.monotonic() + seconds
    asked = time.monotonic()
    while (answer := ask()) is None:
        now = time.monotonic()
        assert now < deadline, f"{what} did not come within {seconds} seconds"
        time.sleep(max(0.02, 4 * (now - asked)))
        asked = time.monotonic()
    return answer
