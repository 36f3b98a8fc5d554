"""`billingo-assets demo`: invented companies from a Billingo API into PostgreSQL, through Dagster, and verified."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr
from sqlalchemy import Connection

from billingo_assets.cli.demo_sandbox import DEMO_PORT, HOST, is_listening, sandbox_port
from billingo_assets.cli.sync import sync_companies
from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings, load_settings
from billingo_assets.warehouse.database import connecting, open_database
from billingo_assets.warehouse.normalized import count_rows
from billingo_assets.warehouse.sums import sums_by_currency

if TYPE_CHECKING:
    from billingo_assets.sandbox.ledger import Ledger
    from billingo_assets.sandbox.world import Company as SandboxCompany


@click.command(short_help="See it work, without an account.")
def demo() -> None:
    """Sync three invented companies from a local Billingo API, and compare the tables with its books."""
    from billingo_assets.sandbox.server import SandboxServer
    from billingo_assets.sandbox.world import World

    settings = load_settings()
    world = World()
    click.echo("PostgreSQL    " + ("yours" if settings.database_url else f"embedded, in {settings.home}"))
    engine = open_database(settings)
    with connecting(engine) as connection:
        port = _port(registry.list_companies(connection), world.companies)
    with SandboxServer(world, host=HOST, port=port) as sandbox:
        click.echo(f"Billingo API  the sandbox at {sandbox.url}\n")
        with connecting(engine) as connection, connection.begin():
            companies = [_register(connection, settings, company, sandbox.url) for company in world.companies]
        outcomes = sync_companies(settings, companies)
    click.echo(f"\n{'In the tables':<14} {'documents':>9} {'items':>6}  {'gross total':>24}")
    with connecting(engine) as connection:
        agree = [_compare(connection, company, world.company(company.key).ledger()) for company in companies]
    if not all(agree) or any(outcome.status == "failed" for outcome in outcomes):
        click.echo("\nThe tables do not agree with the sandbox's books.", err=True)
        sys.exit(1)
    click.echo("\nEvery count and every sum agrees with the sandbox's books. Where to look next:")
    click.echo("  make dev                           the Dagster UI on the same data")
    click.echo("  .venv/bin/billingo-assets --help   the commands")
    click.echo("  README.md                          your own companies, the tables, cron")


def _port(registered: list[Company], invented: list[SandboxCompany]) -> int:
    """The sandbox's port: that of the last demo, or a free one. Companies of the user's own are left alone."""
    demo_keys = {company.key for company in invented}
    ours = [company for company in registered if company.key in demo_keys]
    for company in ours:
        if company.api_url is None:
            raise ConfigurationError(
                f"The demo needs the key {company.key}, which is a company of yours."
                " Run it beside your data, with BILLINGO_HOME set to another folder."
            )
    if not ours:
        return _free_port()
    port = sandbox_port(ours[0])
    if is_listening(port):
        raise ConfigurationError(
            f"Port {port}, at which the demo's companies are served, is in use."
            " Stop what listens there (`make dev`, perhaps), then try again."
        )
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0 if is_listening(DEMO_PORT) else DEMO_PORT))
        port: int = probe.getsockname()[1]
        return port


def _register(connection: Connection, settings: Settings, invented: SandboxCompany, api_url: str) -> Company:
    token = registry.keyring_for(connection, settings).encrypt(SecretStr(invented.api_key))
    if any(company.key == invented.key for company in registry.list_companies(connection)):
        return registry.change_company(
            connection,
            invented.key,
            enabled=True,
            api_key_encrypted=token,
            tax_code=invented.tax_code,
            api_url=api_url,
        )
    return registry.add_company(
        connection,
        key=invented.key,
        name=invented.name,
        tax_code=invented.tax_code,
        api_key_encrypted=token,
        api_url=api_url,
    )


def _compare(connection: Connection, company: Company, ledger: Ledger) -> bool:
    """Print what the tables hold of a company; return whether the ledger says the same, to the last fillér."""
    rows = count_rows(connection, company.id)
    sums = sums_by_currency(connection, company.id)
    for line, (currency, held) in enumerate(sums.items()):
        start = f"{company.key:<14} {rows.invoices:>9,} {rows.items:>6,}" if line == 0 else " " * 31
        click.echo(f"{start}  {held.gross:>20,} {currency}")
    return (
        (rows.invoices, rows.items) == (ledger.documents, ledger.items)
        and sums.keys() == ledger.currencies.keys()
        and all(
            held == (told.documents, told.gross, told.net, told.vat)
            for held, told in ((sums[currency], told) for currency, told in ledger.currencies.items())
        )
    )
