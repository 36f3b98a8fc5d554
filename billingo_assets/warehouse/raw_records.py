"""Writes the records of a stream as sent, and the versions that they replace; looks up the records of a page.

Every function works on the connection that holds the company's lock, inside its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.dialects import postgresql

from billingo_assets.normalize.numbering import UNNUMBERED, Numbering
from billingo_assets.streams import Stream
from billingo_assets.warehouse.copying import copying
from billingo_assets.warehouse.schema import SCHEMA
from billingo_assets.warehouse.statements import for_stream, sql_for_stream
from billingo_assets.warehouse.tables import metadata

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

_KNOWN = """
    SELECT {key}, content_hash, deleted_at IS NOT NULL AS is_deleted
    FROM {raw} WHERE company_id = :company AND {key} = ANY(CAST(:ids AS bigint[]))
"""

# The payloads travel as one JSON array: PostgreSQL parses them once, and keeps every numeral as it was sent.
# Content that differs only in spelling (1 and 1.0, the order of fields) is equal as jsonb, and makes no version.
_UPSERT = """
    WITH incoming AS MATERIALIZED (
        SELECT * FROM ROWS FROM (
            unnest(CAST(:ids AS bigint[])), unnest(CAST(:hashes AS bytea[])), {unnested}
            jsonb_array_elements(CAST(:payloads AS jsonb))
        ) AS listed ({key}, content_hash, {columns} payload)
    ), superseded AS (
        INSERT INTO {versions}
        SELECT raw.company_id, raw.{key}, raw.version, raw.payload, raw.content_hash,
               raw.changed_at, coalesce(raw.deleted_at, now())
        FROM {raw} AS raw JOIN incoming USING ({key})
        WHERE raw.company_id = :company AND ({content} <> {incoming_content} OR raw.deleted_at IS NOT NULL)
    )
    INSERT INTO {raw} AS raw (company_id, {key}, content_hash, {columns} payload)
    SELECT :company, {key}, content_hash, {columns} payload FROM incoming
    ON CONFLICT (company_id, {key}) DO UPDATE
    SET {updated} payload = excluded.payload, content_hash = excluded.content_hash,
        version = raw.version + 1, changed_at = now(), deleted_at = NULL
    WHERE {content} <> {excluded_content} OR raw.deleted_at IS NOT NULL
"""

# If a hash differs after an upsert, the content is equal: it is spelled differently, or was hashed by former rules.
# The rows made from it stay; only their hash is updated.
_REHASH = """
    WITH stale AS MATERIALIZED (
        SELECT {key}, raw.content_hash AS former, incoming.content_hash
        FROM {raw} AS raw JOIN ROWS FROM (
            unnest(CAST(:ids AS bigint[])), unnest(CAST(:hashes AS bytea[]))
        ) AS incoming ({key}, content_hash) USING ({key})
        WHERE raw.company_id = :company AND raw.content_hash <> incoming.content_hash
    ), raw AS (
        UPDATE {raw} AS raw SET content_hash = stale.content_hash FROM stale
        WHERE raw.company_id = :company AND raw.{key} = stale.{key}
    ), rejected AS (
        UPDATE billingo.rejected_documents AS rejected SET content_hash = stale.content_hash FROM stale
        WHERE rejected.company_id = :company AND rejected.stream = :stream AND rejected.stage = 'normalize'
          AND rejected.content_hash = stale.former
          AND NOT EXISTS (SELECT FROM billingo.rejected_documents AS other
                          WHERE other.company_id = :company AND other.stream = :stream
                            AND other.content_hash = stale.content_hash)
    ), accepted AS (
        UPDATE billingo.accepted_faults AS accepted SET content_hash = stale.content_hash FROM stale
        WHERE accepted.company_id = :company AND accepted.content_hash = stale.former
          AND NOT EXISTS (SELECT FROM billingo.accepted_faults AS other
                          WHERE other.company_id = :company AND other.content_hash = stale.content_hash)
    )
    UPDATE {table} AS made SET content_hash = stale.content_hash FROM stale
    WHERE made.company_id = :company AND made.{id} = stale.{key} AND made.content_hash = stale.former
"""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that can be stored: `text` is its JSON as sent, `content_hash` the SHA-256 of its content.

    Only documents have `item_count` and `numbering`.
    """

    id: int
    text: str
    content_hash: bytes
    item_count: int = 0
    numbering: Numbering = UNNUMBERED


@dataclass(frozen=True, slots=True)
class Known:
    """The stored state of a record when a page showed it."""

    content_hash: bytes
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """The counts of created and of updated live records."""

    created: int
    updated: int


def database_clock(connection: Connection) -> datetime:
    """The database's current time, which dates its rows."""
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    return now


def known_records(connection: Connection, stream: Stream, company_id: int, ids: Collection[int]) -> dict[int, Known]:
    """The stored state of these records, by id, without those that were never stored."""
    rows = connection.execute(for_stream(_KNOWN, stream), {"company": company_id, "ids": list(ids)})
    return {id_: Known(content_hash, is_deleted) for id_, content_hash, is_deleted in rows}


def insert_records(connection: Connection, stream: Stream, company_id: int, records: Sequence[Record]) -> None:
    """Store new records, each id once. COPY takes half the time of an upsert.

    Raises:
        psycopg.Error: not wrapped by SQLAlchemy.
    """
    own = _own_columns(stream)
    columns = ("company_id", stream.raw_key, "content_hash", *own, "payload")
    values = _own_values(stream)
    with copying(connection, metadata.tables[f"{SCHEMA}.{stream.raw}"], columns) as copy:
        for record in records:
            copy.write_row((company_id, record.id, record.content_hash, *values(record), record.text))


def upsert_records(connection: Connection, stream: Stream, company_id: int, records: Sequence[Record]) -> None:
    """Store records, each id once: insert, or overwrite and keep the former content as a version; revive deleted ones.

    A record with unchanged content keeps its payload and its rows; only the hash is updated.
    """
    hashes = {"ids": [record.id for record in records], "hashes": [record.content_hash for record in records]}
    values = _own_values(stream)
    own = zip(*map(values, records), strict=True)
    connection.execute(
        _upsert(stream),
        {
            "company": company_id,
            **hashes,
            **{name: list(column) for name, column in zip(_own_columns(stream), own, strict=True)},
            "payloads": f"[{','.join([record.text for record in records])}]",
        },
    )
    connection.execute(for_stream(_REHASH, stream), {"company": company_id, "stream": stream.name, **hashes})


def count_changes(connection: Connection, stream: Stream, company_id: int, since: datetime) -> Changes:
    """Count the records created and updated since `since`."""
    query = """
        SELECT count(*) FILTER (WHERE first_synced_at >= :since), count(*) FILTER (WHERE first_synced_at < :since)
        FROM {raw} WHERE company_id = :company AND changed_at >= :since AND deleted_at IS NULL
    """
    return Changes(*connection.execute(for_stream(query, stream), {"company": company_id, "since": since}).one())


def written_since(connection: Connection, stream: Stream, company_id: int, since: datetime) -> set[int]:
    """The ids of records that were created, changed or revived since `since`."""
    query = "SELECT {key} FROM {raw} WHERE company_id = :company AND changed_at >= :since"
    return set(connection.scalars(for_stream(query, stream), {"company": company_id, "since": since}))


def count_records(connection: Connection, stream: Stream, company_id: int) -> int:
    """Count the records of a company that are stored and not deleted."""
    query = "SELECT count(*) FROM {raw} WHERE company_id = :company AND deleted_at IS NULL"
    stored: int = connection.execute(for_stream(query, stream), {"company": company_id}).scalar_one()
    return stored


def mark_missing_deleted(connection: Connection, stream: Stream, company_id: int, shown: Collection[int]) -> int:
    """Set `deleted_at` of the records that a complete reading did not show. Returns how many."""
    statement = """
        UPDATE {raw} AS raw SET deleted_at = now()
        WHERE company_id = :company AND deleted_at IS NULL AND NOT {key} = ANY(CAST(:ids AS bigint[]))
    """
    return connection.execute(for_stream(statement, stream), {"company": company_id, "ids": list(shown)}).rowcount


def content_of(stream: Stream, payload: str) -> str:
    """SQL for the payload in a column, without a field that follows the clock."""
    clock = stream.clock
    if clock is None:
        return payload
    values = ", ".join(f"'{value}'" for value in clock.values)
    return f"CASE WHEN {payload} ->> '{clock.unless}' IN ({values}) THEN {payload} ELSE {payload} - '{clock.field}' END"


_COMMON = {"company_id", "payload", "content_hash", "first_synced_at", "changed_at", "deleted_at", "version"}


@cache
def _own_columns(stream: Stream) -> dict[str, str]:
    """The additional columns of the stream's table, with their types."""
    table = metadata.tables[f"{SCHEMA}.{stream.raw}"]
    own = [column for column in table.columns if column.name not in {*_COMMON, stream.raw_key}]
    return {column.name: column.type.compile(dialect=_DIALECT) for column in own}


@cache
def _own_values(stream: Stream) -> Callable[[Record], tuple[Any, ...]]:
    """The values of a record for these columns, in their order."""
    names = [f"numbering.{name}" if name in Numbering._fields else name for name in _own_columns(stream)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda record: tuple(getattr(record, name) for name in names)


@cache
def _upsert(stream: Stream) -> TextClause:
    own = _own_columns(stream)
    statement = sql_for_stream(
        _UPSERT,
        stream,
        unnested="".join(f"unnest(CAST(:{name} AS {kind}[])), " for name, kind in own.items()),
        columns="".join(f"{name}, " for name in own),
        updated="".join(f"{name} = excluded.{name}, " for name in own),
        content=content_of(stream, "raw.payload"),
        incoming_content=content_of(stream, "incoming.payload"),
        excluded_content=content_of(stream, "excluded.payload"),
    )
    return text(statement)
