"""What every kind of sync of a company works with: its client, its database connection, its store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.models import DocumentsPage
from billingo_assets.companies.registry import Company
from billingo_assets.sync.report import Progress
from billingo_assets.sync.storing import DocumentStore, Shown

MAX_LISTINGS = 3
"""How often a listing is read before a sync accepts that it will not hold still."""


@dataclass(slots=True)
class SyncContext:
    """One sync under way. `connection` holds the company's lock; `began_at` is the database's clock at its start."""

    client: BillingoClient
    connection: Connection
    company: Company
    run_id: str
    on_page: Callable[[Progress], None]
    began_at: datetime
    max_document_bytes: int
    store: DocumentStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = DocumentStore(self.connection, self.company.id, self.max_document_bytes)

    def store_pages(self, pages: Sequence[DocumentsPage]) -> Shown:
        """Store what some pages show, in a transaction of its own."""
        with self.connection.begin():
            self.commit_without_waiting()
            return self.store.store(pages)

    def commit_without_waiting(self) -> None:
        """Let this transaction not wait for the disk: the one that moves the watermark flushes all before it."""
        self.connection.execute(text("SET LOCAL synchronous_commit = off"))
