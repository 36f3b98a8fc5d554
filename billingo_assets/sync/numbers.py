"""Asks Billingo for the documents whose numbers are missing, before a gap is reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from billingo_assets.billingo.client import MAX_PAGE_SIZE, BillingoClient
from billingo_assets.billingo.errors import InvalidRequestError
from billingo_assets.billingo.models import DocumentsPage
from billingo_assets.sync.listing import Listing
from billingo_assets.warehouse.number_gaps import NumberGap

MAX_GAPS_SOUGHT = 20
"""Gaps asked for in one sync; the others are reported, and have their turn in the next."""


def seek(client: BillingoClient, gaps: Iterable[NumberGap]) -> Iterator[list[DocumentsPage]]:
    """Yield the pages that Billingo answers for the missing numbers, gap by gap.

    No more pages than a gap has numbers for: an API that does not heed these filters would show everything.
    """
    for gap in gaps:
        # Whoever refuses an odd number refuses it every time: its gap is reported, and the sync goes on.
        with suppress(InvalidRequestError):
            yield from islice(Listing(client, _filters(gap)).batches(), -(-gap.size // MAX_PAGE_SIZE))


def ask(client: BillingoClient, numbers: NumberGap) -> DocumentsPage | None:
    """The first page of the documents that bear these numbers. None where Billingo refuses the question."""
    with suppress(InvalidRequestError):
        return client.documents(page=1, filters=_filters(numbers))
    return None


def _filters(numbers: NumberGap) -> dict[str, str]:
    return {
        "block_id": str(numbers.block_id),
        "start_year": str(numbers.year),
        "start_number": str(numbers.first),
        "end_year": str(numbers.year),
        "end_number": str(numbers.last),
    }
