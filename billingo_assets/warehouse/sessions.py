"""Gives every connection, of either driver, the settings that it relies on and a server session of its own.

A database, a role or an environment variable can change the defaults of a session (ALTER DATABASE … SET, ALTER ROLE …
SET, PGDATESTYLE), so each connection sets them itself. It does so by a statement and not by the connection's
`options`, which poolers refuse or silently drop.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL, Engine, event

from billingo_assets.errors import DatabaseError, DatabaseUnavailableError

CONNECT_SECONDS = 10
PROOF_SECONDS = 5
"""How long a notification may take to arrive. In a session of our own it takes a millisecond."""

SETTINGS = {
    # Unlimited. Where we limit a wait, the code that waits sets the limit.
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "0",
    # How transactions behave.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "exit_on_error": "off",
    # How values are written and read. The drivers, and Dagster for its floats, assume PostgreSQL's own defaults.
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    # If it is off, every statement fails that a policy would filter.
    "row_security": "on",
}
"""The settings of every session. One that an older server does not know is left out there."""

_proven: set[URL] = set()
_proving = threading.Lock()


class SharedSessionError(DatabaseError):
    """The connection goes through a pooler that may use another server session for each transaction."""


def pin_sessions(engine: Engine, *, search_path: str = "pg_catalog", statement_timeout_ms: int = 0) -> None:
    """Apply our settings to each connection of the engine as soon as it is open.

    Opening a connection then raises SharedSessionError if a pooler shares its session: settings and locks would be
    lost.
    """
    statement = _statement({"statement_timeout": str(statement_timeout_ms), **SETTINGS, "search_path": search_path})

    def name_encoding(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        parameters["client_encoding"] = "utf8"  # psycopg2 would not notice a statement

    def pin(connection: Any, _record: object) -> None:
        before = connection.autocommit
        connection.autocommit = True
        try:
            # One round trip: the settings, applied only if this is the session that the server announced to us.
            announced = f" AND pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {connection.info.backend_pid}"
            if not _number(connection, statement + announced):
                _require_own_session(engine)
                _number(connection, statement)
        finally:
            connection.autocommit = before

    event.listen(engine, "do_connect", name_encoding)
    event.listen(engine, "connect", pin, insert=True)  # before SQLAlchemy sends its own first statements


def _statement(settings: Mapping[str, str]) -> str:
    """Return a statement that applies the settings and counts them.

    It works whatever timeout the session begins with, and whatever its search path holds.
    """
    values = sql.SQL(", ").join(sql.SQL("({}, {})").format(*setting) for setting in settings.items())
    statement = sql.SQL(
        "SET LOCAL statement_timeout = 0;"
        " SELECT pg_catalog.count(pg_catalog.set_config(setting.name, setting.value, false))"
        " FROM (VALUES {}) AS setting (name, value) WHERE pg_catalog.current_setting(setting.name, true) IS NOT NULL"
    )
    return statement.format(values).as_string()


def _number(connection: Any, statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        if isinstance(cursor, psycopg.Cursor):
            cursor.set_result(-1)  # the result of the last statement, which psycopg2 returns anyway
        (number,) = cursor.fetchone()
        return int(number)


def _require_own_session(engine: Engine) -> None:
    """Raise SharedSessionError unless the pooler keeps one server session for each connection.

    Called only if there is a pooler, which shows by a process id that is not the announced one.
    """
    url = engine.url.set(drivername="postgresql")
    with _proving:
        if url not in _proven:
            if not _is_notified_while_idle(engine):
                raise SharedSessionError(
                    f"The database at {_place(url)} is behind a connection pooler in transaction or statement mode,"
                    " where neither locks nor settings last: two syncs could write to one company at once."
                    " Set BILLINGO_DATABASE_URL to the server itself or to a pooler in session mode (PgBouncer:"
                    " pool_mode = session; Supabase: port 5432; Neon: the host name without -pooler)."
                )
            _proven.add(url)


def _is_notified_while_idle(engine: Engine) -> bool:
    """Whether a session that listens receives a notification between two transactions.

    By then a pooler in transaction mode has taken the session back, so nothing reaches the client. Comparing process
    ids over two transactions would not do: the pooler may happen to give the same session twice.
    """
    _, given = engine.dialect.create_connect_args(engine.url)
    parameters: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, **given, "autocommit": True}
    channel = f"billingo_{token_hex(8)}"
    try:
        with psycopg.connect(**parameters) as listener, psycopg.connect(**parameters) as notifier:
            listener.execute(f"LISTEN {channel}")
            backend = listener.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
            notifier.execute(f"NOTIFY {channel}")
            other = notifier.execute("SELECT pg_catalog.pg_backend_pid()")
            is_shared = backend == other.fetchone()
            heard = not is_shared and any(True for _ in listener.notifies(timeout=PROOF_SECONDS, stop_after=1))
            listener.execute(f"UNLISTEN {channel}")  # a shared session goes to another client next
            return heard
    except psycopg.Error as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise DatabaseUnavailableError(
            f"The database at {_place(engine.url)} cannot be used through its connection pooler: {said}."
            " Set BILLINGO_DATABASE_URL to the server itself, or look into the pooler's log."
        ) from error


def _place(url: URL) -> str:
    host = url.host or url.query.get("host") or "the default socket"
    return f"{host}:{url.port}" if url.port else str(host)
