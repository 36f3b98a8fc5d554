"""`billingo-assets database`: where the data is, and its tables brought up to date."""

from __future__ import annotations

import click

from billingo_assets.settings import load_settings
from billingo_assets.warehouse.database import database_url, upgrade_database


@click.group(short_help="Upgrade the tables, tell where the database is.")
def database() -> None:
    """The PostgreSQL that holds everything."""


@database.command()
def upgrade() -> None:
    """Make the tables, or bring them to the version that this program needs."""
    before, after = upgrade_database(load_settings())
    if before == after:
        click.echo(f"The database is up to date (version {after}).")
    elif before is None:
        click.echo(f"The tables were made (version {after}).")
    else:
        click.echo(f"The database went from version {before} to {after}.")


@database.command()
def url() -> None:
    """Print the URL for psql and other clients, its password included.

    An embedded server runs while a billingo-assets command does; `billingo-assets dev` keeps it up.
    """
    click.echo(database_url(load_settings()).render_as_string(hide_password=False))
