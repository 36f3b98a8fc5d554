"""`billingo-assets company grant|revoke|readers`: manages who may read which company."""

from __future__ import annotations

import click

from billingo_assets.cli.output import say
from billingo_assets.companies import readers as reading
from billingo_assets.companies.registry import get_company
from billingo_assets.companies.session import connected
from billingo_assets.settings import load_settings


@click.command(short_help="Allow a database role to read companies.")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--to", "role", required=True, metavar="ROLE", help="The PostgreSQL role that a person logs in with.")
@click.option("--masked", is_flag=True, help="Only the views in billingo_masked, without personal data.")
def grant(keys: tuple[str, ...], role: str, masked: bool) -> None:
    """Allow a role to read companies: all their documents, or with --masked only the views without personal data.

    The database's administrator creates the role: CREATE ROLE anna LOGIN PASSWORD '…'
    """
    with connected(load_settings()) as connection, connection.begin():
        for company in [get_company(connection, key) for key in dict.fromkeys(keys)]:
            reading.grant(connection, company, role, masked=masked)
    what = "without personal data, in the schema billingo_masked" if masked else "in full"
    say(f"{role} may read {', '.join(dict.fromkeys(keys))} {what}.")


@click.command(short_help="Stop a database role from reading companies.")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--from", "role", required=True, metavar="ROLE", help="The PostgreSQL role.")
def revoke(keys: tuple[str, ...], role: str) -> None:
    """Stop a role from reading companies, in full or masked."""
    with connected(load_settings()) as connection, connection.begin():
        companies = [get_company(connection, key, removed_too=True) for key in dict.fromkeys(keys)]
        changed = {company.key: reading.revoke(connection, company, role) for company in companies}
    for key, was_granted in changed.items():
        say(f"{role} may {'no longer ' if was_granted else 'not '}read {key}{'' if was_granted else ' anyway'}.")


@click.command("readers", short_help="Show who can read which company.")
def readers() -> None:
    """Show who can read which company, and who sees all of them."""
    with connected(load_settings()) as connection:
        granted, see_all = reading.grants(connection), reading.who_see_all(connection)
    if not granted:
        say("No company is granted to a role yet. Grant one: billingo-assets company grant KEY --to ROLE")
    width = max((len(one.role) for one in granted), default=0)
    for one in granted:
        why = "not in effect: grant again" if one.exists else "this role no longer exists"
        fault = "" if one.works else f"  ({why})"
        what = "masked" if one.masked else "in full"
        say(f"{one.role:<{width}}  {what:<7}  {one.company}{fault}")
    say(f"Roles that see every company (owner, superuser or pipeline): {', '.join(see_all) or 'none'}.")
