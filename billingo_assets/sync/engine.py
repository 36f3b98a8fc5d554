"""Syncs one stream of a company: in full or incrementally, and falls back from incremental to full.

Each page or batch of pages is one transaction; a later failure undoes nothing that was stored. The last transaction
moves the watermark, once everything before it was stored.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from billingo_assets.billingo.errors import BillingoError
from billingo_assets.companies.registry import note_tax_code, same_taxpayers
from billingo_assets.errors import EmptyAnswerError
from billingo_assets.streams.stream import Snapshot
from billingo_assets.sync.context import SyncContext
from billingo_assets.sync.full import FullSync
from billingo_assets.sync.identity import identify
from billingo_assets.sync.incremental import IncrementalSync
from billingo_assets.sync.renumbering import renumber
from billingo_assets.sync.report import SyncReport
from billingo_assets.sync.snapshot import SnapshotSync
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.differences import accepted_difference
from billingo_assets.warehouse.raw_records import count_changes, database_clock
from billingo_assets.warehouse.reconciliation import held_records
from billingo_assets.warehouse.sync_state import SyncState, read_sync_state

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the API's clocks may disagree: a watermark this far ahead does not count as in the future."""


def sync_company(context: SyncContext) -> SyncReport:
    """Sync new and changed records, or every record if these are unknown or not enough.

    Raises:
        IdentityMismatchError: the key is another company's; nothing was read.
        EmptyAnswerError: records are stored, and the API shows none.
        BillingoError: the API failed; the pages stored so far stay.
    """
    started = time.monotonic()
    connection = context.connection
    with connection.begin():
        began_at = database_clock(connection)
        state = read_sync_state(*context.scope)
        if context.stream.is_numbered:
            renumber(connection, context.company.id)
        accepted = accepted_difference(*context.scope)
        if context.full:
            audit.record(connection, "full sync forced", context.company, actor=context.asked_by)
    report = SyncReport("full" if state is None or context.full else "incremental")
    try:
        now = datetime.now(UTC)
        identity = identify(context.client, context.company)
        notes = _note_tax_code(context, identity.tax_code)
        started_at = identity.server_time or context.client.server_time() or now
        reason = why_full(context, state, started_at)
        if state is not None and state.watermark is not None and reason is None:
            incremental = IncrementalSync(
                context,
                watermark=state.watermark,
                unlisted=state.unlisted,
                lookback=context.lookback,
                accepted=accepted.difference if accepted else 0,
            )
            report = incremental.report
            reason = incremental.run(started_at, began_at)
        if reason is not None:
            is_snapshot = isinstance(context.stream.strategy, Snapshot)
            everything = SnapshotSync(context) if is_snapshot else FullSync(context, reason=reason)
            report = everything.report
            everything.run(started_at)
    except (BillingoError, EmptyAnswerError) as error:
        _finish(context, report, began_at, started)
        error.counts = report.counts()
        raise
    report.tax_code = identity.tax_code
    report.notes[:0] = notes
    _finish(context, report, began_at, started)
    return report


def _note_tax_code(context: SyncContext, tax_code: str | None) -> list[str]:
    """Store a tax code with new digits for the same taxpayer, and return a note about it."""
    company = context.company
    if tax_code is None:
        return []
    with context.connection.begin():
        is_new = note_tax_code(context.connection, company, tax_code, actor=context.asked_by)
        others = same_taxpayers(context.connection, key=company.key, tax_code=tax_code)
    if not is_new:
        return []
    if company.tax_code:
        change = f"is now {tax_code} (it was {company.tax_code}). It was stored; no action is needed."
    elif others:
        change = (
            f"is {tax_code}. It was stored. {others[0].key} has the tax code {others[0].tax_code} too: if they are"
            " the same books, every sum is there twice. Remove one of the two: billingo-assets company remove KEY"
        )
    else:
        change = f"is {tax_code}. It was stored; no action is needed."
    return [f"The tax code of {company.key} {change}"]


def _finish(context: SyncContext, report: SyncReport, began_at: datetime, started: float) -> None:
    """Complete the report with the changes written since the sync began, even if it failed."""
    with context.connection.begin():
        changes = count_changes(*context.scope, began_at)
        if report.watermark is not None:
            state = read_sync_state(*context.scope)
            report.is_balanced = state is not None and held_records(*context.scope) == state.api_total + state.unlisted
    report.created, report.updated = changes.created, changes.updated
    report.api_calls = context.client.calls
    report.duration_seconds = round(time.monotonic() - started, 3)


def why_full(context: SyncContext, state: SyncState | None, now: datetime) -> str | None:
    """Why every record has to be read; None if new and changed ones are enough. `now` is the API's clock."""
    if isinstance(context.stream.strategy, Snapshot):
        return "the API cannot be asked for its changes"
    if state is None:
        return "the first of this company"
    if context.full:
        return "requested"
    if state.watermark is None:
        return "the stored watermark is out of range"
    if state.watermark > now + CLOCK_TOLERANCE:
        return "the stored watermark is later than Billingo's clock"
    return None
