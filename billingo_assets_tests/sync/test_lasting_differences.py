"""Billingo's count lastingly differs from its pages: no sync is complete until a person accepts that difference."""

from __future__ import annotations

from typing import Any

import pytest

from billingo_assets.errors import UnsettledListingError
from billingo_assets.sandbox import Fault, Quirks
from billingo_assets.sync.report import LASTING
from billingo_assets_tests.support.asked import NOTHING_CHANGED, questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_served, require_truth


def count_off_by(books: Books, difference: int, *hidden: int) -> None:
    """Let the listing count so many documents more than it shows; those that it hides are among them."""
    books.sandbox.faults.quirks = Quirks(total_off_by=difference, hidden_from_listing=frozenset(hidden))


def refusal(report: Any, key: str = "x") -> str:
    with pytest.raises(UnsettledListingError) as refused:
        report.require_settled(key)
    return str(refused.value)


def actions(books: Books) -> list[tuple[str, dict[str, Any]]]:
    query = "SELECT action, details FROM billingo.audit_log WHERE company_id = :company ORDER BY id"
    return [(action, details) for action, details in books.rows(query) if "difference" in action]


def differences(books: Books) -> list[tuple[int | None, int, int | None]]:
    query = "SELECT difference, times, accepted FROM billingo.listing_differences WHERE company_id = :company"
    return [(row.difference, row.times, row.accepted) for row in books.rows(query)]


@pytest.fixture
def accepted(three_pages: Books) -> Books:
    """Books of which Billingo counts one document more than it shows, which was accepted."""
    three_pages.sync()
    count_off_by(three_pages, 1)
    assert three_pages.sync(accept_difference=1).watermark is not None
    three_pages.sandbox.requests.clear()
    return three_pages


@pytest.mark.parametrize("difference", [1, -1, 7])
@pytest.mark.parametrize("first", [True, False], ids=["first sync", "later sync"])
def test_a_difference_that_stays_vouches_for_nothing_and_is_told_by_its_numbers(
    three_pages: Books, difference: int, first: bool
) -> None:
    if not first:
        three_pages.sync()
        three_pages.served.delete(three_pages.of_type("draft")[0])
    before = three_pages.state()
    count_off_by(three_pages, difference)
    report = three_pages.sync()
    assert (report.watermark, report.deleted, three_pages.state()) == (None, 0, before)
    shown = 282 if first else 281
    assert f"Billingo counts {shown + difference} documents, its pages show {shown}." in refusal(report)
    assert differences(three_pages) == [(difference, 1, None)]
    require_served(three_pages, apart_from=three_pages.live() - served(three_pages))


def served(books: Books) -> set[int]:
    return {document["id"] for document in books.served.documents()}


def test_a_listing_that_differs_is_read_twice_and_not_three_times(three_pages: Books) -> None:
    count_off_by(three_pages, 1)
    three_pages.sync()
    assert questions(three_pages.sandbox).count("all 2") == 2


def test_a_difference_is_said_to_last_after_three_syncs_in_a_row_with_what_to_do(three_pages: Books) -> None:
    three_pages.sync()
    count_off_by(three_pages, 1)
    sentences = [refusal(three_pages.sync(full=False)) for _ in range(LASTING)]
    assert ["--accept-difference 1" in sentence for sentence in sentences] == [False, False, True]


def test_another_difference_or_a_whole_sync_begins_the_count_anew(three_pages: Books) -> None:
    for difference, expected in ((1, (1, 1)), (1, (1, 2)), (2, (2, 1)), (1, (1, 1))):
        count_off_by(three_pages, difference)
        three_pages.sync()
        assert differences(three_pages) == [(*expected, None)]
    count_off_by(three_pages, 0)
    three_pages.sync()
    assert differences(three_pages) == []


def test_with_its_difference_accepted_a_company_is_synced_and_incremental_again(three_pages: Books) -> None:
    count_off_by(three_pages, 1)
    three_pages.sync()
    report = three_pages.sync(accept_difference=1)
    state = three_pages.state()
    assert state is not None
    assert (report.watermark, state.api_total, state.unlisted, report.is_balanced) == (state.watermark, 283, -1, True)
    assert actions(three_pages) == [("difference accepted", {"difference": 1, "counted": 283, "shown": 282})]
    three_pages.sandbox.requests.clear()
    assert three_pages.sync(full=False).mode == "incremental"
    assert questions(three_pages.sandbox) == NOTHING_CHANGED
    require_truth(three_pages)


def test_what_is_new_and_changed_is_synced_with_an_accepted_difference(accepted: Books) -> None:
    accepted.served.create()
    accepted.served.change(accepted.of_type("invoice")[-1], comment="módosítva")
    report = accepted.sync(full=False)
    assert (report.mode, report.created, report.updated) == ("incremental", 1, 1)
    assert accepted.sync().watermark is not None
    require_truth(accepted)


@pytest.mark.parametrize("difference", [1, -1])
def test_a_company_of_one_page_is_incremental_too_with_its_difference_accepted(
    one_page: Books, difference: int
) -> None:
    count_off_by(one_page, difference)
    one_page.sync(accept_difference=difference)
    one_page.served.create()
    report = one_page.sync(full=False)
    assert (report.mode, report.created) == ("incremental", 1)
    require_truth(one_page)


@pytest.mark.parametrize("wanted", [2, -1])
def test_a_difference_other_than_the_one_that_is_named_is_not_accepted(three_pages: Books, wanted: int) -> None:
    count_off_by(three_pages, 1)
    report = three_pages.sync(accept_difference=wanted)
    assert f"The difference is 1, not {wanted}" in refusal(report)
    assert differences(three_pages) == [(1, 1, None)]


def test_a_difference_that_changes_is_not_accepted_any_more(accepted: Books) -> None:
    before = accepted.state()
    count_off_by(accepted, 2)
    assert accepted.sync(full=False).watermark is None
    assert accepted.state() == before
    count_off_by(accepted, 1)
    assert accepted.sync(full=False).watermark is not None


@pytest.mark.parametrize("full", [True, False])
def test_an_accepted_difference_is_withdrawn_once_the_count_is_right(accepted: Books, full: bool) -> None:
    count_off_by(accepted, 0)
    report = accepted.sync(full=full)
    assert report.watermark is not None
    assert "withdrawn" in report.notes[0]
    assert (differences(accepted), actions(accepted)[-1]) == (
        [],
        ("accepted difference withdrawn", {"difference": 1}),
    )
    count_off_by(accepted, 1)
    assert accepted.sync(full=False).watermark is None


@pytest.mark.parametrize("full", [True, False])
def test_what_billingo_says_is_gone_is_marked_with_an_accepted_difference(accepted: Books, full: bool) -> None:
    accepted.served.delete(accepted.of_type("draft")[0])
    assert accepted.sync(full=full).deleted == 1
    assert accepted.sync(full=False).mode == "incremental"
    require_truth(accepted)


@pytest.mark.parametrize("type_", ["invoice", "draft"])
def test_a_document_that_the_listing_hides_is_not_marked_and_kept_as_it_is_served(
    three_pages: Books, type_: str
) -> None:
    three_pages.sync()
    hidden, gone = three_pages.of_type(type_)[1], three_pages.of_type("draft")[0]
    count_off_by(three_pages, 1, hidden)
    three_pages.sync(accept_difference=1)
    three_pages.served.change(hidden, comment="módosítva")
    three_pages.served.delete(gone)
    assert three_pages.sync(full=False).deleted == 1
    assert three_pages.sync(full=False).mode == "incremental"
    require_truth(three_pages)


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 404}, {"kind": "status"}, {"kind": "not_json"}])
def test_nothing_is_marked_where_billingo_does_not_answer_for_single_documents(
    accepted: Books, fault: dict[str, Any]
) -> None:
    gone = accepted.of_type("draft")[0]
    accepted.served.delete(gone)
    for id_ in accepted.live():
        accepted.sandbox.faults.add(Fault(path=f"/v3/documents/{id_}", times=None, **fault))
    report = accepted.sync()
    assert (report.deleted, report.watermark is not None, gone in accepted.live()) == (0, True, True)
    accepted.sandbox.faults.clear()
    count_off_by(accepted, 1)
    assert accepted.sync().deleted == 1
    require_truth(accepted)


def test_a_count_that_moves_for_ever_is_said_to_last_too_and_cannot_be_accepted(three_pages: Books) -> None:
    three_pages.sandbox.faults.add(Fault(kind="total", value=290, page=2, listing="all", times=None))
    sentences = [refusal(three_pages.sync(accept_difference=1)) for _ in range(LASTING)]
    assert all("from 282 to 290 documents" in sentence for sentence in sentences)
    assert ["Billingo's support" in sentence for sentence in sentences] == [False, False, True]
    assert differences(three_pages) == [(None, LASTING, None)]
    require_served(three_pages)
