"""Documents that cannot be stored or understood: why, what becomes of the others, and how they come out again."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.sandbox import Fault
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse import normalized
from billingo_assets.warehouse.acceptances import accept_rejected
from billingo_assets.warehouse.rejections import RejectedRecord, open_rejections, reject
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import document

NUL = b'{"id": 7, "comment": "\\u0000"}'
WRONG_AMOUNT = "12,5"

UNSTORABLE = [
    pytest.param(NUL, 7, "NUL character", id="NUL"),
    pytest.param(b'{"comment": "x"}', None, "no usable id", id="no id"),
    pytest.param(b"[1, 2]", None, "not an object", id="not an object"),
    pytest.param(b"null", None, "not an object", id="null"),
    pytest.param(b'{"id": 7, "gross_total": 1e999999}', 7, "out of all proportion", id="absurd number"),
    pytest.param(b'{"id": 7, "comment": "\xff"}', 7, "not well-formed", id="not UTF-8"),
    pytest.param(b'{"id": 7, "comment": "\\ud800"}', 7, "not well-formed", id="lone surrogate"),
    pytest.param(b'{"id": 7, "tags": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 7, "nested too deeply", id="too deep"),
]


@pytest.mark.parametrize(("body", "id_", "reason"), UNSTORABLE)
def test_an_unstorable_document_is_quarantined_for_a_reason(
    books: Books, body: bytes, id_: int | None, reason: str
) -> None:
    books.served.add_raw(body, counted=False)
    report = books.fetch()
    ((found_id, stage, found_reason),) = books.quarantine()
    assert (found_id, stage, report.skipped) == (id_, "fetch", 1)
    assert reason in found_reason


def test_unstorable_documents_keep_no_other_from_its_tables(books: Books) -> None:
    ids = {sent["id"] for sent in books.served.documents()}
    for body in (NUL, b"null", b"{}"):
        books.served.add_raw(body)
    report = books.sync()
    assert {row.id for row in books.rows("SELECT id FROM billingo.invoices")} == ids
    assert (report.created, report.skipped, report.processed) == (282, 3, 285)


def test_two_documents_that_are_alike_and_have_no_id_are_two(books: Books) -> None:
    for _ in range(2):
        books.served.add_raw(b"null")
    report = books.sync()
    assert report.skipped == 2
    assert books.held() == report.api_total == 284


def test_a_document_without_an_id_that_is_shown_again_does_not_make_up_for_one_that_was_not_shown(books: Books) -> None:
    # A page of documents, and one more on a second. In its place, the first is sent again.
    for sent in books.served.documents()[MAX_PAGE_SIZE:]:
        books.served.delete(sent["id"], even_if_issued=True)
    books.served.add_raw(b"null")
    books.sandbox.faults.add(Fault(kind="repeated_page", listing="all", page=2))
    books.fetch()
    assert books.live() == {sent["id"] for sent in books.served.documents() if sent}


def test_a_document_without_an_id_is_not_made_up_for_by_another_that_is_shown_again(books: Books) -> None:
    # One alone is pushed to the second page. The other stands on the third, beside one that is pushed there.
    for sent in books.served.documents()[MAX_PAGE_SIZE + MAX_PAGE_SIZE // 2 :]:
        books.served.delete(sent["id"], even_if_issued=True)
    for body, created in ((b"{}", MAX_PAGE_SIZE), (b"null", MAX_PAGE_SIZE - 1)):
        books.served.add_raw(body)
        for _ in range(created):
            books.served.create()
    for page in (1, 2):
        books.sandbox.faults.after_page(page, books.served.create, listing="all")
    report = books.sync(concurrent_requests=1)
    reasons = [reason for _, _, reason in books.quarantine()]
    assert len(set(reasons)) == len(reasons) == 2
    assert books.held() == report.api_total


def test_a_document_without_an_id_that_is_shown_again_does_not_make_up_for_a_change(books: Books) -> None:
    books.sync()
    for sent in books.served.documents()[:MAX_PAGE_SIZE]:
        books.served.change(sent["id"], comment="changed")
    books.served.add_raw(b"null")
    books.sandbox.faults.add(Fault(kind="repeated_page", listing="modified", page=2))
    books.sync(full=False)
    changed = "SELECT count(*) FROM billingo.raw_invoices WHERE payload ->> 'comment' = 'changed'"
    assert books.value(changed) == MAX_PAGE_SIZE


def test_what_is_held_equals_the_total_of_the_api_with_the_quarantine(books: Books) -> None:
    for body in (NUL, b"null", b"{}"):
        books.served.add_raw(body)
    report = books.sync()
    assert report.watermark is not None
    assert books.held() == report.api_total == 285


def test_an_unstorable_document_is_kept_as_it_was_sent_but_for_what_text_cannot_hold(books: Books) -> None:
    books.served.add_raw(b'{"id": 7, "comment": "\xff", "gross_total": 1.50}')
    books.fetch()
    payload = books.value("SELECT payload FROM billingo.rejected_documents")
    assert payload == '{"id": 7, "comment": "\ufffd", "gross_total": 1.50}'


def test_an_unstorable_version_of_a_known_document_leaves_the_older_one_in_place(books: Books) -> None:
    for body in (NUL, b'{"id": 7, "gross_total": 1e999999}'):
        books.served.add_raw(document(7))
        books.sync()
        payload = books.stored(7).payload
        books.served.delete(7, even_if_issued=True)
        books.served.add_raw(body)
        report = books.sync()
        assert (report.deleted, report.skipped) == (0, 1)
        assert (books.stored(7).payload, books.stored(7).deleted_at) == (payload, None)
        assert books.held() == report.api_total
        books.served.delete(7, even_if_issued=True)


def test_only_the_newest_unstorable_version_of_a_document_is_in_quarantine(books: Books) -> None:
    books.served.add_raw(NUL)
    books.fetch()
    books.served.delete(7, even_if_issued=True)
    books.served.add_raw(b'{"id": 7, "gross_total": 1e999999}')
    books.fetch()
    assert [id_ for id_, _, _ in books.quarantine()] == [7]


def test_an_unstorable_document_stays_in_quarantine_as_one_row_while_it_is_served(books: Books) -> None:
    books.served.add_raw(NUL)
    books.fetch()
    first_seen, last_seen = books.rows("SELECT first_seen_at, last_seen_at FROM billingo.rejected_documents")[0]
    books.fetch()
    (again,) = books.rows("SELECT first_seen_at, last_seen_at FROM billingo.rejected_documents")
    assert again.first_seen_at == first_seen
    assert again.last_seen_at > last_seen


@pytest.mark.parametrize("sound", [True, False], ids=["sound again", "deleted"])
def test_an_unstorable_document_leaves_quarantine_when_it_is_sound_or_gone(books: Books, sound: bool) -> None:
    books.served.add_raw(NUL)
    books.fetch()
    books.served.delete(7, even_if_issued=True)
    if sound:
        books.served.add_raw(document(7))
    books.fetch()
    assert books.quarantine() == []
    assert (7 in books.live()) == sound


def test_an_unstorable_document_leaves_quarantine_when_an_incremental_sync_finds_it_sound(books: Books) -> None:
    books.served.add_raw(NUL)
    books.sync()
    books.served.delete(7, even_if_issued=True)
    books.served.add_raw(document(7))
    assert books.sync(full=False).mode == "incremental"
    assert (books.quarantine(), 7 in books.live()) == ([], True)


def broken(books: Books, **changes: Any) -> None:
    """Serve a document that can be stored but not be understood."""
    books.served.add_raw(document(7, gross_total=WRONG_AMOUNT, **changes))


def test_a_wrong_amount_is_stored_but_quarantined_with_the_field_and_the_value(books: Books) -> None:
    broken(books)
    books.sync()
    ((id_, stage, reason),) = books.quarantine()
    assert (id_, stage) == (7, "normalize")
    assert 'gross_total is "12,5"' in reason
    assert books.stored(7).payload["gross_total"] == WRONG_AMOUNT


def test_a_wrong_amount_that_is_served_again_is_seen_again(books: Books) -> None:
    books.served.create(gross_total=WRONG_AMOUNT)
    seen = "SELECT last_seen_at - first_seen_at FROM billingo.rejected_documents"
    books.sync()
    first = books.value(seen)
    books.sync()
    assert books.value(seen) > first


def test_a_wrong_amount_leaves_no_row_in_any_table(books: Books) -> None:
    broken(books)
    books.sync()
    assert books.invoice(7) is None
    assert books.items(7) == []


def test_a_wrong_amount_in_a_later_version_leaves_the_tables_at_the_former_one(books: Books) -> None:
    books.served.add_raw(document(7))
    books.sync()
    items = books.items(7)
    books.served.change(7, gross_total=WRONG_AMOUNT, items=[])
    books.sync()
    invoice = books.invoice(7)
    assert invoice is not None
    assert (invoice.gross_total, invoice.deleted_at, books.items(7)) == (Decimal("74924.97"), None, items)


def test_a_rejected_document_is_not_tried_again_with_nothing_new(books: Books) -> None:
    broken(books)
    books.sync()
    report = books.refresh()
    assert (report.records, report.rejected) == (0, 0)
    assert len(books.quarantine()) == 1


def test_a_document_that_was_accepted_stays_in_quarantine_and_is_new_once_its_content_changes(books: Books) -> None:
    broken(books)
    books.served.add_raw(document(8) | {"comment": "a\0b"})
    books.sync()
    with books.engine.begin() as connection:
        assert sorted(accept_rejected(connection, books.company.id, actor="anna"), key=str) == [7, 8]
    assert unaccepted(books) == []
    books.sync()  # the same again
    assert (unaccepted(books), len(books.quarantine())) == ([], 2)
    books.served.change(7, comment="changed")
    books.served.add_raw(document(9) | {"comment": "a\0b"})
    books.sync()
    assert (unaccepted(books), len(books.quarantine())) == ([7, 9], 3)


def test_another_spelling_of_what_was_accepted_is_still_accepted(books: Books) -> None:
    broken(books)
    books.sync()
    with books.engine.begin() as connection:
        accept_rejected(connection, books.company.id, actor="anna")
    sent = books.served.document(7)
    books.served.delete(7, even_if_issued=True)
    books.served.add_raw(dict(reversed(sent.items())))
    before = books.stored(7).content_hash
    books.sync()
    assert books.stored(7).content_hash != before
    assert (unaccepted(books), len(books.quarantine())) == ([], 1)


def unaccepted(books: Books) -> list[int | None]:
    """The documents in quarantine that nobody has accepted."""
    with books.engine.begin() as connection:
        found = open_rejections(connection, DOCUMENTS, books.company.id)
    return [one.document_id for one in found if one.accepted_at is None]


@pytest.mark.parametrize("sound", [True, False], ids=["sound again", "deleted"])
def test_a_rejected_document_leaves_quarantine_when_it_is_sound_or_gone(books: Books, sound: bool) -> None:
    broken(books)
    books.sync()
    if sound:
        books.served.change(7, gross_total=1)
    else:
        books.served.delete(7, even_if_issued=True)
    books.sync()
    assert books.quarantine() == []
    assert (books.invoice(7) is not None) == sound


def test_a_rejected_version_that_is_deleted_takes_the_former_row_with_it(books: Books) -> None:
    books.served.add_raw(document(7))
    books.sync()
    books.served.change(7, gross_total=WRONG_AMOUNT)
    books.sync()
    books.served.delete(7, even_if_issued=True)
    books.sync()
    invoice = books.invoice(7)
    assert invoice is not None
    assert invoice.deleted_at is not None
    assert books.items(7) == []


NEW_RULES = replace(DOCUMENTS, normalizer_version=1_000)


def test_new_rules_judge_a_rejected_document_anew(books: Books) -> None:
    broken(books)
    books.sync()
    assert books.refresh(NEW_RULES).rejected == 1
    assert books.value("SELECT normalizer_version FROM billingo.rejected_documents") == 1_000


def test_a_document_that_older_rules_rejected_leaves_quarantine_when_these_understand_it(books: Books) -> None:
    books.served.add_raw(document(7))
    books.fetch()
    former = RejectedRecord(books.stored(7).content_hash, 7, "not understood", "{}", normalizer_version=0)
    with books.engine.begin() as connection:
        reject(connection, DOCUMENTS, books.company.id, "normalize", [former])
    books.refresh()
    assert books.quarantine() == []
    assert books.invoice(7) is not None


def test_new_rules_normalize_every_document_again_and_once(books: Books) -> None:
    books.sync()
    books.served.delete(books.of_type("draft")[0])
    books.sync()
    assert [books.refresh(NEW_RULES).records, books.refresh(NEW_RULES).records] == [282, 0]


def test_a_refresh_in_batches_gives_the_same_rows(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = "SELECT * FROM billingo.invoice_items ORDER BY invoice_id, position"
    books.sync()
    at_once = books.rows(everything)
    books.rows("TRUNCATE billingo.invoices, billingo.invoice_items, billingo.related_documents")
    monkeypatch.setattr(normalized, "BATCH_RECORDS", 7)
    assert books.refresh().records == 282
    assert books.rows(everything) == at_once


def test_one_without_an_id_that_is_shown_on_two_pages_is_one(books: Books) -> None:
    books.served.add_raw(b"null")
    for _ in range(99):
        books.served.create()
    books.sandbox.faults.after_page(1, lambda: [books.served.create() for _ in range(2)], company=books.served.key)
    report = books.sync(concurrent_requests=1)
    assert len(books.quarantine()) == 1
    assert books.held() == report.api_total
