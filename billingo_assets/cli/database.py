"""`billingo-assets database`: where the data is, its tables brought up to date, SQL on it, a copy of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from itertools import islice

import click

from billingo_assets.settings import load_settings
from billingo_assets.warehouse.database import (
    connecting,
    database_url,
    engine_for,
    libpq_url,
    require_tables,
    upgrade_database,
    without_password,
)

HEADER_LINES = 60
"""How far into a dump its settings may come; what follows is data, and is not looked at."""


@click.group(short_help="Upgrade the tables, open psql, copy the data.")
def database() -> None:
    """The PostgreSQL that holds everything."""


@database.command(short_help="Bring the tables up to date.")
def upgrade() -> None:
    """Make the tables, or bring them to the version that this program needs."""
    before, after = upgrade_database(load_settings())
    if before == after:
        click.echo(f"The database is up to date (version {after}).")
    elif before is None:
        click.echo(f"The tables were made (version {after}).")
    else:
        click.echo(f"The database went from version {before} to {after}.")


@database.command(short_help="Print the database's URL.")
@click.option("--with-password", is_flag=True, help="Print its password as well.")
def url(with_password: bool) -> None:
    """Print the URL for psql and other clients, without its password unless that is asked for.

    An embedded server runs while a billingo-assets command does; `billingo-assets dev` keeps it up.
    """
    full = database_url(load_settings())
    click.echo(libpq_url(full if with_password else without_password(full)[0]))


@database.command(short_help="Open psql on the database.", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL ARGUMENT]...")
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql, or run one statement: billingo-assets database psql -c 'SELECT …'."""
    process = _start("psql", *arguments)
    # Ctrl-C is the program's: it cancels a query with it and goes on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(process.wait())


@database.command(short_help="Write the data to standard output as SQL.")
def dump() -> None:
    """Write everything, Dagster's history too, as SQL that psql loads into another database.

    For example: billingo-assets database dump | psql postgresql://user@host/billingo
    """
    require_tables(load_settings())
    what = ("--schema=billingo", "--schema=dagster", "--no-owner", "--no-privileges")
    process = _start("pg_dump", *what, stdout=subprocess.PIPE)
    if process.stdout is not None:
        for line in islice(process.stdout, HEADER_LINES):
            # A setting of PostgreSQL 17 that an older server takes for an error.
            if line != b"SET transaction_timeout = 0;\n":
                sys.stdout.buffer.write(line)
        shutil.copyfileobj(process.stdout, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    sys.exit(process.wait())


def _start(program: str, *arguments: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start one of the embedded PostgreSQL's programs on the database; a password goes by the environment, unseen."""
    from billingo_assets.warehouse.embedded.cluster import programs

    settings = load_settings()
    url = database_url(settings)
    with connecting(engine_for(url, settings)):
        pass  # it can be reached; if not, that is told in our words, not the program's
    environment = dict(os.environ)
    bare, password = without_password(url)
    if password is not None:
        environment["PGPASSWORD"] = password
    command = [str(programs().bin / program), "--dbname", libpq_url(bare), *arguments]
    return subprocess.Popen(command, env=environment, stdout=stdout)  # noqa: S603
