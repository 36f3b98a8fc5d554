"""Reads what is new or changed since the last whole sync, and tells whether that was enough.

Billingo's documents bear no time of modification, and what `last_modified_date` finds is not documented well. So
three questions are asked, and their answers merged by id: what was modified, what was paid, what is newest. The
unfiltered `total` that the newest documents come with is then compared with what is held.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.sync.listing import MAX_PAGES, Listing
from billingo_assets.sync.numbers import seek
from billingo_assets.sync.report import Progress, SyncReport
from billingo_assets.sync.storing import Shown
from billingo_assets.sync.work import MAX_LISTINGS, Work
from billingo_assets.warehouse.number_gaps import changed_ranges, holes_in_ranges, open_gaps, replace_gaps
from billingo_assets.warehouse.raw_invoices import any_new
from billingo_assets.warehouse.reconciliation import held_documents
from billingo_assets.warehouse.sync_state import SyncState, write_sync_state

TIME_ZONE_MARGIN = timedelta(hours=14)
"""`last_modified_date` is told without a time zone: so much earlier, it is early enough in each."""


class IncrementalSync:
    """One incremental sync. `watermark` and `unlisted` are what the last whole sync left."""

    def __init__(self, work: Work, *, watermark: datetime, unlisted: int, lookback: timedelta) -> None:
        self._work = work
        self._since = watermark - lookback - TIME_ZONE_MARGIN
        self._unlisted = unlisted
        self._items: dict[int, int] = {}
        self._new: set[int] = set()
        self.report = SyncReport("incremental")
        """What was done so far."""

    def run(self, started_at: datetime) -> str | None:
        """Sync, and return the reason why every document has to be read after all, if there is one.

        Without one the watermark is moved to `started_at`, the API's clock before the first question.
        """
        moment = f"{self._since:%Y-%m-%d %H:%M:%S}"
        for filters in ({"last_modified_date": moment}, {"paid_start_date": moment[:10]}):
            if not self._read(filters):
                return f"what was changed did not hold still while it was read ({next(iter(filters))})"
        total = self._read_newest()
        if total is None:
            return "the newest documents did not hold still while they were read"
        self._seek_numbers()
        with self._work.connection.begin():
            held = held_documents(self._work.connection, self._work.company.id)
        if held != total + self._unlisted:
            return f"Billingo counts {total + self._unlisted:,} documents, {held:,} were held"
        with self._work.connection.begin():
            state = SyncState(started_at, self._work.run_id, total, "incremental", self._unlisted)
            write_sync_state(self._work.connection, self._work.company.id, state)
        self.report.api_total = total
        self.report.watermark = started_at
        return None

    def _read(self, filters: dict[str, str]) -> bool:
        """Store what a filter selects. False when no reading of it was whole."""
        for _ in range(MAX_LISTINGS):
            listing = Listing(self._work.client, filters)
            ids: set[int] = set()
            anonymous = 0
            for batch in listing.batches():
                shown = self._work.store_pages(batch)
                ids |= shown.ids
                anonymous += shown.anonymous
                self._count(shown)
                self._tell(batch[-1].number, listing.last_page)
            if len(ids) + anonymous == listing.total and listing.totals == {listing.total}:
                return True
        return False

    def _read_newest(self) -> int | None:
        """Store the newest documents, page by page until one shows nothing new. Returns their total.

        None when no reading of them was whole: a count proves nothing where as many were missed as have died.
        """
        for _ in range(MAX_LISTINGS):
            ids: set[int] = set()
            totals: set[int] = set()
            shown_at_all = anonymous = 0
            for number in range(1, MAX_PAGES):
                page = self._work.client.documents(page=number)
                shown = self._work.store_pages([page])
                ids |= shown.ids
                anonymous += shown.anonymous
                totals.add(page.total)
                shown_at_all = number * MAX_PAGE_SIZE
                self._count(shown)
                self._tell(number, number)
                if len(page.documents) < MAX_PAGE_SIZE or not self._shows_new(shown):
                    break
            if len(totals) == 1 and len(ids) + anonymous == min(*totals, shown_at_all):
                return totals.pop()
        return None

    def _shows_new(self, shown: Shown) -> bool:
        """Whether any of these documents came after the last whole sync; one that failed since may have stored it."""
        with self._work.connection.begin():
            return bool(shown.ids & self._new) or any_new(self._work.connection, self._work.company.id, shown.ids)

    def _seek_numbers(self) -> None:
        """Look for holes in the ranges that were touched, and ask for the documents of those that are new."""
        connection, company_id = self._work.connection, self._work.company.id
        with connection.begin():
            ranges = changed_ranges(connection, company_id, self._work.began_at)
            if not ranges:
                return
            asked = set(open_gaps(connection, company_id))
            holes = [hole for hole in holes_in_ranges(connection, company_id, ranges) if hole not in asked]
        for batch in seek(self._work.client, holes):
            self._count(self._work.store_pages(batch))
        with connection.begin():
            replace_gaps(connection, company_id, holes_in_ranges(connection, company_id, ranges), within=ranges)

    def _tell(self, page: int, last_page: int) -> None:
        self._work.on_page(Progress(page, last_page, self.report.processed, self.report.processed))

    def _count(self, shown: Shown) -> None:
        self._items |= shown.items
        self._new |= shown.new
        self.report.skipped += len(shown.broken)
        self.report.processed = len(self._items) + self.report.skipped
        self.report.items = sum(self._items.values())
