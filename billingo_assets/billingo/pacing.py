"""Keeps one API key below a number of requests a minute, and lets bursts through until then."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import lru_cache

WINDOW_SECONDS = 60.0


class Pacer:
    """At most `requests_per_minute` passes in any 60 seconds; 0 lets everything pass. Safe between threads."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = requests_per_minute
        self._passed: deque[float] = deque()
        self._held_until = 0.0
        self._lock = threading.Lock()

    def hold(self, seconds: float) -> None:
        """Let nobody pass for so long: Billingo said that it is too much."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)

    def reserve(self, now: float | None = None) -> float:
        """Take the next free place and return how many seconds from `now` it is."""
        with self._lock:
            now = time.monotonic() if now is None else now
            place = max(now, self._held_until)
            if self._limit:
                if len(self._passed) >= self._limit:
                    place = max(place, self._passed.popleft() + WINDOW_SECONDS)
                self._passed.append(place)
        return place - now


@lru_cache(maxsize=4_096)
def pacer_for(key_hash: bytes, requests_per_minute: int) -> Pacer:
    """The process's one pacer of an API key, which is known here by its hash alone."""
    return Pacer(requests_per_minute)
