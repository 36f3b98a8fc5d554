"""Asks Billingo for the documents whose numbers are missing, before a gap is reported."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from billingo_assets.billingo.client import MAX_PAGE_SIZE, BillingoClient
from billingo_assets.billingo.errors import InvalidRequestError
from billingo_assets.billingo.models import RecordsPage
from billingo_assets.streams import DOCUMENTS
from billingo_assets.sync.listing import Listing
from billingo_assets.warehouse.number_gaps import NumberGap, NumberSpan

MAX_QUESTIONS = 20
"""The most requests for missing numbers in one sync. Other gaps are reported and wait for the next sync."""
MAX_QUESTIONS_WAITING = 5
"""The most requests for older gaps in an incremental sync: many gaps must not make every sync slow."""
MAX_GAPS = MAX_QUESTIONS * MAX_PAGE_SIZE // 2
"""The most gaps that these requests can cover: between two gaps there is at least one number."""


class Question(NamedTuple):
    """The gaps that Billingo was asked about, and its answer: no pages if it refused the request."""

    gaps: tuple[NumberGap, ...]
    pages: Iterator[RecordsPage]


def seek(client: BillingoClient, gaps: Sequence[NumberGap], *, most: int) -> Iterator[Question]:
    """Ask for missing numbers, with at most `most` requests; gaps that lie close together share one.

    It reads no more documents than a request has numbers, or a page holds: an API that ignores these filters would
    show everything. The caller reads the pages of a request before the next one is sent.

    Raises:
        BillingoError: a request got no answer. Each has one try: a gap is reported without an answer too.
    """
    to_ask = deque(bundled(gaps))
    for _ in range(most):
        if not to_ask:
            return
        together = to_ask.popleft()
        pages = _ask(client, _span(together), optional=True)
        first = next(pages, None)
        if first is not None and first.total > MAX_PAGE_SIZE and len(together) > 1:
            # More documents than numbers: documents of other blocks crowd out the missing ones.
            to_ask.extendleft((gap,) for gap in reversed(together))
        else:
            yield Question(together, pages if first is None else chain([first], pages))


def ask(client: BillingoClient, numbers: NumberSpan) -> RecordsPage | None:
    """Read the first page of the documents with these numbers; None if Billingo refuses the request."""
    return next(_ask(client, numbers, optional=False), None)


def bundled(gaps: Sequence[NumberGap]) -> Iterator[tuple[NumberGap, ...]]:
    """Bundle gaps, in their order, that one page can answer: of one series and year, within a page's size."""
    together: list[NumberGap] = []
    for gap in gaps:
        if together and not _fit([*together, gap]):
            yield tuple(together)
            together = []
        together.append(gap)
    if together:
        yield tuple(together)


def _fit(gaps: Sequence[NumberGap]) -> bool:
    first, last = gaps[0], gaps[-1]
    is_one_series = (first.block_id, first.series) == (last.block_id, last.series)
    is_one_year = {first.year, first.last_year} == {last.year, last.last_year} == {first.year}
    return is_one_series and is_one_year and 0 < last.last - first.first < MAX_PAGE_SIZE


def _span(gaps: Sequence[NumberGap]) -> NumberSpan:
    return gaps[0].span._replace(last=gaps[-1].last)


def _ask(client: BillingoClient, numbers: NumberSpan, *, optional: bool) -> Iterator[RecordsPage]:
    filters = {
        "block_id": str(numbers.block_id),
        "start_year": str(numbers.year),
        "start_number": str(numbers.first),
        "end_year": str(numbers.last_year),
        "end_number": str(numbers.last),
    }
    most = max(numbers.size, MAX_PAGE_SIZE)
    # A server that refuses an odd number refuses it every time: the gap is reported, and the sync continues.
    with suppress(InvalidRequestError):
        for page in chain.from_iterable(Listing(client, DOCUMENTS.path, filters, optional=optional).batches()):
            yield page
            most -= len(page.records)
            if most <= 0:
                return
