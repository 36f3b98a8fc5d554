"""Syncs one company: every page into `raw_invoices`, each document once, what is gone marked as gone.

Each page is one transaction, and nothing that was stored is undone by what fails later. The last transaction
marks the deletions and moves the watermark, and only after a complete listing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, text

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.errors import BillingoError, IdentityMismatchError
from billingo_assets.billingo.models import DocumentsPage
from billingo_assets.companies.registry import Company
from billingo_assets.errors import UnsettledListingError
from billingo_assets.sync.documents import Document, Unreadable, read_document
from billingo_assets.sync.listing import Listing
from billingo_assets.warehouse.raw_invoices import (
    begin_listing,
    bury_unlisted,
    count_changes,
    database_clock,
    note_listed,
    upsert_documents,
)
from billingo_assets.warehouse.rejections import RejectedDocument, reject, release_unseen, touch_listed
from billingo_assets.warehouse.sync_state import SyncState, write_sync_state

Mode = Literal["full", "incremental"]

MAX_LISTINGS = 3
"""How often the documents are listed before a sync accepts that they will not hold still."""


@dataclass(slots=True)
class SyncReport:
    """What one sync did, in documents unless said otherwise.

    `processed` counts distinct documents received, `skipped` those that could not be stored.
    `watermark` is None when the documents did not hold still: nothing is vouched for, and nothing marked deleted.
    """

    mode: Mode
    processed: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    skipped: int = 0
    items: int = 0
    api_total: int = 0
    api_calls: int = 0
    duration_seconds: float = 0.0
    watermark: datetime | None = None
    tax_code: str | None = None

    @property
    def unchanged(self) -> int:
        """Documents received that were stored already, as they are."""
        return self.processed - self.created - self.updated - self.skipped

    def require_settled(self, company: str) -> None:
        """Raise UnsettledListingError when no listing was complete: what was read is stored, no more is vouched for."""
        if self.watermark is None:
            raise UnsettledListingError(
                f"None of {MAX_LISTINGS} listings of {company} was complete: Billingo counted {self.api_total:,}"
                f" documents, the last one showed {self.processed:,}. They changed meanwhile, or some were left out."
                " What was read is stored; nothing is marked as deleted, and the tables stay as they were. Try again."
            )

    def counts(self) -> dict[str, int | float | str | None]:
        """Everything that was counted, by name; the watermark in ISO 8601."""
        return {
            "mode": self.mode,
            "processed": self.processed,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "skipped": self.skipped,
            "items": self.items,
            "api_total": self.api_total,
            "api_calls": self.api_calls,
            "duration_seconds": self.duration_seconds,
            "watermark": self.watermark.isoformat() if self.watermark else None,
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a listing stands: a page was stored."""

    page: int
    last_page: int
    documents: int
    total: int


@dataclass(slots=True)
class CompanySync:
    """One sync of one company, on the connection that holds its lock."""

    client: BillingoClient
    connection: Connection
    company: Company
    run_id: str
    on_page: Callable[[Progress], None]
    _report: SyncReport = field(init=False, default_factory=lambda: SyncReport(mode="full"))
    _broken: set[bytes] = field(init=False, default_factory=set)
    _has_written: bool = field(init=False, default=False)

    def run(self) -> SyncReport:
        """Sync every document.

        Raises:
            IdentityMismatchError: the key is another company's; nothing was read.
            BillingoError: the API failed; the pages stored until then stay.
        """
        started = time.monotonic()
        with self.connection.begin():
            since = database_clock(self.connection)
        try:
            self._read_until_complete()
        except BillingoError as error:
            self._finish(since, started)
            error.counts = self._report.counts()
            raise
        self._finish(since, started)
        return self._report

    def _read_until_complete(self) -> None:
        now = datetime.now(UTC)
        identity = self.client.identity()
        require_same_company(self.company, identity.tax_code)
        for _ in range(MAX_LISTINGS):
            listing = self._read_listing()
            if listing.is_consistent and self._report.processed == listing.total:
                self._vouch(identity.server_time or now)
                break
        self._report.tax_code = identity.tax_code

    def _finish(self, since: datetime, started: float) -> None:
        """Complete the report with what was written since then, be it all there is or not."""
        if self._has_written:
            with self.connection.begin():
                changes = count_changes(self.connection, self.company.id, since)
                self._report.created, self._report.updated = changes
        self._report.api_calls = self.client.calls
        self._report.duration_seconds = round(time.monotonic() - started, 3)

    def _read_listing(self) -> Listing:
        self._report = SyncReport("full")
        self._broken.clear()
        with self.connection.begin():
            begin_listing(self.connection)
        listing = Listing(self.client)
        for page in listing.pages():
            with self.connection.begin():
                # The commit that moves the watermark flushes these as well.
                self.connection.execute(text("SET LOCAL synchronous_commit = off"))
                self._store(page)
            self.on_page(Progress(page.number, page.last_page, self._report.processed, page.total))
        self._report.api_total = listing.total
        return listing

    def _store(self, page: DocumentsPage) -> None:
        documents: dict[int, Document] = {}
        unreadable: list[Unreadable] = []
        for payload in page.documents:
            match read_document(payload):
                case Document() as document:
                    documents[document.id] = document
                case Unreadable() as document:
                    unreadable.append(document)
        # An unreadable document is there all the same: an older version of it must not be taken for deleted.
        listed = {*documents, *(document.id for document in unreadable if document.id is not None)}
        known = note_listed(self.connection, self.company.id, listed)
        changed = []
        for document in documents.values():
            before = known[document.id]
            same = before.content_hash == document.content_hash and not before.is_deleted
            if not same:
                changed.append((document.id, document.content_hash, document.items, document.payload))
            if before.is_new_to_listing:
                self._report.processed += 1
                self._report.items += document.items
        if changed:
            self._has_written = True
            upsert_documents(self.connection, self.company.id, changed)
        self._quarantine(unreadable)

    def _quarantine(self, unreadable: list[Unreadable]) -> None:
        rejected = []
        for document in unreadable:
            content_hash = document.content_hash
            if document.id is None:
                while content_hash in self._broken:  # two that are alike, and cannot be told apart, are two
                    content_hash = hashlib.sha256(content_hash).digest()
            elif content_hash in self._broken:  # one that was shown before
                continue
            self._broken.add(content_hash)
            payload = document.payload.decode(errors="replace")
            rejected.append(RejectedDocument(content_hash, document.id, document.reason, payload))
        self._report.processed += len(rejected)
        self._report.skipped += len(rejected)
        reject(self.connection, self.company.id, "fetch", rejected)

    def _vouch(self, watermark: datetime) -> None:
        """After a complete listing: mark what is gone, release what is sound again, move the watermark."""
        with self.connection.begin():
            self._report.deleted = bury_unlisted(self.connection, self.company.id)
            release_unseen(self.connection, self.company.id, self._broken)
            touch_listed(self.connection, self.company.id)
            state = SyncState(watermark, self.run_id, self._report.api_total)
            write_sync_state(self.connection, self.company.id, state)
        self._report.watermark = watermark


def require_same_company(company: Company, tax_code: str | None) -> None:
    """Raise IdentityMismatchError when a key answers with a tax code other than the stored one."""
    if company.tax_code is not None and tax_code != company.tax_code:
        raise IdentityMismatchError(
            f"The API key stored for {company.key} (tax code {company.tax_code}) opens the books of"
            f" {tax_code or 'a company without a tax code'}.",
            expected=company.tax_code,
            found=tax_code,
        )
