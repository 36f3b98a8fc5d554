"""Gaps in the numbers of documents: listed, asked for before they are reported, closed when they are no more."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlalchemy import event

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.sandbox import Fault, Quirks
from billingo_assets.sync.numbers import MAX_QUESTIONS, MAX_QUESTIONS_WAITING
from billingo_assets.warehouse.number_gaps import Gaps, NumberSpan, accept_gaps, asked_gaps, summarize_gaps
from billingo_assets.warehouse.number_series import update_gaps
from billingo_assets_tests.support.asked import NOTHING_CHANGED, questions, told
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.numbered import (
    BLOCK,
    gaps,
    hide,
    missing,
    numbered,
    numbered_between_others,
    remove,
    serve_numbers,
)
from billingo_assets_tests.support.truth import require_truth
from billingo_assets_tests.sync.conftest import OpenBooks


def summary(books: Books) -> Gaps:
    with books.engine.begin() as connection:
        return summarize_gaps(connection, books.company.id, most=10)


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
    assert gaps(one_page) == [missing(5, 10)]


def test_the_same_numbers_in_another_block_or_year_fill_no_hole(one_page: Books) -> None:
    sent = [numbered(1, 3), numbered(2, 5), numbered(3, 4, block_id=998), numbered(4, 4)]
    sent[3]["invoice_number"] = "X-2025-000004"
    for one in sent:
        one_page.served.add_raw(one, counted=True)
    one_page.sync()
    assert gaps(one_page) == [missing(4)]


def test_a_number_that_is_missing_is_asked_for_by_block_and_year_before_it_is_reported(one_page: Books) -> None:
    gap = remove(one_page, numbered_between_others(one_page)[0])
    one_page.sync()
    asked = [told(one_page.sandbox, name) for name in ("block_id", "start_year", "start_number", "end_number")]
    assert asked == [[str(part)] for part in (gap.block_id, gap.year, gap.first, gap.last)]
    assert gaps(one_page) == [gap]


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_gap_that_closes_leaves_the_table(one_page: Books, full: bool) -> None:
    sought = numbered_between_others(one_page)[0]
    body = one_page.served.document(sought)
    remove(one_page, sought)
    one_page.sync()
    one_page.served.add_raw(body, counted=True)
    one_page.sync(full=full)
    assert gaps(one_page) == []


def test_a_gap_that_stays_keeps_the_moment_it_was_found_at(one_page: Books) -> None:
    query = "SELECT first_number, found_at FROM billingo.number_gaps WHERE company_id = :company ORDER BY found_at"
    serve_numbers(one_page, 3, 5)
    one_page.sync()
    found = one_page.rows(query)
    serve_numbers(one_page, 7)
    one_page.sync()
    serve_numbers(one_page, 9)
    one_page.sync(full=False)
    assert found == one_page.rows(query)[:1]
    assert gaps(one_page) == [missing(4), missing(6), missing(8)]


def test_a_gap_that_is_known_is_not_asked_for_by_every_incremental_sync(one_page: Books) -> None:
    for id_, number in ((1, 3), (2, 5)):
        one_page.served.add_raw(numbered(id_, number), counted=True)
    one_page.sync()
    one_page.served.add_raw(numbered(3, 6), counted=True)
    one_page.sandbox.requests.clear()
    one_page.sync(full=False)
    assert questions(one_page.sandbox) == NOTHING_CHANGED
    assert gaps(one_page) == [missing(4)]


def test_a_new_hole_is_found_by_an_incremental_sync(one_page: Books) -> None:
    one_page.sync()
    for id_, number in ((1, 3), (2, 5)):
        one_page.served.add_raw(numbered(id_, number), counted=True)
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [missing(4)]


def test_no_more_gaps_are_asked_for_than_one_sync_may(one_page: Books) -> None:
    for at in range(MAX_QUESTIONS + 5):
        one_page.served.add_raw(numbered(1 + at, MAX_PAGE_SIZE * at + 1), counted=True)
    one_page.sync()
    assert len(told(one_page.sandbox, "start_number")) == MAX_QUESTIONS
    assert len(gaps(one_page)) == MAX_QUESTIONS + 4


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
    for nth in range(MAX_QUESTIONS + 2):
        one_page.served.add_raw(numbered(9_100 + nth, MAX_PAGE_SIZE * nth + 1, block_id=1))
    for nth in (1, 2, 3):
        one_page.served.add_raw(numbered(9_000 + nth, nth))
    hide(one_page, 9_002)
    one_page.sync()
    assert 9_002 not in one_page.live()
    one_page.sync(full=full)
    assert 9_002 in one_page.live()
    assert missing(2) not in gaps(one_page)


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
    left = MAX_QUESTIONS_WAITING + 2
    for nth in range(MAX_QUESTIONS + left + 1):
        one_page.served.add_raw(numbered(9_100 + nth, MAX_PAGE_SIZE * nth + 1, block_id=1))
    one_page.sync()
    for asked in (MAX_QUESTIONS_WAITING, 2, 0):
        one_page.sandbox.requests.clear()
        assert one_page.sync(full=False).mode == "incremental"
        assert len(told(one_page.sandbox, "start_number")) == asked
    assert questions(one_page.sandbox) == NOTHING_CHANGED
    assert len(gaps(one_page)) == MAX_QUESTIONS + left


def test_gaps_that_lie_close_together_are_asked_for_at_once(one_page: Books) -> None:
    serve_numbers(one_page, *range(1, 2 * MAX_PAGE_SIZE + 1, 2))
    one_page.sync()
    assert told(one_page.sandbox, "start_number") == ["2", str(MAX_PAGE_SIZE + 2)]
    with one_page.engine.begin() as connection:
        assert len(asked_gaps(connection, one_page.company.id)) == MAX_PAGE_SIZE - 1


def test_documents_between_gaps_that_are_asked_for_at_once_stay_as_they_are(one_page: Books) -> None:
    serve_numbers(one_page, *range(1, 40, 2))
    hide(one_page, 9_005)
    one_page.sync()
    assert one_page.value("SELECT max(version) FROM billingo.raw_invoices WHERE company_id = :company") == 1
    require_truth(one_page)


def test_gaps_that_others_crowd_out_of_one_answer_are_asked_for_one_by_one(one_page: Books) -> None:
    for block_id in range(10):
        for number in range(2, 31):
            one_page.served.add_raw(numbered(100 * block_id + number, number, block_id=block_id + 1), counted=True)
    serve_numbers(one_page, *range(1, 30, 2), 20)
    one_page.sandbox.faults.quirks = Quirks(hidden_from_listing=frozenset({9_020}), numbers_ignore_block=True)
    one_page.sync()
    assert 9_020 in one_page.live()


def test_a_new_hole_is_asked_for_before_gaps_that_wait_for_their_turn(one_page: Books) -> None:
    for nth in range(2 * MAX_QUESTIONS):
        one_page.served.add_raw(numbered(9_100 + nth, MAX_PAGE_SIZE * nth + 1, block_id=1))
    one_page.sync()
    serve_numbers(one_page, 1, 2, 3)
    hide(one_page, 9_002)
    one_page.sandbox.requests.clear()
    one_page.sync(full=False)
    assert told(one_page.sandbox, "block_id")[0] == str(BLOCK)
    assert 9_002 in one_page.live()


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_document_that_leaves_quarantine_because_it_is_gone_leaves_a_gap(one_page: Books, full: bool) -> None:
    for number in (3, 4, 5):
        unreadable = {"comment": "a\0b"} if number == 4 else {}
        one_page.served.add_raw(numbered(9_000 + number, number) | unreadable)
    one_page.sync()
    one_page.served.delete(9_004, even_if_issued=True)
    one_page.sync(full=full)
    assert (one_page.quarantine(), gaps(one_page)) == ([], [missing(4)])


@pytest.mark.parametrize("change", [{"invoice_number": None}, {"block_id": 998}], ids=lambda change: next(iter(change)))
def test_a_document_that_gives_its_number_up_leaves_a_gap(one_page: Books, change: dict[str, Any]) -> None:
    for number in (3, 4, 5):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sync()
    one_page.served.change(9_004, **change)
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [missing(4)]


def test_a_gap_that_cannot_be_asked_for_is_reported_and_stops_nothing(one_page: Books) -> None:
    for number in (3, 5):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sandbox.faults.add(Fault(kind="status", status=422, listing="number", times=None))
    assert one_page.sync().watermark is not None
    assert gaps(one_page) == [missing(4)]
    one_page.served.add_raw(numbered(9_007, 7), counted=True)
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [missing(4), missing(6)]


@pytest.mark.parametrize(
    "fault", [{"kind": "status"}, {"kind": "drop"}, {"kind": "not_json"}, {"kind": "stall", "seconds": 30}]
)
def test_a_question_for_gaps_without_an_answer_costs_one_try_and_the_gaps_have_their_turn_later(
    one_page: Books, fault: dict[str, Any]
) -> None:
    for number in (3, 5, 7):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sandbox.faults.add(Fault(listing="number", times=None, **fault))
    assert one_page.sync(attempts=6, optional_seconds=0.2).watermark is not None
    assert questions(one_page.sandbox).count("number 1") == 1
    one_page.served.create()
    assert one_page.sync(full=False, attempts=6, optional_seconds=0.2).mode == "incremental"
    assert questions(one_page.sandbox).count("number 1") == 2
    one_page.sandbox.faults.clear()
    one_page.sync(full=False)
    assert questions(one_page.sandbox).count("number 1") == 3
    assert gaps(one_page) == [missing(4), missing(6)]


def test_a_hole_below_an_unreadable_document_is_found_by_an_incremental_sync(one_page: Books) -> None:
    for number in (3, 4):
        one_page.served.add_raw(numbered(9_000 + number, number), counted=True)
    one_page.sync()
    one_page.served.add_raw(numbered(9_006, 6) | {"comment": "a\0b"})
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [missing(5)]


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
    assert gaps(one_page) == [missing(4)]


def test_a_gap_that_grows_is_asked_for_again(one_page: Books) -> None:
    serve_numbers(one_page, 3, 5, 7)
    one_page.sync()
    one_page.served.change(9_005, invoice_number=None)
    one_page.sandbox.requests.clear()
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [missing(4, 6)]
    assert told(one_page.sandbox, "end_number") == ["6"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (["003301", "003302", "003305"], (3303, 3304)),
        (["2026/1", "2026/2", "2026/7"], (3, 6)),
        (["ABC2026/000001", "ABC2026/000009"], (2, 8)),
        (["E-26-0001", "E-26-0004"], (2, 3)),
        (["1/2026", "5/2026"], (2, 4)),
        (["INV / 2026-000009", "INV-2026-11"], (10, 10)),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_gaps_are_found_in_every_form_of_numbers(
    one_page: Books, full: bool, numbers: list[str], expected: tuple[int, int]
) -> None:
    one_page.sync()
    serve_numbers(one_page, *numbers)
    one_page.sync(full=full)
    assert gaps(one_page) == [missing(*expected)]


def test_numbers_of_one_year_and_of_the_next_are_no_gap_of_each_other(one_page: Books) -> None:
    serve_numbers(one_page, "E-25-0007", "E-25-0008", invoice_date="2025-12-30")
    one_page.served.add_raw(numbered(9_100, "E-26-0001"), counted=True)
    one_page.sync()
    assert gaps(one_page) == []


def test_numbers_without_a_year_run_on_into_the_next(one_page: Books) -> None:
    serve_numbers(one_page, "003301", invoice_date="2025-12-30")
    one_page.served.add_raw(numbered(9_100, "003304"), counted=True)
    one_page.sync()
    assert gaps(one_page) == [NumberSpan(BLOCK, 2025, 3302, 2026, 3303)]
    asked = [told(one_page.sandbox, name) for name in ("start_year", "start_number", "end_year", "end_number")]
    assert asked == [["2025"], ["3302"], ["2026"], ["3303"]]


def serve_years(books: Books, of: dict[int, set[int]], form: str = "{}/") -> None:
    """Serve documents whose numbers do not bear the year in which they were issued."""
    for year, own in of.items():
        for number in sorted(own):
            sent = numbered(year * 100 + number, form.format(number), invoice_date=f"{year}-03-01")
            books.served.add_raw(sent, counted=True)


def spans(*of: tuple[int, int, int]) -> list[NumberSpan]:
    """Gaps of one year each: the year, the first and the last number."""
    return [missing(first, last, year=year) for year, first, last in of]


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
@pytest.mark.parametrize("form", ["{}", "{}/", "A-{:05}"])
def test_numbers_that_begin_again_in_each_year_hide_no_gap_of_each_other_and_make_none(
    one_page: Books, form: str, full: bool
) -> None:
    one_page.sync()
    serve_years(one_page, {2024: {7, 8, 9}, 2025: {1, 2, 4, 5}, 2026: {1, 3, 4}}, form)
    one_page.sync(full=full)
    assert gaps(one_page) == spans((2025, 3, 3), (2026, 2, 2))
    serve_years(one_page, {2026: {2}}, form)
    one_page.sync(full=False)
    assert gaps(one_page) == spans((2025, 3, 3))
    assert summary(one_page).ambiguous == 0


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_numbers_of_which_nobody_knows_whether_they_began_again_are_counted_and_not_judged(
    one_page: Books, full: bool
) -> None:
    one_page.sync()
    serve_years(one_page, {2025: {1, 2, 4}, 2026: {3, 6}})
    one_page.sync(full=full)
    found = summary(one_page)
    assert (gaps(one_page), found.ambiguous, found.missing) == ([], 5, 0)
    serve_years(one_page, {2026: {1}})
    one_page.sync(full=False)
    found = summary(one_page)
    assert (gaps(one_page), found.ambiguous) == (spans((2025, 3, 3), (2026, 2, 2), (2026, 4, 5)), 0)


def test_a_deleted_document_whose_number_another_of_the_next_year_has_shows_no_new_beginning(one_page: Books) -> None:
    serve_years(one_page, {2025: {1, 2, 3}})
    one_page.sync()
    one_page.served.delete(2025 * 100 + 3, even_if_issued=True)
    serve_years(one_page, {2026: {3, 4, 6}})
    one_page.sync()
    found = summary(one_page)
    assert (gaps(one_page), found.ambiguous) == (spans((2026, 5, 5)), 0)


def test_what_can_be_read_in_two_ways_is_neither_a_gap_nor_makes_one(one_page: Books) -> None:
    serve_numbers(one_page, "25998", "25999", "26001", "26090", "26101", "26103")
    one_page.sync()
    assert gaps(one_page) == [missing(26102)]
    assert summary(one_page).unjudged == 2


def test_numbers_of_two_prefixes_in_one_block_fill_no_gap_of_each_other(one_page: Books) -> None:
    serve_numbers(one_page, "2026-1", "2026-3", "D-2026-2", "D-2026-3")
    one_page.sync()
    assert gaps(one_page) == [missing(2)]


@pytest.mark.parametrize("unreadable", [{}, {"comment": "a\0b"}], ids=["sound", "in quarantine"])
def test_numbers_that_cannot_be_judged_are_counted(one_page: Books, unreadable: dict[str, str]) -> None:
    one_page.sync()
    before = summary(one_page)
    serve_numbers(one_page, "A", "2026000001", "2026-5b", **unreadable)
    one_page.served.add_raw(numbered(9_100, "B", type="offer"))
    one_page.sync(full=False)
    assert (before.unjudged, summary(one_page).unjudged) == (0, 3)


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_the_number_of_a_document_that_is_deleted_is_no_gap(one_page: Books, full: bool) -> None:
    serve_numbers(one_page, 3, 4, 5, type="proforma")
    one_page.sync()
    one_page.served.delete(9_004, even_if_issued=True)
    assert one_page.sync(full=full).deleted == 1
    assert gaps(one_page) == []


@pytest.mark.parametrize(
    ("type_", "is_allowed"), [("proforma", True), ("offer", True), ("invoice", False), ("receipt", False)]
)
def test_gaps_are_allowed_where_no_document_needs_a_number_without_gaps(
    one_page: Books, type_: str, is_allowed: bool
) -> None:
    serve_numbers(one_page, 3, 5, type=type_)
    one_page.sync()
    found = summary(one_page)
    assert (found.missing, found.allowed) == ((0, 1) if is_allowed else (1, 0))
    assert gaps(one_page) == [missing(4)]


def test_a_series_that_holds_invoices_beside_proformas_may_have_no_gaps(one_page: Books) -> None:
    serve_numbers(one_page, 3, type="proforma")
    serve_numbers(one_page, 5)
    one_page.sync()
    assert summary(one_page).missing == 1


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_gaps_that_were_accepted_stay_so_and_new_ones_are_missing_all_the_same(one_page: Books, full: bool) -> None:
    serve_numbers(one_page, 3, 5, 7)
    one_page.sync()
    with one_page.engine.begin() as connection:
        assert accept_gaps(connection, one_page.company.id) == 2
    serve_numbers(one_page, 10)
    one_page.sync(full=full)
    found = summary(one_page)
    assert (found.missing, found.accepted) == (2, 2)
    assert [gap.span for gap in found.listed] == [missing(8, 9)]


def statements(books: Books) -> tuple[int, int]:
    """How many statements and requests an incremental sync of nothing new takes."""
    count = itertools.count()
    listener = lambda *_: next(count)  # noqa: E731 - to be removed again
    event.listen(books.engine, "before_cursor_execute", listener)
    books.sandbox.requests.clear()
    try:
        assert books.fetch(full=False).mode == "incremental"
    finally:
        event.remove(books.engine, "before_cursor_execute", listener)
    return next(count), len(books.sandbox.requests)


def test_a_sync_of_nothing_new_costs_no_more_for_gaps_that_were_asked_for(one_page: Books) -> None:
    serve_numbers(one_page, *range(1, 20))
    one_page.sync()
    without = statements(one_page)
    serve_numbers(one_page, *range(31, 131, 2))
    one_page.sync()
    assert len(gaps(one_page)) > MAX_QUESTIONS
    assert statements(one_page) == without


def test_what_gaps_cost_grows_with_their_number_and_not_with_its_square(one_page: Books) -> None:
    gaps_of_one = 2_000
    insert = (
        "INSERT INTO billingo.raw_invoices (company_id, document_id, payload, content_hash, item_count, block_id,"
        " number_series, number_year, number, number_judged) SELECT :company, 2 * n, '{}', 'x', 0, 1, 'X', 2026, 2 * n,"
        " true FROM generate_series(1, :most) AS n"
    )
    one_page.rows(insert, most=gaps_of_one + 1)
    executed: list[tuple[str, dict[str, Any]]] = []

    def note(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        executed.append((statement, values))

    with one_page.engine.connect() as connection, connection.begin():
        update_gaps(connection, one_page.company.id)
        event.listen(connection, "before_cursor_execute", note)
        update_gaps(connection, one_page.company.id)
        event.remove(connection, "before_cursor_execute", note)
        compared = 0
        for statement, values in executed:
            explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", values)
            compared = max(compared, most_rows(explained.scalar_one()[0]["Plan"]))
        connection.get_transaction().rollback()  # type: ignore[union-attr]
    assert gaps_of_one <= compared < 20 * gaps_of_one


def most_rows(plan: dict[str, Any]) -> int:
    """The most rows that a step of a plan has looked at."""
    own = plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Join Filter", 0))
    return max([int(own), *map(most_rows, plan.get("Plans", ()))])


def test_what_a_sync_writes_of_gaps_is_what_has_changed(one_page: Books) -> None:
    serve_numbers(one_page, *range(1, 40, 2))
    one_page.sync()
    query = "SELECT ctid::text, xmin::text FROM billingo.number_gaps WHERE company_id = :company ORDER BY first_number"
    before = one_page.rows(query)
    serve_numbers(one_page, 42)
    one_page.sync(full=False)
    assert one_page.rows(query)[:-1] == before


def test_gaps_that_were_found_by_former_rules_are_read_again_and_keep_their_moments(one_page: Books) -> None:
    serve_numbers(one_page, 3, 5)
    one_page.served.add_raw(numbered(9_100, "003301"), counted=True)
    one_page.served.add_raw(numbered(9_101, "003303") | {"comment": "a\0b"})
    one_page.sync()
    moments = "SELECT found_at, asked_at FROM billingo.number_gaps WHERE company_id = :company AND first_number = 4"
    before = one_page.rows(moments)
    for forget in (
        "UPDATE billingo.raw_invoices SET number_series = NULL, number_judged = NULL WHERE company_id = :company",
        "UPDATE billingo.raw_invoices SET number = NULL, number_year = NULL WHERE company_id = :company"
        " AND document_id = 9100",
        "UPDATE billingo.rejected_documents SET block_id = NULL, number = NULL WHERE company_id = :company",
        "DELETE FROM billingo.number_gaps WHERE company_id = :company AND first_number <> 4",
        "UPDATE billingo.number_gaps SET series = '2026' WHERE company_id = :company",
        "UPDATE billingo.sync_state SET number_rules = 0 WHERE company_id = :company",
    ):
        one_page.rows(forget)
    assert one_page.sync(full=False).mode == "incremental"
    assert gaps(one_page) == [missing(3302), missing(4)]
    assert one_page.rows(moments) == before
