"""Reads every document of a company, proves that none was missed, and marks those that are gone.

Documents are created and deleted while pages are read. Creations push others to later pages, where some appear twice;
deletions pull others to earlier pages, so that some are missed. A count alone does not show this: missed documents and
deleted ones that are still held may balance each other. Two comparisons together show it, and a third makes sure:

- The pages show as many distinct documents as the first page's total. Later documents come before the first page and
  do not count, so these are exactly the documents that existed at that moment.
- The total at the end equals the first page's total plus the arrivals since then. So none of them has gone.
- Every total in between lies between these two, as it must if documents only arrived.

A total that lastingly differs from the pages (the listing hides rows, or counts them twice) proves nothing. Then
nothing is marked and the watermark stays; the documents read are stored. Two readings in a row confirm a difference if
both hold still, differ from their totals by the same number, and the second shows all documents of the first. A person
can accept a confirmed difference; with exactly this difference accepted, the watermark moves. But the listing may hide
a document that both readings lack. So it is marked deleted only if Billingo, asked for it by its id, answers that it
does not exist, and returns a listed document asked for in the same way. Unreadable documents that are not shown stay in
quarantine. Once a reading is complete, the acceptance is withdrawn.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.models import RecordsPage
from billingo_assets.errors import EmptyAnswerError
from billingo_assets.sync.context import MAX_LISTINGS, SyncContext
from billingo_assets.sync.incremental import IncrementalSync
from billingo_assets.sync.listing import Listing, shown_size
from billingo_assets.sync.reading import Reading
from billingo_assets.sync.report import Progress, SyncReport, Unsettled
from billingo_assets.sync.unlisted import UnlistedSearch
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.differences import (
    accept_difference,
    accepted_difference,
    observe_difference,
    settle_difference,
    withdraw_difference,
)
from billingo_assets.warehouse.listed import ListedCounts, ListedRecords
from billingo_assets.warehouse.listings import (
    ListingState,
    advance_listing,
    begin_listing,
    broken_hashes,
    drop_listing,
    not_shown,
    note_page,
    open_listing,
)
from billingo_assets.warehouse.number_gaps import note_asked
from billingo_assets.warehouse.number_series import update_gaps
from billingo_assets.warehouse.raw_records import database_clock
from billingo_assets.warehouse.reconciliation import held_records
from billingo_assets.warehouse.rejections import release_unseen
from billingo_assets.warehouse.sync_state import SyncState, write_sync_state

RESUMABLE = timedelta(hours=24)
"""How long an interrupted listing can be resumed. Later, much of what it read is out of date."""


class FullSync:
    """One full sync; `reason` says why every document is read."""

    def __init__(self, context: SyncContext, *, reason: str) -> None:
        self._context = context
        self._connection = context.connection
        self._shown = self._last_page = 0
        self._is_one_page = False
        self.report = SyncReport("full", reason)
        """The counts so far; complete once `run` has ended."""

    def run(self, started_at: datetime) -> None:
        """Sync. `started_at` is the API's clock before the first request.

        Raises:
            EmptyAnswerError: documents are stored, and the API shows none.
            BillingoError: the API failed; the pages stored so far stay, and the next full sync resumes there.
        """
        state = self._resume()
        former: _Judged | None = None
        for _ in range(MAX_LISTINGS):
            began_here = state is None
            state = state or self._begin(started_at)
            totals = self._read_pages(state)
            is_current = began_here or self._read_changes(state.started_at)
            if began_here and self._is_one_moment(state):
                total: int | None = state.total
            else:
                page = self._catch_up(state.page_size)
                total = None if page is None else page.total
            judged = self._judge(state, total, totals)
            reading = judged.reading
            if reading.is_complete and is_current:
                self._commit(judged.listed, state.started_at)
                return
            if self._is_confirmed(judged, former):
                if self._is_accepted(reading):
                    self._commit(judged.listed, state.started_at, is_complete=False)
                    return
                self._give_up(reading, reading.difference)
                return
            former, state = judged, None
        self._give_up(reading, None)

    def _resume(self) -> ListingState | None:
        """Resume the listing of an earlier attempt, if none of its documents has gone meanwhile."""
        with self._connection.begin():
            state = open_listing(*self._context.scope, not_older_than=RESUMABLE)
            # An empty listing is not resumed: this sync may not accept an empty answer.
            if state is None or not state.total:
                return None
            self._context.store.broken |= broken_hashes(*self._context.scope)
        page = self._catch_up(state.page_size)
        listed = self._collect()
        if page is None or not _reading(state, listed.counts, page.total, state.totals).holds_still:
            return None
        self._shown = listed.counts.shown
        self._count(listed)
        return in_pages_of(state, shown_size(page))

    def _begin(self, started_at: datetime) -> ListingState:
        page = self._context.client.records(self._context.stream.path, page=1)
        self.report.api_total = page.total
        self._context.store.broken.clear()
        self._shown, self._last_page = 0, page.last_page
        self._is_one_page = page.shows_all
        self.report.items = 0
        state = ListingState(started_at, page.total, 2, page_size=shown_size(page))
        with self._connection.begin():
            if not page.total and not page.records and not self._context.accept_empty:
                self._refuse_emptiness()
            self._context.commit_without_waiting()
            begin_listing(*self._context.scope, state)
            self._note([page])
        self._show_progress(1, page.last_page, page.total)
        return state

    def _refuse_emptiness(self) -> None:
        if held := held_records(*self._context.scope):
            raise EmptyAnswerError(
                f"Billingo shows no documents for {self._context.company.key}, although {held:,}"
                f" {'is' if held == 1 else 'are'} stored. Nothing was changed. Check in Billingo; if they are really"
                f" gone, run `billingo-assets sync {self._context.company.key} --accept-empty`."
            )

    def _read_pages(self, state: ListingState) -> set[int]:
        """Store the pages that are not stored yet, and return the totals on all pages."""
        listing = Listing(
            self._context.client,
            self._context.stream.path,
            start=state.next_page,
            total=state.total,
            last_page=self._last_page,
            page_size=state.page_size,
        )
        for batch in listing.batches():
            with self._connection.begin():
                self._context.commit_without_waiting()
                self._note(batch)
                totals = {page.total for page in batch}
                advance_listing(*self._context.scope, batch[-1].number + 1, totals, page_size=listing.page_size)
            self._show_progress(batch[-1].number, listing.last_page, state.total)
        return {*state.totals, *listing.totals}

    def _read_changes(self, since: datetime) -> bool:
        """Store the changes on pages that an earlier attempt read. False if some changes may be missing."""
        quiet = replace(self._context, on_page=lambda progress: None)
        quiet.store = self._context.store
        changes = IncrementalSync(quiet, watermark=since, unlisted=0, lookback=timedelta(0))
        return changes.read_changes() is None

    def _note(self, pages: list[RecordsPage]) -> None:
        """Store pages of the listing and note what they showed, in one transaction."""
        # If other records repeat, records without an id may repeat too. Identical ones then count once, so that a page
        # that is sent twice does not make up for a missing one.
        shown = self._context.store.store(pages, show_again=self._were_listed)
        note_page(*self._context.scope, shown.ids, shown.broken)
        self._shown += len(shown.ids) + shown.anonymous
        self.report.skipped = len(self._context.store.broken)
        self.report.items += sum(shown.items.values())

    def _were_listed(self, ids: Collection[int]) -> bool:
        """Whether the listing has already shown any of these documents."""
        return len(not_shown(*self._context.scope, ids)) < len(ids)

    def _show_progress(self, page: int, last_page: int, total: int) -> None:
        self.report.processed = self._shown
        self._context.on_page(Progress(page, max(page, last_page), self._shown, total))

    def _is_one_moment(self, state: ListingState) -> bool:
        """Whether the listing was a single page, so nothing changed while it was read, and has all that are held.

        If more documents are held than it showed, one false answer would mark the rest as deleted.
        """
        if not self._is_one_page:
            return False
        with self._connection.begin():
            return held_records(*self._context.scope) <= state.total

    def _catch_up(self, page_size: int) -> RecordsPage | None:
        """Store the arrivals since the listing began, read on one page of the listing's page size, and return the page.

        None if the arrivals are unknown: the page shows fewer documents than it should, or none that the listing has
        shown, so that more may have arrived than one page holds.
        """
        page = self._context.client.records(self._context.stream.path, page=1, page_size=min(page_size, MAX_PAGE_SIZE))
        self._last_page = page.last_page
        with self._connection.begin():
            self._context.commit_without_waiting()
            shown = self._context.store.store([page])
            arrived = not_shown(*self._context.scope, shown.ids)
            note_page(*self._context.scope, arrived, shown.broken, arrived=True)
        is_complete = page.is_complete or len(page.records) >= min(page.total, page_size)
        reaches_back = len(arrived) + len(shown.broken) < len(page.records) or page.shows_all
        return page if is_complete and reaches_back else None

    def _judge(self, state: ListingState, total: int | None, totals: set[int]) -> _Judged:
        listed = self._collect()
        self._count(listed)
        self.report.api_total = state.total if total is None else total
        return _Judged(_reading(state, listed.counts, total, totals), listed)

    def _collect(self) -> ListedRecords:
        with self._connection.begin():
            return ListedRecords(*self._context.scope)

    def _is_confirmed(self, judged: _Judged, former: _Judged | None) -> bool:
        """Whether the reading has the same difference as the former one, and shows all of its documents."""
        if former is None:
            return False
        difference = judged.reading.difference
        with self._connection.begin():
            is_confirmed = bool(difference) and difference == former.reading.difference
            is_confirmed = is_confirmed and judged.listed.shows_all_of(former.listed)
            former.listed.drop()
        return is_confirmed

    def _is_accepted(self, reading: Reading) -> bool:
        """Whether the reading's difference is accepted, now or before."""
        difference = reading.difference
        if difference is None:
            return False
        with self._connection.begin():
            accepted = accepted_difference(*self._context.scope)
            if accepted is not None and accepted.difference == difference:
                return True
            if self._context.accept_difference != difference:
                return False
            actor = self._context.asked_by or audit.machine_user()
            accept_difference(*self._context.scope, difference, actor=actor)
            details = {"difference": difference, "counted": reading.counted, "shown": reading.shown}
            audit.record(self._connection, "difference accepted", self._context.company, actor=actor, details=details)
        return True

    def _give_up(self, reading: Reading, difference: int | None) -> None:
        """Report why no listing was complete."""
        with self._connection.begin():
            times = observe_difference(*self._context.scope, difference)
        self.report.unsettled = Unsettled(reading.why_incomplete(), difference, times, self._context.accept_difference)

    def _count(self, listed: ListedRecords) -> None:
        """Count the records that the listing has shown, each once."""
        with self._connection.begin():
            self.report.items = listed.count_items()
        self.report.skipped = listed.counts.broken
        self.report.processed = listed.counts.shown + listed.counts.arrived

    def _commit(self, listed: ListedRecords, started_at: datetime, *, is_complete: bool = True) -> None:
        """Commit a complete listing: mark missing documents deleted, release readable ones, move the watermark.

        Without `is_complete`, its difference is accepted.
        """
        with self._connection.begin():
            looked_at = database_clock(self._connection)
        search = UnlistedSearch(self._context, listed, self.report)
        asked, found = search.by_number()
        if not is_complete:
            search.by_id()
        released = 0
        with self._connection.begin():
            self.report.deleted = listed.mark_missing_deleted()
            if self._context.accept_empty and self.report.api_total == 0 and self.report.deleted:
                details = {"documents": self.report.deleted}
                company, actor = self._context.company, self._context.asked_by
                audit.record(self._connection, "documents accepted as gone", company, actor=actor, details=details)
            if is_complete:
                released = release_unseen(*self._context.scope, self._context.store.broken)
                self._withdraw_difference()
            else:
                found = held_records(*self._context.scope) - self.report.api_total
                settle_difference(*self._context.scope)
            listed.date_rejected()
            note_asked(self._connection, self._context.company.id, asked)
            since = None if self.report.deleted or released else looked_at
            update_gaps(self._connection, self._context.company.id, since)
            drop_listing(*self._context.scope)
            state = SyncState(started_at, self._context.run_id, self.report.api_total, "full", found)
            write_sync_state(*self._context.scope, state)
        self.report.watermark = started_at

    def _withdraw_difference(self) -> None:
        if accepted := withdraw_difference(*self._context.scope):
            company, details = self._context.company, {"difference": accepted}
            audit.record(
                self._connection,
                "accepted difference withdrawn",
                company,
                actor=self._context.asked_by,
                details=details,
            )
            self.report.notes.append(
                f"Billingo's count of {company.key} is again what its pages show: the accepted difference of"
                f" {accepted:,} is withdrawn."
            )
        elif self._context.accept_difference is not None:
            self.report.notes.append("Billingo's count is what its pages show: there is no difference to accept.")


@dataclass(frozen=True, slots=True)
class _Judged:
    """A reading of the listing, and the records that it showed."""

    reading: Reading
    listed: ListedRecords


def _reading(state: ListingState, listed: ListedCounts, total: int | None, totals: Collection[int]) -> Reading:
    return Reading(
        counted=state.total, shown=listed.shown, arrived=listed.arrived, later_totals=frozenset(totals), total=total
    )


def in_pages_of(state: ListingState, page_size: int) -> ListingState:
    """Translate the place in a listing to pages of another size, without skipping a document."""
    stored = (state.next_page - 1) * state.page_size
    return replace(state, next_page=stored // page_size + 1, page_size=page_size)
