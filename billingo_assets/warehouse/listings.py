"""Stores a listing under way: the records shown so far, in the transaction that stores them, so it survives a crash.

Each stream of a company has one at most. `listed` queries it once it has ended.
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
    """The progress of a listing. `started_at` is the API's clock, `total` the total on its first page.

    `totals` are those on the later pages stored so far. `page_size` is how many records a page showed.
    """

    started_at: datetime
    total: int
    next_page: int
    totals: frozenset[int] = frozenset()
    page_size: int = 100


def open_listing(
    connection: Connection, stream: Stream, company_id: int, *, not_older_than: timedelta
) -> ListingState | None:
    """The listing that a sync left unfinished, if it is recent enough to resume."""
    values = {"company": company_id, "stream": stream.name, "age": not_older_than}
    row = connection.execute(_OPEN, values).one_or_none()
    if row is None:
        return None
    return ListingState(row.started_at, row.total, row.next_page, frozenset(row.totals), row.page_size)


def begin_listing(connection: Connection, stream: Stream, company_id: int, state: ListingState) -> None:
    """Begin a new listing, and delete the previous one."""
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
    """Note the ids of records that the listing showed, and the hashes of those that cannot be stored."""
    values = {"arrived": arrived, "ids": list(ids), "broken": list(broken_hashes)}
    connection.execute(_NOTE, {"company": company_id, "stream": stream.name, **values})


def advance_listing(
    connection: Connection, stream: Stream, company_id: int, next_page: int, totals: Collection[int], *, page_size: int
) -> None:
    """Note that every page before `next_page` is stored, the totals on the newest ones, and the page size."""
    values = {"next_page": next_page, "page_size": page_size, "totals": list(totals)}
    connection.execute(_ADVANCE, {"company": company_id, "stream": stream.name, **values})


def drop_listing(connection: Connection, stream: Stream, company_id: int) -> None:
    """Delete the listing; the records that it stored stay."""
    connection.execute(_DROP, {"company": company_id, "stream": stream.name})


def not_shown(connection: Connection, stream: Stream, company_id: int, ids: Collection[int]) -> set[int]:
    """The ids among these that the listing has not shown yet."""
    values = {"company": company_id, "stream": stream.name, "ids": list(ids)}
    return set(connection.scalars(_NOT_SHOWN, values))


def broken_hashes(connection: Connection, stream: Stream, company_id: int) -> set[bytes]:
    """The hashes of records that the listing showed and that could not be stored."""
    return set(connection.scalars(_BROKEN, {"company": company_id, "stream": stream.name}))
