"""Keeps one API key below a number of requests a minute, and lets bursts through until then."""

from __future__ import annotations

import threading
import time
from collections import deque

WINDOW_SECONDS = 60.0


class Pacer:
    """At most `requests_per_minute` passes in any 60 seconds; 0 lets everything pass. Safe between threads."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = requests_per_minute
        self._passed: deque[float] = deque()
        self._lock = threading.Lock()

    def reserve(self, now: float | None = None) -> float:
        """Take the next free place and return how many seconds from `now` it is."""
        if self._limit == 0:
            return 0.0
        with self._lock:
            now = time.monotonic() if now is None else now
            is_free = len(self._passed) < self._limit
            place = now if is_free else max(now, self._passed.popleft() + WINDOW_SECONDS)
            self._passed.append(place)
        return place - now
