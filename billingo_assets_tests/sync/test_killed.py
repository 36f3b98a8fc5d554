"""SIGKILL of a sync at every stage, and at random moments: the next sync completes it, as if nothing had happened."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from billingo_assets.sandbox import Fault, SandboxServer
from billingo_assets.settings import load_settings
from billingo_assets_tests.support.aftermath import (
    former_versions,
    recover,
    require_listing_is_stored,
    require_vouched_is_stored,
)
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.checkpoints import (
    CATCH_UP,
    CHANGES_ARE_COUNTED,
    COMMIT,
    FETCHED,
    LAST_ROWS_ARE_DELETED,
    LISTED_ARE_COLLECTED,
    LISTED_ITEMS_ARE_COUNTED,
    LISTING_ADVANCES,
    LISTING_BEGINS,
    LOCK_IS_RELEASED,
    MISSING_ARE_MARKED,
    NORMALIZATION_BEGINS,
    NORMALIZATION_ENDS,
    PAGE_IS_NOTED,
    PENDING_ARE_FETCHED,
    RECORDS_ARE_WRITTEN,
    SERIES_ARE_SOUGHT,
    WATERMARK_IS_WRITTEN,
    page,
)
from billingo_assets_tests.support.patience import PATIENCE_SECONDS
from billingo_assets_tests.support.victim import kill_a_sync, kill_a_sync_after, sync_as_the_assets_do

KILLS = 12
KILLS_SOAK = 50
"""At random moments, in `make test` and in `make soak`."""
EVENTS = 96
"""Statements, commits and pages that a first sync comes to; the others to a few less."""

IN_A_FIRST_SYNC = {
    "nothing is stored": (LISTING_BEGINS,),
    "the first page is not committed": (PAGE_IS_NOTED, COMMIT),
    "the first page is stored": (page(1),),
    "a middle page is not noted": (page(1), PAGE_IS_NOTED),
    "a middle page is stored, its place in the listing is not": (page(1), LISTING_ADVANCES),
    "a middle page is not committed": (page(1), LISTING_ADVANCES, COMMIT),
    "a middle page is stored": (page(2),),
    "every page is stored": (page(3),),
    "in the catch-up": (page(3), CATCH_UP),
    "the catch-up is not committed": (page(3), CATCH_UP, COMMIT),
    "after the catch-up": (LISTED_ARE_COLLECTED,),
    "the listing is complete": (LISTED_ARE_COLLECTED, LISTED_ITEMS_ARE_COUNTED),
    "what is gone is being marked": (MISSING_ARE_MARKED,),
    "the listing is dropped, the watermark not written": (WATERMARK_IS_WRITTEN,),
    "the watermark is not committed": (WATERMARK_IS_WRITTEN, COMMIT),
    "the watermark is committed": (WATERMARK_IS_WRITTEN, CHANGES_ARE_COUNTED),
    "between fetch and refresh": (FETCHED,),
    "nothing is normalized": (NORMALIZATION_BEGINS,),
    "some rows are written": (NORMALIZATION_BEGINS, PENDING_ARE_FETCHED, PENDING_ARE_FETCHED),
    "every row is written": (NORMALIZATION_BEGINS, *[PENDING_ARE_FETCHED] * 3),
    "the rows are not committed": (NORMALIZATION_ENDS, COMMIT),
    "the rows are committed": (NORMALIZATION_ENDS, LOCK_IS_RELEASED),
}

IN_AN_INCREMENTAL_SYNC = {
    "what was modified is not committed": (RECORDS_ARE_WRITTEN, COMMIT),
    "what was modified is stored": (page(1),),
    "what was paid is stored": (page(1), page(1)),
    "the newest are stored": (page(1), page(1), page(1)),
    "numbers are sought": (page(1), page(1), page(1), SERIES_ARE_SOUGHT),
    "the watermark is not written": (WATERMARK_IS_WRITTEN,),
    "the watermark is not committed": (WATERMARK_IS_WRITTEN, COMMIT),
    "between fetch and refresh": (FETCHED,),
    "rows are deleted, to be written again": (FETCHED, LAST_ROWS_ARE_DELETED),
    "the rows are not committed": (NORMALIZATION_ENDS, COMMIT),
}

IN_ANOTHER_FULL_SYNC = {
    "the first page is stored": (page(1),),
    "every page is stored": (page(3),),
    "what is gone is marked": (WATERMARK_IS_WRITTEN,),
    "the watermark is committed": (WATERMARK_IS_WRITTEN, CHANGES_ARE_COUNTED),
    "the invoices that are gone are marked": (NORMALIZATION_BEGINS,),
    "the rows are not committed": (NORMALIZATION_ENDS, COMMIT),
}


@pytest.fixture(autouse=True)
def _settings(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_API_URL", sandbox.url)
    monkeypatch.setenv("BILLINGO_REQUESTS_PER_MINUTE", "0")
    monkeypatch.setenv("BILLINGO_CONCURRENT_REQUESTS", "1")
    load_settings.cache_clear()


def kill(books: Books, at: tuple[str, ...], *, full: bool = False) -> None:
    if at == (page(2),):
        # Or the third page may arrive in time to be stored with the second.
        books.sandbox.faults.add(Fault(kind="stall", page=3, seconds=PATIENCE_SECONDS))
    kill_a_sync(books.company.key, at=at, full=full)


@pytest.fixture
def changed(books: Books) -> dict[int, int]:
    """Books that were synced two hours ago and changed an hour ago: what former versions there will be."""
    with hours_ago(books, 2):
        sync_as_the_assets_do(books.company.key)
    with hours_ago(books, 1):
        draft, invoice = books.of_type("draft")[-1], books.of_type("invoice")[-1]
        books.served.change(draft, items=[], comment="módosítva")
        books.served.set_payment(invoice, "partially_paid")
        books.served.pay(books.served.create(currency="EUR")["id"])
    return {draft: 1, invoice: 1}


@contextmanager
def hours_ago(books: Books, hours: int) -> Iterator[None]:
    """A while by the sandbox's clock: of what changes in the second of a watermark, nobody can say on which side."""
    with pytest.MonkeyPatch.context() as past:
        past.setattr(books.sandbox.world, "clock", lambda: time.time() - hours * 3_600)
        past.setattr(books.served, "_clock", books.sandbox.world.clock)
        yield


@pytest.mark.parametrize("at", IN_A_FIRST_SYNC.values(), ids=IN_A_FIRST_SYNC)
def test_after_a_first_sync_is_killed_the_next_one_leaves_every_table_as_served(
    books: Books, at: tuple[str, ...]
) -> None:
    kill(books, at)
    require_vouched_is_stored(books)
    require_listing_is_stored(books)
    recover(books)
    assert former_versions(books) == {}


@pytest.mark.parametrize("at", IN_AN_INCREMENTAL_SYNC.values(), ids=IN_AN_INCREMENTAL_SYNC)
def test_after_an_incremental_sync_is_killed_the_next_one_leaves_every_table_as_served(
    books: Books, changed: dict[int, int], at: tuple[str, ...]
) -> None:
    kill(books, at)
    require_vouched_is_stored(books)
    assert recover(books).mode == "incremental"
    assert former_versions(books) == changed


@pytest.mark.parametrize("at", IN_ANOTHER_FULL_SYNC.values(), ids=IN_ANOTHER_FULL_SYNC)
def test_after_another_full_sync_is_killed_the_next_one_leaves_every_table_as_served(
    books: Books, changed: dict[int, int], at: tuple[str, ...]
) -> None:
    books.served.delete(books.of_type("draft")[0])
    kill(books, at, full=True)
    require_vouched_is_stored(books)
    recover(books)
    assert former_versions(books) == changed


def test_a_document_that_is_gone_is_marked_once_though_the_sync_that_missed_it_was_killed(
    books: Books, changed: dict[int, int]
) -> None:
    draft = books.of_type("draft")[0]
    books.served.delete(draft)
    kill(books, (WATERMARK_IS_WRITTEN, CHANGES_ARE_COUNTED))
    marked_at = books.stored(draft).deleted_at
    assert recover(books).deleted == 0
    assert books.stored(draft).deleted_at == marked_at != None  # noqa: E711 - a chain


def test_a_sync_that_is_killed_time_and_again_comes_to_its_end(books: Books) -> None:
    for stage in ("nothing is stored", "the first page is not committed", "the first page is stored"):
        kill(books, IN_A_FIRST_SYNC[stage])
    for checkpoints in (
        (CATCH_UP,),
        (CATCH_UP, COMMIT),
        (LISTING_ADVANCES,),
        (page(3),),
        (MISSING_ARE_MARKED,),
        (WATERMARK_IS_WRITTEN, COMMIT),
        (NORMALIZATION_BEGINS,),
        (NORMALIZATION_ENDS, COMMIT),
    ):
        kill(books, checkpoints)
        require_listing_is_stored(books)
    recover(books)
    assert former_versions(books) == {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        soak = metafunc.config.getoption("--soak", default=False)
        metafunc.parametrize("seed", range(KILLS_SOAK if soak else KILLS))


def mutate(books: Books, chance: random.Random) -> None:
    """Change some documents in one of the ways that Billingo knows."""
    for _ in range(chance.randrange(1, 6)):
        draft, invoice = chance.choice(books.of_type("draft")), chance.choice(books.of_type("invoice"))
        actions: list[Callable[[], object]] = [
            lambda: books.served.create(type=chance.choice(["draft", "invoice"])),
            lambda: books.served.change(draft, comment=f"{chance.random()}", items=[]),  # noqa: B023
            lambda: books.served.set_payment(invoice, chance.choice(["paid", "partially_paid", "outstanding"])),  # noqa: B023
            lambda: books.served.issue(draft),  # noqa: B023
            lambda: books.served.delete(draft),  # noqa: B023
        ]
        chance.choice(actions)()


def test_after_a_sync_is_killed_at_a_random_moment_the_next_one_leaves_every_table_as_served(
    books: Books, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setenv("BILLINGO_CONCURRENT_REQUESTS", str(chance.choice([1, 4])))
    load_settings.cache_clear()
    full = chance.random() < 0.7
    if chance.random() < 0.5:
        with hours_ago(books, 2):
            sync_as_the_assets_do(books.company.key)
        with hours_ago(books, 1):
            mutate(books, chance)
    kill_a_sync_after(chance.randrange(EVENTS), chance.uniform(0, 0.05), books.company.key, full=full)
    require_vouched_is_stored(books)
    if chance.random() < 0.5:
        mutate(books, chance)
    recover(books, full=full)
