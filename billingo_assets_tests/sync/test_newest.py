"""What an incremental sync finds among the newest documents alone, where no filter tells of them."""

from __future__ import annotations

import pytest

from billingo_assets.billingo.errors import UnavailableError
from billingo_assets.sandbox import Fault, Quirks
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth


def create_unseen(books: Books, count: int = 1) -> list[int]:
    """Create documents that only the newest pages show: as neither modified nor paid, and without a number."""
    books.sandbox.faults.quirks = Quirks(last_modified_omits_new=True)
    return [books.served.create(type="draft_offer")["id"] for _ in range(count)]


def test_a_newest_page_that_is_sent_empty_does_not_hide_a_document_behind_a_deleted_one(books: Books) -> None:
    books.sync()
    create_unseen(books)
    books.served.delete(books.of_type("draft")[0])  # so that the totals agree
    books.sandbox.faults.add(Fault(kind="empty_page", listing="all", page=1))
    report = books.sync(full=False)
    assert report.mode == "full"
    require_truth(books)


def test_a_newest_page_that_is_sent_again_does_not_hide_the_one_after_it(books: Books) -> None:
    books.sync()
    create_unseen(books, 101)
    books.served.delete(books.of_type("draft")[0])
    books.sandbox.faults.add(Fault(kind="repeated_page", listing="all", page=2))
    books.sync(full=False)
    require_truth(books)


def test_what_a_failed_sync_stored_of_the_newest_does_not_hide_what_it_did_not_come_to(books: Books) -> None:
    books.sync()
    create_unseen(books, 101)
    books.sandbox.faults.add(Fault(kind="status", listing="all", page=2, times=2))
    with pytest.raises(UnavailableError):
        books.fetch(full=False)
    books.served.delete(books.of_type("draft")[0])
    books.sync(full=False)
    require_truth(books)


def test_a_gap_beside_what_a_failed_sync_stored_is_sought(books: Books) -> None:
    books.sync()
    lower, missing, higher = (books.served.create(type="receipt") for _ in range(3))
    quirks = Quirks(hidden_from_listing=frozenset({missing["id"]}))
    books.sandbox.faults.quirks = quirks
    books.sandbox.faults.add(Fault(kind="status", listing="paid", times=2))
    with pytest.raises(UnavailableError):
        books.fetch(full=False)
    assert {lower["id"], higher["id"]} <= books.live()
    books.sync(full=False)
    require_truth(books)


def test_two_broken_documents_that_are_alike_do_not_hide_a_deleted_one(books: Books) -> None:
    gone = books.of_type("draft")[-1]
    books.served.add_raw(b'{"comment": "x"}')
    books.sync()
    create_unseen(books, 101)
    books.served.add_raw(b'{"comment": "x"}')
    books.served.delete(gone)  # so that the totals agree, were the two taken for one
    books.sync(full=False)
    assert gone not in books.live()
    assert len(books.quarantine()) == 2


def test_a_page_of_unreadable_documents_does_not_hide_the_one_behind_it(books: Books) -> None:
    books.sync()
    gone = books.of_type("draft")[0]
    books.served.delete(gone)  # so that the totals agree
    created = set(create_unseen(books))
    for id_ in range(70_000, 70_100):
        books.served.add_raw(b'{"id": %d, "comment": "\\u0000"}' % id_)
    books.sync(full=False)
    assert books.live() & {gone, *created} == created


def test_unreadable_documents_that_are_known_cost_no_further_page(books: Books) -> None:
    for id_ in range(70_000, 70_100):
        books.served.add_raw(b'{"id": %d, "comment": "\\u0000"}' % id_)
    books.sync()
    assert books.sync(full=False).api_calls == 4
