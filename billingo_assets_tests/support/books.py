"""One company as a test sees it: what the sandbox serves, what the database holds, the sync between. No tests here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, Row, text

from billingo_assets.billingo.client import BillingoClient, Limits
from billingo_assets.companies.registry import Company
from billingo_assets.sandbox import Company as InventedCompany
from billingo_assets.sandbox import SandboxServer
from billingo_assets.streams import DOCUMENTS, Stream
from billingo_assets.sync.context import SyncContext
from billingo_assets.sync.engine import sync_company
from billingo_assets.sync.records import MAX_RECORD_BYTES
from billingo_assets.sync.refresh import RefreshReport, refresh_tables
from billingo_assets.sync.report import Progress, SyncReport
from billingo_assets.warehouse.reconciliation import held_records
from billingo_assets.warehouse.sync_state import SyncState, read_sync_state

TABLES = ("raw_invoices", "invoices", "invoice_items", "related_documents")


@dataclass(frozen=True)
class Books:
    """`served` is the sandbox's company; mutate it at will. `company` is the registry's entry for it."""

    engine: Engine
    company: Company
    served: InventedCompany
    sandbox: SandboxServer

    def client(self, **limits: Any) -> BillingoClient:
        """A client that neither paces nor waits, unless told otherwise."""
        chosen = Limits(**{"requests_per_minute": 0, "attempts": 2, "first_backoff_seconds": 0.001} | limits)
        return BillingoClient(api_url=self.sandbox.url, api_key=SecretStr(self.served.api_key), limits=chosen)

    def fetch(
        self,
        *,
        run_id: str = "the run",
        stream: Stream = DOCUMENTS,
        company: Company | None = None,
        on_page: Callable[[Progress], None] = lambda progress: None,
        full: bool = True,
        accept_empty: bool = False,
        accept_difference: int | None = None,
        lookback: timedelta = timedelta(days=7),
        max_record_bytes: int = MAX_RECORD_BYTES,
        **limits: Any,
    ) -> SyncReport:
        """Sync the records of a stream as sent; the tables made from them stay as they are."""
        with self.client(**limits) as client, self.engine.connect() as connection:
            return sync_company(
                SyncContext(
                    client=client,
                    connection=connection,
                    stream=stream,
                    company=company or self.company,
                    run_id=run_id,
                    on_page=on_page,
                    full=full,
                    accept_empty=accept_empty,
                    accept_difference=accept_difference,
                    lookback=lookback,
                    max_record_bytes=max_record_bytes,
                )
            )

    def refresh(self, stream: Stream = DOCUMENTS) -> RefreshReport:
        """Bring the tables up to the documents that are stored."""
        with self.engine.connect() as connection:
            return refresh_tables(connection, stream, self.company.id)

    def sync(self, *, stream: Stream = DOCUMENTS, **options: Any) -> SyncReport:
        """Sync the records of a stream and the tables made from them."""
        report = self.fetch(stream=stream, **options)
        self.refresh(stream)
        return report

    def rows(self, query: str, **values: Any) -> list[Row[Any]]:
        """Ask the database; `:company` is this company's id."""
        with self.engine.begin() as connection:
            result = connection.execute(text(query), {"company": self.company.id, **values})
            return list(result) if result.returns_rows else []

    def value(self, query: str, **values: Any) -> Any:
        """The one value that a query gives."""
        ((found,),) = self.rows(query, **values)
        return found

    def stored(self, document_id: int) -> Row[Any]:
        """The raw row of a document."""
        (row,) = self.rows(
            "SELECT *, payload::text AS text FROM billingo.raw_invoices"
            " WHERE company_id = :company AND document_id = :id",
            id=document_id,
        )
        return row

    def invoice(self, document_id: int) -> Row[Any] | None:
        """The row of a document in `invoices`, if there is one."""
        query = "SELECT * FROM billingo.invoices WHERE company_id = :company AND id = :id"
        rows = self.rows(query, id=document_id)
        return rows[0] if rows else None

    def items(self, document_id: int) -> list[tuple[int, str | None]]:
        """The lines of a document, as (position, name)."""
        query = (
            "SELECT position, name FROM billingo.invoice_items"
            " WHERE company_id = :company AND invoice_id = :id ORDER BY position"
        )
        return [(position, name) for position, name in self.rows(query, id=document_id)]

    def live(self) -> set[int]:
        """The ids of the documents that are stored and not deleted."""
        query = "SELECT document_id FROM billingo.raw_invoices WHERE company_id = :company AND deleted_at IS NULL"
        return {document_id for (document_id,) in self.rows(query)}

    def quarantine(self) -> list[tuple[int | None, str, str]]:
        """What is in quarantine, as (document id, stage, reason)."""
        query = (
            "SELECT document_id, stage, reason FROM billingo.rejected_documents WHERE company_id = :company"
            " ORDER BY document_id NULLS FIRST, reason"
        )
        return [(document_id, stage, reason) for document_id, stage, reason in self.rows(query)]

    def held(self) -> int:
        """How many documents we say we hold."""
        with self.engine.begin() as connection:
            return held_records(connection, DOCUMENTS, self.company.id)

    def state(self) -> SyncState | None:
        """What the last whole sync vouches for."""
        with self.engine.begin() as connection:
            return read_sync_state(connection, DOCUMENTS, self.company.id)

    def of_type(self, type_: str) -> list[int]:
        """The ids of the served documents of a type, newest first."""
        return [document["id"] for document in self.served.documents() if document["type"] == type_]

    def row_versions(self) -> dict[str, list[tuple[str, str]]]:
        """Where each row lies and which transaction wrote it: a row that was written anew shows here."""
        return {
            table: [
                (place, writer)
                for place, writer in self.rows(f"SELECT ctid::text, xmin::text FROM billingo.{table} ORDER BY ctid")
            ]
            for table in TABLES
        }
