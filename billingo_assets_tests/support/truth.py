"""What the tables must be after a sync: exactly what the sandbox serves, and nothing else. No tests here."""

from __future__ import annotations

from collections.abc import Set
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import text

from billingo_assets.sandbox import CurrencyTotals, Ledger
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.normalized import count_rows
from billingo_assets.warehouse.sums import sums_by_currency
from billingo_assets_tests.support.books import Books

_EXACT = msgspec.json.Decoder(float_hook=Decimal)

ORPHANS = """
SELECT 'item', invoice_id FROM billingo.invoice_items AS item WHERE company_id = :company AND NOT EXISTS (
    SELECT FROM billingo.invoices WHERE company_id = :company AND id = item.invoice_id AND deleted_at IS NULL)
UNION ALL
SELECT 'link', invoice_id FROM billingo.related_documents AS link WHERE company_id = :company AND NOT EXISTS (
    SELECT FROM billingo.invoices WHERE company_id = :company AND id = link.invoice_id AND deleted_at IS NULL)
UNION ALL
SELECT 'invoice', id FROM billingo.invoices AS invoice WHERE company_id = :company AND NOT EXISTS (
    SELECT FROM billingo.raw_invoices WHERE company_id = :company AND document_id = invoice.id
    AND deleted_at IS NOT DISTINCT FROM invoice.deleted_at)
UNION ALL
SELECT 'document', document_id FROM billingo.raw_invoices AS raw WHERE company_id = :company AND deleted_at IS NULL
    AND NOT EXISTS (SELECT FROM billingo.invoices WHERE company_id = :company AND id = raw.document_id
                    AND content_hash = raw.content_hash AND deleted_at IS NULL)
"""


def content(document: Any) -> Any:
    """What a document says whatever the day: `paid_date` of what is not paid is the day on which it is read."""
    if isinstance(document, dict) and document.get("payment_status") not in ("paid", "partially_paid"):
        return {name: value for name, value in document.items() if name != "paid_date"}
    return document


def held(books: Books) -> Ledger:
    """The tables of a company as the sandbox's ledger would put them; broken documents are not among them."""
    with books.engine.begin() as connection:
        rows = count_rows(connection, DOCUMENTS, books.company.id)
        sums = sums_by_currency(connection, books.company.id)
    types, statuses = (
        books.rows(
            f"SELECT coalesce({column}, ''), count(*) FROM billingo.invoices"
            " WHERE company_id = :company AND deleted_at IS NULL GROUP BY 1 ORDER BY 1"
        )
        for column in ("type", "payment_status")
    )
    return Ledger(
        documents=len(books.live()),
        uncounted=0,
        items=rows["invoice_items"],
        links=books.value("SELECT count(*) FROM billingo.related_documents WHERE company_id = :company"),
        cancelled=books.value(
            "SELECT count(*) FROM billingo.invoices WHERE company_id = :company AND deleted_at IS NULL AND cancelled"
        ),
        by_type=dict(types),
        by_payment_status=dict(statuses),
        currencies={currency: CurrencyTotals(*totals) for currency, totals in sums.items()},
    )


def require_truth(books: Books) -> None:
    """Fail unless every table equals what is served: counts, sums, every document, every line; no orphan is left.

    Not for books that hold documents which are broken on purpose.
    """
    assert held(books) == books.served.ledger()
    require_served(books)
    assert books.value("SELECT count(*) FROM billingo.listings WHERE company_id = :company") == 0


def require_served(books: Books, *, apart_from: Set[int] = frozenset()) -> None:
    """Fail unless every document and every line is held as it is served, and no orphan is left.

    Nothing is said of the documents `apart_from`, nor of those that are served without an id.
    """
    served = {
        document["id"]: content(document)
        for document in books.served.documents()
        if isinstance(document, dict) and "id" in document and document["id"] not in apart_from
    }
    with books.engine.begin() as connection:
        stored = {
            document_id: content(_EXACT.decode(payload))
            for document_id, payload in connection.execute(
                text(
                    "SELECT document_id, payload::text FROM billingo.raw_invoices"
                    " WHERE company_id = :company AND deleted_at IS NULL"
                ),
                {"company": books.company.id},
            )
            if document_id not in apart_from
        }
    assert stored == served
    assert {key: line for key, line in _lines_held(books).items() if key[0] not in apart_from} == {
        (id_, position): tuple(line.get(name) or None for name in ("name", "unit", "vat")) + _amounts(line)
        for id_, document in served.items()
        for position, line in enumerate(document.get("items") or [], 1)
    }
    assert [orphan for orphan in books.rows(ORPHANS) if orphan[1] not in apart_from] == []


def _lines_held(books: Books) -> dict[tuple[int, int], tuple[Any, ...]]:
    rows = books.rows(
        "SELECT invoice_id, position, name, unit, vat, quantity, net_unit_amount, net_amount, vat_amount, gross_amount"
        " FROM billingo.invoice_items WHERE company_id = :company"
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}


def _amounts(line: dict[str, Any]) -> tuple[Any, ...]:
    names = ("quantity", "net_unit_amount", "net_amount", "vat_amount", "gross_amount")
    return tuple(line.get(name) for name in names)
