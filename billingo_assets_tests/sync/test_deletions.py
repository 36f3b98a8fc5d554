"""A document is marked as deleted after a complete listing alone, and nothing is believed to be empty unasked."""

from __future__ import annotations

from typing import Any

import pytest

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.errors import UnavailableError
from billingo_assets.errors import EmptyAnswerError
from billingo_assets.sandbox import Fault
from billingo_assets_tests.support.asked import questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth

KINDS = pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])

TABLES = ("raw_invoices", "raw_invoice_versions", "invoices", "invoice_items", "number_gaps", "sync_state", "listings")


def rows_and_writers(books: Books) -> list[Any]:
    """Where each row of a company lies and which transaction wrote it."""
    queries = (
        f"SELECT ctid::text, xmin::text FROM billingo.{table} WHERE company_id = :company ORDER BY ctid"
        for table in TABLES
    )
    return [books.rows(query) for query in queries]


def tombstones(books: Books) -> set[int]:
    query = "SELECT document_id FROM billingo.raw_invoices WHERE company_id = :company AND deleted_at IS NOT NULL"
    return {row.document_id for row in books.rows(query)}


def show_nothing(books: Books, *, times: int | None = None) -> None:
    """Let every listing be sound and empty, as a company without a document has it."""
    for kind in ("empty_page", "total"):
        books.sandbox.faults.add(Fault(kind=kind, value=0, times=times))  # type: ignore[arg-type]


def empty(books: Books) -> None:
    for sent in books.served.documents():
        books.served.delete(sent["id"], even_if_issued=True)


@KINDS
def test_a_deleted_draft_is_marked_and_keeps_its_content(one_page: Books, full: bool) -> None:
    one_page.sync()
    draft = one_page.served.document(one_page.of_type("draft")[0])
    payload = one_page.stored(draft["id"]).payload
    one_page.served.delete(draft["id"])
    assert one_page.sync(full=full).deleted == 1
    assert tombstones(one_page) == {draft["id"]}
    assert one_page.stored(draft["id"]).payload == payload
    require_truth(one_page)


@KINDS
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_listing_that_breaks_off_marks_nothing_until_it_was_read_to_its_end(
    three_pages: Books, full: bool, page: int
) -> None:
    three_pages.sync()
    draft = three_pages.of_type("draft")[0]
    three_pages.served.delete(draft)
    # An incremental sync asks for the first page to count, before it has to read everything.
    three_pages.sandbox.faults.add(
        Fault(kind="status", listing="all", page=page, skip=int(page == 1 and not full), times=None)
    )
    with pytest.raises(UnavailableError):
        three_pages.fetch(full=full)
    assert tombstones(three_pages) == set()
    three_pages.sandbox.faults.clear()
    assert three_pages.sync(full=full).deleted == 1
    require_truth(three_pages)


def test_a_document_that_went_twice_between_two_normalizations_bears_the_second_date(one_page: Books) -> None:
    draft = one_page.served.document(one_page.of_type("draft")[0])
    one_page.sync()
    one_page.served.delete(draft["id"])
    one_page.sync()
    one_page.served.add_raw(draft)
    one_page.fetch(full=True)
    one_page.served.delete(draft["id"])
    one_page.sync(full=True)
    invoice = one_page.invoice(draft["id"])
    assert invoice is not None
    assert invoice.deleted_at == one_page.stored(draft["id"]).deleted_at
    require_truth(one_page)


@KINDS
def test_a_document_that_comes_back_is_whole_again(one_page: Books, full: bool) -> None:
    draft = one_page.served.document(one_page.of_type("draft")[0])
    one_page.sync()
    one_page.served.delete(draft["id"])
    one_page.sync()
    one_page.served.add_raw(draft, counted=True)
    report = one_page.sync(full=full)
    assert (report.mode, report.deleted) == ("full" if full else "incremental", 0)
    assert tombstones(one_page) == set()
    require_truth(one_page)


@KINDS
def test_many_that_went_at_once_are_marked_at_once(three_pages: Books, full: bool) -> None:
    three_pages.sync()
    for sent in three_pages.served.documents()[: 2 * MAX_PAGE_SIZE]:
        three_pages.served.delete(sent["id"], even_if_issued=True)
    assert three_pages.sync(full=full).deleted == 2 * MAX_PAGE_SIZE
    require_truth(three_pages)


@KINDS
def test_an_empty_answer_where_there_were_documents_fails_and_changes_nothing(one_page: Books, full: bool) -> None:
    one_page.sync()
    before = rows_and_writers(one_page)
    show_nothing(one_page)
    with pytest.raises(EmptyAnswerError, match=r"no document.* 61 are stored\..*--accept-empty"):
        one_page.sync(full=full)
    assert rows_and_writers(one_page) == before


@KINDS
def test_after_an_empty_answer_a_clean_sync_is_right(one_page: Books, full: bool) -> None:
    one_page.sync()
    one_page.served.create()
    show_nothing(one_page)
    with pytest.raises(EmptyAnswerError):
        one_page.sync(full=full)
    one_page.sandbox.faults.clear()
    one_page.sync(full=full)
    require_truth(one_page)


def test_an_empty_answer_is_not_believed_while_a_listing_is_gone_on_with_either(three_pages: Books) -> None:
    three_pages.sandbox.faults.add(Fault(kind="status", page=3, times=None))
    with pytest.raises(UnavailableError):
        three_pages.fetch()
    three_pages.sandbox.faults.clear()
    show_nothing(three_pages)
    with pytest.raises(EmptyAnswerError):
        three_pages.fetch()
    assert tombstones(three_pages) == set()
    three_pages.sandbox.faults.clear()
    three_pages.sync()
    require_truth(three_pages)


@KINDS
def test_an_empty_answer_that_is_to_be_believed_marks_everything_and_removes_no_row(
    one_page: Books, full: bool
) -> None:
    one_page.sync()
    live = one_page.live()
    empty(one_page)
    report = one_page.sync(full=full, accept_empty=True)
    assert (report.deleted, report.api_total) == (61, 0)
    assert tombstones(one_page) == live
    require_truth(one_page)


def test_documents_that_are_created_after_everything_went_are_synced(one_page: Books) -> None:
    one_page.sync()
    empty(one_page)
    one_page.sync(accept_empty=True)
    one_page.served.create()
    assert one_page.sync(full=False).created == 1
    require_truth(one_page)


def test_a_company_that_stays_empty_needs_to_be_believed_once(one_page: Books) -> None:
    one_page.sync()
    empty(one_page)
    one_page.sync(accept_empty=True)
    one_page.sandbox.requests.clear()
    assert one_page.sync(full=False).mode == "incremental"
    assert len(questions(one_page.sandbox)) == 4
    require_truth(one_page)


def test_that_an_empty_answer_would_be_believed_changes_nothing_where_there_are_documents(one_page: Books) -> None:
    one_page.sync()
    assert one_page.sync(accept_empty=True).deleted == 0
    require_truth(one_page)


def test_what_one_company_lost_is_marked_in_no_other(one_page: Books, open_books: Any) -> None:
    other = open_books("arvizturo")
    for books in (one_page, other):
        books.sync()
    empty(one_page)
    one_page.sync(accept_empty=True)
    assert tombstones(other) == set()
    require_truth(other)


def test_a_document_that_came_and_went_between_two_normalizations_has_its_row_without_lines(one_page: Books) -> None:
    one_page.sync()
    draft = one_page.served.create(type="draft")["id"]
    one_page.fetch()
    one_page.served.delete(draft)
    one_page.sync()
    invoice = one_page.invoice(draft)
    assert invoice is not None
    assert invoice.deleted_at == one_page.stored(draft).deleted_at is not None
    assert one_page.items(draft) == []
    require_truth(one_page)


def test_a_deleted_document_keeps_the_content_that_it_had_last(one_page: Books) -> None:
    draft = one_page.of_type("draft")[0]
    one_page.sync()
    one_page.served.change(draft, comment="a last word")
    one_page.fetch()
    one_page.served.delete(draft)
    one_page.sync()
    invoice = one_page.invoice(draft)
    assert invoice is not None
    assert (invoice.comment, invoice.content_hash) == ("a last word", one_page.stored(draft).content_hash)
    assert (invoice.deleted_at, one_page.items(draft)) == (one_page.stored(draft).deleted_at, [])


def test_an_empty_answer_is_not_believed_where_all_that_is_held_is_in_quarantine(one_page: Books) -> None:
    empty(one_page)
    one_page.sync(accept_empty=True)
    for nth in (1, 2, 3):
        one_page.served.add_raw({"id": nth, "comment": "a\0b", "items": []})
    one_page.sync()
    assert len(one_page.quarantine()) == 3
    show_nothing(one_page)
    with pytest.raises(EmptyAnswerError, match=r"no document.* 3 are stored\."):
        one_page.sync()
    assert len(one_page.quarantine()) == 3
