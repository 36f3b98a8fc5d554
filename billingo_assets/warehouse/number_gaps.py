"""Reads and marks `number_gaps`: missing numbers between a lower and a higher one of their series."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from billingo_assets.warehouse.listed import ListedRecords


class NumberSpan(NamedTuple):
    """Numbers of a block to ask Billingo for. They may span years if they contain no year."""

    block_id: int
    year: int
    first: int
    last_year: int
    last: int

    @property
    def size(self) -> int:
        """The count of numbers."""
        return self.last - self.first + 1


class NumberGap(NamedTuple):
    """Numbers from `first` to `last` that are all missing from a series.

    The document before them is of `year`, the one after them of `last_year`. `gapless`: the series holds documents
    with numbers that have to run without gaps.
    """

    block_id: int
    series: str
    year: int
    first: int
    last_year: int
    last: int
    gapless: bool = True

    @property
    def span(self) -> NumberSpan:
        """The numbers to ask for."""
        return NumberSpan(self.block_id, self.year, self.first, self.last_year, self.last)

    @property
    def size(self) -> int:
        """How many numbers are missing."""
        return self.span.size

    @property
    def numbers(self) -> str:
        """The missing numbers for people."""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


class Gaps(NamedTuple):
    """The state of a company's numbers, in counts of numbers.

    `missing` numbers should exist; Billingo has not been asked for the `unasked` ones of them. `accepted` missing
    numbers were accepted by a person, `allowed` ones need not exist. `unjudged` numbers of live documents are
    uncertain; the series of `ambiguous` ones may have begun again; `is_any_judged`: there are others. `listed` are the
    first gaps with missing numbers.
    """

    missing: int
    unasked: int
    accepted: int
    allowed: int
    unjudged: int
    ambiguous: int
    is_any_judged: bool
    listed: tuple[NumberGap, ...]


_GAPS = "SELECT block_id, series, year, first_number, last_year, last_number, gapless FROM billingo.number_gaps"

_OPEN = text(f"{_GAPS} WHERE company_id = :company ORDER BY block_id, series, year, first_number")

_ASKED = text(f"{_GAPS} WHERE company_id = :company AND asked_at IS NOT NULL")

_UNASKED = text(
    f"""
    {_GAPS} WHERE company_id = :company AND asked_at IS NULL AND (found_at >= :since) = :is_new
    ORDER BY block_id, series, year, first_number LIMIT :most
    """
)

_BY_TURN = text(
    f"""
    {_GAPS} WHERE company_id = :company
    ORDER BY asked_at NULLS FIRST, block_id, series, year, first_number LIMIT :most
    """
)

_NOTE_ASKED = text(
    """
    UPDATE billingo.number_gaps AS known SET asked_at = now()
    FROM unnest(CAST(:blocks AS bigint[]), CAST(:series AS text[]), CAST(:years AS int[]), CAST(:firsts AS bigint[]))
        AS asked (block_id, series, year, first_number)
    WHERE company_id = :company AND known.block_id = asked.block_id AND known.series = asked.series
      AND known.year = asked.year AND known.first_number = asked.first_number
    """
)

_ACCEPT = text(
    """
    WITH accepted AS (
        UPDATE billingo.number_gaps SET accepted_at = now()
        WHERE company_id = :company AND gapless AND accepted_at IS NULL RETURNING last_number - first_number + 1 AS size
    )
    SELECT CAST(coalesce(sum(size), 0) AS bigint) FROM accepted
    """
)

_COUNT = text(
    """
    SELECT CAST(coalesce(sum(size) FILTER (WHERE is_missing), 0) AS bigint) AS missing,
           CAST(coalesce(sum(size) FILTER (WHERE is_missing AND asked_at IS NULL), 0) AS bigint) AS unasked,
           CAST(coalesce(sum(size) FILTER (WHERE gapless AND NOT is_missing), 0) AS bigint) AS accepted,
           CAST(coalesce(sum(size) FILTER (WHERE NOT gapless), 0) AS bigint) AS allowed,
           (SELECT count(*) FROM billingo.raw_invoices
            WHERE company_id = :company AND NOT number_judged AND gapless AND deleted_at IS NULL)
           + (SELECT count(*) FROM billingo.rejected_documents AS rejected
              WHERE company_id = :company AND stream = 'documents' AND stage = 'fetch'
                AND NOT number_judged AND gapless AND NOT EXISTS (
                  SELECT FROM billingo.raw_invoices AS raw
                  WHERE raw.company_id = :company AND raw.document_id = rejected.document_id
                    AND NOT raw.number_judged AND raw.gapless AND raw.deleted_at IS NULL)) AS unjudged,
           (SELECT CAST(coalesce(sum(documents), 0) AS bigint) FROM billingo.ambiguous_numbers
            WHERE company_id = :company) AS ambiguous,
           EXISTS (SELECT FROM billingo.raw_invoices AS raw
                   WHERE company_id = :company AND number_judged AND gapless AND deleted_at IS NULL
                     AND NOT EXISTS (
                         SELECT FROM billingo.ambiguous_numbers AS ambiguous
                         WHERE ambiguous.company_id = :company AND ambiguous.block_id = raw.block_id
                           AND ambiguous.series = raw.number_series AND ambiguous.year = raw.number_year)
                  ) AS is_any_judged
    FROM (
        SELECT gapless, asked_at, last_number - first_number + 1 AS size, gapless AND accepted_at IS NULL AS is_missing
        FROM billingo.number_gaps WHERE company_id = :company
    ) AS gap
    """
)

_LISTED = text(
    f"""
    {_GAPS} WHERE company_id = :company AND gapless AND accepted_at IS NULL
    ORDER BY block_id, series, year, first_number LIMIT :most
    """
)

_UNLISTED = """
    SELECT block_id, number_year, number FROM billingo.raw_invoices AS raw
    WHERE company_id = :company AND deleted_at IS NULL AND number_judged
      AND NOT EXISTS (SELECT FROM {listed} AS listed WHERE listed.id = raw.document_id)
    UNION SELECT block_id, number_year, number FROM billingo.rejected_documents
    WHERE company_id = :company AND stream = 'documents' AND stage = 'fetch' AND number_judged
      AND content_hash <> ALL(CAST(:seen AS bytea[]))
    ORDER BY block_id, number_year, number
"""

_NUMBERED = text(
    """
    SELECT document_id FROM billingo.raw_invoices
    WHERE company_id = :company AND deleted_at IS NULL AND block_id = :block_id AND number_year = :year
      AND number BETWEEN :first AND :last AND number_judged
    """
)


def open_gaps(connection: Connection, company_id: int) -> list[NumberGap]:
    """The gaps after the last syncs, by block, series and number."""
    return [NumberGap(*row) for row in connection.execute(_OPEN, {"company": company_id})]


def asked_gaps(connection: Connection, company_id: int) -> set[NumberGap]:
    """The gaps that Billingo has been asked about."""
    return {NumberGap(*row) for row in connection.execute(_ASKED, {"company": company_id})}


def unasked_gaps(
    connection: Connection, company_id: int, since: datetime, *, is_new: bool, most: int
) -> list[NumberGap]:
    """Gaps that Billingo has not been asked about: those found since `since`, or the older ones."""
    values = {"company": company_id, "since": since, "is_new": is_new, "most": most}
    return [NumberGap(*row) for row in connection.execute(_UNASKED, values)]


def gaps_by_turn(connection: Connection, company_id: int, *, most: int) -> list[NumberGap]:
    """Gaps that Billingo has not been asked about, then those asked about longest ago."""
    return [NumberGap(*row) for row in connection.execute(_BY_TURN, {"company": company_id, "most": most})]


def note_asked(connection: Connection, company_id: int, gaps: Collection[NumberGap]) -> None:
    """Note that Billingo was asked for these gaps just now."""
    values = {
        "company": company_id,
        "blocks": [gap.block_id for gap in gaps],
        "series": [gap.series for gap in gaps],
        "years": [gap.year for gap in gaps],
        "firsts": [gap.first for gap in gaps],
    }
    if gaps:
        connection.execute(_NOTE_ASKED, values)


def accept_gaps(connection: Connection, company_id: int) -> int:
    """Accept the numbers that are missing now. Returns how many."""
    accepted: int = connection.execute(_ACCEPT, {"company": company_id}).scalar_one()
    return accepted


def summarize_gaps(connection: Connection, company_id: int, *, most: int) -> Gaps:
    """Count missing numbers and those that cannot be judged, and list up to `most` gaps with missing numbers."""
    counts = connection.execute(_COUNT, {"company": company_id}).one()
    listed = connection.execute(_LISTED, {"company": company_id, "most": most})
    return Gaps(**counts._mapping, listed=tuple(NumberGap(*row) for row in listed))


def unlisted_numbers(listed: ListedRecords, *, span: int, seen: Collection[bytes]) -> list[NumberSpan]:
    """The numbers of documents that are held but were not listed, as stretches of `span` numbers at most.

    Documents in quarantine are held too; `seen` are the hashes of those that were shown.
    """
    stretches: list[NumberSpan] = []
    query = text(_UNLISTED.format(listed=listed.table))
    for block_id, year, number in listed.connection.execute(query, {"company": listed.company_id, "seen": list(seen)}):
        last = stretches[-1] if stretches else None
        if last is not None and (block_id, year) == last[:2] and number < last.first + span:
            stretches[-1] = last._replace(last=number)
        else:
            stretches.append(NumberSpan(block_id, year, number, year, number))
    return stretches


def documents_numbered(connection: Connection, company_id: int, numbers: NumberSpan) -> set[int]:
    """The ids of live documents with these numbers, all of one year."""
    return set(connection.scalars(_NUMBERED, {"company": company_id, **numbers._asdict()}))
