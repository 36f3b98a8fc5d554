"""A listing under way: which records it has shown so far, kept with them so that a crash costs none of it.

There is one for each stream of a company at most. What is asked once it has come to its end is in `listed`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from billingo_assets.streams import Stream

_OPEN = text(
    """
    SELECT started_at, total, next_page, totals, page_size FROM billingo.listings
    WHERE company_id = :company AND stream = :stream AND begun_at > now() - :age
    """
)

_BEGIN = text(
    """
    INSERT INTO billingo.listings (company_id, stream, started_at, total, next_page, page_size)
    VALUES (:company, :stream, :started_at, :total, :next_page, :page_size)
    """
)

_NOTE = text(
    """
    INSERT INTO billingo.listing_pages (company_id, stream, place, arrived, document_ids, broken_hashes)
    SELECT :company, :stream,
           1 + coalesce((
               SELECT max(place) FROM billingo.listing_pages WHERE company_id = :company AND stream = :stream), 0),
           :arrived, CAST(:ids AS bigint[]), CAST(:broken AS bytea[])
    """
)

_ADVANCE = text(
    """
    UPDATE billingo.listings SET next_page = :next_page, page_size = :page_size, totals = ARRAY(
        SELECT unnest(totals) UNION SELECT unnest(CAST(:totals AS int[])))
    WHERE company_id = :company AND stream = :stream
    """
)

_DROP = text("DELETE FROM billingo.listings WHERE company_id = :company AND stream = :stream")

_NOT_SHOWN = text(
    """
    SELECT unnest(CAST(:ids AS bigint[]))
    EXCEPT SELECT unnest(document_ids) FROM billingo.listing_pages WHERE company_id = :company AND stream = :stream
    """
)

_BROKEN = text(
    "SELECT unnest(broken_hashes) FROM billingo.listing_pages WHERE company_id = :company AND stream = :stream"
)


@dataclass(frozen=True, slots=True)
class ListingState:
    """How far a listing has come. `started_at` is the API's clock, `total` what its first page said.

    `totals` are those of the later pages, as far as they are stored. `page_size` is how many records a page showed.
    """

    started_at: datetime
    total: int
    next_page: int
    totals: frozenset[int] = frozenset()
    page_size: int = 100


def open_listing(
    connection: Connection, stream: Stream, company_id: int, *, not_older_than: timedelta
) -> ListingState | None:
    """The listing that a sync left unfinished, if it is recent enough to go on with."""
    values = {"company": company_id, "stream": stream.name, "age": not_older_than}
    row = connection.execute(_OPEN, values).one_or_none()
    if row is None:
        return None
    return ListingState(row.started_at, row.total, row.next_page, frozenset(row.totals), row.page_size)


def begin_listing(connection: Connection, stream: Stream, company_id: int, state: ListingState) -> None:
    """Begin a new listing, and delete the one before it."""
    drop_listing(connection, stream, company_id)
    values = {
        "company": company_id,
        "stream": stream.name,
        "started_at": state.started_at,
        "total": state.total,
        "next_page": state.next_page,
        "page_size": state.page_size,
    }
    connection.execute(_BEGIN, values)


def note_page(
    connection: Connection,
    stream: Stream,
    company_id: int,
    ids: Collection[int],
    broken_hashes: Collection[bytes],
    *,
    arrived: bool = False,
) -> None:
    """Note what the listing showed: the ids of its records, and the hashes of those that cannot be stored."""
    values = {"arrived": arrived, "ids": list(ids), "broken": list(broken_hashes)}
    connection.execute(_NOTE, {"company": company_id, "stream": stream.name, **values})


def advance_listing(
    connection: Connection, stream: Stream, company_id: int, next_page: int, totals: Collection[int], *, page_size: int
) -> None:
    """Note that every page before this one is stored, the totals on the last ones, and the size of pages."""
    values = {"next_page": next_page, "page_size": page_size, "totals": list(totals)}
    connection.execute(_ADVANCE, {"company": company_id, "stream": stream.name, **values})


def drop_listing(connection: Connection, stream: Stream, company_id: int) -> None:
    """Delete the listing; the records that it stored stay."""
    connection.execute(_DROP, {"company": company_id, "stream": stream.name})


def not_shown(connection: Connection, stream: Stream, company_id: int, ids: Collection[int]) -> set[int]:
    """Which of these records the listing has not shown yet."""
    values = {"company": company_id, "stream": stream.name, "ids": list(ids)}
    return set(connection.scalars(_NOT_SHOWN, values))


def broken_hashes(connection: Connection, stream: Stream, company_id: int) -> set[bytes]:
    """The hashes of the records that the listing showed and that could not be stored."""
    return set(connection.scalars(_BROKEN, {"company": company_id, "stream": stream.name}))
