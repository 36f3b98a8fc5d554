"""Reads every document of a company, proves that it was every one, and marks what is gone.

Documents are created and deleted while pages are read; creations push the rest to later pages, where some are shown
twice, and deletions pull them to earlier ones, where some are missed. Counts alone do not show it: as many as were
missed may be held though they are dead. Two comparisons together do, and a third makes sure:

- The pages show as many distinct documents as the first of them told. What is created later comes before the first
  page and is not among them, so they are exactly the documents that there were at that moment.
- The total at the end is that of the first page and what arrived since then. So none of them has gone.
- Every total told in between lies between these two, as it must where documents only arrived.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.errors import BillingoError
from billingo_assets.billingo.models import DocumentsPage
from billingo_assets.errors import EmptyAnswerError
from billingo_assets.sync.incremental import IncrementalSync
from billingo_assets.sync.listing import Listing, shown_size
from billingo_assets.sync.numbers import MAX_GAPS, MAX_QUESTIONS, ask, seek
from billingo_assets.sync.report import Progress, SyncReport
from billingo_assets.sync.work import MAX_LISTINGS, Work
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.listings import (
    Listed,
    ListingState,
    add_listed,
    advance_listing,
    begin_listing,
    broken_hashes,
    bury_unlisted,
    collect_listed,
    count_listed_items,
    drop_listing,
    note_page,
    open_listing,
    unlisted,
)
from billingo_assets.warehouse.number_gaps import (
    NumberGap,
    all_series,
    documents_numbered,
    gaps_by_turn,
    note_asked,
    unlisted_numbers,
    update_gaps,
)
from billingo_assets.warehouse.reconciliation import held_documents
from billingo_assets.warehouse.rejections import release_unseen, touch_listed
from billingo_assets.warehouse.sync_state import SyncState, write_sync_state

RESUMABLE = timedelta(hours=24)
"""How long a listing that broke off may be gone on with. Later, much of what it read is out of date."""


class FullSync:
    """One full sync. An API that shows no document at all where there were some is believed with `accept_empty`.

    `asked_by` is who or what wants it believed.
    """

    def __init__(self, work: Work, *, reason: str, accept_empty: bool = False, asked_by: str | None = None) -> None:
        self._work = work
        self._connection = work.connection
        self._company_id = work.company.id
        self._accept_empty = accept_empty
        self._asked_by = asked_by
        self._shown = self._last_page = 0
        self._is_one_page = False
        self.report = SyncReport("full", reason)
        """What was done so far, whole once `run` has ended."""

    def run(self, started_at: datetime) -> None:
        """Sync. `started_at` is the API's clock before the first question.

        Raises:
            EmptyAnswerError: there were documents, and the API shows none.
            BillingoError: the API failed; the pages stored until then stay, and the next full sync goes on there.
        """
        state = self._resume()
        for _ in range(MAX_LISTINGS):
            began_here = state is None
            state = state or self._begin(started_at)
            told = self._read_pages(state)
            is_current = began_here or self._read_changes(state.started_at)
            if began_here and self._is_one_moment(state):
                total: int | None = state.total
            else:
                page = self._catch_up(state.page_size)
                total = None if page is None else page.total
            if self._is_complete(state, total, told) and is_current:
                self._vouch(state.started_at)
                break
            state = None

    def _resume(self) -> ListingState | None:
        """The listing that an earlier attempt left, if none of its documents has gone meanwhile."""
        with self._connection.begin():
            state = open_listing(self._connection, self._company_id, not_older_than=RESUMABLE)
            # That it was empty, this sync may not be allowed to believe.
            if state is None or not state.total:
                return None
            self._work.store.broken |= broken_hashes(self._connection, self._company_id)
        page = self._catch_up(state.page_size)
        with self._connection.begin():
            listed = collect_listed(self._connection, self._company_id)
        if page is None or not _nothing_has_gone(state, listed, page.total):
            return None
        if not _is_steady(state, state.totals, page.total):
            return None
        self._shown = listed.shown
        self._count(listed)
        return in_pages_of(state, shown_size(page))

    def _begin(self, started_at: datetime) -> ListingState:
        page = self._work.client.documents(page=1)
        self.report.api_total = page.total
        self._work.store.broken.clear()
        self._shown, self._last_page = 0, page.last_page
        self._is_one_page = page.shows_all
        self.report.items = 0
        state = ListingState(started_at, page.total, 2, page_size=shown_size(page))
        with self._connection.begin():
            if not page.total and not page.documents and not self._accept_empty:
                self._refuse_emptiness()
            self._work.commit_without_waiting()
            begin_listing(self._connection, self._company_id, state)
            self._note([page])
        self._tell(1, page.last_page, page.total)
        return state

    def _refuse_emptiness(self) -> None:
        if held := held_documents(self._connection, self._company_id):
            raise EmptyAnswerError(
                f"Billingo shows no document of {self._work.company.key} at all, where there were {held:,}. Nothing"
                " was changed. Look into Billingo; if they are really gone, run"
                f" `billingo-assets sync {self._work.company.key} --accept-empty`."
            )

    def _read_pages(self, state: ListingState) -> set[int]:
        """Store the pages that are not stored yet, and return the totals that all pages told."""
        listing = Listing(
            self._work.client,
            start=state.next_page,
            total=state.total,
            last_page=self._last_page,
            page_size=state.page_size,
        )
        for batch in listing.batches():
            with self._connection.begin():
                self._work.commit_without_waiting()
                self._note(batch)
                totals = {page.total for page in batch}
                advance_listing(
                    self._connection, self._company_id, batch[-1].number + 1, totals, page_size=listing.page_size
                )
            self._tell(batch[-1].number, listing.last_page, state.total)
        return {*state.totals, *listing.totals}

    def _read_changes(self, since: datetime) -> bool:
        """Store what was changed on pages that an earlier attempt read. False when that may not be all of it."""
        work = replace(self._work, on_page=lambda progress: None)
        work.store = self._work.store
        changes = IncrementalSync(work, watermark=since, unlisted=0, lookback=timedelta(0))
        return changes.read_changes() is None

    def _note(self, pages: list[DocumentsPage]) -> None:
        """Store pages of the listing and remember what they showed, in one transaction."""
        # Those without an id may be shown again as well where others are. They count as one with those alike, so that
        # a page that is sent twice does not make up for the one that is missing.
        shown = self._work.store.store(pages, show_again=self._were_listed)
        note_page(self._connection, self._company_id, shown.ids, shown.broken)
        self._shown += len(shown.ids) + shown.anonymous
        self.report.skipped = len(self._work.store.broken)
        self.report.items += sum(shown.items.values())

    def _were_listed(self, ids: Collection[int]) -> bool:
        """Whether the listing has shown any of these documents before."""
        return len(unlisted(self._connection, self._company_id, ids)) < len(ids)

    def _tell(self, page: int, last_page: int, total: int) -> None:
        self.report.processed = self._shown
        self._work.on_page(Progress(page, max(page, last_page), self._shown, total))

    def _is_one_moment(self, state: ListingState) -> bool:
        """Whether the listing was one page, between which and itself nothing can have happened, and fits what is held.

        Where more is held than it showed, one false answer would bury the rest.
        """
        if not self._is_one_page:
            return False
        with self._connection.begin():
            return held_documents(self._connection, self._company_id) <= state.total

    def _catch_up(self, page_size: int) -> DocumentsPage | None:
        """Store what has arrived since the listing began, which had pages of this size, and return the page it is on.

        None where what arrived is not known: the page shows fewer documents than it has, or none that the listing has
        shown, so that more may have arrived than one page holds.
        """
        page = self._work.client.documents(page=1, page_size=min(page_size, MAX_PAGE_SIZE))
        self._last_page = page.last_page
        with self._connection.begin():
            self._work.commit_without_waiting()
            shown = self._work.store.store([page])
            arrived = unlisted(self._connection, self._company_id, shown.ids)
            note_page(self._connection, self._company_id, arrived, shown.broken, arrived=True)
        is_whole = page.is_whole or len(page.documents) >= min(page.total, page_size)
        reaches_back = len(arrived) + len(shown.broken) < len(page.documents) or page.shows_all
        return page if is_whole and reaches_back else None

    def _is_complete(self, state: ListingState, total: int | None, told: set[int]) -> bool:
        with self._connection.begin():
            listed = collect_listed(self._connection, self._company_id)
        self._count(listed)
        self.report.api_total = state.total if total is None else total
        is_steady = _is_steady(state, told, total)
        return listed.shown == state.total and is_steady and _nothing_has_gone(state, listed, total)

    def _count(self, listed: Listed) -> None:
        """Report what the listing has shown, each document once."""
        with self._connection.begin():
            self.report.items = count_listed_items(self._connection, self._company_id)
        self.report.skipped = listed.broken
        self.report.processed = listed.shown + listed.arrived

    def _vouch(self, started_at: datetime) -> None:
        """After a complete listing: mark what is gone, release what is sound again, move the watermark."""
        asked, found = self._seek_numbers()
        with self._connection.begin():
            self.report.deleted = bury_unlisted(self._connection, self._company_id)
            if self._accept_empty and self.report.api_total == 0 and self.report.deleted:
                details = {"documents": self.report.deleted}
                company, actor = self._work.company, self._asked_by
                audit.record(self._connection, "documents accepted as gone", company, actor=actor, details=details)
            release_unseen(self._connection, self._company_id, self._work.store.broken)
            touch_listed(self._connection, self._company_id)
            note_asked(self._connection, self._company_id, asked)
            self._update_gaps()
            drop_listing(self._connection, self._company_id)
            state = SyncState(started_at, self._work.run_id, self.report.api_total, "full", found)
            write_sync_state(self._connection, self._company_id, state)
        self.report.watermark = started_at

    def _seek_numbers(self) -> tuple[list[NumberGap], int]:
        """Ask for documents that the listing lacks: by the numbers of those we hold, and by those that are missing.

        Returns which gaps were asked for, and how many documents no listing shows.
        """
        found = self._seek_held()
        with self._connection.begin():
            self._update_gaps()
            gaps = gaps_by_turn(self._connection, self._company_id, most=MAX_GAPS)
        asked: list[NumberGap] = []
        with suppress(BillingoError):  # what was not answered has its turn in the next sync
            for question in seek(self._work.client, gaps, most=MAX_QUESTIONS):
                for page in question.pages:
                    shown = self._work.store_pages([page])
                    with self._connection.begin():
                        found += add_listed(self._connection, shown.ids)
                asked += question.gaps
        if found:
            with self._connection.begin():
                self.report.items = count_listed_items(self._connection, self._company_id)
            self.report.processed += found
        return asked, found

    def _seek_held(self) -> int:
        """Ask by number for what we hold and the listing lacks, and count what is there as listed. Returns how many.

        What nobody says is gone counts as there: where Billingo refuses the question, or shows less than it tells.
        After a question that gets no answer, no more are asked.
        """
        seen = self._work.store.broken
        with self._connection.begin():
            stretches = unlisted_numbers(self._connection, self._company_id, span=MAX_PAGE_SIZE, seen=seen)
        found = unanswered = 0
        answers = True
        while stretches:
            numbers = stretches.pop()
            page = None
            if answers:
                try:
                    page = ask(self._work.client, numbers)
                except BillingoError:
                    answers = False
            if page is not None and page.total > len(page.documents) and numbers.size > 1:
                middle = (numbers.first + numbers.last) // 2
                stretches += [numbers._replace(last=middle), numbers._replace(first=middle + 1)]
                continue
            there: Collection[int] = ()
            is_whole = False
            if page is not None:
                shown = self._work.store_pages([page])
                there = shown.ids
                is_whole = len(shown.ids) + shown.anonymous >= page.total
            with self._connection.begin():
                if not is_whole:
                    there = {*there, *documents_numbered(self._connection, self._company_id, numbers)}
                added = add_listed(self._connection, there)
            found += added
            unanswered += 0 if answers else added
        if unanswered:
            self.report.notes.append(
                f"Billingo's listing lacks {unanswered:,} documents that are held, and Billingo did not answer whether"
                " they are gone: they stay. A full sync asks again."
            )
        return found

    def _update_gaps(self) -> None:
        update_gaps(self._connection, self._company_id, all_series(self._connection, self._company_id))


def _is_steady(state: ListingState, told: Collection[int], total: int | None) -> bool:
    """Whether arrivals alone explain what was told meanwhile: such totals lie between the first one and the last."""
    return total is not None and all(state.total <= one <= total for one in told)


def _nothing_has_gone(state: ListingState, listed: Listed, total: int | None) -> bool:
    """Whether the total is that of the first page and what arrived since."""
    return total == state.total + listed.arrived


def in_pages_of(state: ListingState, page_size: int) -> ListingState:
    """The same place of a listing where its pages have another size by now; none of its documents is skipped."""
    stored = (state.next_page - 1) * state.page_size
    return replace(state, next_page=stored // page_size + 1, page_size=page_size)
