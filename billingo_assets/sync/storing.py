"""Stores the records of pages: new and changed ones as sent, unreadable ones in quarantine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.errors import DataError, ProgramLimitExceeded, StatementTooComplex
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from billingo_assets.billingo.models import RecordsPage
from billingo_assets.streams import Stream
from billingo_assets.sync.records import MAX_RECORD_BYTES, Unreadable, read_record, why_unstorable
from billingo_assets.warehouse.raw_records import Known, Record, insert_records, known_records, upsert_records
from billingo_assets.warehouse.rejections import RejectedRecord, quarantined, reject, release_stored

REFUSALS = (DataError, ProgramLimitExceeded, StatementTooComplex)
"""PostgreSQL's errors for content that it cannot hold."""
Write = Callable[[Connection, Stream, int, Sequence[Record]], None]

MAX_STATEMENT_CHARACTERS = 16 * 2**20
"""The most characters of payloads in one statement, unless a single payload is longer."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The records that some pages showed. `items`: count of lines by id, for readable records.

    `ids` are the distinct ids shown, `new` those that were neither live nor in quarantine before, `broken` the hashes
    of records that cannot be stored and were not shown before. `anonymous` counts records without a usable id.
    `repeats`: some record was shown more than once.
    """

    ids: frozenset[int]
    items: dict[int, int]
    new: frozenset[int]
    broken: tuple[bytes, ...]
    anonymous: int
    repeats: bool


@dataclass(frozen=True, slots=True)
class Sorted:
    """Readable records that have to be written. The rest are already stored with the same content.

    `inserted` were never stored; `written` are stored with other content or as deleted; `new` are the ids of records
    that were not live before.
    """

    inserted: list[Record]
    written: list[Record]
    new: set[int]


def sort_records(records: Mapping[int, Record], known: Mapping[int, Known]) -> Sorted:
    """Compare the records on pages with those that are stored."""
    new = {id_ for id_ in records if id_ not in known or known[id_].is_deleted}
    return Sorted(
        inserted=[record for record in records.values() if record.id not in known],
        written=[
            record
            for record in records.values()
            if record.id in known and (record.id in new or known[record.id].content_hash != record.content_hash)
        ],
        new=new,
    )


@dataclass(slots=True)
class RecordStore:
    """Stores pages of a stream of one company, on the connection that holds its lock, inside the caller's transaction.

    `broken` holds the hashes of records that could not be stored so far: such a record need not have an id.
    """

    connection: Connection
    stream: Stream
    company_id: int
    max_record_bytes: int = MAX_RECORD_BYTES
    broken: set[bytes] = field(default_factory=set)

    def store(
        self, pages: Sequence[RecordsPage], *, show_again: Callable[[Collection[int]], bool] = lambda ids: True
    ) -> Shown:
        """Store new and changed records, and quarantine unreadable ones.

        Byte-identical unreadable records without an id count as one record shown again. They count as several if the
        pages show no id twice and `show_again` returns False for their ids: none was shown before.
        """
        records, unreadable = self._read(pages)
        sorted_ = sort_records(records, known_records(self.connection, self.stream, self.company_id, records))
        refused = [*self._write(insert_records, sorted_.inserted), *self._write(upsert_records, sorted_.written)]
        for one in refused:
            records.pop(one.id or 0, None)
        release_stored(self.connection, self.stream, self.company_id, records)
        unreadable += refused
        # An unreadable record still exists: an older version of it must not count as deleted.
        unread = {one.id for one in unreadable if one.id is not None}
        ids = frozenset({*records, *unread})
        anonymous = sum(one.id is None for one in unreadable)
        repeats = len(ids) + anonymous < sum(len(page.records) for page in pages)
        alike_are_one = repeats or not anonymous or show_again(ids)
        fresh = unread - self._quarantined(unread)
        return Shown(
            ids=ids,
            items={record.id: record.item_count for record in records.values()},
            new=frozenset(sorted_.new & records.keys() | fresh),
            broken=self._quarantine(unreadable, alike_are_one),
            anonymous=anonymous,
            repeats=repeats,
        )

    def _read(self, pages: Sequence[RecordsPage]) -> tuple[dict[int, Record], list[Unreadable]]:
        """Read the records of pages: readable ones by id, the last of each, and unreadable ones."""
        records: dict[int, Record] = {}
        unreadable: list[Unreadable] = []
        for page in pages:
            for payload in page.records:
                match read_record(self.stream, payload, self.max_record_bytes):
                    case Record() as record:
                        records[record.id] = record
                    case Unreadable() as record:
                        unreadable.append(record)
        return records, unreadable

    def _write(self, write: Write, records: Sequence[Record]) -> Iterator[Unreadable]:
        """Write records, and yield those that PostgreSQL refuses."""
        for chunk in _chunks(records):
            try:
                with self.connection.begin_nested():
                    write(self.connection, self.stream, self.company_id, chunk)
            except (DBAPIError, psycopg.Error) as error:
                if not isinstance(error.orig if isinstance(error, DBAPIError) else error, REFUSALS):
                    raise
                # PostgreSQL does not name the record that it refuses: halve until each stands alone.
                middle = len(chunk) // 2
                if middle:
                    yield from self._write(write, chunk[:middle])
                    yield from self._write(write, chunk[middle:])
                else:
                    yield why_unstorable(self.stream, chunk[0], self.max_record_bytes)

    def _quarantined(self, ids: Collection[int]) -> set[int]:
        return quarantined(self.connection, self.stream, self.company_id, ids) if ids else set()

    def _quarantine(self, unreadable: Sequence[Unreadable], alike_are_one: bool) -> tuple[bytes, ...]:
        rejected = []
        for record in unreadable:
            content_hash = record.content_hash
            if record.id is None and not alike_are_one:
                while content_hash in self.broken:
                    content_hash = hashlib.sha256(content_hash).digest()
            if content_hash not in self.broken:
                self.broken.add(content_hash)
                payload = record.payload.decode(errors="replace")
                rejected.append(
                    RejectedRecord(content_hash, record.id, record.reason, payload, numbering=record.numbering)
                )
        reject(self.connection, self.stream, self.company_id, "fetch", rejected)
        return tuple(record.content_hash for record in rejected)


def _chunks(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    start = characters = 0
    for position, record in enumerate(records):
        characters += len(record.text)
        if characters > MAX_STATEMENT_CHARACTERS and position > start:
            yield records[start:position]
            start, characters = position, len(record.text)
    if records:
        yield records[start:]
