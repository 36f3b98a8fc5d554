"""Asks Billingo for documents that a complete listing did not show: by their ids, by their numbers, by missing numbers.

A listing can leave out documents that exist, in the same way each time it is read. Those that Billingo does not deny
are not marked deleted.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from billingo_assets.billingo.client import MAX_PAGE_SIZE
from billingo_assets.billingo.errors import BillingoError, NotFoundError
from billingo_assets.billingo.models import RecordsPage
from billingo_assets.sync.context import SyncContext
from billingo_assets.sync.numbers import MAX_GAPS, MAX_QUESTIONS, ask, seek
from billingo_assets.sync.report import SyncReport
from billingo_assets.warehouse.listed import ListedRecords
from billingo_assets.warehouse.number_gaps import NumberGap, documents_numbered, gaps_by_turn, unlisted_numbers
from billingo_assets.warehouse.number_series import update_gaps

MAX_DOCUMENTS_ASKED = 100
"""Documents asked for by id in one sync. The others stay until the next sync."""


class UnlistedSearch:
    """The search for documents that a listing does not show. It adds what it finds to `listed` and `report`."""

    def __init__(self, context: SyncContext, listed: ListedRecords, report: SyncReport) -> None:
        self._context = context
        self._listed = listed
        self._report = report

    def by_id(self) -> None:
        """Ask by id for documents that are held but not listed. Those that Billingo does not deny count as listed."""
        with self._context.connection.begin():
            missing = self._listed.missing()
            witness = self._listed.witness()
        gone = self._gone(missing[:MAX_DOCUMENTS_ASKED], witness) if missing else set()
        with self._context.connection.begin():
            self._listed.add([id_ for id_ in missing if id_ not in gone])

    def _gone(self, document_ids: Collection[int], witness: int | None) -> set[int]:
        """Return the ids of documents that Billingo says do not exist, and store those that it returns."""
        gone: set[int] = set()
        with suppress(BillingoError):
            if witness is None or not self._context.client.record(self._context.stream.path, witness):
                return gone
            for document_id in document_ids:
                try:
                    document = self._context.client.record(self._context.stream.path, document_id)
                except NotFoundError:
                    gone.add(document_id)
                else:
                    self._context.store_pages([RecordsPage(1, 1, 1, [document], 1)])
        return gone

    def by_number(self) -> tuple[list[NumberGap], int]:
        """Ask by number for documents that the listing lacks: held ones, and those with missing numbers.

        Returns the gaps that were asked for, and how many documents no listing shows.
        """
        found = self._seek_held()
        with self._context.connection.begin():
            update_gaps(self._context.connection, self._context.company.id)
            gaps = gaps_by_turn(self._context.connection, self._context.company.id, most=MAX_GAPS)
        asked: list[NumberGap] = []
        with suppress(BillingoError):  # the next sync asks for the rest
            for question in seek(self._context.client, gaps, most=MAX_QUESTIONS):
                for page in question.pages:
                    shown = self._context.store_pages([page])
                    with self._context.connection.begin():
                        found += self._listed.add(shown.ids)
                asked += question.gaps
        if found:
            with self._context.connection.begin():
                self._report.items = self._listed.count_items()
            self._report.processed += found
        return asked, found

    def _seek_held(self) -> int:
        """Ask by number for documents that are held but not listed, and count existing ones as listed.

        Returns how many. Documents count as existing if Billingo refuses the request, or shows fewer than its total.
        After a request without an answer, it sends no more.
        """
        seen = self._context.store.broken
        with self._context.connection.begin():
            stretches = unlisted_numbers(self._listed, span=MAX_PAGE_SIZE, seen=seen)
        found = unanswered = 0
        answers = True
        while stretches:
            numbers = stretches.pop()
            page = None
            if answers:
                try:
                    page = ask(self._context.client, numbers)
                except BillingoError:
                    answers = False
            if page is not None and page.total > len(page.records) and numbers.size > 1:
                middle = (numbers.first + numbers.last) // 2
                stretches += [numbers._replace(last=middle), numbers._replace(first=middle + 1)]
                continue
            there: Collection[int] = ()
            is_complete = False
            if page is not None:
                shown = self._context.store_pages([page])
                there = shown.ids
                is_complete = len(shown.ids) + shown.anonymous >= page.total
            with self._context.connection.begin():
                if not is_complete:
                    there = {*there, *documents_numbered(self._context.connection, self._context.company.id, numbers)}
                added = self._listed.add(there)
            found += added
            unanswered += 0 if answers else added
        if unanswered:
            self._report.notes.append(
                f"Billingo's listing lacks {unanswered:,} documents that are held, and Billingo did not answer whether"
                " they are gone: they stay. A full sync asks again."
            )
        return found
