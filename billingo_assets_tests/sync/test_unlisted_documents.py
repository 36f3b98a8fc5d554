"""Documents that no listing shows: found by their numbers, counted as they are, and not taken for gone."""

from __future__ import annotations

from typing import Any

import pytest

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.sandbox import Fault, Quirks
from billingo_assets.sync.numbers import MAX_QUESTIONS
from billingo_assets_tests.support.asked import NOTHING_CHANGED, questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.numbered import gaps, hide, numbered, numbered_between_others, remove
from billingo_assets_tests.support.truth import require_truth


def versions(books: Books) -> int:
    count: int = books.value("SELECT count(*) FROM billingo.raw_invoice_versions WHERE company_id = :company")
    return count


def test_a_document_found_by_its_number_is_stored_and_counts_as_unlisted(three_pages: Books) -> None:
    hide(three_pages, *numbered_between_others(three_pages)[:2])
    report = three_pages.sync()
    state = three_pages.state()
    assert state is not None
    assert (state.unlisted, state.api_total, report.processed, report.deleted) == (2, 280, 282, 0)
    assert gaps(three_pages) == []
    require_truth(three_pages)


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_document_found_by_its_number_is_kept_as_it_is_by_later_syncs(three_pages: Books, full: bool) -> None:
    hide(three_pages, numbered_between_others(three_pages)[0])
    three_pages.sync()
    for _ in range(2):
        report = three_pages.sync(full=full)
        assert (report.mode, report.created, report.updated, report.deleted) == (
            "full" if full else "incremental",
            0,
            0,
            0,
        )
    assert versions(three_pages) == 0
    require_truth(three_pages)


def test_a_document_that_is_hidden_from_the_day_it_came_is_found_once_a_later_number_shows_the_hole(
    three_pages: Books,
) -> None:
    three_pages.sync()
    for id_ in (1, 2, 3):
        three_pages.served.add_raw(numbered(id_, id_), counted=True)
    hide(three_pages, 2)
    three_pages.sync(full=False)
    three_pages.sandbox.requests.clear()
    assert three_pages.sync(full=False).mode == "incremental"
    assert questions(three_pages.sandbox) == NOTHING_CHANGED
    require_truth(three_pages)


def test_a_document_found_by_its_number_that_is_listed_from_now_on_is_counted_once(three_pages: Books) -> None:
    hide(three_pages, numbered_between_others(three_pages)[0])
    three_pages.sync()
    hide(three_pages)
    three_pages.sync(full=False)
    state = three_pages.state()
    assert state is not None
    assert (state.unlisted, state.api_total) == (0, 282)
    assert versions(three_pages) == 0
    require_truth(three_pages)


def test_a_document_found_by_its_number_that_is_gone_is_marked_by_the_next_full_sync(three_pages: Books) -> None:
    hidden = numbered_between_others(three_pages)[0]
    hide(three_pages, hidden)
    three_pages.sync()
    remove(three_pages, hidden)
    assert three_pages.sync().deleted == 1
    assert gaps(three_pages) == []
    require_truth(three_pages)


def test_a_document_found_by_its_number_is_not_crowded_out_by_older_gaps(one_page: Books) -> None:
    # More gaps than are asked for in one sync, and none close enough to the next to be asked for with it.
    for at in range(MAX_QUESTIONS + 2):
        one_page.served.add_raw(numbered(1 + at, MAX_PAGE_SIZE * at + 1, block_id=1), counted=True)
    one_page.sync()
    for at in (1, 2, 3):
        one_page.served.add_raw(numbered(100 + at, at), counted=True)
    hide(one_page, 102)
    one_page.sync(full=False)
    assert 102 in one_page.live()
    one_page.sync(full=True)
    assert versions(one_page) == 0
    require_truth(one_page)


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_however_many_documents_no_listing_shows_none_of_those_we_hold_is_buried(one_page: Books, full: bool) -> None:
    most = 2 * MAX_QUESTIONS + 10
    for number in range(1, most + 2):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sync()
    hidden = range(9_002, 9_000 + most + 1, 2)
    hide(one_page, *hidden)
    for _ in range(3):
        assert one_page.sync(full=full).deleted == 0
    assert set(hidden) <= one_page.live()
    assert versions(one_page) == 0
    state = one_page.state()
    assert state is not None
    assert state.unlisted == len(hidden)


@pytest.mark.parametrize("neighbour", [9_001, 9_003], ids=["lower", "higher"])
def test_a_document_that_no_listing_shows_outlives_its_neighbour(one_page: Books, neighbour: int) -> None:
    for number in (1, 2, 3):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    hide(one_page, 9_002)
    one_page.sync()
    one_page.served.delete(neighbour, even_if_issued=True)
    assert (one_page.sync(full=False).mode, 9_002 in one_page.live()) == ("full", True)


def test_an_unreadable_document_that_no_listing_shows_stays_in_quarantine(one_page: Books) -> None:
    for number in (1, 2, 3):
        unreadable = {"comment": "a\0b"} if number == 2 else {}
        one_page.served.add_raw(numbered(9_000 + number, number) | unreadable)
    hide(one_page, 9_002)
    for _ in range(3):
        one_page.sync()
        assert [document_id for document_id, _, _ in one_page.quarantine()] == [9_002]


def test_a_document_that_no_listing_shows_is_found_among_others_of_its_number(one_page: Books) -> None:
    for block_id in (997, 998, 999):
        for number in range(1, 100):
            one_page.served.add_raw(numbered(1_000 * block_id + number, number, block_id=block_id), counted=True)
    one_page.sync()
    hidden = range(997_002, 997_099, 2)
    one_page.sandbox.faults.quirks = Quirks(hidden_from_listing=frozenset(hidden), numbers_ignore_block=True)
    assert one_page.sync().deleted == 0
    assert set(hidden) <= one_page.live()


def test_documents_that_billingo_does_not_answer_for_stay_and_the_sync_says_so(three_pages: Books) -> None:
    three_pages.sync()
    gone = numbered_between_others(three_pages)[:5]
    for document_id in gone:
        remove(three_pages, document_id)
    three_pages.sandbox.faults.add(Fault(kind="status", listing="number", times=None))
    report = three_pages.sync()
    assert (report.deleted, len(report.notes)) == (0, 1)
    assert "5 documents" in report.notes[0]
    three_pages.sandbox.faults.clear()
    assert three_pages.sync(full=False).mode == "incremental"
    report = three_pages.sync()
    assert (report.deleted, report.notes) == (len(gone), [])
    require_truth(three_pages)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 422}, {"kind": "empty_page"}, {"kind": "status"}, {"kind": "not_json"}],
    ids=["refused", "less than it tells", "no answer", "nonsense"],
)
def test_a_document_of_which_nobody_says_that_it_is_gone_stays(one_page: Books, fault: dict[str, Any]) -> None:
    for number in (1, 2, 3):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    hide(one_page, 9_002)
    one_page.sync()
    one_page.sandbox.faults.add(Fault(listing="number", times=None, **fault))
    assert one_page.sync().deleted == 0
    assert 9_002 in one_page.live()
    assert one_page.sync(full=False).mode == "incremental"


def test_an_unreadable_document_that_no_listing_shows_keeps_the_moment_it_was_first_seen(one_page: Books) -> None:
    for number in (1, 2, 3):
        unreadable = {"comment": "a\0b"} if number == 2 else {}
        one_page.served.add_raw(numbered(9_000 + number, number) | unreadable)
    hide(one_page, 9_002)
    one_page.sync()
    query = "SELECT first_seen_at FROM billingo.rejected_documents WHERE company_id = :company"
    first_seen = one_page.value(query)
    one_page.sync()
    assert one_page.value(query) == first_seen
