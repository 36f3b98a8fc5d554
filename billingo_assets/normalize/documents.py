"""A batch of documents to tables of invoices, items and related documents.

Which column comes from where is said in `streams.documents`, how a value is read in `values`; this module walks the
documents and keeps a broken one from touching the others. Where documents come from and where tables go
is the caller's business.
"""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any, NamedTuple

import msgspec

from billingo_assets.normalize.content import PAID_DATE, PAYMENT_STATUS, follows_clock
from billingo_assets.normalize.reconciling import Gaps, Totals, gaps_of
from billingo_assets.normalize.values import (
    INTEGER,
    MOST_DIGITS,
    READERS,
    NotUnderstoodError,
    Reader,
    Value,
    is_blank,
    read_code,
    read_list,
    read_object,
    required,
    type_of,
)
from billingo_assets.streams.documents import INVOICE_ITEMS, INVOICES, RELATED_DOCUMENTS
from billingo_assets.streams.stream import UNREADABLE, Column

Row = list[Value]
"""One row of a table: str, int, Decimal, date, bool or None, as a database driver takes them."""


class _Field(NamedTuple):
    """The place of a column in its row, its key in the object that holds it, how to read what is there, its name.

    `is_essential`: a row cannot do without.
    """

    place: int
    key: str
    read: Reader
    column: str
    is_essential: bool


class _Source(NamedTuple):
    """An object within a document, the way to it from the root, and the columns that are read from it."""

    path: tuple[str, ...]
    fields: list[_Field]

    @property
    def is_essential(self) -> bool:
        """Whether a row cannot do without this object."""
        return any(field.is_essential for field in self.fields)


class Rejection(NamedTuple):
    """A document that could not be normalized, and why: a sentence for people that quotes no text field."""

    document_id: int
    reason: str


ABOUT_INVOICES = (UNREADABLE, "unreconciled_by", "totals_judged")
"""Columns of invoices that say what normalization found: see `streams.stream.UNREADABLE` and `reconciling.Gaps`."""


COLUMNS_OF_INVOICES = (*INVOICES.column_names, *ABOUT_INVOICES)
COLUMNS_OF_ITEMS = INVOICE_ITEMS.column_names
COLUMNS_OF_RELATED = RELATED_DOCUMENTS.column_names


@dataclass(frozen=True, slots=True, eq=False)
class NormalizedBatch:
    """The rows that one batch makes in three tables, and the documents that make none.

    Their values are in the order of COLUMNS_OF_INVOICES, COLUMNS_OF_ITEMS and COLUMNS_OF_RELATED. The first value of
    each row is the id of its document.
    """

    invoices: list[Row]
    items: list[Row]
    related: list[Row]
    rejections: list[Rejection]


class _RejectedError(ValueError):
    """The reason why a document is rejected."""


def normalize(documents: Sequence[tuple[int, bytes | str]]) -> NormalizedBatch:
    """Turn (document id, JSON text) pairs into tables.

    Each document becomes one row of `invoices` with its items and related documents, in the order given, or
    one rejection; nothing in a document raises. A document is rejected whole, so that a table never holds
    half of it. The ids of a batch are distinct. Memory grows with the batch: 1,000 documents are a good size.
    """
    with localcontext(prec=MOST_DIGITS):
        return _normalize(documents)


def _normalize(documents: Sequence[tuple[int, bytes | str]]) -> NormalizedBatch:
    invoices: list[Row] = []
    items: list[Row] = []
    related: list[Row] = []
    rejections: list[Rejection] = []
    for document_id, text in documents:
        unreadable: list[str] = []
        try:
            document = _decode(text)
            invoice = _invoice(document, document_id, unreadable)
            item_rows = _items(document, unreadable)
            related_rows = _related(document, unreadable)
        except _RejectedError as rejected:
            rejections.append(Rejection(document_id, str(rejected)))
            continue
        parts = ", ".join(dict.fromkeys(unreadable)) or None
        gaps = _gaps(invoice, item_rows, parts)
        invoices.append([*invoice, parts, gaps.unreconciled_by, gaps.are_judged])
        items += [[document_id, position, *row] for position, row in enumerate(item_rows, 1)]
        first_of_each = {row[0]: row for row in reversed(related_rows)}
        related += [[document_id, *row] for row in related_rows if row is first_of_each[row[0]]]
    return NormalizedBatch(invoices, items, related, rejections)


def _sources(columns: Iterable[Column], within: str = "") -> tuple[int, list[_Source]]:
    """Group the columns whose source lies within a prefix by the object that holds them; how many there are."""
    chosen = [column for column in columns if column.source.startswith(within)]
    fields: dict[tuple[str, ...], list[_Field]] = {}
    for place, column in enumerate(chosen):
        read = read_code if column.is_code else READERS[column.kind]
        if not column.nullable:  # a key, and every key is an integer
            read = required(read, INTEGER)
        *path, key = column.source.removeprefix(within).split(".")
        field = _Field(place, key, read, column.name, column.is_required)
        fields.setdefault(tuple(path), []).append(field)
    return len(chosen), [_Source(path, found) for path, found in fields.items()]


_INVOICE_FIELDS = _sources(INVOICES.columns)
_INVOICE_FIELDS_DEPRECATED = _sources(
    replace(column, source=column.source.replace("document_partner.", "partner.")) for column in INVOICES.columns
)
_ITEM_FIELDS = _sources(INVOICE_ITEMS.columns, within="items[].")
_RELATED_FIELDS = _sources(RELATED_DOCUMENTS.columns, within="related_documents[].")

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_LISTED = required(read_object, "an object")
RELATED = "related_documents"


def _decode(text: bytes | str) -> dict[str, Any]:
    try:
        document = _DECODER.decode(text)
    except RecursionError:
        raise _RejectedError("the document is nested too deeply to be read") from None
    except InvalidOperation:
        raise _RejectedError("the document holds a number with an exponent too large to be read") from None
    except UnicodeError:
        raise _RejectedError("the document is not valid UTF-8 text") from None
    except msgspec.DecodeError as error:
        raise _RejectedError(f"the document is not readable JSON: {error}") from None
    if type(document) is not dict:
        raise _RejectedError(f"the document is {type_of(document)}, not an object")
    return document


def _invoice(document: dict[str, Any], document_id: int, unreadable: list[str]) -> Row:
    partner = document.get("document_partner")
    nobody = is_blank(partner) or partner in ([], {})
    if follows_clock(document.get(PAYMENT_STATUS)):
        document.pop(PAID_DATE, None)
    row = _row(document, _INVOICE_FIELDS_DEPRECATED if nobody else _INVOICE_FIELDS, unreadable)
    if row[0] != document_id:
        raise _RejectedError(f"id is {row[0]}, not {document_id}, under which the document is stored")
    return row


def _items(document: dict[str, Any], unreadable: list[str]) -> list[Row]:
    """Read the lines of a document, each to a row; they are essential."""
    rows = []
    columns: list[str] = []
    path = "items"
    try:
        for index, element in enumerate(read_list(document.get("items"))):
            path = f"items[{index}]"
            rows.append(_row(_LISTED(element), _ITEM_FIELDS, columns, f"{path}."))
    except NotUnderstoodError as error:
        raise _RejectedError(f"{path} {error}") from None
    unreadable += [f"invoice_items.{column}" for column in columns]
    return rows


def _related(document: dict[str, Any], unreadable: list[str]) -> list[Row]:
    """Read the links of a document to others, each to a row; a document can do without those that cannot be read."""
    rows: list[Row] = []
    columns: list[str] = []
    try:
        listed = read_list(document.get(RELATED))
    except NotUnderstoodError:
        unreadable.append(RELATED)
        return rows
    for element in listed:
        try:
            rows.append(_row(_LISTED(element), _RELATED_FIELDS, columns))
        except (NotUnderstoodError, _RejectedError):
            unreadable.append(RELATED)
    unreadable += [f"{RELATED}.{column}" for column in columns]
    return rows


def _row(root: dict[str, Any], columns: tuple[int, list[_Source]], unreadable: list[str], within: str = "") -> Row:
    """Read one row; the columns that it has to do without are added to `unreadable`."""
    number, sources = columns
    row: Row = [None] * number
    for source in sources:
        where: tuple[str, ...] = ()
        key = ""
        holder = root
        try:
            for depth, key in enumerate(source.path):
                where = source.path[:depth]
                holder = read_object(holder.get(key))
        except NotUnderstoodError as error:
            if source.is_essential:
                raise _rejected(within, (*where, key), error) from None
            unreadable += [field.column for field in source.fields]
            continue
        for place, key, read, column, is_essential in source.fields:
            try:
                row[place] = read(holder.get(key))
            except NotUnderstoodError as error:
                if is_essential:
                    raise _rejected(within, (*source.path, key), error) from None
                unreadable.append(column)
    return row


def _rejected(within: str, path: tuple[str, ...], error: NotUnderstoodError) -> _RejectedError:
    return _RejectedError(f"{within}{'.'.join(path)} {error}")


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


def _gaps(invoice: Row, items: list[Row], unreadable: str | None) -> Gaps:
    lines: list[Any] = [item[_LINE_GROSS] for item in items]
    lines_gross = None if not lines or None in lines else sum(lines)
    return gaps_of(Totals._make((*_TOTALS(invoice), len(lines), lines_gross, unreadable)))
