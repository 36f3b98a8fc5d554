"""Finds the missing numbers of a series, and stores them as `number_gaps`.

A series is the prefix and year that numbers of a block have in common; see `normalize.numbering`. If it has no year and
began again in some years, each run is judged separately. Deleted documents take their numbers, and so do documents in
quarantine with a readable number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from billingo_assets.normalize.numbering import Run, YearOfNumbers, numbering_of, runs_of

_decode = msgspec.json.decode


class Series(NamedTuple):
    """Consecutive numbers of one document block, with the same prefix and year."""

    block_id: int
    series: str


# If the newest version of a document cannot be read, that version's number counts, not the stored one's.
_TAKEN = """
    SELECT block_id, number_series, number_year, number, number_judged, gapless, deleted_at IS NULL AS is_live
    FROM billingo.raw_invoices AS raw
    WHERE company_id = :company AND block_id IS NOT NULL AND number IS NOT NULL AND NOT EXISTS (
        SELECT FROM billingo.rejected_documents AS rejected
        WHERE rejected.company_id = :company AND rejected.document_id = raw.document_id
          AND stream = 'documents' AND stage = 'fetch')
    UNION ALL
    SELECT block_id, number_series, number_year, number, number_judged, gapless, true FROM billingo.rejected_documents
    WHERE company_id = :company AND block_id IS NOT NULL AND number IS NOT NULL
      AND stream = 'documents' AND stage = 'fetch'
"""

_ALL_SERIES = text(
    """
    SELECT block_id, number_series FROM billingo.raw_invoices WHERE company_id = :company AND number IS NOT NULL
    UNION SELECT block_id, number_series FROM billingo.rejected_documents
    WHERE company_id = :company AND stream = 'documents' AND number IS NOT NULL
    UNION SELECT block_id, series FROM billingo.number_gaps WHERE company_id = :company
    """
)

# A document that changed its number may have left a gap, and so may one with an unreadable newest version. Looked up
# one by one: the statistics of a company that has just grown mislead the planner.
_CHANGED_SERIES = text(
    """
    WITH changed AS MATERIALIZED (
        SELECT document_id, block_id, number_series FROM billingo.raw_invoices
        WHERE company_id = :company AND changed_at >= :since
    ), unreadable AS MATERIALIZED (
        SELECT document_id, block_id, number_series FROM billingo.rejected_documents
        WHERE company_id = :company AND stream = 'documents' AND stage = 'fetch' AND first_seen_at >= :since
    )
    SELECT block_id, number_series FROM changed
    UNION SELECT block_id, number_series FROM unreadable
    UNION SELECT former.block_id, former.number_series FROM unreadable CROSS JOIN LATERAL (
        SELECT block_id, number_series FROM billingo.raw_invoices
        WHERE company_id = :company AND document_id = unreadable.document_id OFFSET 0
    ) AS former
    """
)

_FORMER_NUMBERS = text(
    """
    WITH changed AS MATERIALIZED (
        SELECT document_id FROM billingo.raw_invoices
        WHERE company_id = :company AND changed_at >= :since AND version > 1
    )
    SELECT former.fields FROM changed CROSS JOIN LATERAL (
        SELECT jsonb_build_object('block_id', payload->'block_id', 'invoice_number', payload->'invoice_number',
                                  'invoice_date', payload->'invoice_date')::text AS fields
        FROM billingo.raw_invoice_versions
        WHERE company_id = :company AND document_id = changed.document_id AND valid_to >= :since OFFSET 0
    ) AS former
    """
)

_LOOKED_AT = """
    looked_at AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:blocks AS bigint[]), CAST(:series AS text[])) AS looked_at (block_id, number_series)
    )
"""

# Only of series with several years. A deleted document's number may have gone to a document of the next year.
_YEARS = text(
    f"""
    WITH {_LOOKED_AT}, taken AS MATERIALIZED (
        SELECT * FROM ({_TAKEN}) AS taken JOIN looked_at USING (block_id, number_series) WHERE number_judged
    ), several AS MATERIALIZED (
        SELECT block_id, number_series FROM taken GROUP BY block_id, number_series
        HAVING min(number_year) < max(number_year)
    ), numbered AS (
        SELECT *, lag(number_year) OVER (
            PARTITION BY block_id, number_series, is_live, number ORDER BY number_year) AS former_year
        FROM taken JOIN several USING (block_id, number_series)
    )
    SELECT block_id, number_series, number_year,
           coalesce(min(number) FILTER (WHERE is_live), min(number)),
           coalesce(max(number) FILTER (WHERE is_live), max(number)),
           array_agg(DISTINCT former_year) FILTER (WHERE is_live AND former_year < number_year),
           count(*) FILTER (WHERE is_live AND gapless)
    FROM numbered GROUP BY block_id, number_series, number_year ORDER BY block_id, number_series, number_year
    """  # noqa: S608 - our own text
)

_NOTE_AMBIGUOUS = text(
    f"""
    WITH {_LOOKED_AT}, found AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:a_blocks AS bigint[]), CAST(:a_series AS text[]), CAST(:a_years AS int[]), CAST(:a_documents AS int[])
        ) AS found (block_id, series, year, documents)
    ), settled AS (
        DELETE FROM billingo.ambiguous_numbers AS known USING looked_at
        WHERE known.company_id = :company AND known.block_id = looked_at.block_id
          AND known.series = looked_at.number_series
          AND NOT EXISTS (SELECT FROM found WHERE found.block_id = known.block_id AND found.series = known.series
                            AND found.year = known.year)
    )
    INSERT INTO billingo.ambiguous_numbers AS known (company_id, block_id, series, year, documents)
    SELECT :company, * FROM found
    ON CONFLICT (company_id, block_id, series, year) DO UPDATE SET documents = excluded.documents
    WHERE known.documents <> excluded.documents
    """  # noqa: S608 - our own text
)

# A gap beside an uncertain number is not reported.
_UPDATE = text(
    f"""
    WITH {_LOOKED_AT}, runs AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:r_blocks AS bigint[]), CAST(:r_series AS text[]), CAST(:r_years AS int[]), CAST(:r_runs AS int[]),
            CAST(:r_judged AS boolean[])
        ) AS runs (block_id, number_series, year, run, run_judged)
    ), taken AS (  -- a number of no known year may belong to each run
        SELECT block_id, number_series, coalesce(run, 0) AS run, number_year, number,
               number_judged AND coalesce(run_judged, true) AS number_judged, gapless
        FROM ({_TAKEN}) AS taken JOIN looked_at USING (block_id, number_series)
        LEFT JOIN runs USING (block_id, number_series)
        WHERE runs.year IS NULL OR number_year IS NULL OR runs.year = number_year
    ), gaps AS MATERIALIZED (
        SELECT block_id, number_series AS series, least(former_year, number_year) AS year, former + 1 AS first_number,
               greatest(former_year, number_year) AS last_year, number - 1 AS last_number, is_gapless
        FROM (
            SELECT *, lag(number) OVER following AS former, lag(number_year) OVER following AS former_year,
                   lag(number_judged) OVER following AS former_judged,
                   bool_or(gapless) OVER (PARTITION BY block_id, number_series) AS is_gapless
            FROM taken WINDOW following AS (PARTITION BY block_id, number_series, run ORDER BY number, number_judged)
        ) AS numbered
        WHERE number > former + 1 AND number_judged AND former_judged
    ), gone AS MATERIALIZED (  -- by EXCEPT: the planner knows of no gaps, and would compare each with every other
        SELECT known.block_id, series, year, first_number
        FROM billingo.number_gaps AS known JOIN looked_at
            ON known.block_id = looked_at.block_id AND known.series = looked_at.number_series
        WHERE company_id = :company
        EXCEPT SELECT block_id, series, year, first_number FROM gaps
    ), closed AS (
        DELETE FROM billingo.number_gaps AS known USING gone
        WHERE known.company_id = :company AND known.block_id = gone.block_id AND known.series = gone.series
          AND known.year = gone.year AND known.first_number = gone.first_number
    )
    INSERT INTO billingo.number_gaps AS known
        (company_id, block_id, series, year, first_number, last_year, last_number, gapless)
    SELECT :company, * FROM gaps
    ON CONFLICT (company_id, block_id, series, year, first_number) DO UPDATE
    SET last_year = excluded.last_year, last_number = excluded.last_number, gapless = excluded.gapless,
        asked_at = CASE WHEN known.last_number >= excluded.last_number THEN known.asked_at END,
        accepted_at = CASE WHEN known.last_number >= excluded.last_number THEN known.accepted_at END
    WHERE (known.last_year, known.last_number, known.gapless)
        IS DISTINCT FROM (excluded.last_year, excluded.last_number, excluded.gapless)
    """  # noqa: S608 - our own text
)


def _all_series(connection: Connection, company_id: int) -> set[Series]:
    """Every series of a company."""
    return _series(connection.execute(_ALL_SERIES, {"company": company_id}))


def _changed_series(connection: Connection, company_id: int, since: datetime) -> set[Series]:
    """The series in which a number was taken or given up since `since`."""
    values = {"company": company_id, "since": since}
    changed = connection.execute(_CHANGED_SERIES, values).all()
    if not changed:
        return set()
    former = (numbering_of(_decode(fields)) for fields in connection.scalars(_FORMER_NUMBERS, values))
    return _series(changed) | _series((one.block_id, one.number_series) for one in former)


def update_gaps(connection: Connection, company_id: int, since: datetime | None = None) -> None:
    """Update the gaps of every series of a company, or of those in which a number changed since `since`.

    A gap that remains keeps its `found_at`. One that grew has to be asked for again, and is no longer accepted.
    """
    series = _all_series(connection, company_id) if since is None else _changed_series(connection, company_id, since)
    if not series:
        return
    looked_at = {
        "company": company_id,
        "blocks": [one.block_id for one in series],
        "series": [one.series for one in series],
    }
    years = connection.execute(_YEARS, looked_at).all()
    runs = [
        (*place, run, number)
        for place, of_series in groupby(years, key=lambda row: row[:2])
        for run, number in _runs([row[2:] for row in of_series])
    ]
    ambiguous = [row for row in runs if not row[2].is_judged]
    connection.execute(
        _NOTE_AMBIGUOUS,
        {
            **looked_at,
            "a_blocks": [block for block, _, _, _ in ambiguous],
            "a_series": [name for _, name, _, _ in ambiguous],
            "a_years": [run.year for _, _, run, _ in ambiguous],
            "a_documents": [number for _, _, _, number in ambiguous],
        },
    )
    connection.execute(
        _UPDATE,
        {
            **looked_at,
            "r_blocks": [block for block, _, _, _ in runs],
            "r_series": [name for _, name, _, _ in runs],
            "r_years": [run.year for _, _, run, _ in runs],
            "r_runs": [run.run for _, _, run, _ in runs],
            "r_judged": [run.is_judged for _, _, run, _ in runs],
        },
    )


def _runs(years: Sequence[Sequence[Any]]) -> Iterator[tuple[Run, int]]:
    """The run of each year of a series, with the count of its documents that must be numbered without gaps."""
    found = [YearOfNumbers(year, low, high, frozenset(shared or ())) for year, low, high, shared, _ in years]
    return zip(runs_of(found), (number for *_, number in years), strict=True)


def _series(rows: Iterable[Sequence[Any]]) -> set[Series]:
    return {Series(block_id, series) for block_id, series in rows if block_id is not None and series is not None}
