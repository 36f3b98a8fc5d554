"""Reads the pages of one listing, several at once, in order, and notices when it moved underneath.

A document created or deleted while pages are read shifts all that follow, so that some are shown twice and some
not at all. Every page tells the `total`: only a listing whose pages all told the same one is consistent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from billingo_assets.billingo.client import MAX_PAGE_SIZE, BillingoClient
from billingo_assets.billingo.models import DocumentsPage

MAX_PAGES = 100_000
"""Ten million documents: an end to a `last_page` that lies."""


class Listing:
    """One reading of all pages. After the iteration, `is_consistent` says whether it held still meanwhile."""

    def __init__(self, client: BillingoClient) -> None:
        self._client = client
        self.total = 0
        self.is_consistent = True

    def pages(self) -> Iterator[DocumentsPage]:
        """Yield the pages in order; at most `client.concurrent_requests` are in memory or under way."""
        first = self._client.documents(page=1)
        self.total = first.total
        yield first
        last_with_documents = -(-first.total // MAX_PAGE_SIZE)
        last = min(max(first.last_page, last_with_documents), MAX_PAGES)
        threads = ThreadPoolExecutor(self._client.concurrent_requests, thread_name_prefix="pages")
        waiting = iter(range(2, last + 1))
        under_way: deque[Future[DocumentsPage]] = deque()
        try:
            while True:
                while len(under_way) < self._client.concurrent_requests and (number := next(waiting, None)):
                    under_way.append(threads.submit(self._client.documents, page=number))
                if not under_way:
                    return
                page = under_way.popleft().result()
                self.is_consistent &= page.total == self.total
                if not page.documents:  # a `last_page` far too high is not followed to its end
                    self.is_consistent &= page.number > last_with_documents
                    return
                yield page
        finally:
            # Not waited for: when one page fails for good, its neighbours may be at their tries for minutes.
            threads.shutdown(wait=False, cancel_futures=True)
