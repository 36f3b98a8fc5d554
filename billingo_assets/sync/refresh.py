"""Brings the normalized tables of one company up to its raw documents: only what changed, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from billingo_assets.normalize.documents import normalize
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.normalized import (
    mark_damaged_stale,
    mark_deleted,
    pending_documents,
    release_from_quarantine,
    replace_documents,
)
from billingo_assets.warehouse.rejections import RejectedDocument, reject
from billingo_assets.warehouse.sync_state import read_sync_state


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """What one refresh wrote: documents normalized, their items; newly rejected; newly marked deleted."""

    documents: int
    items: int
    rejected: int
    deleted: int


def refresh_tables(connection: Connection, company_id: int) -> RefreshReport:
    """Normalize every document whose tables are missing or out of date. `connection` holds the company's lock.

    After a full sync, also what was damaged in them.
    """
    documents = items = rejected = 0
    with connection.begin():
        release_from_quarantine(connection, company_id)
        deleted = mark_deleted(connection, company_id)
        state = read_sync_state(connection, company_id)
        if state is not None and state.mode == "full":
            mark_damaged_stale(connection, company_id)
        for batch in pending_documents(connection, company_id):
            tables = normalize([(document.id, document.payload) for document in batch])
            pending = {document.id: document for document in batch}
            replace_documents(connection, company_id, batch, tables)
            quarantined = [
                RejectedDocument(
                    pending[rejection.document_id].content_hash,
                    rejection.document_id,
                    rejection.reason,
                    pending[rejection.document_id].payload,
                    DOCUMENTS.normalizer_version,
                )
                for rejection in tables.rejections
                if pending[rejection.document_id].deleted_at is None
            ]
            reject(connection, company_id, "normalize", quarantined)
            documents += len(tables.invoices)
            items += len(tables.items)
            rejected += len(quarantined)
    return RefreshReport(documents, items, rejected, deleted)
