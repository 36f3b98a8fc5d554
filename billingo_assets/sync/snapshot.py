"""Reads every record of a small collection, proves that none was missed, and marks those that are gone.

The API promises no order for such a collection, so a record may move to a page that was read before. A reading is
complete if every page shows the same total and the distinct records are as many. A single page is one moment; of more
pages, two readings in a row must be complete and show the same records.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billingo_assets.errors import EmptyAnswerError
from billingo_assets.sync.context import MAX_LISTINGS, SyncContext
from billingo_assets.sync.listing import Listing
from billingo_assets.sync.report import Progress, SyncReport, Unsettled
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.differences import observe_difference, settle_difference
from billingo_assets.warehouse.raw_records import mark_missing_deleted
from billingo_assets.warehouse.reconciliation import held_records
from billingo_assets.warehouse.rejections import release_unseen
from billingo_assets.warehouse.sync_state import SyncState, write_sync_state


@dataclass(frozen=True, slots=True)
class FullReading:
    """The records that one reading showed, and the totals on its pages. `anonymous`: those without a usable id."""

    ids: frozenset[int]
    broken: frozenset[bytes]
    anonymous: int
    totals: frozenset[int]
    items: int

    @property
    def shown(self) -> int:
        """How many distinct records it showed."""
        return len(self.ids) + self.anonymous

    @property
    def is_complete(self) -> bool:
        """Whether every page shows the same total, and the records are as many."""
        return self.totals == {self.shown}


class SnapshotSync:
    """One sync of a collection that is always read as a whole."""

    def __init__(self, context: SyncContext) -> None:
        self._context = context
        self.report = SyncReport("full")
        """The counts so far; complete once `run` has ended."""

    def run(self, started_at: datetime) -> None:
        """Sync. `started_at` is the API's clock before the first request.

        Raises:
            EmptyAnswerError: records are stored, and the API shows none.
            BillingoError: the API failed; the pages stored so far stay.
        """
        former: FullReading | None = None
        for _ in range(MAX_LISTINGS):
            found, is_one_page = self._read()
            if found.is_complete and (found == former or (is_one_page and self._holds_at_most(found.shown))):
                self._commit(found, started_at)
                return
            holds_still, former = found == former, found
        self._give_up(found, holds_still=holds_still)

    def _read(self) -> tuple[FullReading, bool]:
        """Read every page once, and say whether there was only one."""
        context = self._context
        context.store.broken.clear()
        listing = Listing(context.client, context.stream.path)
        ids: set[int] = set()
        anonymous = items = pages = 0
        for batch in listing.batches():
            if not listing.total and not batch[0].records:
                self._require_empty()
            shown = context.store_pages(batch)
            ids |= shown.ids
            anonymous += shown.anonymous
            items += sum(shown.items.values())
            pages += len(batch)
            self.report.processed = len(ids) + anonymous
            context.on_page(Progress(batch[-1].number, listing.last_page, self.report.processed, listing.total))
        broken = frozenset(context.store.broken)
        found = FullReading(frozenset(ids), broken, anonymous, frozenset(listing.totals), items)
        self.report.skipped, self.report.items = len(broken), items
        self.report.api_total = listing.total
        return found, pages == 1

    def _require_empty(self) -> None:
        """Raise EmptyAnswerError if records are stored; a person can accept that there are none any more."""
        context = self._context
        with context.connection.begin():
            held = held_records(*context.scope)
        if held and not context.accept_empty:
            raise EmptyAnswerError(
                f"Billingo shows no {context.stream.words} for {context.company.key}, although {held:,} are stored."
                " Nothing was changed. Check in Billingo; if they are really gone, run"
                f" `billingo-assets sync {context.company.key} --accept-empty`."
            )

    def _holds_at_most(self, shown: int) -> bool:
        """Whether no more records are held than a reading showed.

        If more are, one false answer would mark the rest as deleted: it takes a second reading.
        """
        with self._context.connection.begin():
            return held_records(*self._context.scope) <= shown

    def _commit(self, found: FullReading, started_at: datetime) -> None:
        """Mark missing records deleted, release those that are gone from quarantine, and move the watermark."""
        context = self._context
        with context.connection.begin():
            self.report.deleted = mark_missing_deleted(*context.scope, found.ids)
            if context.accept_empty and self.report.api_total == 0 and self.report.deleted:
                details = {context.stream.name: self.report.deleted}
                words = f"{context.stream.name} accepted as gone"
                audit.record(context.connection, words, context.company, actor=context.asked_by, details=details)
            release_unseen(*context.scope, found.broken)
            settle_difference(*context.scope)
            write_sync_state(*context.scope, SyncState(started_at, context.run_id, self.report.api_total, "full"))
        self.report.watermark = started_at

    def _give_up(self, found: FullReading, *, holds_still: bool) -> None:
        """Report why no reading was complete. `holds_still`: the last two showed the same."""
        with self._context.connection.begin():
            times = observe_difference(*self._context.scope, None)
        names = self._context.stream.words
        why = (
            f"Billingo counted {self.report.api_total:,} {names}, and its pages showed {found.shown:,}"
            if holds_still
            else f"the {names} kept changing while they were read"
        )
        self.report.unsettled = Unsettled(why, None, times)
