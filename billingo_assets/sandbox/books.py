"""The documents that one company holds: to find, count and serve them, and to put in and take out.

Which changes Billingo allows, and what they do to a document, is in `company`.
"""

import threading

from billingo_assets.sandbox.errors import UnknownDocumentError
from billingo_assets.sandbox.generator import Document
from billingo_assets.sandbox.ledger import Ledger, ledger_of
from billingo_assets.sandbox.record import Record, parse


class Books:
    """The documents of company `key`. `version` grows with every change of them."""

    def __init__(self, key: str, lock: threading.RLock) -> None:
        self.key = key
        self.version = 0
        self._lock = lock
        self._records: list[Record] = []
        self._by_id: dict[int | None, Record] = {}

    @property
    def records(self) -> list[Record]:
        """The stored documents, oldest first: the live list, to be read under the world's lock only."""
        return self._records

    def documents(self) -> list[Document]:
        """Decode every document as it is stored, newest first. A broken one that is not JSON is None."""
        with self._lock:
            return [parse(record.body) for record in reversed(self._records)]

    def document(self, document_id: int) -> Document:
        """Decode one document as it is stored. Raises UnknownDocumentError."""
        with self._lock:
            return self.record(document_id).document()

    def record(self, document_id: int) -> Record:
        """Find a stored document. Raises UnknownDocumentError."""
        record = self._by_id.get(document_id)
        if record is None:
            raise UnknownDocumentError(
                f"{self.key} has no document {document_id}; look at GET /v3/documents for its ids."
            )
        return record

    def ledger(self) -> Ledger:
        """Count and sum the documents as they are now."""
        with self._lock:
            return ledger_of(self._records)

    def payloads(self, *, on: str | None = None) -> dict[int, bytes]:
        """Give every sound document by its id, in the very bytes that are stored, or that are served `on` a day."""
        with self._lock:
            return {
                record.facts.id: record.shown_on(on)
                for record in self._records
                if record.counted and record.facts.id is not None
            }

    def _append(self, record: Record) -> None:
        self._records.append(record)
        if record.facts.id is not None:
            self._by_id[record.facts.id] = record
        self.version += 1

    def _store(self, record: Record, document: Document) -> None:
        self._by_id.pop(record.facts.id, None)
        record.replace(document)
        self._by_id[record.facts.id] = record
        self.version += 1

    def _remove(self, record: Record) -> None:
        self._records.remove(record)
        del self._by_id[record.facts.id]
        self.version += 1
