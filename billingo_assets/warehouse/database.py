"""Opens the database: the URL, the engine, the check of the tables' version.

Other modules declare and fill the tables.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

import psycopg
from psycopg.errors import DiskFull, InsufficientPrivilege, QueryCanceled, ReadOnlySqlTransaction
from psycopg.pq import Conninfo
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from billingo_assets.errors import BillingoAssetsError, ConfigurationError, DatabaseError, DatabaseUnavailableError
from billingo_assets.settings import Settings
from billingo_assets.warehouse.sessions import CONNECT_SECONDS, pin_sessions

OLDEST_SERVER = 15
REVISIONS = tuple(sorted(file.name[:4] for file in (Path(__file__).parent / "migrations/versions").glob("[0-9]*_*.py")))
"""Every migration, oldest first, by the name of its file, so that a sync need not load Alembic to compare."""

_IS_OF_SOMETHING_ELSE = text(
    "SELECT bool_and(relname <> 'alembic_version') FROM pg_class WHERE relnamespace = to_regnamespace('billingo')"
)
"""In one statement, because another process may be creating the tables: they appear all at once."""

_READ_ONLY = (
    "The database can be read but not written to: its server is a standby. Set BILLINGO_DATABASE_URL to the primary;"
    " where it names several hosts, add target_session_attrs=read-write."
)
_IS_READ_ONLY_BY_DEFAULT = text("SELECT reset_val::bool FROM pg_settings WHERE name = 'default_transaction_read_only'")
"""The server's default, before our sessions change it."""

_WHERE = re.compile(
    r"^(connection (failed|is bad): |consuming input failed: )?"
    r'(connection to server (at|on socket) "[^"]*"( \([^)]*\))?(, port \d+)? failed: )?(FATAL:\s+)?'
)
"""The prefix of psycopg's messages before the actual cause."""
_UNAVAILABLE = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)

APPLICATION_NAME = "billingo-assets"

UPGRADE_LOCK = 0x62696C6C
"""Advisory lock that lets one process migrate at a time."""


def database_url(settings: Settings) -> URL:
    """Return the database's `postgresql://` URL; without BILLINGO_DATABASE_URL, start or join the embedded server.

    Raises:
        ConfigurationError: the URL has an option that does not exist.
        EmbeddedServerError: the embedded server does not start.
    """
    if settings.database_url is None:
        return make_url(_embedded_url(settings))
    url = make_url(settings.database_url.get_secret_value()).set(drivername="postgresql")
    if unknown := sorted(url.query.keys() - {option.keyword.decode() for option in Conninfo.get_defaults()}):
        raise ConfigurationError(
            f"BILLINGO_DATABASE_URL has an option that PostgreSQL does not know: {unknown[0]}. The known ones:"
            " https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS"
        )
    return url


def without_password(url: URL) -> tuple[URL, str | None]:
    """Split the URL into the URL without its password, and the password."""
    passwords = url.normalized_query.get("password", ())
    password = str(url.password) if url.password is not None else next(iter(passwords), None)
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    return bare.difference_update_query(["password", "sslpassword"]), password


def libpq_url(url: URL) -> str:
    """Write a URL, its password included, so that psql and every other client reads it correctly.

    SQLAlchemy's own rendering is for SQLAlchemy: it turns a space in the query into `+`, which libpq reads as a plus.
    """
    credentials = ":".join(quote(str(part), safe="") for part in (url.username, url.password) if part is not None)
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    place = host if url.port is None else f"{host}:{url.port}"
    query = urlencode(url.query, doseq=True, quote_via=quote, safe="")
    return (
        f"postgresql://{credentials}{'@' if credentials else ''}{place}/{quote(url.database or '', safe='')}"
        f"{'?' if query else ''}{query}"
    )


def _embedded_url(settings: Settings) -> str:
    from billingo_assets.embedded_postgres import embedded_server

    return embedded_server(settings.home).url


def open_database(settings: Settings) -> Engine:
    """Return an engine on a database that is ready: reachable, new enough, its tables at this program's version.

    The tables of an embedded database are upgraded automatically.

    Raises:
        DatabaseError: the database cannot be reached, is too old, or is behind or ahead of this program.
    """
    url = database_url(settings)
    engine = engine_for(url, settings)
    with connecting(engine) as connection:
        revision = _checked_revision(connection)
    if revision == REVISIONS[-1]:
        return engine
    if settings.database_url is None and (revision is None or revision in REVISIONS):
        upgrade_database(settings)
        return engine
    raise DatabaseError(_version_sentence(revision))


def require_tables(settings: Settings) -> None:
    """Raise DatabaseError unless the database has tables of a version that this program knows. Changes nothing."""
    with connecting(engine_for(database_url(settings), settings)) as connection:
        revision = _checked_revision(connection)
    if revision not in REVISIONS:
        raise DatabaseError(_version_sentence(revision))


def require_writable(connection: Connection) -> None:
    """Raise DatabaseError if the server is a standby, which cannot be written to."""
    if connection.scalar(text("SELECT pg_is_in_recovery()")):
        raise DatabaseError(_READ_ONLY)


def is_read_only_by_default(connection: Connection) -> bool:
    """Whether the database or our login is read-only by default; our own sessions override that."""
    return bool(connection.scalar(_IS_READ_ONLY_BY_DEFAULT))


def upgrade_database(settings: Settings) -> tuple[str | None, str]:
    """Apply the missing migrations and return the revisions before and after.

    The roles' rights are granted again even if no migration is missing, provided that the login owns the tables.

    Raises:
        DatabaseError: as `open_database`, or the role may not create the schema or the roles.
    """
    from billingo_assets.warehouse.migrations import upgrade
    from billingo_assets.warehouse.roles import update_access

    engine = engine_for(database_url(settings), settings)
    with connecting(engine) as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
        before = _checked_revision(connection)
        if before is not None and before not in REVISIONS:
            raise DatabaseError(_version_sentence(before))
        if before != REVISIONS[-1]:
            upgrade(connection)
        update_access(connection)
    return before, REVISIONS[-1]


@contextmanager
def connecting(engine: Engine) -> Iterator[Connection]:
    """Yield a connection. A failed or lost connection raises a DatabaseError in words.

    So does any error of the database within the block, on this connection or through another driver, as Dagster's.
    """
    with errors_in_words(engine), engine.connect() as connection:
        yield connection


@contextmanager
def errors_in_words(engine: Engine) -> Iterator[None]:
    """Raise errors of the database within the block as a DatabaseError in words."""
    try:
        yield
    except BillingoAssetsError:
        raise
    except Exception as error:
        # COPY raises psycopg's own errors, which SQLAlchemy does not see. A library that retries wraps the last error.
        refusal = next((one for one in (error, error.__cause__) if isinstance(one, DBAPIError | psycopg.Error)), None)
        if refusal is None:
            raise
        raise _in_words(engine.url, refusal) from error


def current_revision(connection: Connection) -> str | None:
    """The revision of the database; None if it does not have the project's tables."""
    if connection.scalar(text("SELECT to_regclass('billingo.alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM billingo.alembic_version"))
    return revision


def engine_for(url: URL, settings: Settings) -> Engine:
    """Return the process's only engine, and so its only connection pool, on a database. It does not connect."""
    return _engine(url, settings.statement_timeout_seconds)


@cache
def _engine(url: URL, statement_timeout_seconds: float) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        connect_args={"application_name": APPLICATION_NAME, "connect_timeout": CONNECT_SECONDS},
    )
    timeout = max(1, round(statement_timeout_seconds * 1000))  # 0 would mean no timeout
    pin_sessions(engine, statement_timeout_ms=timeout)
    return engine


def _checked_revision(connection: Connection) -> str | None:
    """The revision of the database. Raises DatabaseError if its server, encoding or schema is unusable."""
    _require_server_version(connection)
    _require_utf8(connection)
    revision = current_revision(connection)
    if revision is None and connection.scalar(_IS_OF_SOMETHING_ELSE):
        raise DatabaseError(
            "The schema billingo of this database holds tables of another program. Set BILLINGO_DATABASE_URL to another"
            " database."
        )
    return revision


def _require_server_version(connection: Connection) -> None:
    version = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
    if version < OLDEST_SERVER:
        raise DatabaseError(
            f"The database server is PostgreSQL {version}; {OLDEST_SERVER} or newer is needed. Upgrade the server,"
            " or unset BILLINGO_DATABASE_URL to use the embedded one."
        )


def _require_utf8(connection: Connection) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise DatabaseError(
            f"The database's encoding is {encoding}, which cannot hold every name. Create one with: CREATE DATABASE"
            " billingo ENCODING 'UTF8' TEMPLATE template0, and set BILLINGO_DATABASE_URL to it."
        )


def _version_sentence(revision: str | None) -> str:
    if revision is None:
        return "The database has no billingo tables yet. Create them with `billingo-assets database upgrade`."
    if revision in REVISIONS:
        return (
            f"The database is at version {revision} and this program needs {REVISIONS[-1]}."
            " Bring it up to date with `billingo-assets database upgrade`."
        )
    return (
        f"The database is at version {revision}, which is newer than this program knows ({REVISIONS[-1]})."
        " Update billingo-assets on this machine."
    )


def _in_words(url: URL, error: DBAPIError | psycopg.Error) -> DatabaseError:
    cause = error.orig or error if isinstance(error, DBAPIError) else error
    state, said = _sqlstate(cause), _first_line(cause)
    if state == QueryCanceled.sqlstate:
        return DatabaseError(
            f"PostgreSQL gave up a statement: {said}."
            " If the database is merely slow, raise BILLINGO_STATEMENT_TIMEOUT_SECONDS."
        )
    # psycopg has no code for a connection that is refused because the disk is full.
    if state == DiskFull.sqlstate or os.strerror(errno.ENOSPC) in said:
        return DatabaseError(
            "The database's disk is full. Free some space and sync again: the data stored so far is kept."
        )
    if state == ReadOnlySqlTransaction.sqlstate:
        return DatabaseError(_READ_ONLY)
    if state == InsufficientPrivilege.sqlstate:
        return DatabaseError(f"PostgreSQL refused: {said}. {_whom_it_takes(said)}")
    if not isinstance(error, _UNAVAILABLE):
        return DatabaseError(f"PostgreSQL refused: {said}.")
    where = url.host or url.query.get("host") or "the default socket"
    place = f"{unquote(str(where))}" + (f":{url.port}" if url.port else "")
    name = f" ({url.database})" if url.database else ""
    return DatabaseUnavailableError(
        f"The database at {place}{name} cannot be used: {said}. Check BILLINGO_DATABASE_URL and that the server runs."
    )


def _whom_it_takes(said: str) -> str:
    """Say which login has the refused right: to create the schemas and Dagster's tables, or to use the tables."""
    if " for database " in said or said.endswith(" for schema dagster"):
        return (
            "Run `billingo-assets database upgrade` as the database's owner, or have the owner GRANT CREATE ON DATABASE"
            " … TO …."
        )
    return (
        "Set BILLINGO_DATABASE_URL to a login that is in billingo_sync; to upgrade, grant, revoke and erase, to the"
        " tables' owner."
    )


def _sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's error code, from psycopg or psycopg2; None if the error is not the server's."""
    state: str | None = getattr(getattr(error, "diag", None), "sqlstate", None)
    return state


def _first_line(error: BaseException) -> str:
    """The message of the server or driver, without statement, values and address; the caller adds the address."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = _WHERE.sub("", lines[0] if lines else type(error).__name__).rstrip(".")
    return "its host name is unknown here" if said.startswith("failed to resolve host") else said
