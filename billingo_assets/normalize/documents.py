"""Turns a batch of documents into the tables of invoices, items and related documents.

`streams.documents` declares the columns, `values` reads one value. This module walks the documents and keeps an
unreadable one from touching the others. Callers fetch documents and write tables.
"""

import operator
from collections.abc import Sequence
from dataclasses import replace
from decimal import localcontext
from typing import Any, NamedTuple

from billingo_assets.normalize.batches import NormalizedBatch, Rejection, Row, TableRows
from billingo_assets.normalize.quick import UnusualError, decoder_of, row_reader, structure_of
from billingo_assets.normalize.reconciling import Totals, agree_exactly, exact_gaps_of
from billingo_assets.normalize.thorough import (
    RejectedError,
    decode_record,
    read_element,
    read_row,
    read_rows,
    sources_of,
)
from billingo_assets.normalize.values import (
    MOST_DIGITS,
    NotUnderstoodError,
    Value,
    is_blank,
    read_list,
)
from billingo_assets.streams.documents import DOCUMENTS, INVOICE_ITEMS, INVOICES, PAID_DATE, RELATED_DOCUMENTS
from billingo_assets.streams.stream import UNREADABLE

ABOUT_INVOICES = (UNREADABLE, "unreconciled_by", "totals_judged")
"""Columns of invoices with the findings of normalization: see `streams.stream.UNREADABLE` and `reconciling.Gaps`."""


COLUMNS_OF_INVOICES = (*INVOICES.column_names, *ABOUT_INVOICES)


def normalize(documents: Sequence[tuple[int, bytes | str]]) -> NormalizedBatch:
    """Turn (document id, JSON text) pairs into tables.

    Each document becomes one row of `invoices` with its items and related documents, in the order given, or
    one rejection; no document content raises. A document is rejected as a whole, so a table never holds
    half of it. The ids of a batch are distinct. Memory grows with the batch: some hundred documents are a good size.
    """
    with localcontext(prec=MOST_DIGITS):
        return _normalize(documents)


def _normalize(documents: Sequence[tuple[int, bytes | str]]) -> NormalizedBatch:
    invoices: list[Row] = []
    items: list[Row] = []
    related: list[Row] = []
    rejections: list[Rejection] = []
    for document_id, text in documents:
        try:
            invoice, item_rows, related_rows, parts = _read(text, document_id)
        except RejectedError as rejected:
            rejections.append(Rejection(document_id, str(rejected)))
            continue
        invoices.append([*invoice, parts, *_gaps(invoice, item_rows, parts)])
        items += [[document_id, position, *row] for position, row in enumerate(item_rows, 1)]
        first_of_each = {row[0]: row for row in reversed(related_rows)}
        related += [[document_id, *row] for row in related_rows if row is first_of_each[row[0]]]
    tables = (
        TableRows(INVOICES.name, COLUMNS_OF_INVOICES, invoices),
        TableRows(INVOICE_ITEMS.name, INVOICE_ITEMS.column_names, items),
        TableRows(RELATED_DOCUMENTS.name, RELATED_DOCUMENTS.column_names, related),
    )
    return NormalizedBatch(tables, rejections)


class _Rows(NamedTuple):
    """The row of an invoice, the rows of its lines and links, and the columns that could not be read."""

    invoice: Row
    items: list[Row]
    related: list[Row]
    unreadable: str | None


def _read(text: bytes | str, document_id: int) -> _Rows:
    """Read one document, the quick way if it has the usual form. Raises RejectedError."""
    try:
        return read_usual(text, document_id)
    except UnusualError:
        return read_thoroughly(text, document_id)


def read_usual(text: bytes | str, document_id: int) -> _Rows:
    """Read a document of the usual form. Raises UnusualError for any other."""
    document = _decode_usual(text)
    if document.document_partner is None:
        document.document_partner = document.partner
    elif document.document_partner == _NOBODY:  # no partner at all, or a partner without data
        raise UnusualError
    if PAID_DATE.runs_in(getattr(document, PAID_DATE.unless)):
        setattr(document, PAID_DATE.field, None)
    _DOCUMENT.complete(document)
    invoice = _INVOICE_ROW.read(document)
    if invoice[0] != document_id:
        raise UnusualError
    related = [_RELATED_ROW.read(one) for one in document.related_documents or ()]
    if any(row[0] is None for row in related):
        raise UnusualError
    return _Rows(invoice, [_ITEM_ROW.read(one) for one in document.items or ()], related, None)


def read_thoroughly(text: bytes | str, document_id: int) -> _Rows:
    """Read any document, checking every value. Raises RejectedError."""
    unreadable: list[str] = []
    document = decode_record(text, DOCUMENTS.noun)
    invoice = _invoice(document, document_id, unreadable)
    items = read_rows(document.get("items"), "items", INVOICE_ITEMS.name, _ITEM_FIELDS, unreadable)
    related = _related(document, unreadable)
    return _Rows(invoice, items, related, ", ".join(dict.fromkeys(unreadable)) or None)


_ITEMS, _LINKS = "items[].", "related_documents[]."
_DOCUMENT = structure_of(
    INVOICES.columns,
    lists={
        "items": structure_of(INVOICE_ITEMS.columns, within=_ITEMS),
        "related_documents": structure_of(RELATED_DOCUMENTS.columns, within=_LINKS),
    },
    partner="document_partner",
)
_NOBODY = _DOCUMENT.empty("document_partner")
_decode_usual = decoder_of(_DOCUMENT)
_INVOICE_ROW = row_reader(INVOICES.columns)
_ITEM_ROW = row_reader(INVOICE_ITEMS.columns, within=_ITEMS)
_RELATED_ROW = row_reader(RELATED_DOCUMENTS.columns, within=_LINKS)


_INVOICE_FIELDS = sources_of(INVOICES.columns)
_INVOICE_FIELDS_DEPRECATED = sources_of(
    replace(column, source=column.source.replace("document_partner.", "partner.")) for column in INVOICES.columns
)
_ITEM_FIELDS = sources_of(INVOICE_ITEMS.columns, within=_ITEMS)
_RELATED_FIELDS = sources_of(RELATED_DOCUMENTS.columns, within=_LINKS)

RELATED = "related_documents"


def _invoice(document: dict[str, Any], document_id: int, unreadable: list[str]) -> Row:
    partner = document.get("document_partner")
    nobody = is_blank(partner) or partner in ([], {})
    if PAID_DATE.runs_in(document.get(PAID_DATE.unless)):
        document.pop(PAID_DATE.field, None)
    row = read_row(document, _INVOICE_FIELDS_DEPRECATED if nobody else _INVOICE_FIELDS, unreadable)
    if row[0] != document_id:
        raise RejectedError(f"id is {row[0]}, not {document_id}, under which the document is stored")
    return row


def _related(document: dict[str, Any], unreadable: list[str]) -> list[Row]:
    """Read each link of a document into a row. Links that cannot be read are left out and noted in `unreadable`."""
    rows: list[Row] = []
    columns: list[str] = []
    try:
        listed = read_list(document.get(RELATED))
    except NotUnderstoodError:
        unreadable.append(RELATED)
        return rows
    for element in listed:
        try:
            rows.append(read_row(read_element(element), _RELATED_FIELDS, columns))
        except (NotUnderstoodError, RejectedError):
            unreadable.append(RELATED)
    unreadable += [f"{RELATED}.{column}" for column in columns]
    return rows


_TOTALS = operator.itemgetter(
    *map(
        INVOICES.column_names.index,
        (
            "gross_total",
            "net_total",
            "vat_total",
            "currency",
            "payment_method",
            "rounding",
            "discount_type",
            "discount_value",
        ),
    )
)
_LINE_GROSS = [column.name for column in INVOICE_ITEMS.columns if column.source.startswith("items[].")].index(
    "gross_amount"
)


def _gaps(invoice: Row, items: list[Row], unreadable: str | None) -> tuple[Value, Value]:
    """By how much the totals fail to reconcile, and whether they could be judged: the last two of ABOUT_INVOICES."""
    lines: list[Any] = [item[_LINE_GROSS] for item in items]
    lines_gross = None if not lines or None in lines else sum(lines)
    totals = Totals._make((*_TOTALS(invoice), len(lines), lines_gross, unreadable))
    if agree_exactly(totals):
        return None, True
    gaps = exact_gaps_of(totals)
    return gaps.unreconciled_by, gaps.are_judged
