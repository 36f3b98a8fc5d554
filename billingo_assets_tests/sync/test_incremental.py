"""What an incremental sync finds, what it costs, when it is not enough, and where it leaves the watermark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.errors import UnavailableError
from billingo_assets.sandbox import Fault, Quirks, SandboxServer
from billingo_assets_tests.support.asked import NOTHING_CHANGED, questions, told
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.truth import require_truth

MARGIN = timedelta(hours=14)


def watermark(books: Books) -> datetime:
    state = books.state()
    assert state is not None
    assert state.watermark is not None
    return state.watermark


def settle(books: Books) -> None:
    """Sync everything, and forget what was asked for it."""
    books.sync()
    books.sandbox.requests.clear()


@pytest.mark.parametrize("company", ["ozon-bt", "it-cardigan"], ids=["one page", "three pages"])
def test_four_questions_are_enough_when_nothing_has_changed(open_books: Callable[[str], Books], company: str) -> None:
    books = open_books(company)
    settle(books)
    report = books.sync(full=False)
    assert questions(books.sandbox) == NOTHING_CHANGED
    assert (report.mode, report.reason, report.api_calls) == ("incremental", "", 4)


def test_a_sync_that_finds_nothing_new_writes_no_document(one_page: Books) -> None:
    settle(one_page)
    query = "SELECT ctid::text, xmin::text FROM billingo.raw_invoices WHERE company_id = :company ORDER BY ctid"
    before = one_page.rows(query)
    report = one_page.sync(full=False)
    assert one_page.rows(query) == before
    assert (report.created, report.updated, report.deleted, report.skipped) == (0, 0, 0, 0)


def test_what_is_new_edited_and_paid_is_found_and_no_more_is_counted(three_pages: Books) -> None:
    settle(three_pages)
    invoices = three_pages.of_type("invoice")
    three_pages.served.create()
    three_pages.served.change(invoices[-1], comment="módosítva")
    three_pages.served.set_payment(invoices[-2], "outstanding")
    three_pages.served.pay(invoices[-3])
    report = three_pages.sync(full=False)
    assert (report.mode, report.created, report.updated, report.deleted) == ("incremental", 1, 3, 0)
    require_truth(three_pages)


def test_a_document_that_several_questions_find_is_counted_once(one_page: Books) -> None:
    settle(one_page)
    one_page.served.pay(one_page.served.create()["id"])  # modified, paid and among the newest
    report = one_page.sync(full=False)
    assert (report.processed, report.created, report.unchanged) == (62, 1, 61)
    assert report.items == one_page.served.ledger().items


def test_a_payment_on_an_old_document_costs_no_further_page(three_pages: Books) -> None:
    settle(three_pages)
    three_pages.served.pay(three_pages.of_type("invoice")[-1])
    three_pages.sync(full=False)
    assert questions(three_pages.sandbox) == NOTHING_CHANGED


def test_a_hundred_and_thirty_edits_are_read_twice_since_there_is_an_edge_between_their_pages(
    three_pages: Books,
) -> None:
    settle(three_pages)
    for sent in three_pages.served.documents()[-130:]:
        three_pages.served.change(sent["id"], comment="módosítva")
    report = three_pages.sync(full=False)
    modified = ["modified 1", "modified 2"]
    assert questions(three_pages.sandbox) == ["organization", *modified, *modified, "paid 1", "all 1"]
    assert report.updated == 130


def test_a_payment_that_slips_over_the_edge_of_two_pages_is_found(three_pages: Books) -> None:
    three_pages.sandbox.faults.quirks = Quirks(last_modified_ignores_payments=True)
    for id_ in three_pages.of_type("invoice"):
        three_pages.served.set_payment(id_, "outstanding")
    three_pages.sync()
    unpaid = three_pages.of_type("invoice")
    for id_ in unpaid[: MAX_PAGE_SIZE + 10]:
        three_pages.served.pay(id_)

    def take_one_back_and_pay_another() -> None:
        three_pages.served.set_payment(unpaid[0], "outstanding")
        three_pages.served.pay(unpaid[MAX_PAGE_SIZE + 20])

    three_pages.sandbox.faults.after_page(1, take_one_back_and_pay_another, listing="paid")
    assert three_pages.sync(full=False).mode == "incremental"
    slipped = unpaid[MAX_PAGE_SIZE]  # the first of the second page, until the one before it left
    assert '"payment_status": "paid"' in three_pages.stored(slipped).text


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(last_modified_omits_new=True)], ids=["found", "not modified"])
def test_more_than_a_page_of_documents_that_came_overnight_is_read_without_a_full_sync(
    three_pages: Books, quirks: Quirks
) -> None:
    settle(three_pages)
    three_pages.sandbox.faults.quirks = quirks
    for _ in range(130):
        three_pages.served.create()
    report = three_pages.sync(full=False)
    assert (report.mode, report.created) == ("incremental", 130)
    require_truth(three_pages)


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(last_modified_omits_new=True)], ids=["found", "not modified"])
def test_a_new_document_that_bears_a_date_of_years_ago_is_found(three_pages: Books, quirks: Quirks) -> None:
    settle(three_pages)
    three_pages.sandbox.faults.quirks = quirks
    created = three_pages.served.create(invoice_date="2019-01-02", fulfillment_date="2019-01-02")
    report = three_pages.sync(full=False)
    assert (report.mode, report.created) == ("incremental", 1)
    assert created["id"] in three_pages.live()


@pytest.mark.parametrize("lookback", [timedelta(0), timedelta(days=7)], ids=["none", "a week"])
def test_it_asks_from_the_watermark_on_less_the_lookback_and_the_time_zones_of_the_world(
    one_page: Books, lookback: timedelta
) -> None:
    settle(one_page)
    since = watermark(one_page) - lookback - MARGIN
    one_page.sync(full=False, lookback=lookback)
    assert told(one_page.sandbox, "last_modified_date") == [f"{since:%Y-%m-%d %H:%M:%S}"]
    assert told(one_page.sandbox, "paid_start_date") == [f"{since:%Y-%m-%d}"]


def test_without_a_lookback_nothing_is_missed_either(one_page: Books) -> None:
    settle(one_page)
    old = one_page.of_type("invoice")[-1]
    one_page.served.change(old, comment="módosítva")
    one_page.served.pay(old)
    one_page.served.create()
    report = one_page.sync(full=False, lookback=timedelta(0))
    assert (report.mode, report.created, report.updated) == ("incremental", 1, 1)
    require_truth(one_page)


def test_the_watermark_moves_to_the_clock_of_the_api_before_the_first_question(
    one_page: Books, sandbox: SandboxServer
) -> None:
    ahead = timedelta(hours=3)
    settle(one_page)
    sandbox.faults.quirks = Quirks(clock_skew_seconds=ahead.total_seconds())
    started = datetime.now(UTC).replace(microsecond=0)
    stored: list[datetime] = []
    report = one_page.sync(full=False, on_page=lambda _: stored.append(datetime.now(UTC)))
    assert report.watermark == watermark(one_page)
    assert started + ahead <= watermark(one_page) <= stored[0] + ahead


def test_the_state_tells_the_run_the_total_and_that_not_everything_was_listed(one_page: Books) -> None:
    settle(one_page)
    query = "SELECT full_synced_at FROM billingo.sync_state WHERE company_id = :company"
    listed = one_page.value(query)
    one_page.served.create()
    one_page.sync(full=False, run_id="2b7e")
    state = one_page.state()
    assert state is not None
    assert (state.run_id, state.api_total, state.mode) == ("2b7e", 62, "incremental")
    assert one_page.value(query) == listed


@pytest.mark.parametrize("listing", ["modified", "paid", "all"])
def test_a_failed_sync_moves_no_watermark_and_the_next_asks_from_where_it_would_have(
    one_page: Books, sandbox: SandboxServer, listing: Any
) -> None:
    settle(one_page)
    before = one_page.state()
    one_page.served.change(one_page.of_type("invoice")[-1], comment="módosítva")
    sandbox.faults.add(Fault(kind="status", listing=listing, times=None))
    with pytest.raises(UnavailableError):
        one_page.fetch(full=False)
    assert one_page.state() == before
    sandbox.faults.clear()
    one_page.sync(full=False)
    assert len(set(told(sandbox, "last_modified_date"))) == 1
    require_truth(one_page)


def test_a_deleted_draft_makes_it_a_full_sync_that_says_why(one_page: Books) -> None:
    settle(one_page)
    one_page.served.delete(one_page.of_type("draft")[0])
    report = one_page.sync(full=False)
    assert (report.mode, report.deleted) == ("full", 1)
    assert report.reason == "Billingo counts 60 documents, 61 were held"
    require_truth(one_page)


def test_a_document_that_was_lost_here_makes_it_a_full_sync_that_says_why(one_page: Books) -> None:
    settle(one_page)
    lost = one_page.of_type("invoice")[-1]
    one_page.rows("DELETE FROM billingo.raw_invoices WHERE company_id = :company AND document_id = :id", id=lost)
    # All of its documents are among the newest hundred: the loss is made good before anything is counted.
    assert one_page.sync(full=False).mode == "incremental"
    require_truth(one_page)


def test_a_document_that_was_lost_beyond_the_newest_page_makes_it_a_full_sync(three_pages: Books) -> None:
    settle(three_pages)
    lost = three_pages.of_type("invoice")[-1]
    three_pages.rows("DELETE FROM billingo.raw_invoices WHERE company_id = :company AND document_id = :id", id=lost)
    report = three_pages.sync(full=False)
    assert (report.mode, report.created) == ("full", 1)
    assert report.reason == "Billingo counts 282 documents, 281 were held"
    require_truth(three_pages)


def test_a_draft_deleted_and_an_invoice_created_do_not_make_up_for_each_other(three_pages: Books) -> None:
    settle(three_pages)
    three_pages.served.delete(three_pages.of_type("draft")[-1])
    three_pages.served.create()
    report = three_pages.sync(full=False)
    assert (report.mode, report.created, report.deleted) == ("full", 1, 1)
    require_truth(three_pages)


def test_the_sync_after_one_that_became_full_is_incremental_again(one_page: Books) -> None:
    settle(one_page)
    one_page.served.delete(one_page.of_type("draft")[0])
    one_page.sync(full=False)
    one_page.sandbox.requests.clear()
    assert one_page.sync(full=False).mode == "incremental"
    assert questions(one_page.sandbox) == NOTHING_CHANGED


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ("'infinity'", "out of range"),
        ("'-infinity'", "out of range"),
        ("'0001-01-01'", "out of range"),
        ("'294276-12-31'", "out of range"),
        ("now() + interval '1 day'", "later than Billingo's clock"),
    ],
    ids=["infinity", "minus infinity", "year 1", "year 294276", "tomorrow"],
)
def test_a_watermark_that_cannot_be_right_makes_it_a_full_sync_that_says_why(
    one_page: Books, stored: str, reason: str
) -> None:
    settle(one_page)
    one_page.rows(f"UPDATE billingo.sync_state SET watermark = {stored} WHERE company_id = :company")
    started = datetime.now(UTC).replace(microsecond=0)
    report = one_page.sync(full=False)
    assert report.mode == "full"
    assert reason in report.reason
    assert started <= watermark(one_page) <= datetime.now(UTC)


def test_a_watermark_that_is_a_moment_ahead_is_believed(one_page: Books) -> None:
    settle(one_page)
    one_page.rows("UPDATE billingo.sync_state SET watermark = now() + interval '2 minutes' WHERE company_id = :company")
    assert one_page.sync(full=False).mode == "incremental"


def test_a_document_that_was_deleted_and_is_back_is_live_again_without_a_full_sync(one_page: Books) -> None:
    draft = one_page.served.document(one_page.of_type("draft")[0])
    settle(one_page)
    one_page.served.delete(draft["id"])
    one_page.sync(full=False)
    one_page.served.add_raw(draft, counted=True)
    assert one_page.sync(full=False).mode == "incremental"
    require_truth(one_page)
