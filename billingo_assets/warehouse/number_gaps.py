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

# A document that changed its number may have left a hole where it was, and so may one whose newest version is broken.
# Looked up one by one: what statistics say of a company that has just grown misleads the planner.
_TO_LOOK_AT = text(
    rf"""
    WITH changed AS MATERIALIZED (
        SELECT document_id, block_id, number_year FROM billingo.raw_invoices
        WHERE company_id = :company AND changed_at >= :since
    ), broken AS MATERIALIZED (
        SELECT document_id FROM billingo.rejected_documents
        WHERE company_id = :company AND stage = 'fetch' AND first_seen_at >= :since
    ), looked_at AS (
        SELECT block_id, number_year FROM changed
        UNION SELECT CAST(block[1] AS bigint), CAST(bearing[1] AS int)
        FROM changed CROSS JOIN LATERAL (
            SELECT payload FROM billingo.raw_invoice_versions
            WHERE company_id = :company AND document_id = changed.document_id AND valid_to >= :since OFFSET 0
        ) AS former
        CROSS JOIN regexp_match(former.payload->>'block_id', '^([0-9]{{1,18}})$') AS block
        CROSS JOIN regexp_match(former.payload->>'invoice_number', '([0-9]{{4}})-[0-9]{{1,18}}$') AS bearing
        UNION SELECT former.block_id, former.number_year
        FROM broken CROSS JOIN LATERAL (
            SELECT block_id, number_year FROM billingo.raw_invoices
            WHERE company_id = :company AND document_id = broken.document_id OFFSET 0
        ) AS former
        UNION SELECT block_id, number_year FROM ({_IN_QUARANTINE} AND first_seen_at >= :since) AS quarantined
        UNION SELECT block_id, year FROM billingo.number_gaps WHERE company_id = :company AND asked_at IS NULL
    )
    SELECT block_id, number_year FROM looked_at WHERE block_id IS NOT NULL AND number_year IS NOT NULL
    """  # noqa: S608 - our own text
)

# What was not asked for yet comes first, then what was asked for longest ago.
_HOLES = """
    SELECT block_id, number_year, previous + 1, number - 1
    FROM (
        SELECT block_id, number_year, number,
               lag(number) OVER (PARTITION BY block_id, number_year ORDER BY number) AS previous
        FROM (
            SELECT block_id, number_year, number FROM billingo.raw_invoices
            WHERE company_id = :company AND deleted_at IS NULL AND block_id IS NOT NULL AND number IS NOT NULL
              AND document_id NOT IN (
                  SELECT document_id FROM billingo.rejected_documents
                  WHERE company_id = :company AND stage = 'fetch' AND document_id IS NOT NULL)
              AND {listed}
            UNION {quarantined}
        ) AS borne
        WHERE {within}
    ) AS numbered
    WHERE number > previous + 1
    ORDER BY (
        SELECT asked_at FROM billingo.number_gaps AS known
        WHERE known.company_id = :company AND known.block_id = numbered.block_id AND year = number_year
          AND first_number = previous + 1
    ) NULLS FIRST, block_id, number_year, number
"""

_WITHIN = "(block_id, number_year) IN (SELECT * FROM unnest(CAST(:blocks AS bigint[]), CAST(:years AS int[])))"
_HOLES_IN_RANGES = text(_HOLES.format(listed="true", within=_WITHIN, quarantined=_IN_QUARANTINE))
_HOLES_IN_LISTING = text(
    _HOLES.format(
        listed="document_id IN (SELECT document_id FROM listed_documents)",
        within="true",
        quarantined=f"{_IN_QUARANTINE} AND content_hash = ANY(CAST(:seen AS bytea[]))",
    )
)

_UNLISTED = text(
    f"""
    SELECT block_id, number_year, number FROM billingo.raw_invoices AS raw
    WHERE company_id = :company AND deleted_at IS NULL AND block_id IS NOT NULL AND number IS NOT NULL
      AND NOT EXISTS (SELECT FROM listed_documents AS listed WHERE listed.document_id = raw.document_id)
    UNION {_IN_QUARANTINE} AND content_hash <> ALL(CAST(:seen AS bytea[]))
    ORDER BY block_id, number_year, number
    """  # noqa: S608 - our own text
)

_BEARING = text(
    """
    SELECT document_id FROM billingo.raw_invoices
    WHERE company_id = :company AND deleted_at IS NULL AND block_id = :block_id AND number_year = :year
      AND number BETWEEN :first AND :last
    """
)

_KEEP = text(
    """
    INSERT INTO billingo.number_gaps AS known (company_id, block_id, year, first_number, last_number)
    SELECT :company, * FROM unnest(
        CAST(:blocks AS bigint[]), CAST(:years AS int[]), CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[]))
    ON CONFLICT (company_id, block_id, year, first_number) DO UPDATE
    SET last_number = excluded.last_number,
        asked_at = CASE WHEN known.last_number >= excluded.last_number THEN known.asked_at END
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


def holes_in_listing(connection: Connection, company_id: int, *, seen: Collection[bytes]) -> list[NumberGap]:
    """The holes among the documents of `listed_documents` and those in quarantine whose hashes were `seen`."""
    values = {"company": company_id, "seen": list(seen)}
    return [NumberGap(*row) for row in connection.execute(_HOLES_IN_LISTING, values)]


def unlisted_numbers(connection: Connection, company_id: int, *, span: int, seen: Collection[bytes]) -> list[NumberGap]:
    """The numbers of documents that we hold and `listed_documents` lacks, as stretches of `span` numbers at most.

    Those in quarantine are held too; `seen` are the hashes of what was shown of them.
    """
    stretches: list[NumberGap] = []
    for block_id, year, number in connection.execute(_UNLISTED, {"company": company_id, "seen": list(seen)}):
        last = stretches[-1] if stretches else None
        if last is not None and (block_id, year) == last[:2] and number < last.first + span:
            stretches[-1] = last._replace(last=number)
        else:
            stretches.append(NumberGap(block_id, year, number, number))
    return stretches


def documents_bearing(connection: Connection, company_id: int, numbers: NumberGap) -> set[int]:
    """The live documents that bear these numbers."""
    return set(connection.scalars(_BEARING, {"company": company_id, **numbers._asdict()}))


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
