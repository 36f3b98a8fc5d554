"""Advisory locks, which end with their database session.

A company's lock lets one sync at a time write to it. A run's lock shows that its process is alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from billingo_assets.errors import BillingoAssetsError
from billingo_assets.warehouse.database import APPLICATION_NAME

LOCK_SPACE = 0x62696C6C
"""First key of the advisory locks; the second is the company's id."""

RUN_LOCK_SPACE = 0x62696C72
"""First key of the locks of runs; the second is a hash of the run's id."""

_HOLDER = text(
    """
    SELECT activity.application_name
    FROM pg_locks AS locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locks.locktype = 'advisory' AND locks.granted
      AND locks.classid = :space AND locks.objid = :company AND locks.objsubid = 2
      AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)

_RUN_IS_SHOWN = text(
    """
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted
          AND classid = :space AND objid = (hashtext(:run)::bigint & 4294967295)::oid AND objsubid = 2
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    """
)


class CompanyBusyError(BillingoAssetsError):
    """Another sync of the company is running, or a command is changing the company."""

    transient = True


@contextmanager
def company_lock(
    connection: Connection, company_id: int, *, company: str, by: str, wait_seconds: float
) -> Iterator[None]:
    """Hold the company's lock on this connection's session, which must be the one that writes.

    A session that ends loses the lock and the ability to write at once. `connection` must not be in a transaction.
    `by` is the run or command that holds the lock, as errors of the waiting sessions name it.

    Raises:
        CompanyBusyError: another session held it for longer than `wait_seconds`; the error names its run or command.
    """
    keys = {"space": LOCK_SPACE, "company": company_id}
    try:
        with connection.begin():
            _set(connection, "lock_timeout", f"{max(1, round(wait_seconds * 1000))}ms", for_transaction=True)
            _set(connection, "statement_timeout", "0", for_transaction=True)  # it would end the wait first
            connection.execute(text("SELECT pg_advisory_lock(:space, :company)"), keys)
            # Shown in pg_stat_activity, so that a waiting session can name it.
            _set(connection, "application_name", by)
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        with connection.begin():
            holder = connection.scalar(_HOLDER, keys) or "another program"
        raise CompanyBusyError(f"{company} is in use by {holder}. Wait for it to end, then try again.") from None
    try:
        yield
    finally:
        if not connection.closed and not connection.invalidated:
            connection.rollback()
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_unlock(:space, :company)"), keys)
                _set(connection, "application_name", APPLICATION_NAME)


def _set(connection: Connection, name: str, value: str, *, for_transaction: bool = False) -> None:
    connection.execute(
        text("SELECT set_config(:name, :value, :local)"), {"name": name, "value": value, "local": for_transaction}
    )


@contextmanager
def showing_run_alive(connection: Connection, run_id: str) -> Iterator[None]:
    """Show that a process works on the run, while the block and this connection's session last."""
    keys = {"space": RUN_LOCK_SPACE, "run": run_id}
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_lock_shared(:space, hashtext(:run))"), keys)
    try:
        yield
    finally:
        with suppress(DBAPIError):  # the session is gone, and the lock with it
            connection.rollback()
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_unlock_shared(:space, hashtext(:run))"), keys)


def run_is_alive(connection: Connection, run_id: str) -> bool:
    """Whether any process shows the run to be alive. Joins an open transaction, and leaves none of its own."""
    keys = {"space": RUN_LOCK_SPACE, "run": run_id}
    with nullcontext() if connection.in_transaction() else connection.begin():
        return bool(connection.scalar(_RUN_IS_SHOWN, keys))
