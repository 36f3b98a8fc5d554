"""`billingo-assets database`: upgrades the tables, shows the URL, opens psql, dumps the data."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from itertools import islice
from typing import IO

import click
from sqlalchemy import text

from billingo_assets.cli.output import say
from billingo_assets.errors import DatabaseError
from billingo_assets.settings import Settings, load_settings
from billingo_assets.warehouse.database import (
    REVISIONS,
    connecting,
    current_revision,
    database_url,
    engine_for,
    libpq_url,
    require_tables,
    upgrade_database,
    without_password,
)
from billingo_assets.warehouse.masking import MASKED_SCHEMA
from billingo_assets.warehouse.roles import GRANTS, MAKE_ROLES, SYNC, update_access

HEADER_LINES = 60
"""The part of a dump that may contain settings, in bytes; the data after it is not searched."""


@click.group(short_help="Upgrade the tables, open psql, copy the data.")
def database() -> None:
    """The PostgreSQL that holds everything."""


@database.command(short_help="Bring the tables up to date.")
def upgrade() -> None:
    """Create the tables, Dagster's too, or bring them to the version of this program, and grant the rights."""
    from billingo_assets.dagster_support.storage import WarehouseStorage

    settings = load_settings()
    before, after = upgrade_database(settings)
    # Created here, by the owner: a member of billingo_sync may not.
    WarehouseStorage()
    with connecting(engine_for(database_url(settings), settings)) as connection, connection.begin():
        update_access(connection)
    if before == after:
        say(f"The database is up to date (version {after}).")
    elif before is None:
        say(f"The tables were created (version {after}).")
    else:
        say(f"The database went from version {before} to {after}.")


@database.command(short_help="Print the database's URL.")
@click.option("--with-password", is_flag=True, help="Print its password as well.")
def url(with_password: bool) -> None:
    """Print the URL for psql and other clients, without its password unless you ask for it.

    An embedded server runs only while a billingo-assets command does; `billingo-assets dev` keeps it running.
    """
    full = database_url(load_settings())
    say(libpq_url(full if with_password else without_password(full)[0]))


@database.command(short_help="Open psql on the database.", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL ARGUMENT]...")
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql, or run one statement: billingo-assets database psql -c 'SELECT …'."""
    process = _start("psql", *arguments)
    # psql handles Ctrl-C itself: it cancels a query and continues.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(process.wait())


@database.command(short_help="Write the data to standard output as SQL.")
def dump() -> None:
    """Write everything, Dagster's history too, as SQL that psql loads into another database.

    \b
    billingo-assets database dump | psql postgresql://user@host/billingo
    """  # noqa: D301 - the mark of click, which keeps the line as it is
    settings = load_settings()
    require_tables(settings)
    is_current = _require_to_see_all(settings)
    schemas = [f"--schema={schema}" for schema in ("billingo", MASKED_SCHEMA, "dagster")]
    # With row-level security, which lets the owner see everything; without it, PostgreSQL requires a superuser.
    # In the encoding of the database, whatever the encoding of its sessions.
    what = ("--no-owner", "--no-privileges", "--enable-row-security", "--encoding=UTF8")
    process = _start("pg_dump", *schemas, *what, stdout=subprocess.PIPE)
    try:
        if process.stdout is not None:
            _write_dump(process.stdout, sys.stdout.buffer)
        ended = process.wait()
    except BaseException:
        process.kill()  # or it would report, with its statement, that the embedded server ended first
        raise
    if ended == 0 and is_current:  # an older version gets its grants when it is upgraded
        sys.stdout.buffer.write(GRANTS.encode())
    sys.stdout.buffer.flush()
    sys.exit(ended)


def _write_dump(dumped: IO[bytes], output: IO[bytes]) -> None:
    # The policies name the roles, so these come first. Their rights are not in the dump, and come last.
    output.write(MAKE_ROLES.encode())
    for line in islice(dumped, HEADER_LINES):
        # A setting of PostgreSQL 17 that is an error for an older server.
        if line != b"SET transaction_timeout = 0;\n":
            output.write(line)
    shutil.copyfileobj(dumped, output)


def _require_to_see_all(settings: Settings) -> bool:
    """Return whether the tables are at this program's version.

    Raises DatabaseError if row-level security would silently leave rows out of a dump.
    """
    with connecting(engine_for(database_url(settings), settings)) as connection:
        sees_all = connection.scalar(
            text("SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = :sync"), {"sync": SYNC}
        )
        is_secured = connection.scalar(text("SELECT row_security_active('billingo.companies')"))
        revision = current_revision(connection)
    if is_secured and not sees_all:
        raise DatabaseError(
            "The role that BILLINGO_DATABASE_URL names does not see every company, so its dump would be incomplete."
            " Dump as the owner of the tables."
        )
    return revision == REVISIONS[-1]


def _start(program: str, *arguments: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start one of the embedded PostgreSQL's programs on the database; the environment carries a password, unseen."""
    from billingo_assets.embedded_postgres.cluster import programs

    settings = load_settings()
    url = database_url(settings)
    with connecting(engine_for(url, settings)):
        pass  # if it cannot be reached, the error is in our words, not the program's
    environment = dict(os.environ)
    bare, password = without_password(url)
    if password is not None:
        environment["PGPASSWORD"] = password
    if "sslpassword" in url.query:  # libpq reads it from nowhere else
        bare = bare.update_query_dict({"sslpassword": url.query["sslpassword"]})
    command = [str(programs().bin / program), "--dbname", libpq_url(bare), *arguments]
    return subprocess.Popen(command, env=environment, stdout=stdout)  # noqa: S603
