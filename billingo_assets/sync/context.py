"""The context of a sync: which company and stream, how, with which client and database connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection, text

from billingo_assets.billingo.client import BillingoClient
from billingo_assets.billingo.models import RecordsPage
from billingo_assets.companies.registry import Company
from billingo_assets.streams import Stream
from billingo_assets.sync.records import MAX_RECORD_BYTES
from billingo_assets.sync.report import Progress
from billingo_assets.sync.storing import RecordStore, Shown

MAX_LISTINGS = 3
"""The most readings of a listing, the first included, before a sync gives up because it keeps changing."""


@dataclass(slots=True, kw_only=True)
class SyncContext:
    """One sync of a stream of one company. `connection` holds the company's lock.

    `full` forces a full sync. `accept_empty` believes an API that shows no record although some are stored;
    `accept_difference` is the number of records by which Billingo's count may differ from its pages from now on.
    `asked_by` is the person or run that chose these, for the audit log. An incremental sync looks back by `lookback`.
    A record of more than `max_record_bytes` goes to quarantine.
    """

    client: BillingoClient
    connection: Connection
    stream: Stream
    company: Company
    run_id: str
    on_page: Callable[[Progress], None]
    full: bool = False
    accept_empty: bool = False
    accept_difference: int | None = None
    asked_by: str | None = None
    lookback: timedelta = timedelta(days=7)
    max_record_bytes: int = MAX_RECORD_BYTES
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
