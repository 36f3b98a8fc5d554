"""What nobody knows of the real API: a sync is right under every answer, at the latest when it reads everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from billingo_assets.sandbox import Fault, Quirks, SandboxServer
from billingo_assets_tests.support.asked import questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import document
from billingo_assets_tests.support.numbered import numbered_between_others
from billingo_assets_tests.support.truth import require_truth
from billingo_assets_tests.sync.conftest import OpenBooks


@pytest.fixture
def pretend(sandbox: SandboxServer) -> Callable[..., None]:
    """Let the API behave in a way that nobody knows of."""

    def set_quirks(**quirks: Any) -> None:
        sandbox.faults.quirks = Quirks(**quirks)

    return set_quirks


def test_new_documents_are_found_where_new_is_not_modified(three_pages: Books, pretend: Callable[..., None]) -> None:
    pretend(last_modified_omits_new=True)
    three_pages.sync()
    three_pages.served.create()
    three_pages.served.cancel(cancellable(three_pages)[-1])
    report = three_pages.sync(full=False)
    assert (report.mode, report.created, report.updated) == ("incremental", 2, 1)
    require_truth(three_pages)


def cancellable(books: Books) -> list[int]:
    return [id_ for id_ in books.of_type("invoice") if not books.served.document(id_)["cancelled"]]


def test_a_payment_is_found_where_paid_is_not_modified(three_pages: Books, pretend: Callable[..., None]) -> None:
    pretend(last_modified_ignores_payments=True)
    old = three_pages.of_type("invoice")[-1]
    three_pages.served.set_payment(old, "outstanding")
    three_pages.sync()
    three_pages.served.pay(old)
    report = three_pages.sync(full=False)
    assert (report.mode, report.updated) == ("incremental", 1)
    require_truth(three_pages)


@pytest.mark.parametrize("status", ["outstanding", "partially_paid"])
def test_a_payment_that_is_taken_back_is_found_by_the_next_full_sync_where_paid_is_not_modified(
    three_pages: Books, pretend: Callable[..., None], status: Any
) -> None:
    pretend(last_modified_ignores_payments=True)
    old = three_pages.of_type("invoice")[-1]
    three_pages.served.pay(old)
    three_pages.sync()
    three_pages.served.set_payment(old, status)
    assert three_pages.sync(full=False).mode == "incremental"
    three_pages.sync(full=True)
    require_truth(three_pages)


def test_new_documents_are_found_where_none_has_a_time_of_modification(
    three_pages: Books, pretend: Callable[..., None]
) -> None:
    three_pages.sync()
    created = {three_pages.served.create()["id"] for _ in range(3)}
    pretend(documents_without_modification_time=frozenset(three_pages.live() | created))
    report = three_pages.sync(full=False)
    assert (report.mode, report.created) == ("incremental", 3)
    require_truth(three_pages)


def test_an_edit_without_a_time_of_modification_is_found_by_the_next_full_sync(
    three_pages: Books, pretend: Callable[..., None]
) -> None:
    three_pages.sync()
    old = three_pages.of_type("invoice")[-1]
    pretend(documents_without_modification_time=frozenset({old}))
    three_pages.served.change(old, comment="módosítva")
    assert three_pages.sync(full=False).updated == 0
    assert three_pages.sync(full=True).updated == 1
    require_truth(three_pages)


def test_no_document_but_those_of_the_newest_page_and_the_paid_is_shown_and_still_the_count_is_kept(
    three_pages: Books, pretend: Callable[..., None]
) -> None:
    three_pages.sync()
    gone = three_pages.of_type("draft")[-1]
    pretend(documents_without_modification_time=frozenset(three_pages.live()))
    three_pages.served.delete(gone)
    assert three_pages.sync(full=False).deleted == 1
    require_truth(three_pages)


@pytest.mark.parametrize("days", [-1, 1], ids=["a day behind", "a day ahead"])
@pytest.mark.parametrize("sends_date", [True, False], ids=["and says so", "and does not say so"])
def test_a_clock_of_the_api_that_is_wrong_loses_nothing(
    three_pages: Books, pretend: Callable[..., None], days: int, sends_date: bool
) -> None:
    pretend(clock_skew_seconds=days * 86_400, sends_date=sends_date)
    three_pages.sync()
    old = three_pages.of_type("invoice")[-1]
    three_pages.served.change(old, comment="módosítva")
    three_pages.served.create()
    report = three_pages.sync(full=False)
    assert (report.mode, report.created, report.updated) == ("incremental", 1, 1)
    require_truth(three_pages)


@pytest.mark.parametrize("days", [-1, 1], ids=["was a day behind", "was a day ahead"])
def test_a_clock_of_the_api_that_is_put_right_between_two_syncs_loses_nothing(
    three_pages: Books, pretend: Callable[..., None], days: int
) -> None:
    pretend(clock_skew_seconds=days * 86_400)
    three_pages.sync()
    pretend()
    three_pages.served.change(three_pages.of_type("invoice")[-1], comment="módosítva")
    report = three_pages.sync(full=False)
    assert report.mode == ("full" if days > 0 else "incremental")
    require_truth(three_pages)


def test_an_api_that_does_not_date_its_answers_is_asked_for_its_clock(
    three_pages: Books, pretend: Callable[..., None]
) -> None:
    pretend(clock_skew_seconds=-86_400, sends_date=False)
    three_pages.sync()
    three_pages.served.change(three_pages.of_type("invoice")[-1], comment="módosítva")
    three_pages.sync(full=False, lookback=timedelta(0))
    require_truth(three_pages)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 404},
        {"kind": "status", "status": 403},
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 500},
        {"kind": "not_json"},
        {"kind": "drop"},
        {"kind": "stall", "seconds": 30},
    ],
    ids=["none", "forbidden", "too many", "broken", "no clock", "no answer", "silence"],
)
def test_an_api_that_tells_no_time_is_asked_once_and_synced_by_our_own_clock(
    three_pages: Books, pretend: Callable[..., None], fault: dict[str, Any]
) -> None:
    pretend(sends_date=False)
    three_pages.sandbox.faults.add(Fault(path="/v3/utils/time", times=None, **fault))
    three_pages.sync(attempts=6, optional_seconds=0.2)
    assert questions(three_pages.sandbox).count("utils/time") == 1
    three_pages.served.change(three_pages.of_type("invoice")[-1], comment="módosítva")
    report = three_pages.sync(full=False, attempts=6, optional_seconds=0.2)
    assert (report.mode, report.updated) == ("incremental", 1)
    assert questions(three_pages.sandbox).count("utils/time") == 2
    require_truth(three_pages)


def test_a_full_sync_reads_every_document_whichever_order_they_come_in(
    three_pages: Books, pretend: Callable[..., None]
) -> None:
    pretend(order="invoice_date")
    three_pages.served.create(invoice_date="2024-06-15")
    assert three_pages.sync().watermark is not None
    require_truth(three_pages)


@pytest.mark.parametrize("omits_new", [False, True], ids=["is found as modified", "is found by the count"])
def test_a_new_document_that_is_not_among_the_first_pages(
    three_pages: Books, pretend: Callable[..., None], omits_new: bool
) -> None:
    three_pages.sync()
    pretend(order="invoice_date", last_modified_omits_new=omits_new)
    three_pages.served.create(invoice_date="2024-01-15")
    report = three_pages.sync(full=False)
    assert (report.mode, report.created) == ("full" if omits_new else "incremental", 1)
    require_truth(three_pages)


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_document_that_slips_into_the_middle_of_a_listing_by_date_is_not_lost(
    three_pages: Books, pretend: Callable[..., None], page: int
) -> None:
    pretend(order="invoice_date")
    by_date = sorted(three_pages.served.documents(), key=lambda one: str(one["invoice_date"]), reverse=True)
    three_pages.sandbox.faults.after_page(
        page, lambda: three_pages.served.create(invoice_date=by_date[150]["invoice_date"])
    )
    three_pages.sync(concurrent_requests=1)
    three_pages.sync(full=False)
    require_truth(three_pages)


def test_documents_that_bear_the_same_numbers_in_other_blocks_do_no_harm(
    one_page: Books, pretend: Callable[..., None]
) -> None:
    pretend(numbers_ignore_block=True)
    one_page.served.delete(numbered_between_others(one_page)[0], even_if_issued=True)
    for _ in range(2):
        one_page.sync()
        require_truth(one_page)
    one_page.served.create()
    assert one_page.sync(full=False).mode == "incremental"
    require_truth(one_page)


def test_a_document_that_no_listing_shows_is_found_by_its_number(
    three_pages: Books, pretend: Callable[..., None]
) -> None:
    pretend(hidden_from_listing=frozenset(numbered_between_others(three_pages)[:1]))
    report = three_pages.sync()
    assert (report.api_total, report.processed) == (281, 282)
    require_truth(three_pages)


def test_every_answer_that_is_unknown_may_be_the_least_welcome_one_at_once(
    open_books: OpenBooks, pretend: Callable[..., None]
) -> None:
    books = open_books("arvizturo")
    pretend(
        last_modified_omits_new=True,
        last_modified_ignores_payments=True,
        modified_strictly_after=True,
        numbers_ignore_block=True,
        hidden_from_listing=frozenset(numbered_between_others(books)[10:11]),
        sends_date=False,
        time_zone="Pacific/Pago_Pago",
        clock_skew_seconds=-3600,
    )
    books.sync()
    books.served.add_raw(document(7), counted=True)
    books.served.pay(books.of_type("invoice")[-1])
    books.served.change(books.of_type("invoice")[-2], comment="módosítva")
    books.sync(full=False)
    require_truth(books)
