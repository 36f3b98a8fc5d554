"""A full sync that was killed goes on where it stood; what happened while it was down is not missed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.errors import UnavailableError
from billingo_assets.errors import EmptyAnswerError
from billingo_assets.sandbox import Fault, SandboxServer, World
from billingo_assets.settings import load_settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.listings import ListingState, begin_listing
from billingo_assets_tests.support.aftermath import asked, recover
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.patience import PATIENCE_SECONDS
from billingo_assets_tests.support.truth import require_truth
from billingo_assets_tests.support.victim import kill_a_sync, sync_as_the_assets_do


@pytest.fixture(autouse=True)
def _settings(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_API_URL", sandbox.url)
    monkeypatch.setenv("BILLINGO_REQUESTS_PER_MINUTE", "0")
    monkeypatch.setenv("BILLINGO_CONCURRENT_REQUESTS", "1")
    load_settings.cache_clear()


def kill_after_page(books: Books, page: int, *, full: bool = False) -> None:
    """The next page does not arrive, so that the last one stored is this one for sure."""
    books.sandbox.faults.add(Fault(kind="stall", page=page + 1, seconds=PATIENCE_SECONDS))
    kill_a_sync(books.company.key, at=(f"page {page}",), full=full)
    books.sandbox.faults.clear()


def make_older(books: Books, hours: int) -> None:
    """Let the listing that was left have begun so long ago."""
    books.rows(
        "UPDATE billingo.listings SET begun_at = begun_at - make_interval(hours => :hours) WHERE company_id = :company",
        hours=hours,
    )


def pages_asked(books: Books) -> list[str]:
    """The pages of the listing of all documents, in order."""
    return [what for what in asked(books) if what.isdecimal()]


WENT_ON_AFTER_PAGE_2 = ["1", "3", "1"]
"""What has arrived meanwhile, the page that was missing, what has arrived since."""
BEGAN_AGAIN = ["1", "1", "2", "3", "1"]
"""What has arrived meanwhile, which shows that a document has gone; every page; what has arrived since."""


@pytest.mark.parametrize(("page", "missing"), [(1, ["2", "3"]), (2, ["3"])])
def test_only_the_missing_pages_and_what_has_changed_are_asked_for(books: Books, page: int, missing: list[str]) -> None:
    kill_after_page(books, page)
    recover(books)
    changes = ["last_modified_date 1", "paid_start_date 1"]
    assert asked(books) == ["organization", "1", *missing, *changes, "1"]


def test_no_page_is_asked_for_again_where_all_were_stored(books: Books) -> None:
    kill_after_page(books, 3)
    recover(books)
    assert not {"2", "3"} & set(pages_asked(books))


def test_each_attempt_goes_on_where_the_one_before_it_was_killed(books: Books) -> None:
    kill_after_page(books, 1)
    kill_after_page(books, 2)
    recover(books)
    assert pages_asked(books) == WENT_ON_AFTER_PAGE_2


def test_a_full_sync_of_a_company_that_was_synced_goes_on_too(books: Books) -> None:
    sync_as_the_assets_do(books.company.key)
    kill_after_page(books, 2, full=True)
    recover(books, full=True)
    assert pages_asked(books) == WENT_ON_AFTER_PAGE_2


def test_documents_created_while_it_was_down_are_caught_up(books: Books) -> None:
    kill_after_page(books, 2)
    created = {books.served.create()["id"] for _ in range(3)}
    recover(books)
    assert pages_asked(books) == WENT_ON_AFTER_PAGE_2
    assert created <= books.live()


def change(books: Books, document_id: int) -> None:
    books.served.change(document_id, comment="módosítva", items=[])


def pay(books: Books, document_id: int) -> None:
    books.served.set_payment(document_id, "outstanding")
    books.served.pay(document_id)


def cancel(books: Books, document_id: int) -> None:
    books.served.change(document_id, type="invoice", cancelled=False)
    books.served.cancel(document_id)


@pytest.mark.parametrize(("mutation", "place"), [(change, 50), (change, 150), (change, 250), (pay, 150), (cancel, 150)])
def test_a_document_changed_while_it_was_down_is_stored_as_it_is_now(
    books: Books, mutation: Callable[[Books, int], None], place: int
) -> None:
    kill_after_page(books, 2)
    mutation(books, books.served.documents()[place]["id"])
    recover(books)
    assert pages_asked(books) == WENT_ON_AFTER_PAGE_2


def delete_newest(books: Books) -> None:
    books.served.delete(books.of_type("draft")[0])


def delete_unread(books: Books) -> None:
    books.served.delete(books.served.documents()[-1]["id"], even_if_issued=True)


def replace_one(books: Books) -> None:
    delete_newest(books)
    books.served.create()


def create_a_page(books: Books) -> None:
    for _ in range(110):
        books.served.create()


@pytest.mark.parametrize("mutation", [delete_newest, delete_unread, replace_one, create_a_page])
def test_it_begins_again_where_one_was_deleted_or_more_than_a_page_created(
    books: Books, mutation: Callable[[Books], None]
) -> None:
    kill_after_page(books, 2)
    mutation(books)
    recover(books)
    assert [page for page in pages_asked(books) if page != "4"] == BEGAN_AGAIN


@pytest.mark.parametrize("mutation", [delete_newest, replace_one])
def test_a_document_deleted_while_it_was_down_is_marked(books: Books, mutation: Callable[[Books], None]) -> None:
    draft = books.of_type("draft")[0]
    kill_after_page(books, 2)
    mutation(books)
    recover(books)
    assert books.stored(draft).deleted_at is not None


@pytest.mark.parametrize("mutation", [delete_newest, replace_one])
def test_a_document_deleted_while_it_goes_on_costs_no_other(
    books: Books, sandbox: SandboxServer, mutation: Callable[[Books], None]
) -> None:
    kill_after_page(books, 1)
    # One of the third page slips onto the second, unread.
    recover(books, prepare=lambda: sandbox.faults.after_page(2, lambda: mutation(books), listing="all"))
    assert pages_asked(books) == ["1", "2", "3", "1", "1", "2", "3", "1"]


def test_a_listing_of_yesterday_is_not_gone_on_with(books: Books) -> None:
    kill_after_page(books, 2)
    make_older(books, hours=25)
    recover(books)
    assert pages_asked(books) == ["1", "2", "3", "1"]


def test_a_listing_of_less_than_a_day_ago_is_gone_on_with(books: Books) -> None:
    kill_after_page(books, 2)
    make_older(books, hours=23)
    recover(books)
    assert pages_asked(books) == WENT_ON_AFTER_PAGE_2


def test_the_watermark_is_the_clock_before_the_first_page_was_read(
    books: Books, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_after_page(books, 2)
    begun_at = books.value("SELECT started_at FROM billingo.listings WHERE company_id = :company")
    monkeypatch.setattr(world, "clock", lambda: time.time() + 7_200)
    assert recover(books).watermark == begun_at


def test_a_listing_that_an_incremental_sync_made_obsolete_is_not_gone_on_with(books: Books) -> None:
    sync_as_the_assets_do(books.company.key)
    kill_after_page(books, 2, full=True)
    assert recover(books).mode == "incremental"
    recover(books, full=True)
    assert pages_asked(books) == ["1", "2", "3", "1"]


@pytest.mark.parametrize("synced", [False, True], ids=["the first sync", "a later one"])
def test_a_listing_that_was_told_of_documents_which_have_gone_is_not_gone_on_with(books: Books, synced: bool) -> None:
    if synced:
        books.sync()
    imported: list[int] = []

    def import_drafts() -> None:
        imported.extend(books.served.create(type="draft")["id"] for _ in range(2 * MAX_PAGE_SIZE))

    # Page 2 shows half of them in place of as many others: the numbers agree.
    books.sandbox.faults.after_page(1, import_drafts, listing="all")
    books.sandbox.faults.add(Fault(kind="status", status=500, page=3, listing="all", times=None))
    with pytest.raises(UnavailableError):
        books.fetch(concurrent_requests=1)
    books.sandbox.faults.clear()
    for id_ in imported:
        books.served.delete(id_)
    books.sync()
    require_truth(books)


def test_a_listing_of_no_document_is_not_gone_on_with(books: Books) -> None:
    books.sync()
    for id_ in books.live():
        books.served.delete(id_, even_if_issued=True)
    # What a sync that was to believe it leaves, when it dies at its beginning.
    with books.engine.begin() as connection:
        begin_listing(connection, DOCUMENTS, books.company.id, ListingState(datetime.now(UTC), total=0, next_page=2))
    with pytest.raises(EmptyAnswerError):
        books.sync(full=False)
