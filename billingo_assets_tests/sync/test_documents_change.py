"""What becomes of a document: paid and unpaid, issued, cancelled, modified, shortened, and in forms nobody promised."""

from __future__ import annotations

import dataclasses
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billingo_assets.billingo.errors import IdentityMismatchError
from billingo_assets_tests.support.asked import questions
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import as_json, document, item
from billingo_assets_tests.support.truth import require_truth
from billingo_assets_tests.sync.conftest import OpenBooks

SETTLED = pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])


@pytest.fixture
def synced(three_pages: Books) -> Books:
    """Books that were synced. Their oldest documents are beyond what is read when nothing is known of them."""
    three_pages.sync()
    return three_pages


def column(books: Books, document_id: int, name: str) -> Any:
    invoice = books.invoice(document_id)
    assert invoice is not None
    return getattr(invoice, name)


def old_invoice(books: Books) -> int:
    """The oldest invoice that no other document cancels."""
    return next(id_ for id_ in reversed(books.of_type("invoice")) if not books.served.document(id_)["cancelled"])


@SETTLED
def test_an_invoice_is_paid_then_not_then_in_part(synced: Books, full: bool) -> None:
    id_ = old_invoice(synced)
    found = []
    for status, day in (("paid", date(2026, 7, 1)), ("outstanding", None), ("partially_paid", date(2026, 7, 3))):
        synced.served.set_payment(id_, status, on=day)  # type: ignore[arg-type]
        synced.sync(full=full)
        found.append((column(synced, id_, "payment_status"), column(synced, id_, "paid_date")))
    assert found == [("paid", date(2026, 7, 1)), ("outstanding", None), ("partially_paid", date(2026, 7, 3))]
    require_truth(synced)


def test_a_draft_that_is_issued_in_place_becomes_an_invoice_with_a_number(synced: Books) -> None:
    draft = synced.of_type("draft")[-1]
    issued = synced.served.issue(draft)
    assert synced.sync(full=False).mode == "incremental"
    assert column(synced, draft, "type") == "invoice"
    assert column(synced, draft, "invoice_number") == issued["invoice_number"]
    require_truth(synced)


def test_a_draft_that_is_issued_as_another_document_is_gone_and_the_invoice_is_there(synced: Books) -> None:
    draft = synced.of_type("draft")[-1]
    issued = synced.served.issue(draft, as_new=True)
    report = synced.sync(full=False)
    assert (report.mode, report.created, report.deleted) == ("full", 1, 1)
    assert column(synced, draft, "deleted_at") is not None
    assert column(synced, issued["id"], "deleted_at") is None
    require_truth(synced)


@SETTLED
def test_a_cancelled_invoice_and_the_document_that_cancels_it_cancel_out(synced: Books, full: bool) -> None:
    id_ = old_invoice(synced)
    storno = synced.served.cancel(id_)
    synced.sync(full=full)
    assert column(synced, id_, "cancelled") is True
    assert column(synced, id_, "gross_total") + column(synced, storno["id"], "gross_total") == 0
    links = "SELECT related_invoice_id FROM billingo.related_documents WHERE company_id = :company AND invoice_id = :id"
    assert synced.value(links, id=storno["id"]) == id_
    require_truth(synced)


@SETTLED
def test_a_chain_of_modifications_and_its_cancellation_is_linked_back_to_the_invoice(synced: Books, full: bool) -> None:
    chain = [old_invoice(synced)]
    for _ in range(3):
        chain.append(synced.served.modify(chain[-1])["id"])
        synced.sync(full=full)
    chain.append(synced.served.cancel(chain[-1])["id"])
    synced.sync(full=full)
    rows = synced.rows(
        "SELECT invoice_id, related_invoice_id FROM billingo.related_documents"
        " WHERE company_id = :company AND invoice_id = ANY(:ids)",
        ids=chain[1:],
    )
    assert {tuple(row) for row in rows} == set(zip(chain[1:], chain, strict=False))
    require_truth(synced)


@SETTLED
def test_lines_that_are_taken_from_a_document_leave_no_row_over(synced: Books, full: bool) -> None:
    id_ = next(one["id"] for one in reversed(synced.served.documents()) if len(one["items"]) > 2)
    synced.served.change(id_, mutate=lambda sent: sent["items"].pop(0))
    synced.sync(full=full)
    require_truth(synced)
    synced.served.change(id_, items=[])
    synced.sync(full=full)
    assert synced.items(id_) == []
    require_truth(synced)


UNPROMISED: dict[str, dict[str, Any]] = {
    "a new type": {"type": "digital_waybill"},
    "a new payment method": {"payment_method": "kvantum"},
    "a new payment status": {"payment_status": "in_dispute"},
    "an unknown field": {"carbon_footprint": {"kg": Decimal("12.50")}},
    "null in place of objects and lists": {"organization": None, "document_partner": None, "summary": None},
    "empty text in place of dates": {"invoice_date": "", "due_date": "", "paid_date": ""},
    "numbers as text": {"gross_total": "74924.97", "conversion_rate": "391.25"},
    "amounts of 15 digits": {"gross_total": 123456789012345, "currency": "HUF"},
    "amounts of many decimals": {"gross_total": Decimal("0.123456789012345678901234567890")},
    "net and VAT that do not make gross": {"gross_total": Decimal("1.11")},
    "negative amounts": {"gross_total": Decimal("-74924.97")},
}


@pytest.mark.parametrize("changes", UNPROMISED.values(), ids=UNPROMISED)
def test_what_the_api_did_not_promise_is_data(one_page: Books, changes: dict[str, Any]) -> None:
    sent = document(7, related_documents=[]) | changes
    one_page.served.add_raw(sent, counted=True)
    report = one_page.sync()
    assert (report.created, report.skipped, one_page.quarantine()) == (62, 0, [])
    invoice = one_page.invoice(7)
    assert invoice is not None
    for name in {"type", "payment_method", "payment_status"} & changes.keys():
        assert getattr(invoice, name) == changes[name]
    assert invoice.gross_total == Decimal(sent["gross_total"])


def test_fields_that_are_missing_are_null_and_cost_no_other_field(one_page: Books) -> None:
    bare = {"id": 7, "type": "invoice", "gross_total": 5, "items": [{"name": "Sál"}]}
    one_page.served.add_raw(bare)
    one_page.sync()
    invoice = one_page.invoice(7)
    assert invoice is not None
    assert (invoice.gross_total, invoice.currency, invoice.invoice_date) == (5, None, None)
    assert one_page.items(7) == [(1, "Sál")]


WRONG: dict[str, dict[str, Any]] = {
    "amount": {"gross_total": "12,5"},
    "amount as an object": {"gross_total": {"amount": 1}},
    "date": {"invoice_date": "2026. 01. 31."},
    "date that is none": {"paid_date": "2026-02-30"},
    "boolean": {"cancelled": "maybe"},
    "object": {"summary": [1, 2]},
    "list": {"items": "none"},
    "line": {"items": [item(), 5]},
    "amount in a line": {"items": [item(quantity="sok")]},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_field_of_a_wrong_type_rejects_its_document_alone_until_it_is_right(
    one_page: Books, changes: dict[str, Any]
) -> None:
    one_page.served.add_raw(document(7, related_documents=[]) | changes, counted=True)
    one_page.sync()
    assert [(id_, stage) for id_, stage, _ in one_page.quarantine()] == [(7, "normalize")]
    invoices = one_page.rows("SELECT id FROM billingo.invoices WHERE company_id = :company")
    assert {row.id for row in invoices} == one_page.live() - {7}
    one_page.served.change(7, **document(7, related_documents=[]))
    one_page.sync(full=False)
    assert one_page.quarantine() == []
    require_truth(one_page)


WRONG_AND_OPTIONAL: dict[str, tuple[dict[str, Any], str]] = {
    "link": ({"related_documents": [{"id": None}]}, "related_documents"),
    "id of 20 digits": ({"block_id": 10**20}, "block_id"),
}


@pytest.mark.parametrize(("changes", "column"), WRONG_AND_OPTIONAL.values(), ids=WRONG_AND_OPTIONAL)
def test_a_part_of_a_wrong_type_that_is_not_essential_is_named_until_it_is_right(
    one_page: Books, changes: dict[str, Any], column: str
) -> None:
    one_page.served.add_raw(document(7, related_documents=[]) | changes, counted=True)
    one_page.sync()
    invoice = one_page.invoice(7)
    assert invoice is not None
    assert (one_page.quarantine(), invoice.unreadable) == ([], column)
    one_page.served.change(7, **document(7, related_documents=[]))
    one_page.sync(full=False)
    require_truth(one_page)


EXACT = [
    "123456789012345",
    "999999999999999.99",
    "0.123456789012345678901234567890",
    "-0.000000000000000000000000000001",
    "1e15",
    "1.50",
]


@pytest.mark.parametrize("numeral", EXACT)
def test_an_amount_is_kept_to_its_last_digit_in_every_table(one_page: Books, numeral: str) -> None:
    body = as_json(document(7, related_documents=[], items=[item()]))
    for written in ("74924.97", "24974.99"):
        assert body.count(written) == 1
        body = body.replace(written, numeral)
    one_page.served.add_raw(body.encode(), counted=True)
    one_page.sync()
    line = "SELECT gross_amount FROM billingo.invoice_items WHERE company_id = :company AND invoice_id = 7"
    raw = one_page.value(
        "SELECT (payload ->> 'gross_total')::numeric FROM billingo.raw_invoices"
        " WHERE company_id = :company AND document_id = 7"
    )
    amounts = [raw, column(one_page, 7, "gross_total"), one_page.value(line)]
    assert amounts == [Decimal(numeral)] * 3


def test_totals_that_do_not_add_up_are_kept_as_sent_and_pointed_out(one_page: Books) -> None:
    one_page.served.add_raw(document(7, gross_total=Decimal("75000.00"), related_documents=[]), counted=True)
    one_page.sync()
    invoice = one_page.invoice(7)
    assert invoice is not None
    assert (invoice.gross_total, invoice.net_total, invoice.vat_total) == (
        Decimal("75000.00"),
        Decimal("58996.05"),
        Decimal("15928.92"),
    )
    assert invoice.unreconciled_by == Decimal("75.03")
    require_truth(one_page)


def test_the_same_document_in_two_companies_is_edited_and_deleted_in_each_alone(open_books: OpenBooks) -> None:
    pair = [open_books("ozon-bt"), open_books("arvizturo")]
    for books in pair:
        books.served.add_raw(document(7, type="draft", related_documents=[]), counted=True)
        books.sync()
    pair[0].served.change(7, comment="módosítva")
    pair[1].served.delete(7)
    for books in pair:
        books.sync(full=False)
        require_truth(books)
    assert column(pair[0], 7, "comment") == "módosítva"
    assert pair[1].stored(7).payload["comment"] == "Köszönjük a vásárlást!"


def everything(books: Books) -> list[Any]:
    queries = (
        f"SELECT ctid::text, xmin::text FROM billingo.{table} WHERE company_id = :company ORDER BY ctid"
        for table in ("raw_invoices", "raw_invoice_versions", "invoices", "invoice_items", "sync_state", "listings")
    )
    return [books.rows(query) for query in queries]


@SETTLED
def test_a_key_that_suddenly_opens_the_books_of_another_company_reads_and_writes_nothing(
    open_books: OpenBooks, full: bool
) -> None:
    ours, theirs = open_books("ozon-bt"), open_books("arvizturo")
    ours.sync()
    theirs.sync()
    before = [everything(ours), everything(theirs)]
    mixed_up = dataclasses.replace(ours, served=theirs.served)
    mixed_up.sandbox.requests.clear()
    with pytest.raises(IdentityMismatchError) as mismatch:
        mixed_up.sync(full=full)
    assert (mismatch.value.expected, mismatch.value.found) == (ours.served.tax_code, theirs.served.tax_code)
    assert questions(mixed_up.sandbox) == ["organization"]
    assert [everything(ours), everything(theirs)] == before
