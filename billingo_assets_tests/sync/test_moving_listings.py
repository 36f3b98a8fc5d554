"""Documents that come, change, go and come back while pages are read, in every order.

A sync that moves its watermark claims that what is live is what was served at some moment. The sandbox notes what it
served at each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.errors import UnavailableError
from billingo_assets.sandbox import Fault, Quirks
from billingo_assets_tests.support.asked import questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth

PAGES = (1, 2, 3)


class Moving:
    """Books whose documents move between pages. `moments` are the sets of ids that were served, one after another."""

    def __init__(self, books: Books) -> None:
        self.books = books
        drafts = books.of_type("draft")
        # Drafts alone can be deleted: one of the first page, one of the last, one of the middle, and so on.
        self.drafts = [drafts[0], drafts[-1], drafts[len(drafts) // 2], *drafts[1:3]]
        self.gone = [books.served.document(drafts[-2])]
        books.served.delete(drafts[-2])
        self.moments = [self.served()]

    def served(self) -> frozenset[int]:
        return frozenset(document["id"] for document in self.books.served.documents())

    def insert(self) -> None:
        self.books.served.create()

    def edit(self) -> None:
        self.books.served.change(self.books.of_type("invoice")[-1], comment=f"{len(self.moments)}. változat")

    def delete(self) -> None:
        draft = self.books.served.document(self.drafts.pop(0))
        self.gone.append(draft)
        self.books.served.delete(draft["id"])

    def restore(self) -> None:
        if self.gone:  # else it is called before anything was deleted again
            self.books.served.add_raw(self.gone.pop(), counted=True)

    def after_page(self, page: int, event: str, listing: Any = "all") -> None:
        def happen() -> None:
            getattr(self, event)()
            self.moments.append(self.served())

        self.books.sandbox.faults.after_page(page, happen, listing=listing)

    def require_what_was_served_at_some_moment(self) -> None:
        assert self.books.live() in self.moments


EVENTS = ("insert", "edit", "delete", "restore")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let each two events follow each other on pages in turn; with `--soak`, on every two."""
    if not {"events", "pages"} <= set(metafunc.fixturenames):
        return
    soak = metafunc.config.getoption("--soak", default=False)
    orders = list(itertools.product(EVENTS, repeat=2))
    pages = list(itertools.product(PAGES, repeat=2))
    chosen = itertools.product(orders, pages) if soak else zip(orders, itertools.cycle(pages))
    cases = [
        (order, place, concurrent)
        for at, (order, place) in enumerate(chosen)
        for concurrent in ((1, 4) if soak else ((1, 4)[at % 2],))
    ]
    ids = [f"{a} {p}, {b} {q}, {concurrent} at once" for (a, b), (p, q), concurrent in cases]
    metafunc.parametrize(("events", "pages", "concurrent_requests"), cases, ids=ids)


@pytest.fixture
def moving(three_pages: Books) -> Moving:
    three_pages.fetch()
    return Moving(three_pages)


def test_what_moves_between_the_pages_of_a_full_sync_is_neither_lost_nor_kept(
    moving: Moving, events: tuple[str, str], pages: tuple[int, int], concurrent_requests: int
) -> None:
    for event, page in zip(events, pages, strict=True):
        moving.after_page(page, event)
    report = moving.books.sync(concurrent_requests=concurrent_requests)
    if report.watermark is not None:
        moving.require_what_was_served_at_some_moment()
    moving.books.sync(full=False)
    require_truth(moving.books)


def test_what_moves_between_the_questions_of_an_incremental_sync_is_neither_lost_nor_kept(
    moving: Moving, events: tuple[str, str], pages: tuple[int, int], concurrent_requests: int
) -> None:
    for sent in moving.books.served.documents()[:230]:
        moving.books.served.change(sent["id"], comment="módosítva")
    moving.after_page(pages[0], events[0], "modified")
    moving.after_page(1, events[1], ("modified", "paid", "all")[pages[1] - 1])
    report = moving.books.sync(full=False, concurrent_requests=concurrent_requests)
    if report.watermark is not None:
        moving.require_what_was_served_at_some_moment()
    moving.books.sync(full=False)
    require_truth(moving.books)


@pytest.mark.parametrize("events", list(itertools.permutations(("insert", "delete", "edit"))), ids=" ".join)
def test_three_events_after_the_same_page_are_one_moment_or_another(
    moving: Moving, events: tuple[str, str, str]
) -> None:
    for event in events:
        moving.after_page(2, event)
    report = moving.books.sync(concurrent_requests=1)
    assert report.watermark is not None
    moving.require_what_was_served_at_some_moment()
    moving.books.sync(full=False)
    require_truth(moving.books)


def test_what_arrived_and_died_since_is_noticed_although_the_page_that_would_tell_is_empty(three_pages: Books) -> None:
    moving = Moving(three_pages)
    for event in ("delete", "insert"):
        moving.after_page(3, event)
    three_pages.sandbox.faults.add(Fault(kind="empty_page", page=1, skip=1))
    assert three_pages.sync(concurrent_requests=1).watermark is not None
    assert three_pages.live() == moving.moments[-1]
    three_pages.sync(full=False)
    require_truth(three_pages)


def test_a_page_that_is_full_of_arrivals_does_not_hide_that_another_has_died(three_pages: Books) -> None:
    # A hundred and one arrive, a hundred are shown: the one that is not makes up for the one that died.
    moving = Moving(three_pages)
    for event in ("delete", *["insert"] * 101):
        moving.after_page(3, event)
    assert three_pages.sync(concurrent_requests=1).watermark is not None
    moving.require_what_was_served_at_some_moment()
    three_pages.sync(full=False)
    require_truth(three_pages)


def test_a_change_that_slips_between_two_pages_is_found_though_another_makes_up_for_it(three_pages: Books) -> None:
    three_pages.sync()
    served, faults = three_pages.served, three_pages.sandbox.faults
    draft = served.document(three_pages.of_type("draft")[0])
    *_, oldest = (sent["id"] for sent in served.documents())
    for sent in served.documents()[:230]:
        served.change(sent["id"], comment="módosítva")
    # One of the second page slips onto the first, another comes to the third, and in the end none is gone.
    faults.after_page(1, lambda: served.delete(draft["id"]), listing="modified")
    faults.after_page(2, lambda: served.change(oldest, comment="módosítva"), listing="modified")
    faults.after_page(3, lambda: served.add_raw(draft, counted=True), listing="modified")
    assert three_pages.sync(full=False, concurrent_requests=1).mode == "incremental"
    require_truth(three_pages)


def break_off_on_page(books: Books, page: int, **options: Any) -> None:
    books.sandbox.faults.add(Fault(kind="status", listing="all", page=page, times=None))
    with pytest.raises(UnavailableError):
        books.fetch(concurrent_requests=1, **options)
    books.sandbox.faults.clear()
    books.sandbox.requests.clear()


CHANGES: dict[str, Callable[[Books], object]] = {
    "edited": lambda books: books.served.change(books.served.documents()[150]["id"], comment="módosítva"),
    "paid": lambda books: books.served.pay(books.of_type("invoice")[80]),
    "created": lambda books: books.served.create(),
    "deleted": lambda books: books.served.delete(books.of_type("draft")[0]),
    "moved": lambda books: (books.served.delete(books.of_type("draft")[0]), books.served.create()),
    "more than a page created": lambda books: [books.served.create() for _ in range(130)],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_before_a_listing_that_broke_off_is_gone_on_with_is_not_missed(
    three_pages: Books, change: Callable[[Books], object]
) -> None:
    break_off_on_page(three_pages, 3)
    change(three_pages)
    assert three_pages.sync().watermark is not None
    require_truth(three_pages)


def test_a_listing_that_broke_off_is_gone_on_with_where_it_was(three_pages: Books) -> None:
    break_off_on_page(three_pages, 3)
    three_pages.sync()
    # The first page tells whether the others can still be trusted.
    assert questions(three_pages.sandbox)[:3] == ["organization", "all 1", "all 3"]
    assert "all 2" not in questions(three_pages.sandbox)


def test_documents_of_which_a_broken_off_sync_stored_a_page_are_followed_to_their_end(three_pages: Books) -> None:
    # What it had stored is not new to the next one; those behind it are, and as many others have died.
    three_pages.sync()
    three_pages.sandbox.faults.quirks = quirks = Quirks(last_modified_omits_new=True)
    for _ in range(MAX_PAGE_SIZE + 1):
        three_pages.served.create()
    break_off_on_page(three_pages, 2, full=False)
    three_pages.sandbox.faults.quirks = quirks
    three_pages.served.delete(three_pages.of_type("draft")[-1])
    three_pages.sync(full=False)
    require_truth(three_pages)


@pytest.mark.parametrize("created", range(MAX_PAGE_SIZE + 1, MAX_PAGE_SIZE + 5))
def test_newest_documents_that_move_while_they_are_read_are_read_again(three_pages: Books, created: int) -> None:
    # A draft goes from their first page: the one that slips onto it would be missed, in place of one that died before.
    three_pages.sync()
    three_pages.sandbox.faults.quirks = Quirks(last_modified_omits_new=True)
    for _ in range(created):
        three_pages.served.create(type="draft")
    three_pages.served.delete(three_pages.of_type("draft")[-1])
    newest = three_pages.of_type("draft")[0]
    three_pages.sandbox.faults.after_page(1, lambda: three_pages.served.delete(newest), listing="all")
    three_pages.sync(full=False)
    require_truth(three_pages)
