"""The pages of one listing: several at once, in order, bounded; and documents that move while they are read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.errors import InvalidRequestError
from billingo_assets.billingo.models import DocumentsPage
from billingo_assets.sandbox import CompanySpec, Fault, SandboxServer, World
from billingo_assets.sync.engine import SyncReport
from billingo_assets.sync.listing import Listing
from billingo_assets_tests.normalize.documents import document
from billingo_assets_tests.sync.books import Books


def documents_requests(sandbox: SandboxServer) -> list[str]:
    return [request.query for request in sandbox.requests if request.path == "/v3/documents"]


def consistent(books: Books) -> bool:
    with books.client() as client:
        listing = Listing(client)
        for _ in listing.pages():
            pass
    return listing.is_consistent


class ObservedClient:
    """A client that tells how many pages were begun and lets the reader wait for those that were answered."""

    def __init__(self, client: BillingoClient) -> None:
        self.client = client
        self.concurrent_requests = client.concurrent_requests
        self.begun = 0
        self.answered = 0
        self.changed = threading.Condition()

    def documents(self, *, page: int) -> DocumentsPage:
        with self.changed:
            self.begun += 1
        answer = self.client.documents(page=page)
        with self.changed:
            self.answered += 1
            self.changed.notify_all()
        return answer

    def wait_for(self, answers: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.answered >= answers, timeout=10)


@pytest.fixture
def long_books(books: Books) -> Iterator[Books]:
    """Books of twelve pages, served beside the others."""
    world = World(companies=[CompanySpec("hosszu", "Hosszú Lista Kft.", 1_200)])
    with SandboxServer(world) as server:
        yield Books(books.engine, books.company, world.company("hosszu"), server)


@pytest.mark.parametrize("concurrent_requests", [1, 4])
def test_no_more_pages_than_concurrent_requests_are_in_memory_or_under_way(
    long_books: Books, concurrent_requests: int
) -> None:
    with long_books.client(concurrent_requests=concurrent_requests) as client:
        observed = ObservedClient(client)
        for page in Listing(observed).pages():  # type: ignore[arg-type]
            # A slow reader: all that may be read ahead has arrived, and nothing more may be asked for.
            observed.wait_for(min(12, page.number + concurrent_requests - 1) if page.number > 1 else 1)
            assert observed.begun - (page.number - 1) <= concurrent_requests
        assert observed.answered == 12


def test_pages_come_in_order_whichever_is_answered_first(long_books: Books) -> None:
    long_books.sandbox.faults.add(Fault(kind="slow_body", page=2, seconds=0.2))
    with long_books.client() as client:
        assert [page.number for page in Listing(client).pages()] == list(range(1, 13))


def test_several_pages_are_asked_for_at_once(long_books: Books) -> None:
    long_books.sandbox.faults.add(Fault(kind="slow_body", page=2, seconds=0.2))
    with long_books.client(concurrent_requests=3) as client:
        pages = Listing(client).pages()
        assert [next(pages).number, next(pages).number] == [1, 2]
        assert sorted(documents_requests(long_books.sandbox))[0:3] == [
            "page=1&per_page=100",
            "page=2&per_page=100",
            "page=3&per_page=100",
        ]
        pages.close()  # type: ignore[attr-defined]


def test_a_last_page_that_is_too_low_does_not_hide_the_pages_after_it(books: Books, sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="last_page", value=1, times=None))
    books.fetch()
    assert len(books.live()) == 282


def test_a_last_page_that_is_far_too_high_is_not_followed_to_its_end(books: Books, sandbox: SandboxServer) -> None:
    sandbox.faults.add(Fault(kind="last_page", value=50_000, times=None))
    books.fetch()
    assert len(books.live()) == 282
    assert len(documents_requests(sandbox)) < 20


def test_a_listing_that_holds_still_is_consistent(books: Books) -> None:
    assert consistent(books)


def test_a_listing_whose_total_changes_is_inconsistent(books: Books, sandbox: SandboxServer) -> None:
    sandbox.faults.after_page(1, books.served.create)
    assert not consistent(books)


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


def test_a_listing_that_moved_is_read_again(books: Books) -> None:
    report = report_of_a_shifted_sync(books, lambda: delete_newest_draft(books))
    assert len(documents_requests(books.sandbox)) == 6
    assert (report.processed, report.deleted, report.unchanged) == (281, 1, 281)


def test_a_move_that_keeps_the_total_is_noticed_by_what_is_missing(books: Books) -> None:
    # On the last page: the total stays 282, while the new document pushes one from the first page to the second.
    oldest_draft = books.of_type("draft")[-1]

    def replace() -> None:
        books.served.delete(oldest_draft)
        books.served.create()

    report = report_of_a_shifted_sync(books, replace)
    assert len(documents_requests(books.sandbox)) == 6
    assert (report.created, report.deleted) == (1, 1)
    assert same_ids(books)


def test_documents_that_never_hold_still_are_stored_but_nothing_is_vouched_for(
    books: Books, sandbox: SandboxServer
) -> None:
    books.fetch()
    before = books.state()
    gone = books.of_type("draft")[0]
    books.served.delete(gone)
    sandbox.faults.after_page(1, books.served.create, times=100)
    report = books.fetch(concurrent_requests=1)
    assert (report.watermark, report.deleted, report.created) == (None, 0, 2)
    assert books.state() == before
    assert gone in books.live()
    assert len(documents_requests(sandbox)) == 3 + 3 * 3


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
    sandbox.faults.add(Fault(kind="slow_body", page=3, seconds=8, times=None))
    started = time.monotonic()
    with books.client() as client, pytest.raises(InvalidRequestError):
        list(Listing(client).pages())
    assert time.monotonic() - started < 4
