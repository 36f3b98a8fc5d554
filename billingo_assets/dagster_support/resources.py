"""The resources `billingo`, `warehouse` and `progress`: what assets and checks need from outside.

Each is a thin cover over a room that knows no Dagster. Nothing is opened before a run asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy import Connection

from billingo_assets.errors import BillingoAssetsError
from billingo_assets.settings import load_settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from billingo_assets.billingo.client import BillingoClient
    from billingo_assets.companies.registry import Company
    from billingo_assets.sync.report import Progress


class BillingoResource(dg.ConfigurableResource["BillingoResource"]):
    """The Billingo API. The settings say where it is: a person who launches a run cannot send a key elsewhere."""

    def client(self, company: Company, api_key: SecretStr) -> BillingoClient:
        """A client for one company, to be closed by the caller."""
        from billingo_assets.billingo.connecting import connect

        settings = load_settings()
        return connect(company.api_url(settings), api_key, settings)


@dataclass(frozen=True, slots=True)
class CompanyWork:
    """One company under its lock: the connection that holds it, its entry and API key.

    How far syncs look back, and the largest document that they store.
    """

    connection: Connection
    company: Company
    api_key: SecretStr
    lookback: timedelta
    max_document_bytes: int


class WarehouseResource(dg.ConfigurableResource["WarehouseResource"]):
    """The PostgreSQL that holds everything; where it is, the settings say."""

    _until_the_run_ends: ExitStack | None = PrivateAttr(default=None)
    _locked: tuple[str, Connection] | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[WarehouseResource]:
        """Show that the run lives for as long as it has this resource, and keep its lock so long; Dagster calls it.

        Where the database is missing the run goes on without, to say so itself, in words.
        """
        from billingo_assets.warehouse.database import connecting, open_database
        from billingo_assets.warehouse.locks import showing_run_alive

        with ExitStack() as stack:
            if context.run is not None:
                with suppress(BillingoAssetsError):
                    connection = stack.enter_context(connecting(open_database(load_settings())))
                    stack.enter_context(showing_run_alive(connection, context.run.run_id))
                self._until_the_run_ends = stack
            yield self

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection to a database that is reachable and at this program's version.

        Raises:
            DatabaseError: it is not.
        """
        from billingo_assets.warehouse.database import connecting, open_database

        with connecting(open_database(load_settings())) as connection:
            yield connection

    @contextmanager
    def company(self, key: str) -> Iterator[CompanyWork]:
        """A company to read about, with its key at hand; nobody is kept out."""
        with self.connect() as connection:
            yield _work(connection, key)

    @contextmanager
    def locked_company(self, key: str, *, run_id: str, disabled_too: bool = False) -> Iterator[CompanyWork]:
        """A company to write to, under its lock, as the registry has it once the lock is held.

        A run keeps the lock from its first step to its end: between two steps another would begin to write, and this
        one have to give up. It may have waited in a queue for long: unless `disabled_too`, a company that was disabled
        meanwhile is refused.

        Raises:
            CompanyBusyError: another run is writing to it.
            NotToBeSyncedError: it is disabled, was removed, or was never registered.
            DatabaseError: the database refused something, also within the block.
        """
        from billingo_assets.warehouse.database import telling

        with ExitStack() as stack:
            if self._locked is not None and self._locked[0] == key and not self._locked[1].invalidated:
                connection = self._locked[1]
            else:
                holder = self._until_the_run_ends or stack
                connection = holder.enter_context(self._lock(key, run_id, disabled_too))
                if holder is not stack:
                    self._locked = key, connection
            with telling(connection.engine):
                yield _work(connection, key)

    @contextmanager
    def _lock(self, key: str, run_id: str, disabled_too: bool) -> Iterator[Connection]:
        from billingo_assets.companies.registry import get_company, require_enabled
        from billingo_assets.warehouse.locks import company_lock

        wait_seconds = load_settings().lock_wait_seconds
        with self.connect() as connection:
            with connection.begin():
                if not disabled_too:
                    require_enabled(connection, key)
                company_id = get_company(connection, key).id
            with company_lock(connection, company_id, company=key, run_id=run_id, wait_seconds=wait_seconds):
                yield connection


def _work(connection: Connection, key: str) -> CompanyWork:
    from billingo_assets.companies.registry import get_company, keyring_for

    settings = load_settings()
    with connection.begin():
        company = get_company(connection, key)
        api_key = company.api_key(keyring_for(connection, settings))
    lookback, most = timedelta(days=settings.lookback_days), settings.max_document_mib * 2**20
    return CompanyWork(connection, company, api_key, lookback, most)


class ProgressLog:
    """Tells how far a sync is: a line in the run's log for each page, or for several that came at once."""

    def listener(self, company: str, log: Callable[[str], None]) -> Callable[[Progress], None]:
        """Return what the engine calls after each page."""

        def on_page(progress: Progress) -> None:
            log(
                f"{company}: page {progress.page} of {progress.last_page},"
                f" {progress.documents:,} of {progress.total:,} documents"
            )

        return on_page
