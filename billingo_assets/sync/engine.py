"""Syncs one company: chooses between a full and an incremental sync, and falls back from incremental to full.

Each page or batch of pages is one transaction; a later failure undoes nothing that was stored. The last transaction
moves the watermark, once everything before it was stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.errors import BillingoError
from billingo_assets.companies.registry import Company, note_tax_code, same_taxpayers
from billingo_assets.errors import EmptyAnswerError
from billingo_assets.streams import Stream
from billingo_assets.sync.full import FullSync
from billingo_assets.sync.identity import identify
from billingo_assets.sync.incremental import IncrementalSync
from billingo_assets.sync.records import MAX_RECORD_BYTES
from billingo_assets.sync.renumbering import renumber
from billingo_assets.sync.report import Progress, SyncReport
from billingo_assets.sync.work import SyncContext
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.differences import accepted_difference
from billingo_assets.warehouse.raw_records import count_changes, database_clock
from billingo_assets.warehouse.reconciliation import held_records
from billingo_assets.warehouse.sync_state import SyncState, read_sync_state

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the API's clocks may disagree: a watermark this far ahead does not count as in the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How to sync. `full` forces a full sync; for `accept_empty` and `accept_difference` see `FullSync`.

    `asked_by` is the person or run that chose these options, for the audit log. A document of more than
    `max_record_bytes` goes to quarantine.
    """

    full: bool = False
    accept_empty: bool = False
    accept_difference: int | None = None
    asked_by: str | None = None
    lookback: timedelta = timedelta(days=7)
    max_record_bytes: int = MAX_RECORD_BYTES


@dataclass(slots=True)
class CompanySync:
    """One sync of a stream of one company, on the connection that holds its lock."""

    client: BillingoClient
    connection: Connection
    stream: Stream
    company: Company
    run_id: str
    on_page: Callable[[Progress], None]
    options: SyncOptions = field(default_factory=SyncOptions)

    def run(self) -> SyncReport:
        """Sync new and changed documents, or every document if these are unknown or not enough.

        Raises:
            IdentityMismatchError: the key is another company's; nothing was read.
            EmptyAnswerError: documents are stored, and the API shows none.
            BillingoError: the API failed; the pages stored so far stay.
        """
        started = time.monotonic()
        with self.connection.begin():
            began_at = database_clock(self.connection)
            state = read_sync_state(self.connection, self.stream, self.company.id)
            renumber(self.connection, self.company.id)
            accepted = accepted_difference(self.connection, self.stream, self.company.id)
            if self.options.full:
                audit.record(self.connection, "full sync forced", self.company, actor=self.options.asked_by)
        most = self.options.max_record_bytes
        work = SyncContext(
            self.client, self.connection, self.stream, self.company, self.run_id, self.on_page, began_at, most
        )
        report = SyncReport("full" if state is None or self.options.full else "incremental")
        try:
            now = datetime.now(UTC)
            identity = identify(self.client, self.company)
            notes = self._note_tax_code(identity.tax_code)
            started_at = identity.server_time or self.client.server_time() or now
            reason = why_full(state, started_at, asked=self.options.full)
            if state is not None and state.watermark is not None and reason is None:
                incremental = IncrementalSync(
                    work,
                    watermark=state.watermark,
                    unlisted=state.unlisted,
                    lookback=self.options.lookback,
                    accepted=accepted.difference if accepted else 0,
                )
                report = incremental.report
                reason = incremental.run(started_at)
            if reason is not None:
                full = FullSync(
                    work,
                    reason=reason,
                    accept_empty=self.options.accept_empty,
                    accept_difference=self.options.accept_difference,
                    asked_by=self.options.asked_by,
                )
                report = full.report
                full.run(started_at)
        except (BillingoError, EmptyAnswerError) as error:
            self._finish(report, began_at, started)
            error.counts = report.counts()
            raise
        report.tax_code = identity.tax_code
        report.notes[:0] = notes
        self._finish(report, began_at, started)
        return report

    def _note_tax_code(self, tax_code: str | None) -> list[str]:
        """Store a tax code with new digits for the same taxpayer, and return a note about it."""
        if tax_code is None:
            return []
        with self.connection.begin():
            is_new = note_tax_code(self.connection, self.company, tax_code, actor=self.options.asked_by)
            others = same_taxpayers(self.connection, key=self.company.key, tax_code=tax_code)
        if not is_new:
            return []
        if self.company.tax_code:
            change = f"is now {tax_code} (it was {self.company.tax_code}). It was stored; no action is needed."
        elif others:
            change = (
                f"is {tax_code}. It was stored. {others[0].key} has the tax code {others[0].tax_code} too: if they are"
                " the same books, every sum is there twice. Remove one of the two: billingo-assets company remove KEY"
            )
        else:
            change = f"is {tax_code}. It was stored; no action is needed."
        return [f"The tax code of {self.company.key} {change}"]

    def _finish(self, report: SyncReport, began_at: datetime, started: float) -> None:
        """Complete the report with the changes written since the sync began, even if it failed."""
        with self.connection.begin():
            changes = count_changes(self.connection, self.stream, self.company.id, began_at)
            if report.watermark is not None:
                state = read_sync_state(self.connection, self.stream, self.company.id)
                held = held_records(self.connection, self.stream, self.company.id)
                report.is_balanced = state is not None and held == state.api_total + state.unlisted
        report.created, report.updated = changes.created, changes.updated
        report.api_calls = self.client.calls
        report.duration_seconds = round(time.monotonic() - started, 3)


def why_full(state: SyncState | None, now: datetime, *, asked: bool) -> str | None:
    """Why every document has to be read; None if new and changed ones are enough. `now` is the API's clock."""
    if state is None:
        return "the first of this company"
    if asked:
        return "as asked for"
    if state.watermark is None:
        return "the stored watermark is out of range"
    if state.watermark > now + CLOCK_TOLERANCE:
        return "the stored watermark is later than Billingo's clock"
    return None
