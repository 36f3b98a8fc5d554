"""Holes in the numbers of invoices: listed, asked for before they are reported, closed when they are no more."""

from __future__ import annotations

from typing import Any

import pytest

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.sandbox import Fault, Quirks
from billingo_assets.sync.numbers import MAX_GAPS_SOUGHT
from billingo_assets.warehouse.number_gaps import NumberGap, asked_gaps, open_gaps, replace_gaps
from billingo_assets_tests.normalize.documents import document
from billingo_assets_tests.sync.asked import NOTHING_CHANGED, questions, told
from billingo_assets_tests.sync.books import Books
from billingo_assets_tests.sync.conftest import OpenBooks
from billingo_assets_tests.sync.numbered import numbered_between_others
from billingo_assets_tests.sync.truth import require_truth


def gaps(books: Books) -> list[NumberGap]:
    with books.engine.begin() as connection:
        return open_gaps(connection, books.company.id)


def gap_of(books: Books, document_id: int) -> NumberGap:
    """The gap that there is without a document."""
    facts = books.served.record(document_id).facts
    assert facts.block_id is not None
    assert facts.year_and_number is not None
    year, number = facts.year_and_number
    return NumberGap(facts.block_id, year, number, number)


def remove(books: Books, document_id: int) -> NumberGap:
    gap = gap_of(books, document_id)
    books.served.delete(document_id, even_if_issued=True)
    return gap


def hide(books: Books, *document_ids: int) -> None:
    books.sandbox.faults.quirks = Quirks(hidden_from_listing=frozenset(document_ids))


def numbered(document_id: int, number: int, *, block_id: int = 999) -> dict[str, object]:
    return document(document_id, invoice_number=f"X-2026-{number:06}", block_id=block_id, related_documents=[])


def versions(books: Books) -> int:
    count: int = books.value("SELECT count(*) FROM billingo.raw_invoice_versions WHERE company_id = :company")
    return count


def test_numbers_without_holes_are_no_gap(one_page: Books) -> None:
    one_page.sync()
    assert gaps(one_page) == []
    assert told(one_page.sandbox, "start_number") == []


def test_holes_are_listed_by_block_and_year(three_pages: Books) -> None:
    expected = [remove(three_pages, id_) for id_ in numbered_between_others(three_pages)[:40:10]]
    three_pages.sync()
    assert gaps(three_pages) == sorted(expected)
    require_truth(three_pages)


def test_numbers_that_are_missing_in_a_row_are_one_gap(one_page: Books) -> None:
    for id_, number in enumerate((3, 4, 11), 1):
        one_page.served.add_raw(numbered(id_, number), counted=True)
    one_page.sync()
    assert gaps(one_page) == [NumberGap(999, 2026, 5, 10)]


def test_the_same_numbers_in_another_block_or_year_fill_no_hole(one_page: Books) -> None:
    sent = [numbered(1, 3), numbered(2, 5), numbered(3, 4, block_id=998), numbered(4, 4)]
    sent[3]["invoice_number"] = "X-2025-000004"
    for one in sent:
        one_page.served.add_raw(one, counted=True)
    one_page.sync()
    assert gaps(one_page) == [NumberGap(999, 2026, 4, 4)]


def test_a_number_that_is_missing_is_asked_for_by_block_and_year_before_it_is_reported(one_page: Books) -> None:
    gap = remove(one_page, numbered_between_others(one_page)[0])
    one_page.sync()
    asked = [told(one_page.sandbox, name) for name in ("block_id", "start_year", "start_number", "end_number")]
    assert asked == [[str(part)] for part in (gap.block_id, gap.year, gap.first, gap.last)]
    assert gaps(one_page) == [gap]


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


def test_a_document_found_by_its_number_that_is_gone_leaves_a_gap_after_the_next_full_sync(three_pages: Books) -> None:
    hidden = numbered_between_others(three_pages)[0]
    hide(three_pages, hidden)
    three_pages.sync()
    gap = remove(three_pages, hidden)
    assert three_pages.sync().deleted == 1
    assert gaps(three_pages) == [gap]
    require_truth(three_pages)


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_gap_that_closes_leaves_the_table(one_page: Books, full: bool) -> None:
    missing = numbered_between_others(one_page)[0]
    body = one_page.served.document(missing)
    remove(one_page, missing)
    one_page.sync()
    one_page.served.add_raw(body, counted=True)
    one_page.sync(full=full)
    assert gaps(one_page) == []


def test_a_gap_that_stays_keeps_the_moment_it_was_found_at(one_page: Books) -> None:
    first, second = numbered_between_others(one_page)[:2]
    query = "SELECT first_number, found_at FROM billingo.number_gaps WHERE company_id = :company ORDER BY found_at"
    stays = remove(one_page, first)
    one_page.sync()
    found = one_page.rows(query)
    remove(one_page, second)
    one_page.sync()
    one_page.served.create()
    one_page.sync(full=False)
    assert found == one_page.rows(query)[:1]
    assert found[0].first_number == stays.first
    assert len(gaps(one_page)) == 2


def test_a_gap_that_is_known_is_not_asked_for_by_every_incremental_sync(one_page: Books) -> None:
    for id_, number in ((1, 3), (2, 5)):
        one_page.served.add_raw(numbered(id_, number), counted=True)
    one_page.sync()
    one_page.served.add_raw(numbered(3, 6), counted=True)
    one_page.sandbox.requests.clear()
    one_page.sync(full=False)
    assert questions(one_page.sandbox) == NOTHING_CHANGED
    assert gaps(one_page) == [NumberGap(999, 2026, 4, 4)]


def test_a_new_hole_is_found_by_an_incremental_sync(one_page: Books) -> None:
    one_page.sync()
    for id_, number in ((1, 3), (2, 5)):
        one_page.served.add_raw(numbered(id_, number), counted=True)
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [NumberGap(999, 2026, 4, 4)]


def test_a_document_found_by_its_number_is_not_crowded_out_by_older_gaps(one_page: Books) -> None:
    # More gaps than are asked for in one sync, and all of them before the one that is no gap.
    for at in range(MAX_GAPS_SOUGHT + 1):
        one_page.served.add_raw(numbered(1 + at, 2 * at + 1, block_id=1), counted=True)
    one_page.sync()
    for at in (1, 2, 3):
        one_page.served.add_raw(numbered(100 + at, at), counted=True)
    hide(one_page, 102)
    one_page.sync(full=False)
    assert 102 in one_page.live()
    one_page.sync(full=True)
    assert versions(one_page) == 0
    require_truth(one_page)


def test_no_more_gaps_are_asked_for_than_one_sync_may(one_page: Books) -> None:
    for at in range(MAX_GAPS_SOUGHT + 5):
        one_page.served.add_raw(numbered(1 + at, 2 * at + 1), counted=True)
    one_page.sync()
    assert len(told(one_page.sandbox, "start_number")) == MAX_GAPS_SOUGHT
    assert len(gaps(one_page)) == MAX_GAPS_SOUGHT + 4


def test_an_api_that_does_not_heed_the_block_is_not_read_through_for_one_number(one_page: Books) -> None:
    one_page.sandbox.faults.quirks = Quirks(numbers_ignore_block=True)
    gap = remove(one_page, numbered_between_others(one_page)[0])
    # Three pages of documents bear that number, each in a block of its own.
    for at in range(2 * MAX_PAGE_SIZE + 1):
        sent = numbered(1 + at, gap.first, block_id=10_000 + at)
        one_page.served.add_raw(sent | {"invoice_number": f"X-{gap.year}-{gap.first:06}"}, counted=True)
    one_page.sync()
    assert [one for one in questions(one_page.sandbox) if one.startswith("number")] == ["number 1"]
    assert gaps(one_page) == [gap]
    require_truth(one_page)


def test_the_gaps_of_one_company_are_no_others(open_books: OpenBooks, one_page: Books) -> None:
    other = open_books("arvizturo")
    gap = remove(one_page, numbered_between_others(one_page)[0])
    one_page.sync()
    other.sync()
    assert (gaps(one_page), gaps(other)) == ([gap], [])


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_every_gap_has_its_turn_however_many_there_are(one_page: Books, full: bool) -> None:
    for nth in range(MAX_GAPS_SOUGHT + 1):
        one_page.served.add_raw(numbered(9_100 + nth, 2 * nth + 1, block_id=1))
    for nth in (1, 2, 3):
        one_page.served.add_raw(numbered(9_000 + nth, nth))
    hide(one_page, 9_002)
    one_page.sync()
    assert 9_002 not in one_page.live()
    one_page.sync(full=full)
    assert 9_002 in one_page.live()
    assert gap_of(one_page, 9_002) not in gaps(one_page)


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_number_that_a_document_in_quarantine_bears_is_no_gap(one_page: Books, full: bool) -> None:
    one_page.sync()
    for nth in (3, 4, 5):
        one_page.served.add_raw(numbered(9_000 + nth, nth) | ({"comment": "a\0b"} if nth == 4 else {}))
    one_page.sync(full=full)
    assert [document_id for document_id, _, _ in one_page.quarantine()] == [9_004]
    assert [gap for gap in gaps(one_page) if gap.block_id == 999] == []


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_documents_in_quarantine_whose_block_is_not_known_leave_no_gap(one_page: Books, full: bool) -> None:
    one_page.sync()
    for nth in (3, 5):
        one_page.served.add_raw(numbered(9_000 + nth, nth) | {"comment": "a\0b", "block_id": None})
    one_page.sync(full=full)
    assert [document_id for document_id, _, _ in one_page.quarantine()] == [9_003, 9_005]
    assert gaps(one_page) == []


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
@pytest.mark.parametrize("own", [None, "X-2026-000002"], ids=["none of its own", "its own"])
def test_a_document_in_quarantine_bears_no_number_of_one_that_it_refers_to(
    one_page: Books, full: bool, own: str | None
) -> None:
    one_page.sync()
    for nth in (1, 3 if own else 2):
        one_page.served.add_raw(numbered(9_000 + nth, nth))
    refers = {"related_documents": [{"id": 1, "invoice_number": "Y-2026-000050"}]}
    sent = refers | numbered(9_009, 0) | refers | {"invoice_number": own, "comment": "a\0b"}
    one_page.served.add_raw(sent)
    one_page.sync(full=full)
    assert [document_id for document_id, _, _ in one_page.quarantine()] == [9_009]
    assert [gap for gap in gaps(one_page) if gap.block_id == 999] == []


def test_gaps_that_a_full_sync_left_unasked_have_their_turn_in_incremental_syncs(one_page: Books) -> None:
    for nth in range(2 * MAX_GAPS_SOUGHT + 3):
        one_page.served.add_raw(numbered(9_100 + nth, 2 * nth + 1, block_id=1))
    one_page.sync()
    for asked in (MAX_GAPS_SOUGHT, 2, 0):
        one_page.sandbox.requests.clear()
        assert one_page.sync(full=False).mode == "incremental"
        assert len(told(one_page.sandbox, "start_number")) == asked
    assert questions(one_page.sandbox) == NOTHING_CHANGED
    assert len(gaps(one_page)) == 2 * MAX_GAPS_SOUGHT + 2


def test_a_new_hole_is_asked_for_before_gaps_that_wait_for_their_turn(one_page: Books) -> None:
    for nth in range(3 * MAX_GAPS_SOUGHT):
        one_page.served.add_raw(numbered(9_100 + nth, 2 * nth + 1, block_id=1))
    one_page.sync()
    for nth in (1, 2, 3):
        one_page.served.add_raw(numbered(9_000 + nth, nth))
    hide(one_page, 9_002)
    one_page.sandbox.requests.clear()
    one_page.sync(full=False)
    assert told(one_page.sandbox, "block_id")[0] == "999"
    assert 9_002 in one_page.live()


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_however_many_documents_no_listing_shows_none_of_those_we_hold_is_buried(one_page: Books, full: bool) -> None:
    most = 2 * MAX_GAPS_SOUGHT + 10
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


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_document_that_leaves_quarantine_because_it_is_gone_leaves_a_gap(one_page: Books, full: bool) -> None:
    for number in (3, 4, 5):
        unreadable = {"comment": "a\0b"} if number == 4 else {}
        one_page.served.add_raw(numbered(9_000 + number, number) | unreadable)
    one_page.sync()
    one_page.served.delete(9_004, even_if_issued=True)
    one_page.sync(full=full)
    assert (one_page.quarantine(), gaps(one_page)) == ([], [NumberGap(999, 2026, 4, 4)])


def test_an_unreadable_document_that_no_listing_shows_stays_in_quarantine(one_page: Books) -> None:
    for number in (1, 2, 3):
        unreadable = {"comment": "a\0b"} if number == 2 else {}
        one_page.served.add_raw(numbered(9_000 + number, number) | unreadable)
    hide(one_page, 9_002)
    for _ in range(3):
        one_page.sync()
        assert [document_id for document_id, _, _ in one_page.quarantine()] == [9_002]


@pytest.mark.parametrize("change", [{"invoice_number": None}, {"block_id": 998}], ids=lambda change: next(iter(change)))
def test_a_document_that_gives_its_number_up_leaves_a_gap(one_page: Books, change: dict[str, Any]) -> None:
    for number in (3, 4, 5):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sync()
    one_page.served.change(9_004, **change)
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [NumberGap(999, 2026, 4, 4)]


def test_a_gap_that_cannot_be_asked_for_is_reported_and_stops_nothing(one_page: Books) -> None:
    for number in (3, 5):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sandbox.faults.add(Fault(kind="status", status=422, listing="number", times=None))
    assert one_page.sync().watermark is not None
    assert gaps(one_page) == [NumberGap(999, 2026, 4, 4)]
    one_page.served.add_raw(numbered(9_007, 7), counted=True)
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [NumberGap(999, 2026, 4, 4), NumberGap(999, 2026, 6, 6)]


def test_a_document_that_no_listing_shows_is_found_among_others_of_its_number(one_page: Books) -> None:
    for block_id in (997, 998, 999):
        for number in range(1, 100):
            one_page.served.add_raw(numbered(1_000 * block_id + number, number, block_id=block_id), counted=True)
    one_page.sync()
    hidden = range(997_002, 997_099, 2)
    one_page.sandbox.faults.quirks = Quirks(hidden_from_listing=frozenset(hidden), numbers_ignore_block=True)
    assert one_page.sync().deleted == 0
    assert set(hidden) <= one_page.live()


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 422}, {"kind": "empty_page"}], ids=["refused", "less than it tells"]
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


def test_a_hole_below_an_unreadable_document_is_found_by_an_incremental_sync(one_page: Books) -> None:
    for number in (3, 4):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sync()
    one_page.served.add_raw(numbered(9_006, 6) | {"comment": "a\0b"})
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [NumberGap(999, 2026, 5, 5)]


def test_an_unreadable_document_closes_the_gap_of_its_number(one_page: Books) -> None:
    for number in (3, 5):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sync()
    one_page.served.add_raw(numbered(9_004, 4) | {"comment": "a\0b"})
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == []


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_document_that_gives_its_number_up_and_is_unreadable_leaves_a_gap(one_page: Books, full: bool) -> None:
    for number in (3, 4, 5):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sync()
    one_page.served.change(9_004, invoice_number=None, comment="a\0b")
    one_page.sync(full=full)
    assert gaps(one_page) == [NumberGap(999, 2026, 4, 4)]


def test_a_gap_that_grows_is_asked_for_again(one_page: Books) -> None:
    for number in (3, 5, 7):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sync()
    first = NumberGap(999, 2026, 4, 4)
    grown = first._replace(last=6)
    with one_page.engine.begin() as connection:
        assert first in asked_gaps(connection, one_page.company.id)
        replace_gaps(connection, one_page.company.id, [grown], asked=[], within=None)
        assert asked_gaps(connection, one_page.company.id) == set()
