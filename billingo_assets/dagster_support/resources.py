"""The resources `billingo`, `warehouse` and `progress` of assets and checks.

Each is a thin cover over a room that does not import Dagster. Nothing is opened before a run needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
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
    from billingo_assets.companies.session import OpenCompany, RunSession
    from billingo_assets.sync.report import Progress


class BillingoResource(dg.ConfigurableResource["BillingoResource"]):
    """The Billingo API. Its address is in the settings: a person who launches a run cannot send a key elsewhere."""

    def client(self, company: Company, api_key: SecretStr) -> BillingoClient:
        """Make a client for one company. The caller closes it."""
        from billingo_assets.billingo.connecting import connect

        settings = load_settings()
        return connect(company.api_url(settings), api_key, settings)


class WarehouseResource(dg.ConfigurableResource["WarehouseResource"]):
    """The PostgreSQL with all data, at the address in the settings. A run's locks there end with the run."""

    _session: RunSession | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[WarehouseResource]:
        """Begin the session of the run, and show that it is alive; Dagster calls it.

        If the database is missing, the run continues, and its first step reports that in words.
        """
        from billingo_assets.companies.session import RunSession

        if context.run is None:
            yield self
            return
        with RunSession(context.run.run_id) as session:
            with suppress(BillingoAssetsError):
                session.show_alive(load_settings())
            self._session = session
            yield self

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Yield a connection to a reachable database at this program's version. Raises DatabaseError."""
        from billingo_assets.companies.session import connected

        with connected(load_settings()) as connection:
            yield connection

    @contextmanager
    def company(self, key: str) -> Iterator[OpenCompany]:
        """Yield a company for reading, with its API key; others may write to it meanwhile."""
        from billingo_assets.companies.session import read_company

        with self.connect() as connection:
            yield read_company(connection, key, load_settings())

    @contextmanager
    def locked_company(self, key: str, *, run_id: str, disabled_too: bool = False) -> Iterator[OpenCompany]:
        """Yield a company for writing, see `RunSession`; outside of a run, its lock ends with the block."""
        from billingo_assets.companies.session import RunSession

        with (
            nullcontext(self._session) if self._session else RunSession(run_id) as session,
            session.locked_company(key, load_settings(), disabled_too=disabled_too) as opened,
        ):
            yield opened


class ProgressLog:
    """Logs the progress of a sync: a line in the run's log for each page, or for several that came at once."""

    def listener(self, company: str, log: Callable[[str], None]) -> Callable[[Progress], None]:
        """Return the function that the engine calls after each page."""

        def on_page(progress: Progress) -> None:
            log(
                f"{company}: page {progress.page} of {progress.last_page},"
                f" {progress.documents:,} of {progress.total:,} documents"
            )

        return on_page
