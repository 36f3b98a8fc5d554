"""What is held of a company at one moment, and what must be true of it whatever became of a sync. No tests here."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from billingo_assets.warehouse.tables import metadata
from billingo_assets_tests.support.books import Books


class Row(NamedTuple):
    """What `raw_invoices` holds of a document, but for its payload."""

    version: int
    content_hash: bytes
    first_synced_at: datetime
    changed_at: datetime
    deleted_at: datetime | None


ROWS = """
SELECT document_id, version, content_hash, first_synced_at, changed_at, deleted_at
FROM billingo.raw_invoices WHERE company_id = :company
"""
VERSIONS = """
SELECT document_id, version, content_hash, valid_from, valid_to FROM billingo.raw_invoice_versions
WHERE company_id = :company ORDER BY document_id, version
"""
STATE = "SELECT * FROM billingo.sync_state WHERE company_id = :company"
LISTING = "SELECT started_at FROM billingo.listings WHERE company_id = :company"
# After any sync, also one that failed: what was made of documents hangs together, be it up to date or not.
FRAGMENTS = """
SELECT invoice_id FROM billingo.invoice_items AS item WHERE company_id = :company AND NOT EXISTS (
    SELECT FROM billingo.invoices WHERE company_id = :company AND id = item.invoice_id AND deleted_at IS NULL)
UNION ALL
SELECT invoice_id FROM billingo.related_documents AS link WHERE company_id = :company AND NOT EXISTS (
    SELECT FROM billingo.invoices WHERE company_id = :company AND id = link.invoice_id AND deleted_at IS NULL)
UNION ALL
SELECT id FROM billingo.invoices AS invoice WHERE company_id = :company AND NOT EXISTS (
    SELECT FROM billingo.raw_invoices WHERE company_id = :company AND document_id = invoice.id)
"""
TABLES = [table.fullname for table in metadata.sorted_tables if "company_id" in table.c and table.name != "audit_log"]
# Where each row lies and who wrote it: a row that was written anew shows, though it be the same.
FINGERPRINT = "SELECT md5(string_agg(place, ' ' ORDER BY place)) FROM ({}) AS places".format(
    " UNION ALL ".join(
        f"SELECT tableoid || ':' || ctid || ':' || xmin AS place FROM {table} WHERE company_id = :company"
        for table in TABLES
    )
)


class Version(NamedTuple):
    """One content of a document and when it was held."""

    version: int
    content_hash: bytes
    valid_from: datetime
    valid_to: datetime | None


class Snapshot(NamedTuple):
    """What is held of a company, but for the payloads, between two syncs."""

    rows: dict[int, Row]
    versions: dict[int, list[Version]]
    state: list[Any]
    listing: datetime | None

    @classmethod
    def of(cls, books: Books) -> Snapshot:
        versions: dict[int, list[Version]] = {}
        for document_id, *version in books.rows(VERSIONS):
            versions.setdefault(document_id, []).append(Version(*version))
        rows = {document_id: Row(*row) for document_id, *row in books.rows(ROWS)}
        (*listing,) = books.rows(LISTING)
        return cls(rows, versions, books.rows(STATE), listing[0][0] if listing else None)

    def buried_since(self, before: Snapshot) -> set[int]:
        """The documents that were marked as deleted since then."""
        return {id_ for id_, row in self.rows.items() if row.deleted_at and row != before.rows.get(id_)}


def require_nothing_lost(before: Snapshot, after: Snapshot) -> None:
    """Fail if a row is lost, or a content that was held and is not among the versions."""
    assert before.rows.keys() <= after.rows.keys()
    for id_, row in before.rows.items():
        now = after.rows[id_]
        assert now.version >= row.version
        if now.version == row.version:
            assert now[:4] == row[:4]
            assert now.deleted_at is not None or row.deleted_at is None
        else:
            assert after.versions[id_][row.version - 1].content_hash == row.content_hash


def require_whole_history(held: Snapshot, *, ever_deleted: Set[int]) -> None:
    """Fail unless versions count from 1, and each holds until the next; only of a deleted document, not until then."""
    for id_, row in held.rows.items():
        newest = Version(row.version, row.content_hash, row.changed_at, row.deleted_at)
        chain = [*held.versions.get(id_, []), newest]
        assert [version.version for version in chain] == list(range(1, row.version + 1))
        assert chain[0].valid_from == row.first_synced_at
        assert all(version.valid_to is None or version.valid_from < version.valid_to for version in chain)
        for former, later in pairwise(chain):
            assert former.valid_to is not None
            if id_ in ever_deleted:
                assert former.valid_to <= later.valid_from
            else:
                assert former.valid_to == later.valid_from
