"""Clocks: time zones of the server, changes to and from summer time, and what happens within one second.

The sandbox's clock stands still here until a test moves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from billingo_assets.sandbox import CompanySpec, Quirks, SandboxServer, World
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth
from billingo_assets_tests.sync.conftest import OpenBooks

TIME_ZONES = ["UTC", "Europe/Budapest", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
SUMMER_BEGINS = datetime(2026, 3, 29, 1, tzinfo=UTC)
SUMMER_ENDS = datetime(2026, 10, 25, 1, tzinfo=UTC)
NO_LOOKBACK = timedelta(0)


@dataclass
class Clock:
    """The sandbox's clock: it shows `now` until that is set anew."""

    now: datetime

    def __call__(self) -> float:
        return self.now.timestamp()

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass(frozen=True)
class Timed:
    """Books that are served by the clock beside them."""

    books: Books
    clock: Clock

    def settle(self) -> None:
        """Sync everything now, without a look back."""
        self.books.sync(lookback=NO_LOOKBACK)

    def change_everything_a_little(self) -> None:
        """Edit one old document, pay another, create a third."""
        edited, paid = self.books.of_type("invoice")[-2:]
        self.books.served.change(edited, comment=f"{self.clock.now}")
        self.books.served.set_payment(paid, "outstanding")
        self.books.served.pay(paid)
        self.books.served.create()

    def require_incremental_truth(self) -> None:
        """An incremental sync that does not look back must find all there is."""
        assert self.books.sync(full=False, lookback=NO_LOOKBACK).mode == "incremental"
        require_truth(self.books)


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock(SUMMER_BEGINS)


@pytest.fixture(scope="module")
def timed_sandbox(clock: Clock) -> Iterator[SandboxServer]:
    # More than a page, so that an old document is found by its change alone.
    specs = [CompanySpec("ora", "Óra és Ékszer Bt.", 130)]
    with SandboxServer(World(companies=specs, until=date(2026, 1, 31), clock=clock)) as server:
        yield server


@pytest.fixture
def timed(timed_sandbox: SandboxServer, clock: Clock, open_books: OpenBooks) -> Timed:
    timed_sandbox.world.reset()
    timed_sandbox.faults.clear()
    clock.now = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
    return Timed(open_books("ora", timed_sandbox), clock)


@pytest.mark.parametrize("change", [SUMMER_BEGINS, SUMMER_ENDS], ids=["summer begins", "summer ends"])
@pytest.mark.parametrize("time_zone", TIME_ZONES)
def test_changes_around_a_change_of_the_clocks_are_found(timed: Timed, time_zone: str, change: datetime) -> None:
    timed.books.sandbox.faults.quirks = Quirks(time_zone=time_zone, last_modified_omits_new=True)
    timed.clock.now = change - timedelta(minutes=90)
    timed.settle()
    for _ in range(4):
        timed.clock.pass_(minutes=30)
        timed.change_everything_a_little()
        timed.clock.pass_(minutes=1)
        timed.require_incremental_truth()


@pytest.mark.parametrize("hour", [0, 9, 10, 11, 13, 21, 22, 23])
@pytest.mark.parametrize("time_zone", TIME_ZONES)
def test_a_payment_is_found_at_every_hour_although_it_bears_a_day_alone(
    timed: Timed, time_zone: str, hour: int
) -> None:
    timed.books.sandbox.faults.quirks = Quirks(time_zone=time_zone, last_modified_ignores_payments=True)
    timed.clock.now = datetime(2026, 5, 4, hour, 59, 59, tzinfo=UTC)
    paid = timed.books.of_type("invoice")[-1]
    timed.books.served.set_payment(paid, "outstanding")
    timed.settle()
    timed.books.served.pay(paid)
    timed.require_incremental_truth()


@pytest.mark.parametrize("strictly", [False, True], ids=["from the second on", "after the second"])
def test_what_happens_in_the_very_second_of_a_sync_is_found_by_the_next(timed: Timed, strictly: bool) -> None:
    timed.books.sandbox.faults.quirks = Quirks(modified_strictly_after=strictly, time_zone="UTC")
    timed.settle()
    timed.change_everything_a_little()
    timed.require_incremental_truth()


@pytest.mark.parametrize("listing", ["modified", "paid", "all"])
def test_what_happens_while_a_sync_reads_is_found_by_the_next(timed: Timed, listing: str) -> None:
    timed.settle()
    timed.books.sandbox.faults.after_page(1, timed.change_everything_a_little, listing=listing)
    timed.books.sync(full=False, lookback=NO_LOOKBACK)
    timed.clock.pass_(seconds=1)
    timed.require_incremental_truth()


def test_the_watermark_is_the_clock_of_the_api_to_the_second(timed: Timed) -> None:
    timed.settle()
    timed.clock.pass_(hours=5)
    assert timed.books.sync(full=False).watermark == timed.clock.now


@pytest.mark.parametrize(("days", "found"), [(6, True), (9, False)], ids=["within", "before"])
def test_an_edit_that_the_api_showed_too_late_is_found_as_far_as_the_lookback_reaches(
    timed: Timed, days: int, found: bool
) -> None:
    timed.settle()
    edited = timed.books.of_type("invoice")[-1]
    timed.books.served.change(edited, comment="módosítva")
    timed.books.sandbox.faults.quirks = Quirks(documents_without_modification_time=frozenset({edited}))
    timed.clock.pass_(days=days)
    timed.books.sync(full=False)
    timed.books.sandbox.faults.quirks = Quirks()
    assert timed.books.sync(full=False).updated == found
