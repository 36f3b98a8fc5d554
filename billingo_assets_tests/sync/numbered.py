"""Where the documents that are served stand in their ranges of numbers. No tests here."""

from __future__ import annotations

import itertools
from collections import defaultdict

from billingo_assets_tests.sync.books import Books


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
