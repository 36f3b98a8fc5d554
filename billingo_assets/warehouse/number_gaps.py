"""`number_gaps`: invoice numbers that no document bears, though a lower and a higher one of their range exist."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text


class NumberRange(NamedTuple):
    """Where numbers run without holes: a document block and a year."""

    block_id: int
    year: int


class NumberGap(NamedTuple):
    """Numbers from `first` to `last`, both missing, of one range."""

    block_id: int
    year: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many numbers are missing."""
        return self.last - self.first + 1

    @property
    def numbers(self) -> str:
        """The missing numbers for people."""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


# A document that changed its number may have left a hole where it was.
_TO_LOOK_AT = text(
    r"""
    SELECT block_id, number_year FROM billingo.raw_invoices
    WHERE company_id = :company AND changed_at >= :since AND block_id IS NOT NULL AND number IS NOT NULL
    UNION SELECT block_id, year FROM billingo.number_gaps WHERE company_id = :company AND asked_at IS NULL
    UNION SELECT CAST(block[1] AS bigint), CAST(bearing[1] AS int)
    FROM billingo.raw_invoices AS raw JOIN billingo.raw_invoice_versions AS former USING (company_id, document_id)
    CROSS JOIN regexp_match(former.payload->>'block_id', '^([0-9]{1,18})$') AS block
    CROSS JOIN regexp_match(former.payload->>'invoice_number', '([0-9]{4})-[0-9]{1,18}$') AS bearing
    WHERE raw.company_id = :company AND raw.changed_at >= :since AND former.valid_to >= :since
      AND block IS NOT NULL AND bearing IS NOT NULL
    """
)

# Of a document in quarantine the number can be read all the same, so it is borne by one that is there. The numbers of
# what it refers to are not its own.
_IN_QUARANTINE = r"""
    SELECT CAST(block[1] AS bigint) AS block_id, CAST(bearing[1] AS int) AS number_year,
           CAST(bearing[2] AS bigint) AS number
    FROM billingo.rejected_documents
    CROSS JOIN regexp_replace(payload, '"related_documents"\s*:\s*\[[^]]*\]', '', 'g') AS own
    CROSS JOIN regexp_match(own, '"block_id"\s*:\s*([0-9]{1,18})') AS block
    CROSS JOIN regexp_match(own, '"invoice_number"\s*:\s*"[^"]*?([0-9]{4})-([0-9]{1,18})"') AS bearing
    WHERE company_id = :company AND stage = 'fetch' AND block IS NOT NULL AND bearing IS NOT NULL
"""

# What was not asked for yet comes first, then what was asked for longest ago.
_HOLES = """
    SELECT numbered.block_id, number_year, previous + 1, number - 1
    FROM (
        SELECT block_id, number_year, number,
               lag(number) OVER (PARTITION BY block_id, number_year ORDER BY number) AS previous
        FROM (
            SELECT block_id, number_year, number FROM billingo.raw_invoices
            WHERE company_id = :company AND deleted_at IS NULL AND block_id IS NOT NULL AND number IS NOT NULL
              AND {listed}
            UNION {quarantined}
        ) AS borne
        WHERE {within}
    ) AS numbered
    LEFT JOIN billingo.number_gaps AS known
        ON known.company_id = :company AND known.block_id = numbered.block_id AND year = number_year
        AND first_number = previous + 1
    WHERE number > previous + 1
    ORDER BY asked_at NULLS FIRST, numbered.block_id, number_year, number
"""

_WITHIN = "(block_id, number_year) IN (SELECT * FROM unnest(CAST(:blocks AS bigint[]), CAST(:years AS int[])))"
_HOLES_IN_RANGES = text(_HOLES.format(listed="true", within=_WITHIN, quarantined=_IN_QUARANTINE))
_HOLES_IN_LISTING = text(
    _HOLES.format(
        listed="document_id IN (SELECT document_id FROM listed_documents)",
        within="true",
        quarantined=_IN_QUARANTINE,
    )
)

_UNLISTED = text(
    """
    SELECT DISTINCT block_id, number_year, number FROM billingo.raw_invoices AS raw
    WHERE company_id = :company AND deleted_at IS NULL AND block_id IS NOT NULL AND number IS NOT NULL
      AND NOT EXISTS (SELECT FROM listed_documents AS listed WHERE listed.document_id = raw.document_id)
    ORDER BY block_id, number_year, number
    """
)

_KEEP = text(
    """
    INSERT INTO billingo.number_gaps (company_id, block_id, year, first_number, last_number)
    SELECT :company, * FROM unnest(
        CAST(:blocks AS bigint[]), CAST(:years AS int[]), CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[]))
    ON CONFLICT (company_id, block_id, year, first_number) DO UPDATE SET last_number = excluded.last_number
    """
)

_ASKED = text(
    """
    UPDATE billingo.number_gaps SET asked_at = now()
    WHERE company_id = :company AND block_id = :block_id AND year = :year AND first_number = :first
    """
)

_CLOSE = """
DELETE FROM billingo.number_gaps
WHERE company_id = :company AND {scope}
  AND (block_id, year, first_number) NOT IN (
      SELECT * FROM unnest(CAST(:blocks AS bigint[]), CAST(:years AS int[]), CAST(:firsts AS bigint[])))
"""

_CLOSE_ALL = text(_CLOSE.format(scope="true"))
_CLOSE_IN_RANGES = text(
    _CLOSE.format(
        scope="(block_id, year) IN (SELECT * FROM unnest(CAST(:in_blocks AS bigint[]), CAST(:in_years AS int[])))"
    )
)


def ranges_to_look_at(connection: Connection, company_id: int, since: datetime) -> list[NumberRange]:
    """The ranges in which a number was borne or given up since then, or a gap was never asked for."""
    return [NumberRange(*row) for row in connection.execute(_TO_LOOK_AT, {"company": company_id, "since": since})]


def holes_in_ranges(connection: Connection, company_id: int, ranges: Collection[NumberRange]) -> list[NumberGap]:
    """The holes among the live documents of some ranges."""
    values = {"blocks": [one.block_id for one in ranges], "years": [one.year for one in ranges]}
    return [NumberGap(*row) for row in connection.execute(_HOLES_IN_RANGES, {"company": company_id, **values})]


def holes_in_listing(connection: Connection, company_id: int) -> list[NumberGap]:
    """The holes among the documents of `listed_documents` and in quarantine."""
    return [NumberGap(*row) for row in connection.execute(_HOLES_IN_LISTING, {"company": company_id})]


def unlisted_numbers(connection: Connection, company_id: int, *, span: int) -> list[NumberGap]:
    """The numbers of documents that we hold and `listed_documents` lacks, as stretches of `span` numbers at most."""
    stretches: list[NumberGap] = []
    for block_id, year, number in connection.execute(_UNLISTED, {"company": company_id}):
        last = stretches[-1] if stretches else None
        if last is not None and (block_id, year) == last[:2] and number < last.first + span:
            stretches[-1] = last._replace(last=number)
        else:
            stretches.append(NumberGap(block_id, year, number, number))
    return stretches


def open_gaps(connection: Connection, company_id: int) -> list[NumberGap]:
    """The gaps that the last syncs left, by block and year."""
    query = text(
        """
        SELECT block_id, year, first_number, last_number FROM billingo.number_gaps
        WHERE company_id = :company ORDER BY block_id, year, first_number
        """
    )
    return [NumberGap(*row) for row in connection.execute(query, {"company": company_id})]


def asked_gaps(connection: Connection, company_id: int) -> set[NumberGap]:
    """The gaps that Billingo was asked about before."""
    query = text(
        """
        SELECT block_id, year, first_number, last_number FROM billingo.number_gaps
        WHERE company_id = :company AND asked_at IS NOT NULL
        """
    )
    return {NumberGap(*row) for row in connection.execute(query, {"company": company_id})}


def replace_gaps(
    connection: Connection,
    company_id: int,
    gaps: Collection[NumberGap],
    *,
    asked: Collection[NumberGap],
    within: Collection[NumberRange] | None,
) -> None:
    """Make these the gaps of the ranges `within`, or (None) of the company, and note which were asked for just now.

    One that stays keeps its `found_at`.
    """
    values = {
        "company": company_id,
        "blocks": [gap.block_id for gap in gaps],
        "years": [gap.year for gap in gaps],
        "firsts": [gap.first for gap in gaps],
        "lasts": [gap.last for gap in gaps],
    }
    if within is None:
        connection.execute(_CLOSE_ALL, values)
    else:
        ranges = {"in_blocks": [one.block_id for one in within], "in_years": [one.year for one in within]}
        connection.execute(_CLOSE_IN_RANGES, {**values, **ranges})
    if gaps:
        connection.execute(_KEEP, values)
    for gap in asked:
        connection.execute(_ASKED, {"company": company_id, **gap._asdict()})
