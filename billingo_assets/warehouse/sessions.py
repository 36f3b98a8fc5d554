"""What every connection relies on: its session's settings, and a server session of its own. Both drivers begin here.

A database, a role and an environment variable can each change a session's defaults (ALTER DATABASE … SET, ALTER ROLE …
SET, PGDATESTYLE), so nothing is left to them. A statement makes the settings, not the connection's `options`: poolers
refuse those, or drop them without a word.
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
"""How long a notification may take to arrive; on a session of its own it takes a millisecond."""

SETTINGS = {
    # No bound but our own: a wait of ours is bounded where it is made.
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "0",
    # What a transaction is.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "exit_on_error": "off",
    # How values are written and read: the drivers, and Dagster's floats, take PostgreSQL's own defaults for granted.
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    # Off, a statement that a policy would filter fails.
    "row_security": "on",
}
"""Of every session; a server too old to know one does without."""

_proven: set[URL] = set()
_proving = threading.Lock()


class SharedSessionError(DatabaseError):
    """A pooler gives each transaction whichever server session is free."""


def pin_sessions(engine: Engine, *, search_path: str = "pg_catalog", statement_timeout_ms: int = 0) -> None:
    """Have each connection that the engine opens begin with our settings, before anything else is asked of it.

    Opening one raises SharedSessionError where its session is not its own: settings and locks would not last.
    """
    statement = _statement({"statement_timeout": str(statement_timeout_ms), **SETTINGS, "search_path": search_path})

    def name_encoding(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        parameters["client_encoding"] = "utf8"  # not by a statement: psycopg2 would not notice

    def pin(connection: Any, _record: object) -> None:
        before = connection.autocommit
        connection.autocommit = True
        try:
            # In one round trip, and only in the session that the server itself announced: that is nobody else's.
            announced = f" AND pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {connection.info.backend_pid}"
            if not _number(connection, statement + announced):
                _require_own_session(engine)
                _number(connection, statement)
        finally:
            connection.autocommit = before

    event.listen(engine, "do_connect", name_encoding)
    event.listen(engine, "connect", pin, insert=True)  # before SQLAlchemy's own first questions


def _statement(settings: Mapping[str, str]) -> str:
    """Apply the settings and count them. It is not bound by them itself, and trusts no foreign search path."""
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
            cursor.set_result(-1)  # psycopg2 has the last one anyway
        (number,) = cursor.fetchone()
        return int(number)


def _require_own_session(engine: Engine) -> None:
    """Raise SharedSessionError unless a pooler keeps one server session for each connection.

    To be asked only where there is a pooler: it hides which server process a connection talks to.
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
    """Whether a session that listens hears of a notification between two transactions.

    A pooler in transaction mode has given the session back by then, so that nothing reaches the client. Which session
    it gives next does not matter, as it would to a comparison of their process ids.
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
            listener.execute(f"UNLISTEN {channel}")  # if the session is not ours, whoever has it next should not listen
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
