"""Pages that are sound JSON and not true: repeated, empty, with a wrong `total` or `last_page`."""

from __future__ import annotations

from typing import Any

import pytest

from billingo_assets.billingo.errors import MalformedAnswerError
from billingo_assets.sandbox import Fault, Quirks
from billingo_assets_tests.support.asked import questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth

EMPTY = {"kind": "empty_page"}
REPEATED = {"kind": "repeated_page"}
TOO_FEW = {"kind": "total", "value": 281}
TOO_MANY = {"kind": "total", "value": 283}
NONE_AT_ALL = {"kind": "total", "value": 0}
A_MILLION = {"kind": "total", "value": 1_000_000}
LAST_TOO_LOW = {"kind": "last_page", "value": 1}
LAST_TOO_HIGH = {"kind": "last_page", "value": 90_000}

# What the first page tells is what a listing is measured by; of the others it is what they show.
DECEIVING = [
    pytest.param(EMPTY, 1, id="page 1 empty"),
    pytest.param(EMPTY, 2, id="page 2 empty"),
    pytest.param(EMPTY, 3, id="page 3 empty"),
    pytest.param(REPEATED, 2, id="page 1 again"),
    pytest.param(REPEATED, 3, id="page 2 again"),
    pytest.param(TOO_FEW, 1, id="total too low"),
    pytest.param(TOO_MANY, 1, id="total too high"),
    pytest.param(NONE_AT_ALL, 1, id="total 0"),
    pytest.param(A_MILLION, 1, id="total of a million"),
    pytest.param(TOO_FEW, 2, id="total too low in the middle"),
    pytest.param(NONE_AT_ALL, 3, id="total 0 at the end"),
    pytest.param(A_MILLION, 2, id="total of a million in the middle"),
    pytest.param(TOO_MANY, 3, id="total too high at the end"),
]
HARMLESS = [
    pytest.param(LAST_TOO_LOW, None, id="last page too low"),
    pytest.param(LAST_TOO_HIGH, None, id="last page too high"),
]


@pytest.fixture
def synced(three_pages: Books) -> Books:
    three_pages.sync()
    three_pages.served.create(type="draft")
    three_pages.served.delete(three_pages.of_type("draft")[-1])
    three_pages.sandbox.requests.clear()
    return three_pages


def lie(books: Books, fault: dict[str, Any], page: int | None, *, times: int | None, listing: Any = "all") -> None:
    books.sandbox.faults.add(Fault(**fault, page=page, listing=listing, times=times))


@pytest.mark.parametrize(("fault", "page"), [*DECEIVING, *HARMLESS])
def test_a_lie_that_is_told_once_deceives_no_full_sync(synced: Books, fault: dict[str, Any], page: int | None) -> None:
    lie(synced, fault, page, times=1)
    report = synced.sync()
    assert report.watermark is not None
    assert report.deleted == 1
    require_truth(synced)


@pytest.mark.parametrize(("fault", "page"), DECEIVING)
def test_a_lie_that_is_told_for_ever_buries_nothing_and_moves_no_watermark(
    synced: Books, fault: dict[str, Any], page: int | None
) -> None:
    before, live = synced.state(), synced.live()
    lie(synced, fault, page, times=None)
    report = synced.sync()
    assert (report.watermark, report.deleted) == (None, 0)
    assert synced.state() == before
    assert synced.live() >= live


@pytest.mark.parametrize(("fault", "page"), DECEIVING)
def test_after_a_lie_that_was_told_for_ever_a_clean_sync_is_right(
    synced: Books, fault: dict[str, Any], page: int | None
) -> None:
    lie(synced, fault, page, times=None)
    synced.sync()
    synced.sandbox.faults.clear()
    synced.sync()
    require_truth(synced)


@pytest.mark.parametrize(("fault", "page"), HARMLESS)
def test_a_lie_that_proves_nothing_may_be_told_for_ever(synced: Books, fault: dict[str, Any], page: int | None) -> None:
    lie(synced, fault, page, times=None)
    assert synced.sync().watermark is not None
    require_truth(synced)


def test_a_last_page_far_too_high_is_not_followed_to_its_end(synced: Books) -> None:
    lie(synced, LAST_TOO_HIGH, None, times=None)
    synced.sync()
    assert len(questions(synced.sandbox)) < 25


@pytest.mark.parametrize("times", [1, None], ids=["once", "for ever"])
@pytest.mark.parametrize("listing", ["modified", "paid", "all"])
@pytest.mark.parametrize("fault", [EMPTY, TOO_FEW, TOO_MANY, NONE_AT_ALL], ids=["empty", "low", "high", "0"])
def test_a_first_page_that_lies_to_an_incremental_sync_loses_nothing_that_it_vouches_for(
    synced: Books, listing: Any, fault: dict[str, Any], times: int | None
) -> None:
    before = synced.state()
    lie(synced, fault, 1, times=times, listing=listing)
    report = synced.sync(full=False)
    if report.watermark is None:
        assert (report.deleted, synced.state()) == (0, before)
        synced.sandbox.faults.clear()
        synced.sync(full=False)
    require_truth(synced)


@pytest.mark.parametrize("fault", [EMPTY, REPEATED], ids=["empty", "repeated"])
@pytest.mark.parametrize("page", [2, 3])
def test_a_page_of_what_was_modified_that_lies_is_read_again(
    three_pages: Books, fault: dict[str, Any], page: int
) -> None:
    three_pages.sync()
    for sent in three_pages.served.documents():
        three_pages.served.change(sent["id"], comment="módosítva")
    lie(three_pages, fault, page, times=1, listing="modified")
    report = three_pages.sync(full=False)
    assert (report.mode, report.updated) == ("incremental", 282)
    require_truth(three_pages)


@pytest.mark.parametrize("fault", [EMPTY, TOO_FEW], ids=["empty", "total too low"])
def test_newest_documents_that_are_not_shown_are_not_made_up_for_by_dead_ones(
    three_pages: Books, fault: dict[str, Any]
) -> None:
    # As many were deleted as are not shown: what is held agrees with the total, and is wrong.
    three_pages.sync()
    three_pages.sandbox.faults.quirks = Quirks(last_modified_omits_new=True)
    three_pages.served.delete(three_pages.of_type("draft")[-1])
    three_pages.served.create()
    lie(three_pages, fault, 1, times=1)
    three_pages.sync(full=False)
    require_truth(three_pages)


@pytest.mark.parametrize("total", [-1, 2**31, 2**63, 10**30], ids=["negative", "31 bits", "63 bits", "30 digits"])
def test_a_total_that_no_company_can_have_is_a_malformed_answer(one_page: Books, total: int) -> None:
    one_page.sandbox.faults.add(Fault(kind="total", value=total, times=None))
    with pytest.raises(MalformedAnswerError):
        one_page.fetch()
    one_page.sandbox.faults.clear()
    one_page.sync()
    require_truth(one_page)


def test_one_answer_that_fits_itself_buries_nothing(synced: Books) -> None:
    lie(synced, {"kind": "total", "value": 100}, 1, times=1)
    lie(synced, {"kind": "last_page", "value": 1}, 1, times=1)
    synced.sync()
    require_truth(synced)
