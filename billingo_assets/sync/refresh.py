"""Updates the normalized tables of a company's stream with changed raw records, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from billingo_assets.normalize.streams import normalize
from billingo_assets.streams import Stream
from billingo_assets.warehouse.normalized import (
    mark_damaged_stale,
    mark_deleted,
    pending_records,
    release_from_quarantine,
    replace_records,
)
from billingo_assets.warehouse.rejections import RejectedRecord, reject
from billingo_assets.warehouse.sync_state import read_sync_state


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """The counts of one refresh: normalized records, their counted parts, newly rejected, newly marked deleted."""

    records: int
    items: int
    rejected: int
    deleted: int


def refresh_tables(connection: Connection, stream: Stream, company_id: int) -> RefreshReport:
    """Normalize every record with missing or outdated rows. `connection` holds the company's lock.

    After a full sync, also repair damaged rows.
    """
    records = items = rejected = 0
    with connection.begin():
        release_from_quarantine(connection, stream, company_id)
        deleted = mark_deleted(connection, stream, company_id)
        state = read_sync_state(connection, stream, company_id)
        if state is not None and state.mode == "full":
            mark_damaged_stale(connection, stream, company_id)
        for pending in pending_records(connection, stream, company_id):
            batch = normalize(stream, [(record.id, record.payload) for record in pending])
            replace_records(connection, stream, company_id, pending, batch)
            by_id = {record.id: record for record in pending}
            quarantined = [
                RejectedRecord(
                    by_id[rejection.record_id].content_hash,
                    rejection.record_id,
                    rejection.reason,
                    by_id[rejection.record_id].payload,
                    stream.normalizer_version,
                )
                for rejection in batch.rejections
                if by_id[rejection.record_id].deleted_at is None
            ]
            reject(connection, stream, company_id, "normalize", quarantined)
            records += len(batch.tables[0].rows)
            items += sum(len(table.rows) for table in batch.tables[1:] if stream.counts(table.name))
            rejected += len(quarantined)
    return RefreshReport(records, items, rejected, deleted)
