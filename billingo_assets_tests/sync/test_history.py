"""What a document looked like on a day: every content that was superseded is kept, and nothing else is."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from sqlalchemy import Row

from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import document
from billingo_assets_tests.support.truth import require_truth

DAY = date(2026, 7, 1)


@pytest.fixture
def synced(one_page: Books) -> Books:
    """Books with document 7, a draft, among them."""
    one_page.served.add_raw(document(7, type="draft", comment="első", related_documents=[]), counted=True)
    one_page.sync()
    return one_page


def history(books: Books, document_id: int = 7) -> list[Row[Any]]:
    """Every content of a document, the oldest first."""
    return books.rows(
        "SELECT version, payload, valid_from, valid_to FROM billingo.raw_invoice_history"
        " WHERE company_id = :company AND document_id = :id ORDER BY version",
        id=document_id,
    )


def versions(books: Books) -> int:
    count: int = books.value("SELECT count(*) FROM billingo.raw_invoice_versions WHERE company_id = :company")
    return count


def now(books: Books) -> datetime:
    moment: datetime = books.value("SELECT clock_timestamp()")
    return moment


def comment_at(books: Books, moment: datetime) -> list[str]:
    """What the comment of document 7 was at a moment; nothing while it was not there."""
    rows = books.rows(
        "SELECT payload ->> 'comment' FROM billingo.raw_invoice_history"
        " WHERE company_id = :company AND document_id = 7 AND valid_from <= :moment"
        " AND (valid_to IS NULL OR valid_to > :moment)",
        moment=moment,
    )
    return [comment for (comment,) in rows]


def say(books: Books, comment: str) -> datetime:
    """Change the comment of document 7, sync, and return a moment at which it was stored."""
    books.served.change(7, comment=comment)
    books.sync(full=False)
    return now(books)


def test_a_first_sync_writes_one_content_of_each_document_and_none_that_is_superseded(synced: Books) -> None:
    assert versions(synced) == 0
    (only,) = history(synced)
    assert (only.version, only.valid_to) == (1, None)


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_document_that_has_not_changed_gets_no_version(synced: Books, full: bool) -> None:
    synced.sync(full=full)
    assert versions(synced) == 0


def test_every_superseded_content_is_kept_as_it_was_sent(synced: Books) -> None:
    for comment in ("második", "harmadik"):
        say(synced, comment)
    assert [(row.version, row.payload["comment"]) for row in history(synced)] == [
        (1, "első"),
        (2, "második"),
        (3, "harmadik"),
    ]
    assert history(synced)[0].payload == {**history(synced)[2].payload, "comment": "első"}


def test_one_content_ends_when_the_next_begins_and_the_last_has_no_end(synced: Books) -> None:
    for comment in ("második", "harmadik", "negyedik"):
        say(synced, comment)
    rows = history(synced)
    assert [row.valid_to for row in rows] == [*(row.valid_from for row in rows[1:]), None]
    assert all(row.valid_from < row.valid_to for row in rows[:-1])


def test_what_a_document_looked_like_at_a_moment_is_one_content_or_none(synced: Books) -> None:
    before = synced.value("SELECT min(first_synced_at) - interval '1 s' FROM billingo.raw_invoices")
    moments = [before, now(synced), say(synced, "második"), say(synced, "harmadik")]
    assert [comment_at(synced, moment) for moment in moments] == [[], ["első"], ["második"], ["harmadik"]]


def test_the_moment_a_document_became_paid_is_that_of_the_sync_that_first_saw_it(synced: Books) -> None:
    invoice = synced.of_type("invoice")[-1]
    synced.served.set_payment(invoice, "outstanding")
    synced.sync(full=False)
    before = now(synced)
    synced.served.pay(invoice, on=DAY)
    synced.sync(full=False)
    after = now(synced)
    synced.served.change(invoice, comment="később")
    synced.sync(full=False)
    paid_from = min(
        row.valid_from
        for row in history(synced, invoice)
        if row.payload["payment_status"] == "paid" and row.payload["paid_date"] == DAY.isoformat()
    )
    assert before < paid_from < after


def test_a_deleted_document_has_no_content_from_then_on(synced: Books) -> None:
    alive = now(synced)
    synced.served.delete(7)
    synced.sync()
    assert (comment_at(synced, alive), comment_at(synced, now(synced))) == (["első"], [])
    (only,) = history(synced)
    assert only.valid_to == synced.stored(7).deleted_at


def test_a_document_that_comes_back_leaves_the_time_it_was_gone_empty(synced: Books) -> None:
    sent = synced.served.document(7)
    alive = now(synced)
    synced.served.delete(7)
    synced.sync()
    gone = now(synced)
    synced.served.add_raw(sent, counted=True)
    synced.sync()
    assert [comment_at(synced, moment) for moment in (alive, gone, now(synced))] == [["első"], [], ["első"]]
    assert [row.version for row in history(synced)] == [1, 2]
    require_truth(synced)


def test_a_document_that_comes_back_changed_shows_both_contents(synced: Books) -> None:
    sent = synced.served.document(7)
    synced.served.delete(7)
    synced.sync()
    synced.served.add_raw({**sent, "comment": "vissza"}, counted=True)
    synced.sync()
    first, second = history(synced)
    assert (first.payload["comment"], second.payload["comment"]) == ("első", "vissza")
    assert first.valid_to < second.valid_from


def test_a_document_that_is_gone_for_several_syncs_gets_no_version_by_them(synced: Books) -> None:
    synced.served.delete(7)
    for _ in range(3):
        synced.sync()
    assert versions(synced) == 0


SPELLINGS = {
    "a number": b'{"id": 8, "conversion_rate": 1.0, "gross_total": 10.5, "comment": "\xc3\xa1"}',
    "the order of fields": b'{"comment": "\xc3\xa1", "gross_total": 10.50, "conversion_rate": 1, "id": 8}',
    "an escaped letter": b'{"id": 8, "conversion_rate": 1, "gross_total": 10.50, "comment": "\\u00e1"}',
    "white space": b'{"id":8,"conversion_rate":1,\n"gross_total":10.50,"comment":"\xc3\xa1"}',
    "an exponent": b'{"id": 8, "conversion_rate": 1, "gross_total": 1.050e1, "comment": "\xc3\xa1"}',
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_another_spelling_of_the_same_content_is_no_version(one_page: Books, spelling: bytes, full: bool) -> None:
    one_page.served.add_raw(b'{"id": 8, "conversion_rate": 1, "gross_total": 10.50, "comment": "\xc3\xa1"}')
    one_page.sync()
    one_page.served.delete(8, even_if_issued=True)
    one_page.served.add_raw(spelling)
    assert one_page.sync(full=full).updated == 0
    assert versions(one_page) == 0


def test_a_content_that_returns_to_what_it_was_is_a_version_of_its_own(synced: Books) -> None:
    for comment in ("második", "első"):
        say(synced, comment)
    assert [row.payload["comment"] for row in history(synced)] == ["első", "második", "első"]


def test_a_version_that_cannot_be_understood_is_kept_all_the_same(synced: Books) -> None:
    synced.served.change(7, gross_total="12,5")
    synced.sync()
    synced.served.change(7, gross_total=5)
    synced.sync()
    assert [row.payload["gross_total"] for row in history(synced)][1:] == ["12,5", 5]


def test_the_versions_of_one_company_are_no_others(synced: Books, open_books: Any) -> None:
    other = open_books("arvizturo")
    other.served.add_raw(document(7, related_documents=[]), counted=True)
    other.sync()
    say(synced, "második")
    other.sync(full=False)
    assert (versions(synced), versions(other)) == (1, 0)
