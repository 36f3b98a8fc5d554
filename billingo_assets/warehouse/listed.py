"""The records that a listing has shown, as a temporary table, and the queries on it once the listing has ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count

from sqlalchemy import Connection, TextClause, text

from billingo_assets.streams import Stream
from billingo_assets.warehouse.statements import sql_for_stream

_numbers = count(1)

_COLLECT = """
CREATE TEMP TABLE {listed} AS
SELECT shown.id, bool_and(arrived) AS arrived
FROM billingo.listing_pages, unnest(document_ids) AS shown (id)
WHERE company_id = {company} AND stream = '{stream}' GROUP BY shown.id;
ANALYZE {listed}
"""

_COUNT = """
    WITH broken AS (
        SELECT hash, bool_and(arrived) AS arrived, bool_and(rejected.document_id IS NULL) AS is_anonymous
        FROM billingo.listing_pages, unnest(broken_hashes) AS shown (hash)
        LEFT JOIN billingo.rejected_documents AS rejected
            ON rejected.company_id = :company AND rejected.stream = :stream AND rejected.content_hash = shown.hash
        WHERE listing_pages.company_id = :company AND listing_pages.stream = :stream GROUP BY hash
    ), records AS (
        SELECT arrived FROM {listed} UNION ALL SELECT arrived FROM broken WHERE is_anonymous
    )
    SELECT count(*) FILTER (WHERE NOT arrived), count(*) FILTER (WHERE arrived), (SELECT count(*) FROM broken)
    FROM records
"""

_ADD = """
    INSERT INTO {listed}
    SELECT id, true FROM unnest(CAST(:ids AS bigint[])) AS found (id) WHERE id NOT IN (SELECT id FROM {listed})
"""

_MISSING = """
    SELECT raw.{key} FROM {raw} AS raw
    WHERE company_id = :company AND deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM {listed} AS listed WHERE listed.id = raw.{key})
    ORDER BY raw.{key}
"""

_WITNESS = """
    SELECT max(listed.id) FROM {listed} AS listed JOIN {raw} AS raw ON raw.{key} = listed.id
    WHERE company_id = :company AND deleted_at IS NULL
"""

_COUNT_ITEMS = """
    SELECT coalesce(sum(item_count), 0) FROM {raw}
    WHERE company_id = :company AND {key} IN (SELECT id FROM {listed})
"""

_MARK_MISSING_DELETED = """
    UPDATE {raw} AS raw SET deleted_at = now()
    WHERE company_id = :company AND deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM {listed} AS listed WHERE listed.id = raw.{key})
"""

_DATE_REJECTED = """
    UPDATE billingo.rejected_documents AS rejected SET last_seen_at = now()
    FROM {listed} AS listed
    WHERE company_id = :company AND stream = :stream AND stage = 'normalize' AND rejected.document_id = listed.id
"""


@dataclass(frozen=True, slots=True)
class ListedCounts:
    """The counts of distinct records on the pages of a listing, and of those that arrived meanwhile.

    `broken` of them could not be stored.
    """

    shown: int
    arrived: int
    broken: int


@dataclass(slots=True, eq=False)
class ListedRecords:
    """The ids that the listing of a stream has shown, on the connection that holds the company's lock.

    They are collected once; records found elsewhere afterwards are added. Every method belongs in a transaction.
    """

    connection: Connection
    stream: Stream
    company_id: int
    table: str = field(init=False)
    counts: ListedCounts = field(init=False)

    def __post_init__(self) -> None:
        """Collect the ids and count what the listing showed."""
        self.table = f"listed_{next(_numbers)}"
        collect = _COLLECT.format(listed=self.table, company=self.company_id, stream=self.stream.name)
        self.connection.exec_driver_sql(collect)
        self.counts = ListedCounts(*self.connection.execute(self._sql(_COUNT), self._values()).one())

    def drop(self) -> None:
        """Drop the temporary table: the next reading has its own."""
        self.connection.exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.{self.table}")

    def add(self, ids: Collection[int]) -> int:
        """Count records that were found elsewhere as listed. Returns how many of them the listing had not shown."""
        return self.connection.execute(self._sql(_ADD), {"ids": list(set(ids))}).rowcount

    def shows_all_of(self, other: ListedRecords) -> bool:
        """Whether it has every record of the other."""
        query = f"SELECT NOT EXISTS (SELECT id FROM {other.table} EXCEPT SELECT id FROM {self.table})"  # noqa: S608
        return bool(self.connection.scalar(text(query)))

    def missing(self) -> list[int]:
        """The ids of stored records, not deleted, that were not listed."""
        return list(self.connection.scalars(self._sql(_MISSING), self._values()))

    def witness(self) -> int | None:
        """The id of a record that is stored and listed; None if there is none."""
        found: int | None = self.connection.scalar(self._sql(_WITNESS), self._values())
        return found

    def count_items(self) -> int:
        """Count the lines of the listed records that are stored."""
        items: int = self.connection.execute(self._sql(_COUNT_ITEMS), self._values()).scalar_one()
        return items

    def mark_missing_deleted(self) -> int:
        """Set `deleted_at` of records that a complete listing no longer shows. Returns how many."""
        return self.connection.execute(self._sql(_MARK_MISSING_DELETED), self._values()).rowcount

    def date_rejected(self) -> None:
        """Update `last_seen_at` of records that normalization rejected and a complete listing showed unchanged."""
        self.connection.execute(self._sql(_DATE_REJECTED), self._values())

    def _values(self) -> dict[str, object]:
        return {"company": self.company_id, "stream": self.stream.name}

    def _sql(self, statement: str) -> TextClause:
        return text(sql_for_stream(statement, self.stream, listed=self.table))
