"""Reads the pages of a listing, several at once, and yields them in order, in batches as they arrive.

Callers judge what a listing proves and whether it is complete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from billingo_assets.billingo.client import MAX_PAGE_SIZE, BillingoClient
from billingo_assets.billingo.errors import TooLargeAnswerError
from billingo_assets.billingo.models import RecordsPage, pages_of

BATCH_PAGES = 10
"""The most pages in a batch, if they arrive faster than they are stored."""
BATCH_BYTES = 16 * 2**20
"""The most bytes of records in a batch, and read ahead of it, unless a single page has more."""


class Listing:
    """One reading of the records of a collection that `filters` select, from page `start` on.

    `total` and `last_page` come from its first page, or from the caller if that was read before; both count, since one
    of them may be wrong. `totals` are the totals on all pages. `page_size` is how many records a page has shown: the
    server decides, and later pages are requested in that size, so that no record is skipped if the server changes its
    mind. Memory: two batches of pages, by their number or their size, and one page for each connection. `optional`: see
    `BillingoClient.records`.
    """

    def __init__(
        self,
        client: BillingoClient,
        path: str,
        filters: Mapping[str, str] | None = None,
        *,
        start: int = 1,
        total: int = 0,
        last_page: int = 0,
        page_size: int = MAX_PAGE_SIZE,
        optional: bool = False,
    ) -> None:
        self._client = client
        self._path = path
        self._filters = filters
        self._optional = optional
        self._next = start
        self.total = total
        self.totals: set[int] = set()
        self.page_size = page_size
        self.last_page = max(last_page, pages_of(total, page_size))
        self._most = client.limits.max_pages

    def batches(self) -> Iterator[list[RecordsPage]]:
        """Yield the pages in order, one or more at a time, until the last or an empty one.

        Raises:
            TooLargeAnswerError: it has more pages than the limit.
        """
        if self._next == 1:
            first = self._read(1)
            self.total = first.total
            self._next = 2
            self._note(first)
            yield [first]
        threads = ThreadPoolExecutor(self._client.concurrent_requests, thread_name_prefix="pages")
        under_way: deque[Future[RecordsPage]] = deque()
        try:
            while True:
                self._ask(threads, under_way)
                if not under_way:
                    self._require_end()
                    return
                batch = [under_way.popleft().result()]
                while (
                    under_way
                    and len(batch) < BATCH_PAGES
                    and _size(under_way[0]) + sum(page.size for page in batch) <= BATCH_BYTES
                    and _has_arrived(under_way[0])
                ):
                    batch.append(under_way.popleft().result())
                sound = [page for page in batch if page.records]
                for page in sound:
                    self._note(page)
                if sound:
                    yield sound
                if len(sound) < len(batch):  # do not follow a `last_page` that is far too high
                    return
        finally:
            # Do not wait: when one page fails for good, others may be retrying for minutes.
            threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, threads: ThreadPoolExecutor, under_way: deque[Future[RecordsPage]]) -> None:
        """Keep every connection busy, and a batch of pages read ahead."""
        most = self._client.concurrent_requests + BATCH_PAGES
        last_page = min(self.last_page, self._most)
        while (
            self._next <= last_page
            and len(under_way) < most
            and not (under_way and sum(map(_size, under_way)) > BATCH_BYTES)
        ):
            under_way.append(threads.submit(self._read, self._next))
            self._next += 1

    def _read(self, page: int) -> RecordsPage:
        size = min(self.page_size, MAX_PAGE_SIZE)
        return self._client.records(
            self._path, page=page, page_size=size, filters=self._filters, optional=self._optional
        )

    def _require_end(self) -> None:
        if self.last_page > self._most:
            raise TooLargeAnswerError(
                f"Billingo's listing has more than {self._most:,} pages: {self.last_page:,}.",
                setting="BILLINGO_MAX_PAGES",
            )

    def _note(self, page: RecordsPage) -> None:
        """Update the totals and the last page: arrivals push the oldest records to additional pages."""
        self.totals.add(page.total)
        if page.number == 1:
            self.page_size = shown_size(page)
        elif page.number < self.last_page:
            self.page_size = min(self.page_size, len(page.records))
        self.last_page = max(self.last_page, page.last_page, pages_of(page.total, self.page_size))


def shown_size(first: RecordsPage) -> int:
    """How many records a page has, judged by the first one; the requested size if that shows all or none."""
    return len(first.records) if 0 < len(first.records) < first.total else MAX_PAGE_SIZE


def _size(page: Future[RecordsPage]) -> int:
    """Bytes of a page; 0 until it has arrived."""
    return page.result().size if _has_arrived(page) else 0


def _has_arrived(page: Future[RecordsPage]) -> bool:
    return page.done() and page.exception() is None
