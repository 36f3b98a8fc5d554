"""The knobs: what goes wrong, when and how often.

Only the settings and their bookkeeping. How a fault looks on the wire is in `answers`; where it strikes
in the course of a request is in `api`; what to assume where the real API is unknown is in `quirks`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import msgspec

from billingo_assets.sandbox.query import Listing
from billingo_assets.sandbox.quirks import Quirks

_REPLACING = frozenset({"status", "drop", "stall", "not_json", "error_in_200", "redirect"})
_OF_THE_LISTING = frozenset({"empty_page", "repeated_page", "last_page", "total"})

RetryAfter = Literal["none", "seconds", "http-date", "zero", "nonsense"] | int
"""The Retry-After header of a 429: absent, true seconds, a true HTTP date, 0, no sense, or a fixed number."""

FaultKind = Literal[
    "status", "drop", "stall", "truncate", "not_json", "error_in_200", "slow_body", "redirect",
    "empty_page", "repeated_page", "last_page", "total",
]  # fmt: skip


class Asked(NamedTuple):
    """A request as far as faults look at it; outside the listing `page` is 0 and there are no `listings`."""

    path: str
    page: int
    company: str | None
    listings: frozenset[Listing]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong, for the requests it matches.

    `path` (as /v3/documents), `page` (of the listing), `company` and `listing` (by its filters: "all" has none,
    "modified" has last_modified_date, "paid" paid_start_date, "number" start_number) narrow it down; None matches
    all. The first `skip` matching requests are spared, the next `times` are struck (None: for ever).

    By kind: `status` answers `status` in Billingo's shape, or as a gateway's HTML page with `html` and for
    502 and 504 (a 429 has `retry_after`, its true wait being `seconds`); `drop` closes the connection without
    an answer, `stall` does so after `seconds` of silence; `truncate` sends half of the announced body;
    `not_json` and `error_in_200` answer 200 with HTML or an error object; `slow_body` stretches the body over
    `seconds`; `redirect` answers 302 to `location`. Of the listing only: `empty_page` leaves `data` empty;
    `repeated_page` sends the page before; `last_page` and `total` put `value` into the envelope.
    """

    kind: FaultKind
    path: str | None = None
    page: int | None = None
    company: str | None = None
    listing: Listing | None = None
    skip: int = 0
    times: int | None = 1
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 500
    html: bool = False
    retry_after: RetryAfter = "none"
    seconds: float = 1.0
    location: str = "http://127.0.0.2:9/elsewhere"
    value: int = 0

    def matches(self, asked: Asked) -> bool:
        """Whether the fault is meant for this request."""
        return (
            self.path in (None, asked.path)
            and self.page in (None, asked.page)
            and self.company in (None, asked.company)
            and (self.listing is None or self.listing in asked.listings)
            and (asked.page > 0 or self.kind not in _OF_THE_LISTING)
        )


class RateLimit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """At most `requests` per API key in any `window_seconds`; beyond that 429 with this Retry-After."""

    requests: int = 300
    window_seconds: float = 60.0
    retry_after: RetryAfter = "none"


@dataclass
class AfterPage:
    """A mutation to run each time page `page` was put together, `times` times.

    `company` and `listing` narrow it down as those of a `Fault` do.
    """

    page: int
    mutation: Callable[[], object]
    company: str | None = None
    times: int = 1
    listing: Listing | None = None

    def matches(self, asked: Asked) -> bool:
        """Whether the mutation waits for this request."""
        return (
            self.page == asked.page
            and self.company in (None, asked.company)
            and (self.listing is None or self.listing in asked.listings)
        )


class Faults:
    """The knobs of one server; set them at any time, from any thread."""

    def __init__(self) -> None:
        self.latency_seconds = 0.0
        self.rate_limit: RateLimit | None = None
        self.quirks = Quirks()
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._after_page: list[AfterPage] = []
        self._served: dict[str, deque[float]] = {}

    def add(self, fault: Fault) -> Fault:
        """Arm a fault; of several that would replace the same answer the later ones wait for the next."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def after_page(
        self,
        page: int,
        mutation: Callable[[], object],
        *,
        company: str | None = None,
        times: int = 1,
        listing: Listing | None = None,
    ) -> None:
        """Run `mutation` between page `page` and whatever is asked next: the page does not show it yet."""
        with self._lock:
            self._after_page.append(AfterPage(page, mutation, company, times, listing))

    def clear(self) -> None:
        """Turn every knob back."""
        with self._lock:
            self.latency_seconds, self.rate_limit, self.quirks = 0.0, None, Quirks()
            self._faults.clear()
            self._after_page.clear()
            self._served.clear()

    def armed(self) -> list[Fault]:
        """List the faults that can still strike."""
        with self._lock:
            return list(self._faults)

    def strike(self, asked: Asked) -> list[Fault]:
        """Take the faults meant for this request and count them down."""
        with self._lock:
            struck: list[Fault] = []
            for fault in [fault for fault in self._faults if fault.matches(asked)]:
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.kind in _REPLACING and any(one.kind in _REPLACING for one in struck):
                    continue
                struck.append(fault)
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
            return struck

    def mutations_after(self, asked: Asked) -> list[Callable[[], object]]:
        """Take the mutations due after this page and count them down."""
        with self._lock:
            due = [one for one in self._after_page if one.matches(asked)]
            for one in due:
                one.times -= 1
            self._after_page = [one for one in self._after_page if one.times > 0]
            return [one.mutation for one in due]

    def seconds_until_allowed(self, company: str) -> float | None:
        """Count a request against the rate limit: None when it may pass, else how long its window lasts."""
        with self._lock:
            limit = self.rate_limit
            if limit is None:
                return None
            now = time.monotonic()
            served = self._served.setdefault(company, deque())
            while served and served[0] <= now - limit.window_seconds:
                served.popleft()
            if len(served) < limit.requests:
                served.append(now)
                return None
            return served[0] + limit.window_seconds - now if served else limit.window_seconds
