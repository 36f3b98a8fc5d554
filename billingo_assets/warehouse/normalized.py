"""Reads documents that wait for normalization and writes the tables made from them.

`invoices`, `invoice_items` and `related_documents` of a document change together, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, Connection, Table, text

from billingo_assets.normalize.documents import (
    COLUMNS_OF_INVOICES,
    COLUMNS_OF_ITEMS,
    COLUMNS_OF_RELATED,
    NormalizedBatch,
)
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.copying import copying
from billingo_assets.warehouse.planning import plan_for_many_rows
from billingo_assets.warehouse.tables import invoice_items, invoices, related_documents

_OWN_COLUMNS = ("company_id", "normalizer_version", "content_hash", "deleted_at")
"""Columns of invoices that come from neither the document nor its normalization."""

BATCH_DOCUMENTS = 1_000
BATCH_CHARACTERS = 16 * 2**20
"""Payloads of a batch together, unless one alone is longer."""

# What waits is found in the indexes of both tables alone; payloads are read for a batch of it at a time.
# A document in quarantine waits for its next version or for new rules; it is not tried again with either unchanged.
_PENDING = """
DECLARE pending_documents NO SCROLL CURSOR FOR
SELECT raw.document_id, raw.content_hash,
       EXISTS (SELECT FROM billingo.invoice_items WHERE company_id = {company})
       OR EXISTS (SELECT FROM billingo.related_documents WHERE company_id = {company}) OR invoice.id IS NOT NULL,
       raw.deleted_at
FROM billingo.raw_invoices AS raw
LEFT JOIN billingo.invoices AS invoice ON invoice.company_id = raw.company_id AND invoice.id = raw.document_id
WHERE raw.company_id = {company}
  AND (invoice.content_hash IS DISTINCT FROM raw.content_hash
       OR invoice.normalizer_version <> {version} OR invoice.deleted_at IS DISTINCT FROM raw.deleted_at)
  AND NOT EXISTS (
      SELECT FROM billingo.rejected_documents AS rejected
      WHERE rejected.company_id = raw.company_id AND rejected.content_hash = raw.content_hash
        AND rejected.stage = 'normalize' AND rejected.normalizer_version = {version})
"""

# One by one: right after a first load there are no statistics, and for "any of 1,000" the whole table would be read.
# As many from the first on as there is room for, and the first in any case.
_PAYLOADS = text(
    """
    SELECT id, payload FROM (
        SELECT id, payload, place, sum(length(payload)) OVER (ORDER BY place) AS characters FROM (
            SELECT wanted.id, wanted.place, (
                SELECT payload::text FROM billingo.raw_invoices WHERE company_id = :company AND document_id = wanted.id
            ) AS payload
            FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS wanted (id, place)
            OFFSET 0  -- so that each payload is read once
        ) AS found
    ) AS summed
    WHERE characters <= :most OR place = 1
    """
)

_MARK_DELETED = text(
    """
    WITH dead AS MATERIALIZED (  -- so that the index alone is read, not the payloads beside it
        SELECT document_id, deleted_at FROM billingo.raw_invoices
        WHERE company_id = :company AND deleted_at IS NOT NULL
    ), gone AS (
        UPDATE billingo.invoices AS invoice SET deleted_at = dead.deleted_at FROM dead
        WHERE company_id = :company AND id = document_id AND invoice.deleted_at IS DISTINCT FROM dead.deleted_at
        RETURNING id
    ), items AS (
        DELETE FROM billingo.invoice_items USING gone WHERE company_id = :company AND invoice_id = gone.id
    ), links AS (
        DELETE FROM billingo.related_documents USING gone WHERE company_id = :company AND invoice_id = gone.id
    )
    SELECT count(*) FROM gone
    """
)

_MARK_DAMAGED_STALE = text(
    """
    UPDATE billingo.invoices AS invoice SET normalizer_version = :never
    FROM billingo.raw_invoices AS raw LEFT JOIN (
        SELECT invoice_id, count(*) AS number FROM billingo.invoice_items
        WHERE company_id = :company GROUP BY invoice_id
    ) AS lines ON lines.invoice_id = raw.document_id
    WHERE invoice.company_id = :company AND raw.company_id = :company AND raw.document_id = invoice.id
      AND raw.content_hash = invoice.content_hash AND raw.deleted_at IS NULL
      AND raw.item_count <> coalesce(lines.number, 0)
    """
)

_DROP_LINES_OF_NOBODY = text(
    """
    DELETE FROM billingo.invoice_items AS line WHERE company_id = :company AND NOT EXISTS (
        SELECT FROM billingo.invoices WHERE company_id = :company AND id = line.invoice_id AND deleted_at IS NULL)
    """
)

_RELEASE = text(
    """
    DELETE FROM billingo.rejected_documents AS rejected
    WHERE company_id = :company AND stage = 'normalize' AND (
        normalizer_version <> :version OR NOT EXISTS (
            SELECT FROM billingo.raw_invoices AS raw
            WHERE raw.company_id = :company AND raw.document_id = rejected.document_id
              AND raw.content_hash = rejected.content_hash AND raw.deleted_at IS NULL))
    """
)


class PendingDocument(NamedTuple):
    """A raw document whose tables are missing or out of date. One that is deleted has no lines.

    `has_rows`: there may be rows of it. In a company that has none yet, nothing is deleted, which makes its load quick.
    """

    id: int
    content_hash: bytes
    has_rows: bool
    deleted_at: datetime | None
    payload: str


def pending_documents(connection: Connection, company_id: int) -> Iterator[list[PendingDocument]]:
    """Yield what waits for normalization, in batches. What is written meanwhile does not disturb the reading."""
    plan_for_many_rows(connection)
    connection.exec_driver_sql(_PENDING.format(company=company_id, version=DOCUMENTS.normalizer_version))
    while batch := connection.exec_driver_sql(f"FETCH {BATCH_DOCUMENTS} FROM pending_documents").all():
        rest = list(batch)
        while rest:
            values = {"company": company_id, "ids": [row[0] for row in rest], "most": BATCH_CHARACTERS}
            payloads: dict[int, str] = {row.id: row.payload for row in connection.execute(_PAYLOADS, values)}
            yield [
                PendingDocument(document_id, content_hash, has_rows, deleted_at, payloads[document_id])
                for document_id, content_hash, has_rows, deleted_at in rest[: len(payloads)]
            ]
            del rest[: len(payloads)]
    connection.exec_driver_sql("CLOSE pending_documents")


def replace_documents(
    connection: Connection,
    company_id: int,
    documents: Sequence[PendingDocument],
    batch: NormalizedBatch,
) -> None:
    """Replace the rows of some documents in all three tables with those that normalization made of them.

    A document that it rejected keeps the rows it has. One that is deleted gets no lines and no links.
    """
    if not batch.invoices:
        return
    rejected = {rejection.document_id for rejection in batch.rejections}
    made_from = [document for document in documents if document.id not in rejected]
    if replaced := [document.id for document in made_from if document.has_rows]:
        _delete(connection, company_id, invoices, invoices.c.id, replaced)
        _delete(connection, company_id, invoice_items, invoice_items.c.invoice_id, replaced)
        _delete(connection, company_id, related_documents, related_documents.c.invoice_id, replaced)
    with copying(connection, invoices, [*_OWN_COLUMNS, *COLUMNS_OF_INVOICES]) as copy:
        for document, row in zip(made_from, batch.invoices, strict=True):
            copy.write_row((company_id, DOCUMENTS.normalizer_version, document.content_hash, document.deleted_at, *row))
    gone = {document.id for document in made_from if document.deleted_at is not None}
    for table, columns, rows in (
        (invoice_items, COLUMNS_OF_ITEMS, batch.items),
        (related_documents, COLUMNS_OF_RELATED, batch.related),
    ):
        with copying(connection, table, ["company_id", *columns]) as copy:
            for row in rows:
                if row[0] not in gone:
                    copy.write_row((company_id, *row))


def mark_damaged_stale(connection: Connection, company_id: int) -> None:
    """Have every document normalized again that has other lines than it lists, and drop the lines of nobody.

    Nothing of ours leaves such rows behind; somebody who may write to the tables can.
    """
    plan_for_many_rows(connection)
    connection.execute(_MARK_DAMAGED_STALE, {"company": company_id, "never": 0})
    connection.execute(_DROP_LINES_OF_NOBODY, {"company": company_id})


def mark_deleted(connection: Connection, company_id: int) -> int:
    """Mark invoices whose document is gone and drop their lines, which can be made again. Returns how many."""
    buried: int = connection.execute(_MARK_DELETED, {"company": company_id}).scalar_one()
    return buried


def release_from_quarantine(connection: Connection, company_id: int) -> None:
    """Release from quarantine what has a newer version, is gone, or is to be judged by new rules."""
    connection.execute(_RELEASE, {"company": company_id, "version": DOCUMENTS.normalizer_version})


def count_unreadable(connection: Connection, company_id: int) -> int:
    """Live invoices that have to do without some of their columns, since what was sent could not be read."""
    query = text(
        """
        SELECT count(*) FROM billingo.invoices
        WHERE company_id = :company AND deleted_at IS NULL AND unreadable IS NOT NULL
        """
    )
    found: int = connection.execute(query, {"company": company_id}).scalar_one()
    return found


class RowCounts(NamedTuple):
    """Live invoices of a company, their lines, their links to other documents."""

    invoices: int
    items: int
    related: int


def count_rows(connection: Connection, company_id: int) -> RowCounts:
    """Count what the tables hold of a company."""
    query = text(
        """
        SELECT (SELECT count(*) FROM billingo.invoices WHERE company_id = :company AND deleted_at IS NULL),
               (SELECT count(*) FROM billingo.invoice_items WHERE company_id = :company),
               (SELECT count(*) FROM billingo.related_documents WHERE company_id = :company)
        """
    )
    return RowCounts(*connection.execute(query, {"company": company_id}).one())


def _delete(
    connection: Connection, company_id: int, table: Table, key: Column[int], document_ids: Collection[int]
) -> None:
    ids = text("ANY(CAST(:ids AS bigint[]))").bindparams(ids=list(document_ids))
    connection.execute(table.delete().where(table.c.company_id == company_id, key == ids))
