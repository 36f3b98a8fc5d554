"""The server decides how many documents are on a page; whatever it decides and tells, a sync reads them all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from billingo_assets.billingo.errors import UnavailableError
from billingo_assets.billingo.models import size_of_pages
from billingo_assets.sandbox import Fault, Quirks
from billingo_assets.sync.full import in_pages_of
from billingo_assets.sync.report import SyncReport
from billingo_assets.warehouse.listings import ListingState
from billingo_assets_tests.support.asked import NOTHING_CHANGED, questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.numbered import numbered_between_others
from billingo_assets_tests.support.truth import require_truth

CAPS = pytest.mark.parametrize("cap", [25, 30, 50, 99])
TOLD = pytest.mark.parametrize("told", ["number", "text", "asked", "nothing"])


def put(books: Books, cap: int | None, told: Any = "number", **others: Any) -> None:
    books.sandbox.faults.quirks = Quirks(page_size_cap=cap, page_size_told=told, **others)


def sync(books: Books, **options: Any) -> SyncReport:
    books.sandbox.requests.clear()
    report = books.sync(**options)
    assert report.watermark is not None
    require_truth(books)
    return report


@TOLD
@CAPS
def test_a_full_sync_reads_a_listing_once_whatever_the_size_of_its_pages(
    three_pages: Books, cap: int, told: Any
) -> None:
    put(three_pages, cap, told)
    sync(three_pages)
    pages = -(-282 // cap)
    assert sorted(questions(three_pages.sandbox)) == sorted(
        ["organization", "all 1", *(f"all {page}" for page in range(1, pages + 1))]
    )


@TOLD
@pytest.mark.parametrize("cap", [25, 30, 50])
def test_an_incremental_sync_needs_four_questions_whatever_the_size_of_a_page(
    three_pages: Books, cap: int, told: Any
) -> None:
    put(three_pages, cap, told)
    sync(three_pages)
    report = sync(three_pages, full=False)
    assert (report.mode, questions(three_pages.sandbox)) == ("incremental", NOTHING_CHANGED)


@pytest.mark.parametrize("cap", [25, 30, 50])
def test_more_than_a_page_of_new_documents_is_read_without_a_full_sync(three_pages: Books, cap: int) -> None:
    put(three_pages, cap, last_modified_omits_new=True)
    sync(three_pages)
    for _ in range(60):
        three_pages.served.create()
    report = sync(three_pages, full=False)
    assert (report.mode, report.created) == ("incremental", 60)


def test_a_company_of_fewer_documents_than_were_asked_for_a_page_has_several_pages(one_page: Books) -> None:
    put(one_page, 25)
    sync(one_page)
    draft = one_page.served.create(type="draft")["id"]
    sync(one_page, full=False)
    one_page.served.delete(draft)
    assert sync(one_page, full=False).deleted == 1


@pytest.mark.parametrize("cap", [25, 50])
def test_documents_that_come_and_go_between_small_pages_are_neither_lost_nor_kept(three_pages: Books, cap: int) -> None:
    put(three_pages, cap)
    three_pages.sync()
    drafts = [three_pages.served.create(type="draft")["id"] for _ in range(3)]
    faults = three_pages.sandbox.faults
    faults.after_page(1, lambda: three_pages.served.delete(drafts[0]), listing="all")
    faults.after_page(2, three_pages.served.create, listing="all")
    faults.after_page(3, lambda: three_pages.served.delete(drafts[1]), listing="all")
    three_pages.sync(concurrent_requests=1)
    sync(three_pages, full=False)


@pytest.mark.parametrize(("before", "after"), [(None, 25), (25, None), (50, 30), (30, 50)])
@pytest.mark.parametrize("page", [1, 2])
def test_a_size_that_changes_between_two_pages_loses_nothing(
    three_pages: Books, before: int | None, after: int | None, page: int
) -> None:
    put(three_pages, before)
    three_pages.sandbox.faults.after_page(page, lambda: put(three_pages, after), listing="all")
    sync(three_pages, concurrent_requests=1)


def test_a_size_that_grows_between_two_pages_does_not_skip_a_document(three_pages: Books) -> None:
    put(three_pages, 25)
    three_pages.sandbox.faults.after_page(1, lambda: put(three_pages, None), listing="all")
    sync(three_pages, concurrent_requests=1)
    assert len(questions(three_pages.sandbox)) == 14


@pytest.mark.parametrize(("before", "after", "asked_again"), [(None, 25, 6), (25, None, 11), (50, 30, 9), (30, 50, 9)])
def test_a_listing_goes_on_where_it_stood_though_the_pages_have_another_size_by_now(
    three_pages: Books, before: int | None, after: int | None, asked_again: int
) -> None:
    put(three_pages, before)
    three_pages.sandbox.faults.add(Fault(kind="status", status=500, page=3, listing="all", times=None))
    with pytest.raises(UnavailableError):
        three_pages.fetch(concurrent_requests=1)
    three_pages.sandbox.faults.clear()
    put(three_pages, after)
    sync(three_pages)
    pages = [question for question in questions(three_pages.sandbox) if question.startswith("all")]
    assert len(pages) <= asked_again + 2


@pytest.mark.parametrize("cap", [7, 25])
def test_a_document_that_no_listing_shows_is_found_among_more_of_its_numbers_than_a_page_holds(
    three_pages: Books, cap: int
) -> None:
    hidden = numbered_between_others(three_pages)[:30]
    three_pages.sync()
    put(three_pages, cap, hidden_from_listing=frozenset(hidden))
    report = sync(three_pages)
    assert (report.deleted, report.api_total) == (0, 282 - len(hidden))


@pytest.mark.parametrize(
    ("page", "size"),
    [
        ({"total": 282, "last_page": 3, "stated": 100, "shown": 100}, 100),
        ({"total": 282, "last_page": 12, "stated": 25, "shown": 25}, 25),
        ({"total": 282, "last_page": 12, "stated": 100, "shown": 25}, 25),
        ({"total": 282, "last_page": 12, "stated": None, "shown": 25}, 25),
        ({"total": 282, "last_page": 3, "stated": 100, "shown": 94}, 100),
        ({"total": 282, "last_page": 3, "stated": None, "shown": 94}, 100),
        ({"total": 282, "last_page": None, "stated": None, "shown": 25}, 25),
        ({"total": 282, "last_page": 3, "stated": 100, "shown": 0}, 100),
        ({"total": 282, "last_page": 1, "stated": 25, "shown": 282}, 282),
        ({"total": 0, "last_page": 1, "stated": 25, "shown": 0}, 25),
        ({"total": 20, "last_page": 1, "stated": None, "shown": 20}, 100),
    ],
)
def test_the_size_of_a_page_is_what_it_tells_unless_its_last_page_says_otherwise(
    page: dict[str, Any], size: int
) -> None:
    assert size_of_pages(number=1, asked=100, **page) == size


@pytest.mark.parametrize(
    ("next_page", "before", "after", "goes_on_at"), [(3, 100, 25, 9), (9, 25, 100, 3), (3, 50, 30, 4), (4, 30, 50, 2)]
)
def test_no_document_is_skipped_where_a_listing_goes_on_in_pages_of_another_size(
    next_page: int, before: int, after: int, goes_on_at: int
) -> None:
    state = ListingState(datetime.now(UTC), total=282, next_page=next_page, page_size=before)
    assert in_pages_of(state, after).next_page == goes_on_at
