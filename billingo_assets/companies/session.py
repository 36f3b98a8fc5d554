"""Opens a company for a process: a connection, the company's lock, and the mark that a run is alive.

The command line and Dagster's resources both use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pydantic import SecretStr
from sqlalchemy import Connection

from billingo_assets.companies.registry import Company, get_company, keyring_for, require_enabled
from billingo_assets.settings import Settings
from billingo_assets.warehouse.database import connecting, errors_in_words, open_database
from billingo_assets.warehouse.locks import company_lock, showing_run_alive


@dataclass(frozen=True, slots=True)
class OpenCompany:
    """A company to work on: the connection to use, its entry, its API key."""

    connection: Connection
    company: Company
    api_key: SecretStr


@contextmanager
def connected(settings: Settings) -> Iterator[Connection]:
    """Yield a connection to a database that is reachable and at this program's version.

    Raises:
        DatabaseError: it is not, or it refused a statement within the block.
    """
    with connecting(open_database(settings)) as connection:
        yield connection


def read_company(connection: Connection, key: str, settings: Settings) -> OpenCompany:
    """Read a company from the registry. The connection must not be in a transaction."""
    with connection.begin():
        company = get_company(connection, key)
        api_key = company.api_key(keyring_for(connection, settings))
    return OpenCompany(connection, company, api_key)


@contextmanager
def changing_company(connection: Connection, company: Company, settings: Settings, *, by: str) -> Iterator[None]:
    """Open a transaction under the company's lock, so that no run is under way. Waiting runs name the command, `by`.

    Raises:
        CompanyBusyError: a run is writing to the company.
    """
    wait_seconds = settings.lock_wait_seconds
    with (
        company_lock(connection, company.id, company=company.key, by=by, wait_seconds=wait_seconds),
        connection.begin(),
    ):
        yield


class RunSession:
    """A run's session in the database: its company's lock, and the mark that the run is alive.

    Use it as a context manager. It holds both to its end; otherwise another run could begin to write to the company
    between two steps, and this one would have to give up.
    """

    def __init__(self, run_id: str) -> None:
        """Hold nothing yet."""
        self._run_id = run_id
        self._held = ExitStack()
        self._locked: tuple[str, Connection] | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Release everything, in reverse order. Errors of the database are raised as a DatabaseError in words."""
        return self._held.__exit__(type_, error, traceback)

    def show_alive(self, settings: Settings) -> Connection:
        """Show that a process works on the run. Returns the connection that shows it, for other use as well."""
        connection = self._held.enter_context(connected(settings))
        self._held.enter_context(showing_run_alive(connection, self._run_id))
        return connection

    @contextmanager
    def locked_company(self, key: str, settings: Settings, *, disabled_too: bool = False) -> Iterator[OpenCompany]:
        """Lock a company for writing, and read it from the registry.

        The run may have waited in a queue for long. Without `disabled_too`, it refuses a company that was disabled
        meanwhile.

        Raises:
            CompanyBusyError: another run is writing to it.
            NotToBeSyncedError: it is disabled, was removed, or was never registered.
            DatabaseError: the database refused a statement, here or within the block.
        """
        if self._locked is None or self._locked[0] != key or self._locked[1].invalidated:
            self._locked = key, self._lock(key, settings, disabled_too)
        _, connection = self._locked
        with errors_in_words(connection.engine):
            try:
                yield read_company(connection, key, settings)
            finally:
                connection.rollback()  # the transaction of the block's last query: the next step begins its own

    def _lock(self, key: str, settings: Settings, disabled_too: bool) -> Connection:
        """Lock the company on a connection of its own. A lost connection loses the lock."""
        with ExitStack() as begun:
            connection = begun.enter_context(connected(settings))
            with connection.begin():
                if not disabled_too:
                    require_enabled(connection, key)
                company_id = get_company(connection, key).id
            wait_seconds = settings.lock_wait_seconds
            run = f"run {self._run_id}"
            begun.enter_context(company_lock(connection, company_id, company=key, by=run, wait_seconds=wait_seconds))
            self._held.push(begun.pop_all())
        return connection
