"""Writes `raw_invoices` and the versions that its rows replace; what is known of documents that a page showed.

Every function works on the connection that holds the company's lock, inside its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from billingo_assets.normalize.content import PAID_DATE, PAID_STATUSES, PAYMENT_STATUS
from billingo_assets.normalize.numbering import UNNUMBERED, Numbering
from billingo_assets.warehouse.copying import copying
from billingo_assets.warehouse.tables import raw_invoices

_KNOWN = text(
    """
    SELECT document_id, content_hash, deleted_at IS NOT NULL AS is_deleted
    FROM billingo.raw_invoices WHERE company_id = :company AND document_id = ANY(CAST(:ids AS bigint[]))
    """
)

_COPIED = (
    "company_id",
    "document_id",
    "content_hash",
    "item_count",
    *Numbering._fields,
    "payload",
)


def content_of(payload: str) -> str:
    """SQL for what is left of the payload in a column without a field that follows the clock."""
    paid = ", ".join(f"'{status}'" for status in PAID_STATUSES)
    return f"CASE WHEN {payload} ->> '{PAYMENT_STATUS}' IN ({paid}) THEN {payload} ELSE {payload} - '{PAID_DATE}' END"


_DIFFERS = f"{content_of('raw.payload')} <> {content_of('{incoming}.payload')}"

# The payloads travel as one JSON array: PostgreSQL parses them once, and keeps every numeral as it was sent.
# Content that differs by its spelling alone (1 and 1.0, the order of fields) is equal as jsonb, and makes no version.
_UPSERT = text(
    f"""
    WITH incoming AS MATERIALIZED (
        SELECT * FROM ROWS FROM (
            unnest(CAST(:ids AS bigint[])), unnest(CAST(:hashes AS bytea[])), unnest(CAST(:item_counts AS int[])),
            unnest(CAST(:block_id AS bigint[])), unnest(CAST(:number_series AS text[])),
            unnest(CAST(:number_year AS int[])), unnest(CAST(:number AS bigint[])),
            unnest(CAST(:number_judged AS boolean[])), unnest(CAST(:gapless AS boolean[])),
            jsonb_array_elements(CAST(:payloads AS jsonb))
        ) AS listed (document_id, content_hash, item_count,
                     block_id, number_series, number_year, number, number_judged, gapless, payload)
    ), superseded AS (
        INSERT INTO billingo.raw_invoice_versions
        SELECT raw.company_id, raw.document_id, raw.version, raw.payload, raw.content_hash,
               raw.changed_at, coalesce(raw.deleted_at, now())
        FROM billingo.raw_invoices AS raw JOIN incoming USING (document_id)
        WHERE raw.company_id = :company AND ({_DIFFERS.format(incoming="incoming")} OR raw.deleted_at IS NOT NULL)
    )
    INSERT INTO billingo.raw_invoices AS raw
        (company_id, document_id, payload, content_hash, item_count,
         block_id, number_series, number_year, number, number_judged, gapless)
    SELECT :company, document_id, payload, content_hash, item_count,
           block_id, number_series, number_year, number, number_judged, gapless FROM incoming
    ON CONFLICT (company_id, document_id) DO UPDATE
    SET payload = excluded.payload, content_hash = excluded.content_hash, item_count = excluded.item_count,
        block_id = excluded.block_id, number_series = excluded.number_series, number_year = excluded.number_year,
        number = excluded.number, number_judged = excluded.number_judged, gapless = excluded.gapless,
        version = raw.version + 1, changed_at = now(), deleted_at = NULL
    WHERE {_DIFFERS.format(incoming="excluded")} OR raw.deleted_at IS NOT NULL
    """  # noqa: S608 - put together from constants
)

# Where a hash differs after an upsert, the content is equal: it is spelled otherwise, or was hashed by former rules.
# The rows made from it stay as they are; only their hash follows.
_REHASH = text(
    """
    WITH stale AS MATERIALIZED (
        SELECT document_id, raw.content_hash AS former, incoming.content_hash
        FROM billingo.raw_invoices AS raw JOIN ROWS FROM (
            unnest(CAST(:ids AS bigint[])), unnest(CAST(:hashes AS bytea[]))
        ) AS incoming (document_id, content_hash) USING (document_id)
        WHERE raw.company_id = :company AND raw.content_hash <> incoming.content_hash
    ), raw AS (
        UPDATE billingo.raw_invoices AS raw SET content_hash = stale.content_hash FROM stale
        WHERE raw.company_id = :company AND raw.document_id = stale.document_id
    ), rejected AS (
        UPDATE billingo.rejected_documents AS rejected SET content_hash = stale.content_hash FROM stale
        WHERE rejected.company_id = :company AND rejected.stage = 'normalize' AND rejected.content_hash = stale.former
          AND NOT EXISTS (SELECT FROM billingo.rejected_documents AS other
                          WHERE other.company_id = :company AND other.content_hash = stale.content_hash)
    ), accepted AS (
        UPDATE billingo.accepted_faults AS accepted SET content_hash = stale.content_hash FROM stale
        WHERE accepted.company_id = :company AND accepted.content_hash = stale.former
          AND NOT EXISTS (SELECT FROM billingo.accepted_faults AS other
                          WHERE other.company_id = :company AND other.content_hash = stale.content_hash)
    )
    UPDATE billingo.invoices AS invoice SET content_hash = stale.content_hash FROM stale
    WHERE invoice.company_id = :company AND invoice.id = stale.document_id AND invoice.content_hash = stale.former
    """
)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that can be stored: `text` is its JSON as sent, `content_hash` the SHA-256 of its content in that."""

    id: int
    text: str
    content_hash: bytes
    items: int
    numbering: Numbering = UNNUMBERED


@dataclass(frozen=True, slots=True)
class Known:
    """What the database held of a document when a page showed it."""

    content_hash: bytes
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """Live documents that came into the database, and that were there before and were written again."""

    created: int
    updated: int


def database_clock(connection: Connection) -> datetime:
    """The database's own time, by which rows are dated."""
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    return now


def known_documents(connection: Connection, company_id: int, document_ids: Collection[int]) -> dict[int, Known]:
    """What is held of these documents, by id; those that were never stored are left out."""
    rows = connection.execute(_KNOWN, {"company": company_id, "ids": list(document_ids)})
    return {document_id: Known(content_hash, is_deleted) for document_id, content_hash, is_deleted in rows}


def insert_documents(connection: Connection, company_id: int, documents: Sequence[Document]) -> None:
    """Store documents that were never stored, each id once. COPY takes half the time of an upsert.

    Raises:
        psycopg.Error: not wrapped by SQLAlchemy.
    """
    with copying(connection, raw_invoices, _COPIED) as copy:
        for document in documents:
            copy.write_row(
                (
                    company_id,
                    document.id,
                    document.content_hash,
                    document.items,
                    *document.numbering,
                    document.text,
                )
            )


def upsert_documents(connection: Connection, company_id: int, documents: Sequence[Document]) -> None:
    """Store documents, each id once: insert, or overwrite and keep what was there as a version, and revive.

    A document whose content is the stored one keeps its payload and everything that was made of it; its hash alone is
    brought up to date.
    """
    hashes = {"ids": [document.id for document in documents], "hashes": [one.content_hash for one in documents]}
    connection.execute(
        _UPSERT,
        {
            "company": company_id,
            **hashes,
            "item_counts": [document.items for document in documents],
            **{name: [getattr(document.numbering, name) for document in documents] for name in Numbering._fields},
            "payloads": f"[{','.join([document.text for document in documents])}]",
        },
    )
    connection.execute(_REHASH, {"company": company_id, **hashes})


def count_changes(connection: Connection, company_id: int, since: datetime) -> Changes:
    """What was created and updated since then."""
    query = text(
        """
        SELECT count(*) FILTER (WHERE first_synced_at >= :since), count(*) FILTER (WHERE first_synced_at < :since)
        FROM billingo.raw_invoices
        WHERE company_id = :company AND changed_at >= :since AND deleted_at IS NULL
        """
    )
    return Changes(*connection.execute(query, {"company": company_id, "since": since}).one())


def written_since(connection: Connection, company_id: int, since: datetime) -> set[int]:
    """The documents that were created, changed or revived since then."""
    query = text("SELECT document_id FROM billingo.raw_invoices WHERE company_id = :company AND changed_at >= :since")
    return set(connection.scalars(query, {"company": company_id, "since": since}))


def count_documents(connection: Connection, company_id: int) -> int:
    """How many documents of a company are stored and not deleted."""
    query = text("SELECT count(*) FROM billingo.raw_invoices WHERE company_id = :company AND deleted_at IS NULL")
    stored: int = connection.execute(query, {"company": company_id}).scalar_one()
    return stored
