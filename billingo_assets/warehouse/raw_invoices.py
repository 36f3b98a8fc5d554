"""Writes `raw_invoices`: what a listing showed, what is new or changed in it, what is gone.

Every function works on the connection that holds the company's lock, inside its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_CREATE_LISTING = """
CREATE TEMP TABLE IF NOT EXISTS listed_documents (document_id bigint PRIMARY KEY);
CREATE TEMP TABLE IF NOT EXISTS incoming_documents (
    document_id bigint, content_hash bytea, item_count int, payload jsonb
) ON COMMIT DELETE ROWS;
TRUNCATE listed_documents
"""

_NOTE = text(
    """
    WITH page AS (SELECT DISTINCT unnest(CAST(:ids AS bigint[])) AS document_id),
    listed AS (
        INSERT INTO listed_documents SELECT document_id FROM page ON CONFLICT DO NOTHING RETURNING document_id
    )
    SELECT page.document_id, listed.document_id IS NOT NULL AS is_new_to_listing,
           raw.content_hash, raw.deleted_at IS NOT NULL AS is_deleted
    FROM page
    LEFT JOIN listed USING (document_id)
    LEFT JOIN billingo.raw_invoices AS raw ON raw.company_id = :company AND raw.document_id = page.document_id
    """
)

_UPSERT = text(
    """
    INSERT INTO billingo.raw_invoices AS raw (company_id, document_id, payload, content_hash, item_count)
    SELECT :company, document_id, payload, content_hash, item_count FROM incoming_documents
    ON CONFLICT (company_id, document_id) DO UPDATE
    SET payload = excluded.payload, content_hash = excluded.content_hash, item_count = excluded.item_count,
        changed_at = now(), deleted_at = NULL
    """
)

_BURY = text(
    """
    UPDATE billingo.raw_invoices AS raw SET deleted_at = now()
    WHERE company_id = :company AND deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM listed_documents AS listed WHERE listed.document_id = raw.document_id)
    """
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the database held of a document when a page showed it. No hash: it was never stored."""

    is_new_to_listing: bool
    content_hash: bytes | None
    is_deleted: bool


def database_clock(connection: Connection) -> datetime:
    """The database's own time, by which rows are dated."""
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    return now


def count_changes(connection: Connection, company_id: int, since: datetime) -> tuple[int, int]:
    """How many live documents were created, and how many that were there before were changed, since then."""
    query = text(
        """
        SELECT count(*) FILTER (WHERE first_synced_at >= :since), count(*) FILTER (WHERE first_synced_at < :since)
        FROM billingo.raw_invoices
        WHERE company_id = :company AND changed_at >= :since AND deleted_at IS NULL
        """
    )
    created, updated = connection.execute(query, {"company": company_id, "since": since}).one()
    return created, updated


def begin_listing(connection: Connection) -> None:
    """Forget what an earlier listing on this connection showed."""
    connection.exec_driver_sql(_CREATE_LISTING)


def note_listed(connection: Connection, company_id: int, document_ids: Collection[int]) -> dict[int, Known]:
    """Remember that a page listed these documents, and return what is known of each."""
    rows = connection.execute(_NOTE, {"ids": list(document_ids), "company": company_id})
    return {document_id: Known(is_new, content_hash, gone) for document_id, is_new, content_hash, gone in rows}


def upsert_documents(
    connection: Connection, company_id: int, documents: Iterable[tuple[int, bytes, int, bytes]]
) -> None:
    """Store (document id, content hash, item count, JSON text), each id once: insert or overwrite, and revive."""
    cursor = connection.connection.cursor()
    with cursor.copy("COPY incoming_documents (document_id, content_hash, item_count, payload) FROM STDIN") as copy:
        for document_id, content_hash, item_count, payload in documents:
            copy.write_row((document_id, content_hash, item_count, payload.decode()))
    connection.execute(_UPSERT, {"company": company_id})


def bury_unlisted(connection: Connection, company_id: int) -> int:
    """Set `deleted_at` where a complete listing no longer shows a document. Returns how many."""
    return connection.execute(_BURY, {"company": company_id}).rowcount


def count_documents(connection: Connection, company_id: int) -> int:
    """How many documents of a company are stored and not deleted."""
    query = text("SELECT count(*) FROM billingo.raw_invoices WHERE company_id = :company AND deleted_at IS NULL")
    stored: int = connection.execute(query, {"company": company_id}).scalar_one()
    return stored
