"""Reads new and changed documents since the last complete sync, and judges whether that was enough.

Billingo's documents carry no time of modification, and the results of `last_modified_date` are poorly documented. So
three queries ask for modified, paid and newest documents, and their results are merged by id. The unfiltered `total`
on the pages of the newest documents is then compared with the number held.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.errors import BillingoError
from billingo_assets.streams.stream import Changes
from billingo_assets.sync.context import MAX_LISTINGS, SyncContext
from billingo_assets.sync.listing import Listing
from billingo_assets.sync.numbers import MAX_GAPS, MAX_QUESTIONS, MAX_QUESTIONS_WAITING, seek
from billingo_assets.sync.report import Progress, SyncReport
from billingo_assets.sync.storing import Shown
from billingo_assets.warehouse.differences import settle_difference
from billingo_assets.warehouse.listings import drop_listing
from billingo_assets.warehouse.number_gaps import NumberGap, note_asked, unasked_gaps
from billingo_assets.warehouse.number_series import update_gaps
from billingo_assets.warehouse.raw_records import database_clock, written_since
from billingo_assets.warehouse.reconciliation import held_records
from billingo_assets.warehouse.rejections import quarantined_since
from billingo_assets.warehouse.sync_state import SyncState, last_synced_at, write_sync_state

TIME_ZONE_MARGIN = timedelta(hours=14)
"""`last_modified_date` has no time zone. Moved back by this margin, it is early enough in every zone."""


class IncrementalSync:
    """One incremental sync. `watermark` and `unlisted` come from the last complete sync.

    `accepted` is the number of documents by which Billingo's count may differ from its pages.
    """

    def __init__(
        self, context: SyncContext, *, watermark: datetime, unlisted: int, lookback: timedelta, accepted: int = 0
    ) -> None:
        self._context = context
        self._since = watermark - lookback - TIME_ZONE_MARGIN
        self._unlisted = unlisted
        self._accepted = accepted
        self._items: dict[int, int] = {}
        self._new: set[int] = set()
        self._anonymous = 0
        self.report = SyncReport("incremental")
        """The counts so far."""

    def run(self, started_at: datetime, began_at: datetime) -> str | None:
        """Sync, and return why every document has to be read after all; None if that is not needed.

        With None, the watermark has moved to `started_at`, the API's clock before the first request. `began_at` is the
        database's clock at that moment.
        """
        with self._context.connection.begin():
            since = last_synced_at(*self._context.scope) or began_at
            # Documents stored by failed attempts since then count as new: their neighbours may be unread.
            self._new |= written_since(*self._context.scope, since)
            self._new |= quarantined_since(*self._context.scope, since)
        if (reason := self.read_changes()) is not None:
            return reason
        total = self._read_newest()
        if total is None:
            return "the newest documents kept changing while they were read"
        if self._anonymous:
            return "there are documents without an id, which cannot be matched with those that are held"
        self._seek_numbers(since)
        with self._context.connection.begin():
            held = held_records(*self._context.scope)
        if held != total + self._unlisted:
            return f"Billingo counts {total + self._unlisted:,} documents, {held:,} were held"
        with self._context.connection.begin():
            # A listing left by an interrupted full sync is older than the new watermark.
            drop_listing(*self._context.scope)
            state = SyncState(started_at, self._context.run_id, total, "incremental", self._unlisted)
            write_sync_state(*self._context.scope, state)
            settle_difference(*self._context.scope)
        self.report.api_total = total
        self.report.watermark = started_at
        return None

    def read_changes(self) -> str | None:
        """Store documents modified or paid since the watermark. Returns why some may be missing; None if none is."""
        moment = f"{self._since:%Y-%m-%d %H:%M:%S}"
        changes = self._context.stream.strategy
        if not isinstance(changes, Changes):
            raise TypeError(f"{self._context.stream.name} cannot be asked for changes.")
        for filters in ({changes.modified_since: moment}, {changes.paid_since: moment[:10]}):
            if not self._read(filters):
                return f"the changed documents kept changing while they were read ({next(iter(filters))})"
        return None

    def _read(self, filters: dict[str, str]) -> bool:
        """Store the documents that a filter selects. False if no reading of them was complete.

        Between two pages, one document may come and another go while a third slips over the page boundary; the count is
        right all the same. So a listing of several pages is read again until it shows no new document.
        """
        shown_before: set[int] = set()
        for _ in range(MAX_LISTINGS):
            listing = Listing(self._context.client, self._context.stream.path, filters)
            ids: set[int] = set()
            anonymous = 0
            for batch in listing.batches():
                shown = self._context.store_pages(batch)
                # If other records repeat, records without an id may repeat too: they do not count.
                anonymous += 0 if shown.repeats or shown.ids & ids else shown.anonymous
                ids |= shown.ids
                self._count(shown)
                self._show_progress(batch[-1].number, listing.last_page)
            is_complete = len(ids) + anonymous == listing.total and listing.totals == {listing.total}
            if is_complete and (listing.last_page <= 1 or ids <= shown_before):
                return True
            shown_before |= ids
        return False

    def _read_newest(self) -> int | None:
        """Store the newest documents, page by page until one shows nothing new, and return the total on all pages.

        None if no reading of them was complete: a count proves nothing if missed and deleted documents balance.
        """
        for _ in range(MAX_LISTINGS):
            ids: set[int] = set()
            totals: set[int] = set()
            pages = anonymous = 0
            size = MAX_PAGE_SIZE
            for pages in range(1, self._context.client.limits.max_pages + 1):
                page = self._context.client.records(
                    self._context.stream.path, page=pages, page_size=min(size, MAX_PAGE_SIZE)
                )
                size = page.page_size if pages == 1 else size
                shown = self._context.store_pages([page])
                ids |= shown.ids
                anonymous += shown.anonymous
                totals.add(page.total)
                self._count(shown)
                self._show_progress(pages, pages)
                if len(page.records) < size or not shown.ids & self._new:
                    break
            if len(totals) == 1 and len(ids) + anonymous == min(min(totals) - self._accepted, pages * size):
                return totals.pop()
        return None

    def _seek_numbers(self, since: datetime) -> None:
        """Find gaps that are new since `since`, and ask for them and for some older ones that still wait."""
        connection, company_id = self._context.connection, self._context.company.id
        with connection.begin():
            now = database_clock(connection)
            update_gaps(connection, company_id, since)
            new = unasked_gaps(connection, company_id, now, is_new=True, most=MAX_GAPS)
            waiting = unasked_gaps(connection, company_id, now, is_new=False, most=MAX_GAPS)
        asked: list[NumberGap] = []
        with suppress(BillingoError):  # the next sync asks for the rest
            for gaps, most in ((new, MAX_QUESTIONS), (waiting, MAX_QUESTIONS_WAITING)):
                for question in seek(self._context.client, gaps, most=most):
                    for page in question.pages:
                        self._count(self._context.store_pages([page]))
                    asked += question.gaps
        if asked:
            with connection.begin():
                note_asked(connection, company_id, asked)
                update_gaps(connection, company_id, now)

    def _show_progress(self, page: int, last_page: int) -> None:
        self._context.on_page(Progress(page, last_page, self.report.processed, self.report.processed))

    def _count(self, shown: Shown) -> None:
        self._items |= shown.items
        self._new |= shown.new
        self._anonymous += shown.anonymous
        self.report.skipped += len(shown.broken)
        self.report.processed = len(self._items) + self.report.skipped
        self.report.items = sum(self._items.values())
