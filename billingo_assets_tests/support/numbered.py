"""Numbered documents to serve, where they stand in their series, and which gaps are known. No tests here."""

from __future__ import annotations

import itertools
from collections import defaultdict

from billingo_assets.sandbox import Quirks
from billingo_assets.warehouse.number_gaps import NumberSpan, open_gaps
from billingo_assets_tests.support.books import Books
from billingo_assets_tests.support.documents import document

BLOCK = 999
"""A block that the sandbox does not use."""


def numbers(books: Books) -> dict[tuple[int, int], dict[int, int]]:
    """The ids of the served documents by block and year, and by running number, the lowest first."""
    ranges: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for record in books.served.records:
        if record.facts.year_and_number and record.facts.block_id and record.facts.id:
            year, number = record.facts.year_and_number
            ranges[record.facts.block_id, year][number] = record.facts.id
    return {place: dict(sorted(ranges[place].items())) for place in sorted(ranges)}


def numbered_between_others(books: Books) -> list[int]:
    """Documents without which a number is missing, no two of them neighbours: the longest range first."""
    ranges = sorted(numbers(books).values(), key=len, reverse=True)
    return list(itertools.chain.from_iterable(list(ids.values())[1:-1:2] for ids in ranges))


def numbered(document_id: int, number: int | str, *, block_id: int = BLOCK, **fields: object) -> dict[str, object]:
    """A document to serve: its running number of 2026, or the number as it is printed."""
    printed = number if isinstance(number, str) else f"X-2026-{number:06}"
    sent = document(document_id, invoice_number=printed, block_id=block_id, related_documents=[])
    return sent | {"invoice_date": "2026-03-01"} | fields


def serve_numbers(books: Books, *numbers: int | str, **fields: object) -> None:
    """Serve a document of each number; running numbers are added to 9,000 for their ids, others are counted."""
    for place, number in enumerate(numbers, 1):
        document_id = 9_000 + (number if isinstance(number, int) else place)
        books.served.add_raw(numbered(document_id, number, **fields), counted=True)  # type: ignore[arg-type]


def missing(first: int, last: int | None = None, *, block_id: int = BLOCK, year: int = 2026) -> NumberSpan:
    """Numbers that are missing."""
    return NumberSpan(block_id, year, first, year, first if last is None else last)


def gaps(books: Books) -> list[NumberSpan]:
    """The gaps that are known."""
    with books.engine.begin() as connection:
        return [gap.span for gap in open_gaps(connection, books.company.id)]


def gap_of(books: Books, document_id: int) -> NumberSpan:
    """The gap that there is without a document."""
    facts = books.served.record(document_id).facts
    assert facts.block_id is not None
    assert facts.year_and_number is not None
    year, number = facts.year_and_number
    return missing(number, block_id=facts.block_id, year=year)


def remove(books: Books, document_id: int) -> NumberSpan:
    """Delete a document, though it is issued, and return the gap that it leaves where nobody knew of it."""
    gap = gap_of(books, document_id)
    books.served.delete(document_id, even_if_issued=True)
    return gap


def hide(books: Books, *document_ids: int) -> None:
    """Let no listing show these documents; they are found by number."""
    books.sandbox.faults.quirks = Quirks(hidden_from_listing=frozenset(document_ids))
