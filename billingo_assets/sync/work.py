"""The context of a sync: its client, its database connection, its store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.models import RecordsPage
from billingo_assets.companies.registry import Company
from billingo_assets.streams import Stream
from billingo_assets.sync.report import Progress
from billingo_assets.sync.storing import RecordStore, Shown

MAX_LISTINGS = 3
"""How often a listing is read before a sync gives up on a listing that keeps changing."""


@dataclass(slots=True)
class SyncContext:
    """A sync of a stream under way.

    `connection` holds the company's lock; `began_at` is the database's clock at its start.
    """

    client: BillingoClient
    connection: Connection
    stream: Stream
    company: Company
    run_id: str
    on_page: Callable[[Progress], None]
    began_at: datetime
    max_record_bytes: int
    store: RecordStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = RecordStore(self.connection, self.stream, self.company.id, self.max_record_bytes)

    @property
    def scope(self) -> tuple[Connection, Stream, int]:
        """The first arguments of warehouse functions: the connection, the stream and the company's id."""
        return self.connection, self.stream, self.company.id

    def store_pages(self, pages: Sequence[RecordsPage]) -> Shown:
        """Store the records of some pages in a transaction of their own."""
        with self.connection.begin():
            self.commit_without_waiting()
            return self.store.store(pages)

    def commit_without_waiting(self) -> None:
        """Commit this transaction without waiting for the disk: the one that moves the watermark flushes it too."""
        self.connection.execute(text("SET LOCAL synchronous_commit = off"))
