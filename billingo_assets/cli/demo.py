"""`billingo-assets demo`: syncs invented companies from the sandbox, through Dagster, and verifies the tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr
from sqlalchemy import Connection

from billingo_assets.cli.demo_sandbox import serving
from billingo_assets.cli.output import say
from billingo_assets.cli.sync import sync_companies
from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.errors import ConfigurationError
from billingo_assets.project import checkout
from billingo_assets.settings import Settings, load_settings
from billingo_assets.streams.documents import DOCUMENTS, INVOICE_ITEMS, INVOICES
from billingo_assets.warehouse.database import connecting, open_database
from billingo_assets.warehouse.normalized import count_rows
from billingo_assets.warehouse.sums import sums_by_currency

if TYPE_CHECKING:
    from billingo_assets.sandbox.ledger import Ledger
    from billingo_assets.sandbox.world import Company as SandboxCompany


@click.command(short_help="Try it with invented companies.")
def demo() -> None:
    """Sync three invented companies from the sandbox API, and compare the tables with its books."""
    from billingo_assets.sandbox.world import World

    world = World()
    say(f"PostgreSQL    {load_settings().database_place}")
    engine = open_database(load_settings())
    with connecting(engine) as connection:
        _refuse_real_companies(registry.list_companies(connection))
    with serving(world) as settings:
        say(f"Billingo API  the sandbox, at {settings.sandbox_url}\n")
        with connecting(engine) as connection, connection.begin():
            companies = [_register(connection, settings, company) for company in world.companies]
        outcomes = sync_companies(settings, companies)
    say(f"\n{'In the tables':<14} {'documents':>9} {'items':>6}  {'gross total':>24}")
    with connecting(engine) as connection:
        agree = [_compare(connection, company, world.company(company.key).ledger()) for company in companies]
    if not all(agree) or any(outcome.has_failed for outcome in outcomes):
        say("\nThe tables do not agree with the sandbox's books.", err=True)
        sys.exit(1)
    say("\nEvery count and every sum agrees with the sandbox's books. Where to look next:")
    in_checkout = checkout() is not None
    program = ".venv/bin/billingo-assets" if in_checkout else "billingo-assets"
    say(f"  {'make dev' if in_checkout else f'{program} dev':<33}  the Dagster UI on the same data")
    say(f"  {f'{program} --help':<33}  the commands")
    if in_checkout:
        say(f"  {'README.md':<33}  your own companies, the tables, cron")


def _refuse_real_companies(companies: list[Company]) -> None:
    """Raise ConfigurationError if real companies are registered: invented documents do not belong among theirs."""
    if real := [company.key for company in companies if not company.is_demo]:
        raise ConfigurationError(
            f"This database holds your own companies ({real[0]}{', …' if real[1:] else ''}). Run the demo with a"
            " database of its own: set BILLINGO_HOME to another folder, and unset BILLINGO_DATABASE_URL."
        )


def _register(connection: Connection, settings: Settings, invented: SandboxCompany) -> Company:
    registry.lock_registry(connection)  # another demo may do the same
    token = registry.keyring_for(connection, settings).encrypt(SecretStr(invented.api_key))
    if any(company.key == invented.key for company in registry.list_companies(connection)):
        return registry.change_company(connection, invented.key, enabled=True, api_key_encrypted=token)
    return registry.add_company(
        connection,
        key=invented.key,
        name=invented.name,
        tax_code=invented.tax_code,
        api_key_encrypted=token,
        is_demo=True,
    )


def _compare(connection: Connection, company: Company, ledger: Ledger) -> bool:
    """Print a company's counts and sums in the tables; return whether the ledger has the same, to the last fillér."""
    rows = count_rows(connection, DOCUMENTS, company.id)
    documents, items = rows[INVOICES.name], rows[INVOICE_ITEMS.name]
    sums = sums_by_currency(connection, company.id)
    for line, (currency, held) in enumerate(sums.items()):
        start = f"{company.key:<14} {documents:>9,} {items:>6,}" if line == 0 else " " * 31
        say(f"{start}  {held.gross:>20,} {currency}")
    return (
        (documents, items) == (ledger.documents, ledger.items)
        and sums.keys() == ledger.currencies.keys()
        and all(
            sums[currency] == (booked.documents, booked.gross, booked.net, booked.vat)
            for currency, booked in ledger.currencies.items()
        )
    )
