"""`billingo-assets company`: which companies are synced, and when."""

from __future__ import annotations

import click

from billingo_assets.cli.accepting import accept_commands
from billingo_assets.cli.api_keys import (
    accept_tax_code_option,
    check,
    confirm_identity,
    from_standard_input,
    is_same_taxpayer,
    read_api_key,
    rotate_encryption,
    same_tax_code_option,
    set_key,
    tax_code_of_key,
)
from billingo_assets.cli.asking import asking
from billingo_assets.cli.leaving import erase, export
from billingo_assets.cli.output import say
from billingo_assets.cli.readers import grant, readers, revoke
from billingo_assets.companies import registry
from billingo_assets.companies.schedule import SCHEDULES, Schedule
from billingo_assets.companies.session import changing_company, connected
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import load_settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.warehouse.raw_records import count_records
from billingo_assets.warehouse.sync_state import last_synced_at

MAX_NAME = 200


def _visible(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """Return a name that a terminal can show on a line."""
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise click.BadParameter(f"a name is one line of 1 to {MAX_NAME} visible characters.")
    return name


@click.group(short_help="Add, list, check, change and remove companies.")
def company() -> None:
    """The companies whose documents are synced."""


for _command in (
    *(set_key, check, confirm_identity, rotate_encryption),
    *accept_commands(),
    *(grant, revoke, readers),
    *(export, erase),
):
    company.add_command(_command)


@company.command(short_help="Register a company.")
@click.argument("key")
@click.option("--name", required=True, callback=_visible, help="The company's name, for people.")
@click.option(
    "--id",
    "company_id",
    type=click.IntRange(1, 2**31 - 1),
    help="company_id to use; assigned automatically if omitted.",
)
@click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    default="daily",
    show_default=True,
    help="When the schedules sync it.",
)
@from_standard_input
@accept_tax_code_option
@same_tax_code_option
def add(
    key: str,
    name: str,
    company_id: int | None,
    schedule: Schedule,
    from_stdin: bool,
    accepted: str | None,
    same_tax_code: bool,
) -> None:
    """Register a company under KEY, a slug such as it-cardigan that never changes.

    The API key is tried at once. The tax code that Billingo returns is stored, and every sync checks it. A tax code
    that another company has is refused: the same books under a second key would double every sum.

    A KEY that was removed comes back with its documents. It is refused for another taxpayer, unless --accept-tax-code
    names the company's new tax number.
    """
    from billingo_assets.dagster_support.instance import add_partitions, open_instance

    settings = load_settings()
    with connected(settings) as connection:
        registry.require_new(connection, key=key, company_id=company_id)
        keyring = registry.keyring_for(connection, settings)
        registry.require_readable(connection, keyring)
        connection.rollback()  # so that no transaction is open while a person types
        api_key = read_api_key(from_stdin)
        tax_code = tax_code_of_key(settings.api_url, api_key, settings)
        is_confirmed = accepted is not None and tax_code is not None and is_same_taxpayer(accepted, tax_code)
        if accepted is not None and not is_confirmed:
            raise ConfigurationError(
                f"Billingo says that this API key belongs to {tax_code or 'a company without a tax code'}, not to"
                f" {accepted}. {key} was not added."
            )
        with open_instance(settings) as instance, connection.begin():
            registry.lock_registry(connection)
            registry.require_readable(connection, keyring)  # keys may have been rotated while a person typed
            added = registry.add_company(
                connection,
                key=key,
                name=name,
                tax_code=tax_code,
                api_key_encrypted=keyring.encrypt(api_key),
                schedule=schedule,
                company_id=company_id,
                confirmed=is_confirmed,
            )
            registry.require_sole(connection, key=key, tax_code=tax_code, same_tax_code=same_tax_code)
            add_partitions(instance, [key])
    say(f"Added {key} (id {added.id}), tax code {tax_code or 'unknown'}. Sync it: billingo-assets sync {key}")


@company.command("list", short_help="List the companies.")
def list_() -> None:
    """List the companies, one per line, with a header."""
    with connected(load_settings()) as connection:
        companies = registry.list_companies(connection)
    if not companies:
        say("No company yet. Add one: billingo-assets company add KEY --name NAME")
        return
    width = max(len("company"), *(len(company.key) for company in companies))
    say(f"{'company':<{width}}  {'id':>4}  {'state':<8}  {'schedule':<11}  name")
    for entry in companies:
        state = "enabled" if entry.enabled else "disabled"
        say(f"{entry.key:<{width}}  {entry.id:>4}  {state:<8}  {entry.schedule:<11}  {entry.name}")


@company.command(short_help="Show one company.")
@click.argument("key")
def show(key: str) -> None:
    """Show everything that is known of a company, except its API key."""
    settings = load_settings()
    with connected(settings) as connection:
        entry = registry.get_company(connection, key)
        documents = count_records(connection, DOCUMENTS, entry.id)
        synced_at = last_synced_at(connection, DOCUMENTS, entry.id)
    facts = {
        "key": entry.key,
        "id": entry.id,
        "name": entry.name,
        "tax code": entry.tax_code or "unknown",
        "enabled": "yes" if entry.enabled else "no",
        "schedule": entry.schedule,
        "API key": "stored" if entry.api_key_encrypted else "none",
        "documents": f"{documents:,}",
        "last synced": f"{synced_at.astimezone(settings.zone):%Y-%m-%d %H:%M %Z}" if synced_at else "never",
    }
    if entry.is_demo:
        facts["API"] = "the sandbox (a company of the demo)"
    for name, value in facts.items():
        say(f"{name + ':':<12} {value}")


@company.command(short_help="Sync a company again.")
@click.argument("key")
def enable(key: str) -> None:
    """Sync a company again."""
    _set_enabled(key, True)


@company.command(short_help="Stop syncing a company.")
@click.argument("key")
def disable(key: str) -> None:
    """Stop syncing a company. Its documents and history stay."""
    _set_enabled(key, False)


@company.command("set-schedule", short_help="Change when a company is synced.")
@click.argument("key")
@click.argument("rhythm", type=click.Choice(SCHEDULES))
def set_schedule(key: str, rhythm: Schedule) -> None:
    """Change the rhythm in which the schedules sync a company.

    Unless the rhythm is manual, the daemon also syncs the company once, within a minute.
    """
    with connected(load_settings()) as connection, connection.begin():
        registry.change_company(connection, key, schedule=rhythm)
    say(f"{key} is synced {'only when you start it' if rhythm == 'manual' else rhythm}.")


@company.command(short_help="Take a company out of the registry.")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
def remove(key: str, yes: bool) -> None:
    """Remove a company from the registry, and delete its API key. Its documents stay, except the demo's."""
    from billingo_assets.dagster_support.instance import open_instance, remove_partition

    settings = load_settings()
    with connected(settings) as connection, open_instance(settings) as instance:
        entry = registry.get_company(connection, key)
        documents = count_records(connection, DOCUMENTS, entry.id)
        connection.rollback()
        fate = "are deleted: they are the demo's" if entry.is_demo else f"stay in the tables, as company_id {entry.id}"
        if not yes:
            say(f"{key} ({entry.name}) will be removed from the registry, and its API key deleted.")
            say(f"Its {documents:,} documents {fate}. Its runs stay in the history.")
            if not entry.is_demo:
                say(f"Accounting records have to be kept for eight years; `company erase {key}` deletes them.")
            with asking(without="--yes"):
                wanted = click.confirm("Remove it?")
            if not wanted:
                raise click.Abort
        # Under its lock: a run under way would fail without its partition.
        with changing_company(connection, entry, settings, by="`billingo-assets company remove`"):
            registry.remove_company(connection, key)
            remove_partition(instance, key)
    say(f"Removed {key}. Its {documents:,} documents {fate}.")


def _set_enabled(key: str, enabled: bool) -> None:
    with connected(load_settings()) as connection, connection.begin():
        registry.change_company(connection, key, enabled=enabled)
    say(f"{key} is {'enabled' if enabled else 'disabled'}.")
