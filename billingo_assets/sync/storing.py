"""Stores the documents of pages: the new and the changed into `raw_invoices`, the unreadable into quarantine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.errors import DataError, ProgramLimitExceeded, StatementTooComplex
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from billingo_assets.billingo.models import DocumentsPage
from billingo_assets.sync.documents import MAX_DOCUMENT_BYTES, Unreadable, read_document, why_unstorable
from billingo_assets.warehouse.raw_invoices import (
    Document,
    insert_documents,
    known_documents,
    upsert_documents,
)
from billingo_assets.warehouse.rejections import RejectedDocument, quarantined, reject, release_stored

REFUSALS = (DataError, ProgramLimitExceeded, StatementTooComplex)
"""What PostgreSQL says of content that it cannot hold."""
Write = Callable[[Connection, int, Sequence[Document]], None]

MAX_STATEMENT_CHARACTERS = 16 * 2**20
"""Payloads sent in one statement, unless one alone is longer."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What some pages showed. `items`: line items by id, of what is sound.

    `ids` are the distinct ids shown, `new` those that were neither live nor in quarantine before, `broken` the hashes
    of what cannot be stored and was not shown before. `anonymous` counts what was shown without a usable id.
    `repeats`: some id was shown more than once.
    """

    ids: frozenset[int]
    items: dict[int, int]
    new: frozenset[int]
    broken: tuple[bytes, ...]
    anonymous: int
    repeats: bool


@dataclass(slots=True)
class DocumentStore:
    """Stores pages of one company, on the connection that holds its lock, inside the caller's transaction.

    `broken` holds the hashes of what could not be stored so far: such a document need not have an id.
    """

    connection: Connection
    company_id: int
    max_document_bytes: int = MAX_DOCUMENT_BYTES
    broken: set[bytes] = field(default_factory=set)

    def store(
        self, pages: Sequence[DocumentsPage], *, show_again: Callable[[Collection[int]], bool] = lambda ids: True
    ) -> Shown:
        """Store what is new or changed, quarantine what is unreadable.

        Broken documents without an id that are the same to the byte are taken for one that is shown again, but for
        several where the pages show no id twice and `show_again` says of their ids that none was shown before.
        """
        documents: dict[int, Document] = {}
        unreadable: list[Unreadable] = []
        for page in pages:
            for payload in page.documents:
                match read_document(payload, self.max_document_bytes):
                    case Document() as document:
                        documents[document.id] = document
                    case Unreadable() as document:
                        unreadable.append(document)
        known = known_documents(self.connection, self.company_id, documents)
        new = {id_ for id_ in documents if id_ not in known or known[id_].is_deleted}
        never_stored = [one for one in documents.values() if one.id not in known]
        changed = [
            one
            for one in documents.values()
            if one.id in known and (one.id in new or known[one.id].content_hash != one.content_hash)
        ]
        refused = [*self._write(insert_documents, never_stored), *self._write(upsert_documents, changed)]
        for document in refused:
            if document.id is not None:
                del documents[document.id]
        release_stored(self.connection, self.company_id, documents)
        unreadable += refused
        # An unreadable document is there all the same: an older version of it must not be taken for deleted.
        unread = {document.id for document in unreadable if document.id is not None}
        ids = frozenset({*documents, *unread})
        anonymous = sum(document.id is None for document in unreadable)
        repeats = len(ids) + anonymous < sum(len(page.documents) for page in pages)
        alike_are_one = repeats or not anonymous or show_again(ids)
        fresh = unread - (quarantined(self.connection, self.company_id, unread) if unread else set())
        return Shown(
            ids=ids,
            items={document.id: document.items for document in documents.values()},
            new=frozenset(new & documents.keys() | fresh),
            broken=self._quarantine(unreadable, alike_are_one),
            anonymous=anonymous,
            repeats=repeats,
        )

    def _write(self, write: Write, documents: Sequence[Document]) -> Iterator[Unreadable]:
        """Write documents, and yield those that PostgreSQL refuses."""
        for chunk in _chunks(documents):
            try:
                with self.connection.begin_nested():
                    write(self.connection, self.company_id, chunk)
            except (DBAPIError, psycopg.Error) as error:
                if not isinstance(error.orig if isinstance(error, DBAPIError) else error, REFUSALS):
                    raise
                # PostgreSQL does not say which one it refuses: halve until each stands alone.
                middle = len(chunk) // 2
                if middle:
                    yield from self._write(write, chunk[:middle])
                    yield from self._write(write, chunk[middle:])
                else:
                    yield why_unstorable(chunk[0], self.max_document_bytes)

    def _quarantine(self, unreadable: Sequence[Unreadable], alike_are_one: bool) -> tuple[bytes, ...]:
        rejected = []
        for document in unreadable:
            content_hash = document.content_hash
            if document.id is None and not alike_are_one:
                while content_hash in self.broken:
                    content_hash = hashlib.sha256(content_hash).digest()
            if content_hash not in self.broken:
                self.broken.add(content_hash)
                payload = document.payload.decode(errors="replace")
                rejected.append(
                    RejectedDocument(content_hash, document.id, document.reason, payload, numbering=document.numbering)
                )
        reject(self.connection, self.company_id, "fetch", rejected)
        return tuple(document.content_hash for document in rejected)


def _chunks(documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
    start = characters = 0
    for position, document in enumerate(documents):
        characters += len(document.text)
        if characters > MAX_STATEMENT_CHARACTERS and position > start:
            yield documents[start:position]
            start, characters = position, len(document.text)
    if documents:
        yield documents[start:]
