"""Keeps one API key below a number of requests a minute; bursts pass until that number is reached."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import lru_cache

WINDOW_SECONDS = 60.0


class Pacer:
    """Allows at most `requests_per_minute` requests in any 60 seconds; 0 allows any number. Safe between threads."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = requests_per_minute
        self._passed: deque[float] = deque()
        self._held_until = 0.0
        self._lock = threading.Lock()

    def hold(self, seconds: float) -> None:
        """Let no request pass for this long, because Billingo refused one as too many."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)

    def reserve(self, now: float | None = None) -> float:
        """Reserve the next free place and return how many seconds after `now` it is."""
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
    """Return the pacer of an API key, one for the whole process. Only the key's hash is kept here."""
    return Pacer(requests_per_minute)
