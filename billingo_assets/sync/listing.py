"""Reads the pages of a listing, several at once, and hands them out in order, in batches as they arrive.

What a listing proves, and when it is complete, is the business of those who read it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from billingo_assets.billingo.client import MAX_PAGE_SIZE, BillingoClient
from billingo_assets.billingo.errors import TooLargeAnswerError
from billingo_assets.billingo.models import RecordsPage, pages_of

BATCH_PAGES = 10
"""Pages handed out together at most, where they arrive faster than they are stored."""
BATCH_BYTES = 16 * 2**20
"""Records handed out together, and read ahead of that, unless one page alone has more."""


class Listing:
    """One reading of the records of a collection that `filters` select, from page `start` on.

    `total` and `last_page` are what its first page told, or, where that was read before, what the caller knows; both
    count, since one of them may lie. `totals` are all that were told. `page_size` is how many records a page has
    shown, which the server decides: the following pages are asked for in that size, so that none is skipped should the
    server change its mind. Memory: two batches of pages, by their number or their size, and one page for each
    connection. `optional`: see `BillingoClient.records`.
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
            TooLargeAnswerError: it goes on behind the last page that may be asked for.
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
                if len(sound) < len(batch):  # a `last_page` far too high is not followed to its end
                    return
        finally:
            # Not waited for: when one page fails for good, its neighbours may be at their tries for minutes.
            threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self, threads: ThreadPoolExecutor, under_way: deque[Future[RecordsPage]]) -> None:
        """Keep every connection busy, and a batch of pages in store."""
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
                f"Billingo's listing goes on behind page {self._most:,}, up to page {self.last_page:,}.",
                setting="BILLINGO_MAX_PAGES",
            )

    def _note(self, page: RecordsPage) -> None:
        """Records that arrive meanwhile push the oldest ones to pages that were not there at first."""
        self.totals.add(page.total)
        if page.number == 1:
            self.page_size = shown_size(page)
        elif page.number < self.last_page:
            self.page_size = min(self.page_size, len(page.records))
        self.last_page = max(self.last_page, page.last_page, pages_of(page.total, self.page_size))


def shown_size(first: RecordsPage) -> int:
    """How many records a page has, by what the first one shows; what was asked for, where that shows all or none."""
    return len(first.records) if 0 < len(first.records) < first.total else MAX_PAGE_SIZE


def _size(page: Future[RecordsPage]) -> int:
    """Bytes of a page that has arrived; 0 before."""
    return page.result().size if _has_arrived(page) else 0


def _has_arrived(page: Future[RecordsPage]) -> bool:
    return page.done() and page.exception() is None
