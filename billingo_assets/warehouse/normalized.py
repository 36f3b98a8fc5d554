"""Reads records that wait for normalization, and writes their rows in the normalized tables.

All tables of a record change together, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import Connection, TextClause, text

from billingo_assets.normalize.batches import NormalizedBatch
from billingo_assets.streams import Stream
from billingo_assets.streams.stream import NormalizedTable
from billingo_assets.warehouse.copying import copying
from billingo_assets.warehouse.planning import plan_for_many_rows
from billingo_assets.warehouse.schema import SCHEMA
from billingo_assets.warehouse.statements import for_stream, sql_for_stream
from billingo_assets.warehouse.tables import metadata

_OWN_COLUMNS = ("company_id", "normalizer_version", "content_hash", "deleted_at")
"""Columns that come from neither the record nor its normalization."""

BATCH_RECORDS = 250
"""Enough for COPY to be quick; four times as many would cost 20 MiB and save nothing."""
BATCH_CHARACTERS = 16 * 2**20
"""The most characters of payloads in a batch, unless a single payload is longer."""

# The indexes of both tables suffice to find waiting records; payloads are read for one batch at a time.
# A record in quarantine waits for its next version or for new rules, and is not tried again before.
_PENDING = """
DECLARE pending_records NO SCROLL CURSOR FOR
SELECT raw.{key}, raw.content_hash, {has_details} made.{id} IS NOT NULL, raw.deleted_at
FROM {raw} AS raw
LEFT JOIN {table} AS made ON made.company_id = raw.company_id AND made.{id} = raw.{key}
WHERE raw.company_id = {company}
  AND (made.content_hash IS DISTINCT FROM raw.content_hash
       OR made.normalizer_version <> {version} OR made.deleted_at IS DISTINCT FROM raw.deleted_at)
  AND NOT EXISTS (
      SELECT FROM billingo.rejected_documents AS rejected
      WHERE rejected.company_id = raw.company_id AND rejected.stream = '{name}'
        AND rejected.content_hash = raw.content_hash
        AND rejected.stage = 'normalize' AND rejected.normalizer_version = {version})
"""

_HAS_DETAILS = "EXISTS (SELECT FROM billingo.{detail} WHERE company_id = {company}) OR "

# One by one: right after a first load there are no statistics, and "any of 1,000" would read the whole table.
# Returns as many as there is room for, from the first on, and always the first.
_PAYLOADS = """
    SELECT id, payload FROM (
        SELECT id, payload, place, sum(length(payload)) OVER (ORDER BY place) AS characters FROM (
            SELECT wanted.id, wanted.place, (
                SELECT payload::text FROM {raw} WHERE company_id = :company AND {key} = wanted.id
            ) AS payload
            FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY AS wanted (id, place)
            OFFSET 0  -- so that each payload is read once
        ) AS found
    ) AS summed
    WHERE characters <= :most OR place = 1
"""

_MARK_DELETED = """
    WITH dead AS MATERIALIZED (  -- so that the index alone is read, not the payloads beside it
        SELECT {key}, deleted_at FROM {raw} WHERE company_id = :company AND deleted_at IS NOT NULL
    ), gone AS (
        UPDATE {table} AS made SET deleted_at = dead.deleted_at FROM dead
        WHERE company_id = :company AND made.{id} = dead.{key} AND made.deleted_at IS DISTINCT FROM dead.deleted_at
        RETURNING made.{id} AS id
    ){details}
    SELECT count(*) FROM gone
"""

_DELETE_DETAILS = """, {detail} AS (
        DELETE FROM billingo.{detail} USING gone WHERE company_id = :company AND {record} = gone.id
    )"""

_MARK_DAMAGED_STALE = """
    UPDATE {table} AS made SET normalizer_version = 0
    FROM {raw} AS raw LEFT JOIN (
        SELECT {record}, count(*) AS number FROM billingo.{detail} WHERE company_id = :company GROUP BY {record}
    ) AS parts ON parts.{record} = raw.{key}
    WHERE made.company_id = :company AND raw.company_id = :company AND raw.{key} = made.{id}
      AND raw.content_hash = made.content_hash AND raw.deleted_at IS NULL
      AND raw.item_count <> coalesce(parts.number, 0)
"""

_DROP_PARTS_OF_NOBODY = """
    DELETE FROM billingo.{detail} AS part WHERE company_id = :company AND NOT EXISTS (
        SELECT FROM {table} WHERE company_id = :company AND {id} = part.{record} AND deleted_at IS NULL)
"""

_RELEASE = """
    DELETE FROM billingo.rejected_documents AS rejected
    WHERE company_id = :company AND stream = :stream AND stage = 'normalize' AND (
        normalizer_version <> :version OR NOT EXISTS (
            SELECT FROM {raw} AS raw
            WHERE raw.company_id = :company AND raw.{key} = rejected.document_id
              AND raw.content_hash = rejected.content_hash AND raw.deleted_at IS NULL))
"""


class PendingRecord(NamedTuple):
    """A record as sent with missing or outdated rows. A deleted one has no parts.

    `has_rows`: there may be rows of it. A company without any rows has nothing to delete, which speeds up its load.
    """

    id: int
    content_hash: bytes
    has_rows: bool
    deleted_at: datetime | None
    payload: str


def pending_records(connection: Connection, stream: Stream, company_id: int) -> Iterator[list[PendingRecord]]:
    """Yield records that wait for normalization, in batches. Writes in the meantime do not affect them."""
    plan_for_many_rows(connection)
    connection.exec_driver_sql(_pending(stream, company_id))
    while batch := connection.exec_driver_sql(f"FETCH {BATCH_RECORDS} FROM pending_records").all():
        rest = list(batch)
        while rest:
            values = {"company": company_id, "ids": [row[0] for row in rest], "most": BATCH_CHARACTERS}
            found = connection.execute(for_stream(_PAYLOADS, stream), values)
            payloads: dict[int, str] = {row.id: row.payload for row in found}
            yield [
                PendingRecord(id_, content_hash, has_rows, deleted_at, payloads[id_])
                for id_, content_hash, has_rows, deleted_at in rest[: len(payloads)]
            ]
            del rest[: len(payloads)]
    connection.exec_driver_sql("CLOSE pending_records")


def replace_records(
    connection: Connection,
    stream: Stream,
    company_id: int,
    records: Sequence[PendingRecord],
    batch: NormalizedBatch,
) -> None:
    """Replace the rows of some records in all tables with newly normalized ones.

    A rejected record keeps its former rows. A deleted one gets no parts.
    """
    made, *details = batch.tables
    if not made.rows:
        return
    rejected = {rejection.record_id for rejection in batch.rejections}
    made_from = [record for record in records if record.id not in rejected]
    if replaced := [record.id for record in made_from if record.has_rows]:
        for table in stream.tables:
            _delete(connection, table, company_id, replaced)
    version = stream.normalizer_version
    with copying(connection, metadata.tables[f"{SCHEMA}.{made.name}"], [*_OWN_COLUMNS, *made.columns]) as copy:
        for record, row in zip(made_from, made.rows, strict=True):
            copy.write_row((company_id, version, record.content_hash, record.deleted_at, *row))
    gone = {record.id for record in made_from if record.deleted_at is not None}
    for detail in details:
        with copying(connection, metadata.tables[f"{SCHEMA}.{detail.name}"], ["company_id", *detail.columns]) as copy:
            for row in detail.rows:
                if row[0] not in gone:
                    copy.write_row((company_id, *row))


def mark_damaged_stale(connection: Connection, stream: Stream, company_id: int) -> None:
    """Mark every record with missing or extra parts for normalization, and delete parts without a record.

    This program leaves no such rows behind; others who write to the tables may.
    """
    if (counted := stream.counted) is None:
        return
    plan_for_many_rows(connection)
    for statement in (_MARK_DAMAGED_STALE, _DROP_PARTS_OF_NOBODY):
        sql = sql_for_stream(statement, stream, detail=counted.name, record=counted.key[0])
        connection.execute(text(sql), {"company": company_id})


def mark_deleted(connection: Connection, stream: Stream, company_id: int) -> int:
    """Mark the rows of deleted records and delete their parts, which can be made again. Returns how many."""
    deleted: int = connection.execute(_mark_deleted(stream), {"company": company_id}).scalar_one()
    return deleted


def release_from_quarantine(connection: Connection, stream: Stream, company_id: int) -> None:
    """Release records from quarantine that have a newer version, are gone, or have to be judged by new rules."""
    values = {"company": company_id, "stream": stream.name, "version": stream.normalizer_version}
    connection.execute(for_stream(_RELEASE, stream), values)


def count_unreadable(connection: Connection, stream: Stream, company_id: int) -> int:
    """Count live rows with columns that are NULL because their values could not be read."""
    query = """
        SELECT count(*) FROM {table} WHERE company_id = :company AND deleted_at IS NULL AND unreadable IS NOT NULL
    """
    found: int = connection.execute(for_stream(query, stream), {"company": company_id}).scalar_one()
    return found


def count_rows(connection: Connection, stream: Stream, company_id: int) -> dict[str, int]:
    """Count a company's rows in each table of a stream, by name of the table; deleted records do not count."""
    counts = [
        f"(SELECT count(*) FROM {SCHEMA}.{table.name} WHERE company_id = :company"  # noqa: S608 - our own names
        f"{' AND deleted_at IS NULL' if table is stream.table else ''})"
        for table in stream.tables
    ]
    row = connection.execute(text(f"SELECT {', '.join(counts)}"), {"company": company_id}).one()
    return {table.name: number for table, number in zip(stream.tables, row, strict=True)}


def _pending(stream: Stream, company_id: int) -> str:
    has_details = "".join(_HAS_DETAILS.format(detail=one.name, company=company_id) for one in stream.details)
    return sql_for_stream(
        _PENDING,
        stream,
        has_details=has_details,
        name=stream.name,
        company=company_id,
        version=stream.normalizer_version,
    )


@cache
def _mark_deleted(stream: Stream) -> TextClause:
    details = "".join(_DELETE_DETAILS.format(detail=one.name, record=one.key[0]) for one in stream.details)
    return text(sql_for_stream(_MARK_DELETED, stream, details=details))


def _delete(connection: Connection, table: NormalizedTable, company_id: int, ids: Collection[int]) -> None:
    query = f"DELETE FROM {SCHEMA}.{table.name} WHERE company_id = :company AND {table.key[0]} = ANY(:ids)"  # noqa: S608
    connection.execute(text(query), {"company": company_id, "ids": list(ids)})
