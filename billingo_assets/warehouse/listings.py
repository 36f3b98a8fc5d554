"""A listing under way: which documents it has shown so far, kept with them so that a crash costs none of it.

There is one for each company at most. `listed_documents` is a temporary table made from it, for the questions
that are asked once a listing has come to its end.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

_PLACE = "coalesce((SELECT max(place) FROM billingo.listing_pages WHERE company_id = :company), 0) + 1"

_NOTE = text(
    f"""
    INSERT INTO billingo.listing_pages (company_id, place, arrived, document_ids, broken_hashes)
    SELECT :company, {_PLACE}, :arrived, CAST(:ids AS bigint[]), CAST(:broken AS bytea[])
    """
)

_UNLISTED = text(
    """
    SELECT unnest(CAST(:ids AS bigint[]))
    EXCEPT SELECT unnest(document_ids) FROM billingo.listing_pages WHERE company_id = :company
    """
)

_COLLECT = """
DROP TABLE IF EXISTS pg_temp.listed_documents;
CREATE TEMP TABLE listed_documents AS
SELECT document_id, bool_and(arrived) AS arrived
FROM billingo.listing_pages, unnest(document_ids) AS listed (document_id)
WHERE company_id = {company} GROUP BY document_id;
ANALYZE listed_documents
"""

_COUNT = text(
    """
    WITH broken AS (
        SELECT hash, bool_and(arrived) AS arrived, bool_and(rejected.document_id IS NULL) AS is_anonymous
        FROM billingo.listing_pages, unnest(broken_hashes) AS shown (hash)
        LEFT JOIN billingo.rejected_documents AS rejected
            ON rejected.company_id = :company AND rejected.content_hash = shown.hash
        WHERE listing_pages.company_id = :company GROUP BY hash
    ), documents AS (
        SELECT arrived FROM listed_documents UNION ALL SELECT arrived FROM broken WHERE is_anonymous
    )
    SELECT count(*) FILTER (WHERE NOT arrived), count(*) FILTER (WHERE arrived), (SELECT count(*) FROM broken)
    FROM documents
    """
)

_MARK_DELETED = text(
    """
    UPDATE billingo.raw_invoices AS raw SET deleted_at = now()
    WHERE company_id = :company AND deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM listed_documents AS listed WHERE listed.document_id = raw.document_id)
    """
)


@dataclass(frozen=True, slots=True)
class ListingState:
    """How far a listing has come. `started_at` is the API's clock, `total` what its first page told.

    `totals` are those that the later pages told, as far as they are stored. `page_size` is how many documents a page
    showed.
    """

    started_at: datetime
    total: int
    next_page: int
    totals: frozenset[int] = frozenset()
    page_size: int = 100


def open_listing(connection: Connection, company_id: int, *, not_older_than: timedelta) -> ListingState | None:
    """The listing that a sync left unfinished, if it is recent enough to go on with."""
    query = text(
        """
        SELECT started_at, total, next_page, totals, page_size FROM billingo.listings
        WHERE company_id = :company AND begun_at > now() - :age
        """
    )
    row = connection.execute(query, {"company": company_id, "age": not_older_than}).one_or_none()
    if row is None:
        return None
    return ListingState(row.started_at, row.total, row.next_page, frozenset(row.totals), row.page_size)


def begin_listing(connection: Connection, company_id: int, state: ListingState) -> None:
    """Begin a new listing, and delete the one before it."""
    drop_listing(connection, company_id)
    query = text(
        """
        INSERT INTO billingo.listings (company_id, started_at, total, next_page, page_size)
        VALUES (:company, :started_at, :total, :next_page, :page_size)
        """
    )
    values = {
        "started_at": state.started_at,
        "total": state.total,
        "next_page": state.next_page,
        "page_size": state.page_size,
    }
    connection.execute(query, {"company": company_id, **values})


def note_page(
    connection: Connection,
    company_id: int,
    document_ids: Collection[int],
    broken_hashes: Collection[bytes],
    *,
    arrived: bool = False,
) -> None:
    """Remember what the listing showed: the ids of its documents, and the hashes of those that cannot be stored."""
    values = {"arrived": arrived, "ids": list(document_ids), "broken": list(broken_hashes)}
    connection.execute(_NOTE, {"company": company_id, **values})


def advance_listing(
    connection: Connection, company_id: int, next_page: int, totals: Collection[int], *, page_size: int
) -> None:
    """Note that every page before this one is stored, the totals that the last ones told, and the size of pages."""
    query = text(
        """
        UPDATE billingo.listings SET next_page = :next_page, page_size = :page_size, totals = ARRAY(
            SELECT unnest(totals) UNION SELECT unnest(CAST(:totals AS int[])))
        WHERE company_id = :company
        """
    )
    values = {"next_page": next_page, "page_size": page_size, "totals": list(totals)}
    connection.execute(query, {"company": company_id, **values})


def drop_listing(connection: Connection, company_id: int) -> None:
    """Forget the listing; the documents that it stored stay."""
    connection.execute(text("DELETE FROM billingo.listings WHERE company_id = :company"), {"company": company_id})


def unlisted(connection: Connection, company_id: int, document_ids: Collection[int]) -> set[int]:
    """Which of these documents the listing has not shown yet."""
    return set(connection.scalars(_UNLISTED, {"company": company_id, "ids": list(document_ids)}))


def broken_hashes(connection: Connection, company_id: int) -> set[bytes]:
    """The hashes of the documents that the listing showed and that could not be stored."""
    query = text("SELECT unnest(broken_hashes) FROM billingo.listing_pages WHERE company_id = :company")
    return set(connection.scalars(query, {"company": company_id}))


@dataclass(frozen=True, slots=True)
class Listed:
    """Distinct documents that a listing showed: those of its pages, those that arrived meanwhile.

    `broken` of them could not be stored.
    """

    shown: int
    arrived: int
    broken: int


def collect_listed(connection: Connection, company_id: int) -> Listed:
    """Make the table `listed_documents` of the ids that the listing has shown, and count what it showed."""
    connection.exec_driver_sql(_COLLECT.format(company=company_id))
    return Listed(*connection.execute(_COUNT, {"company": company_id}).one())


def add_listed(connection: Connection, document_ids: Collection[int]) -> int:
    """Count documents found elsewhere as listed. Returns how many of them the listing had not shown."""
    query = text(
        """
        INSERT INTO listed_documents
        SELECT id, true FROM unnest(CAST(:ids AS bigint[])) AS found (id)
        WHERE id NOT IN (SELECT document_id FROM listed_documents)
        """
    )
    return connection.execute(query, {"ids": list(set(document_ids))}).rowcount


def remember_listed(connection: Connection) -> None:
    """Keep the ids of `listed_documents`, which the next reading replaces, to compare the two."""
    connection.exec_driver_sql(
        "DROP TABLE IF EXISTS pg_temp.listed_before;"
        "CREATE TEMP TABLE listed_before AS SELECT document_id FROM listed_documents"
    )


def shows_all_of_former(connection: Connection) -> bool:
    """Whether `listed_documents` has every document that the reading had which was kept."""
    query = text(
        "SELECT NOT EXISTS (SELECT document_id FROM listed_before EXCEPT SELECT document_id FROM listed_documents)"
    )
    return bool(connection.scalar(query))


def live_unlisted(connection: Connection, company_id: int) -> list[int]:
    """The documents that are stored and not deleted, and that `listed_documents` lacks."""
    query = text(
        """
        SELECT document_id FROM billingo.raw_invoices AS raw
        WHERE company_id = :company AND deleted_at IS NULL
          AND NOT EXISTS (SELECT FROM listed_documents AS listed WHERE listed.document_id = raw.document_id)
        ORDER BY document_id
        """
    )
    return list(connection.scalars(query, {"company": company_id}))


def a_listed_document(connection: Connection, company_id: int) -> int | None:
    """A document that is stored and listed; None where there is none."""
    query = text(
        """
        SELECT max(document_id) FROM listed_documents JOIN billingo.raw_invoices USING (document_id)
        WHERE company_id = :company AND deleted_at IS NULL
        """
    )
    found: int | None = connection.scalar(query, {"company": company_id})
    return found


def count_listed_items(connection: Connection, company_id: int) -> int:
    """Line items of the listed documents that are stored."""
    query = text(
        """
        SELECT coalesce(sum(item_count), 0) FROM billingo.raw_invoices
        WHERE company_id = :company AND document_id IN (SELECT document_id FROM listed_documents)
        """
    )
    items: int = connection.execute(query, {"company": company_id}).scalar_one()
    return items


def mark_missing_deleted(connection: Connection, company_id: int) -> int:
    """Set `deleted_at` where a complete listing no longer shows a document. Returns how many."""
    return connection.execute(_MARK_DELETED, {"company": company_id}).rowcount
