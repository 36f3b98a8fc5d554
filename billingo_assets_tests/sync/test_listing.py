"""The pages of one listing: several at once, in order, bounded; and documents that move while they are read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.errors import InvalidRequestError
from billingo_assets.billingo.models import RecordsPage
from billingo_assets.sandbox import CompanySpec, Fault, SandboxServer, World
from billingo_assets.sync.context import MAX_LISTINGS
from billingo_assets.sync.listing import BATCH_PAGES, Listing
from billingo_assets.sync.report import SyncReport
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import document
from billingo_assets_tests.support.patience import PATIENCE_SECONDS


def documents_requests(sandbox: SandboxServer) -> list[str]:
    return [request.query for request in sandbox.requests if request.path == "/v3/documents"]


def pages_of(listing: Listing) -> list[RecordsPage]:
    return [page for batch in listing.batches() for page in batch]


class ObservedClient:
    """A client that tells how many pages were begun and lets the reader wait for those that were answered."""

    def __init__(self, client: BillingoClient) -> None:
        self.client = client
        self.concurrent_requests = client.concurrent_requests
        self.limits = client.limits
        self.begun = 0
        self.answered = 0
        self.changed = threading.Condition()

    def records(self, path: str, *, page: int, page_size: int, filters: None, optional: bool) -> RecordsPage:
        with self.changed:
            self.begun += 1
        answer = self.client.records(path, page=page, page_size=page_size, filters=filters, optional=optional)
        with self.changed:
            self.answered += 1
            self.changed.notify_all()
        return answer

    def wait_for(self, answers: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.answered >= answers, timeout=PATIENCE_SECONDS)


@pytest.fixture
def long_books(books: Books) -> Iterator[Books]:
    """Books of thirty pages, served beside the others."""
    world = World(companies=[CompanySpec("hosszu", "Hosszú Lista Kft.", 3_000)])
    with SandboxServer(world) as server:
        yield Books(books.engine, books.company, world.company("hosszu"), server)


@pytest.mark.parametrize("concurrent_requests", [1, 4])
def test_no_more_than_a_batch_and_the_concurrent_requests_is_read_ahead(
    long_books: Books, concurrent_requests: int
) -> None:
    ahead = BATCH_PAGES + concurrent_requests
    with long_books.client(concurrent_requests=concurrent_requests) as client:
        observed = ObservedClient(client)
        for batch in Listing(observed, "/documents").batches():  # type: ignore[arg-type]
            # A slow reader: all that may be read ahead has arrived, and nothing more may be asked for.
            handed_out = batch[-1].number
            observed.wait_for(min(30, handed_out) if handed_out == 1 else min(30, handed_out + ahead - len(batch)))
            assert observed.begun - handed_out <= ahead
            assert len(batch) <= BATCH_PAGES
        assert observed.answered == 30


def test_pages_come_in_order_whichever_is_answered_first(long_books: Books) -> None:
    long_books.sandbox.faults.add(Fault(kind="slow_body", page=2, seconds=0.2))
    with long_books.client() as client:
        assert [page.number for page in pages_of(Listing(client, "/documents"))] == list(range(1, 31))


def test_pages_that_arrive_faster_than_they_are_stored_come_together(long_books: Books) -> None:
    long_books.sandbox.faults.add(Fault(kind="slow_body", page=2, seconds=0.2))
    with long_books.client(concurrent_requests=3) as client:
        observed = ObservedClient(client)
        batches = Listing(observed, "/documents").batches()  # type: ignore[arg-type]
        assert [page.number for page in next(batches)] == [1]
        assert next(batches)[0].number == 2
        observed.wait_for(1 + 3 + BATCH_PAGES)
        assert len(next(batches)) > 1
        batches.close()  # type: ignore[attr-defined]


def test_a_listing_can_begin_at_a_later_page(long_books: Books) -> None:
    with long_books.client() as client:
        assert [page.number for page in pages_of(Listing(client, "/documents", start=28, total=3_000))] == [28, 29, 30]


def test_a_page_to_which_the_oldest_were_pushed_meanwhile_is_read_too(long_books: Books) -> None:
    long_books.sandbox.faults.after_page(1, long_books.served.create)
    with long_books.client() as client:
        assert [page.number for page in pages_of(Listing(client, "/documents"))] == list(range(1, 32))


def test_a_last_page_that_is_too_low_does_not_hide_the_pages_after_it(books: Books, sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="last_page", value=1, times=None))
    books.fetch()
    assert len(books.live()) == 282


def test_a_last_page_that_is_far_too_high_is_not_followed_to_its_end(books: Books, sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="last_page", value=50_000, times=None))
    books.fetch()
    assert len(books.live()) == 282
    assert len(documents_requests(sandbox)) < 20


def same_ids(books: Books) -> bool:
    return books.live() == {document["id"] for document in books.served.documents()}


def delete_newest_draft(books: Books) -> None:
    books.served.delete(books.of_type("draft")[0])


def delete_and_create(books: Books) -> None:
    delete_newest_draft(books)
    books.served.create()


@pytest.mark.parametrize(
    ("mutation", "deleted"),
    [(lambda books: books.served.create(), 0), (delete_newest_draft, 1), (delete_and_create, 1)],
    ids=["created", "deleted", "one of each"],
)
@pytest.mark.parametrize("page", [1, 2])
def test_a_document_that_appears_or_goes_between_two_pages_costs_no_other(
    books: Books, sandbox: SandboxServer, mutation: Callable[[Books], object], deleted: int, page: int
) -> None:
    books.served.add_raw(document(7, type="draft"))  # the newest, and so on a page that is read when it goes
    books.fetch()
    sandbox.faults.after_page(page, lambda: mutation(books))
    books.fetch(concurrent_requests=1)
    books.fetch()
    assert same_ids(books)
    assert books.value("SELECT count(*) FROM billingo.raw_invoices WHERE deleted_at IS NOT NULL") == deleted


def report_of_a_shifted_sync(books: Books, mutation: Callable[[], Any]) -> SyncReport:
    books.fetch()
    books.sandbox.requests.clear()
    books.sandbox.faults.after_page(1, mutation)
    return books.fetch(concurrent_requests=1)


READ_TWICE = 2 * (3 + 1)
"""Requests: three pages and the first one again at the end, to see what has arrived."""


def test_a_listing_of_which_a_document_went_is_read_again(books: Books) -> None:
    report = report_of_a_shifted_sync(books, lambda: delete_newest_draft(books))
    assert len(documents_requests(books.sandbox)) == READ_TWICE
    assert (report.processed, report.deleted, report.unchanged) == (281, 1, 281)


def test_documents_that_arrive_meanwhile_are_caught_up_without_another_reading(books: Books) -> None:
    report = report_of_a_shifted_sync(books, lambda: [books.served.create() for _ in range(3)])
    assert len(documents_requests(books.sandbox)) == 3 + 1
    assert (report.processed, report.created, report.deleted, report.api_total) == (285, 3, 0, 285)
    assert same_ids(books)


def test_more_than_a_page_of_documents_that_arrive_meanwhile_make_it_read_again(books: Books) -> None:
    report = report_of_a_shifted_sync(books, lambda: [books.served.create() for _ in range(130)])
    assert (report.created, report.api_total) == (130, 412)
    assert same_ids(books)


def test_a_move_that_keeps_the_total_is_noticed_by_what_is_missing(books: Books) -> None:
    # On the last page: the total stays 282, while the new document pushes one from the first page to the second.
    oldest_draft = books.of_type("draft")[-1]

    def replace() -> None:
        books.served.delete(oldest_draft)
        books.served.create()

    report = report_of_a_shifted_sync(books, replace)
    assert len(documents_requests(books.sandbox)) == READ_TWICE
    assert (report.created, report.deleted) == (1, 1)
    assert same_ids(books)


def test_dead_documents_that_make_up_for_unread_ones_do_not_deceive_the_count(books: Books) -> None:
    # Three drafts on the first page go once it was read: three live documents slip onto it unseen.
    drafts = [books.served.create(type="draft")["id"] for _ in range(3)]
    books.fetch()
    books.sandbox.faults.after_page(1, lambda: [books.served.delete(draft) for draft in drafts])
    report = books.fetch(concurrent_requests=1)
    assert report.deleted == 3
    assert same_ids(books)


def test_documents_that_never_hold_still_are_stored_but_nothing_is_vouched_for(
    books: Books, sandbox: SandboxServer
) -> None:
    for _ in range(9):
        books.served.create(type="draft")
    books.fetch()
    before = books.state()
    gone = books.of_type("draft")[0]
    books.served.delete(gone)
    sandbox.faults.after_page(2, lambda: delete_newest_draft(books), times=MAX_LISTINGS)
    sandbox.requests.clear()
    report = books.fetch(concurrent_requests=1)
    assert (report.watermark, report.deleted) == (None, 0)
    assert books.state() == before
    assert gone in books.live()
    assert len(documents_requests(sandbox)) == MAX_LISTINGS * (3 + 1)


def test_what_a_listing_that_moved_has_stored_counts_as_created_by_the_sync(books: Books) -> None:
    books.sandbox.faults.after_page(1, lambda: delete_newest_draft(books))
    report = books.fetch(concurrent_requests=1)
    # The draft was stored from the first page, and missed in the second listing: created and deleted at once.
    assert (report.created, report.updated, report.unchanged, report.processed, report.deleted) == (281, 0, 0, 281, 1)


@pytest.mark.parametrize("kind", ["empty_page", "repeated_page"])
def test_a_page_that_lies_once_is_read_again_and_buries_nothing(
    books: Books, sandbox: SandboxServer, kind: Any
) -> None:
    books.fetch()
    sandbox.faults.add(Fault(kind=kind, page=2))
    report = books.fetch()
    assert (report.unchanged, report.deleted) == (282, 0)


def test_a_page_that_lies_for_ever_buries_nothing(books: Books, sandbox: SandboxServer) -> None:
    books.fetch()
    sandbox.faults.add(Fault(kind="empty_page", page=2, times=None))
    report = books.fetch()
    assert (report.watermark, report.deleted) == (None, 0)
    assert len(books.live()) == 282


def test_a_page_that_fails_for_good_does_not_wait_for_the_others(books: Books, sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="status", status=404, page=2, times=None))
    sandbox.faults.add(Fault(kind="slow_body", page=3, seconds=PATIENCE_SECONDS, times=None))
    started = time.monotonic()
    with books.client() as client, pytest.raises(InvalidRequestError):
        pages_of(Listing(client, "/documents"))
    assert time.monotonic() - started < 30
