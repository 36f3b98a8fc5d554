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
"""Questions for missing numbers in one sync; other gaps are reported, and have their turn in the next."""
MAX_QUESTIONS_WAITING = 5
"""Of an incremental sync, those for gaps that are not new: many gaps must not make every sync slow."""
MAX_GAPS = MAX_QUESTIONS * MAX_PAGE_SIZE // 2
"""Gaps that so many questions can be for: between two gaps there is a number."""


class Question(NamedTuple):
    """What Billingo was asked about, and what it answered: no pages where it refused the question."""

    gaps: tuple[NumberGap, ...]
    pages: Iterator[RecordsPage]


def seek(client: BillingoClient, gaps: Sequence[NumberGap], *, most: int) -> Iterator[Question]:
    """Ask for missing numbers, gaps that lie close together at once, until `most` questions were asked.

    No more documents are read than a question has numbers for, or a page holds: an API that does not heed these
    filters would show everything. The pages of a question are read before the next one is asked.

    Raises:
        BillingoError: a question got no answer. Each has one try: a gap is reported without an answer too.
    """
    to_ask = deque(bundled(gaps))
    for _ in range(most):
        if not to_ask:
            return
        together = to_ask.popleft()
        pages = _ask(client, _span(together), optional=True)
        first = next(pages, None)
        if first is not None and first.total > MAX_PAGE_SIZE and len(together) > 1:
            # More documents than numbers were asked for: those of other blocks crowd out what is sought.
            to_ask.extendleft((gap,) for gap in reversed(together))
        else:
            yield Question(together, pages if first is None else chain([first], pages))


def ask(client: BillingoClient, numbers: NumberSpan) -> RecordsPage | None:
    """The first page of the documents that have these numbers. None where Billingo refuses the question."""
    return next(_ask(client, numbers, optional=False), None)


def bundled(gaps: Sequence[NumberGap]) -> Iterator[tuple[NumberGap, ...]]:
    """Put gaps together, in their order, that one page can answer for: of one series and year, within its size."""
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
    # A server that refuses an odd number refuses it every time: its gap is reported, and the sync goes on.
    with suppress(InvalidRequestError):
        for page in chain.from_iterable(Listing(client, DOCUMENTS.path, filters, optional=optional).batches()):
            yield page
            most -= len(page.records)
            if most <= 0:
                return
