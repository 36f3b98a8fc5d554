"""`billingo-assets company`: who is synced, with which key.

A key is read from a prompt without echo or from standard input, never from an argument: arguments are seen by
every user of the machine and stay in the shell's history.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from pydantic import SecretStr
from sqlalchemy import Connection

from billingo_assets.billingo.connecting import connect
from billingo_assets.cli.asking import asking
from billingo_assets.cli.demo_sandbox import serving_demo_companies
from billingo_assets.cli.leaving import erase, export
from billingo_assets.cli.output import say
from billingo_assets.cli.readers import grant, readers, revoke
from billingo_assets.companies import registry
from billingo_assets.companies.schedule import SCHEDULES, Schedule
from billingo_assets.companies.tax_codes import taxpayer
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings, load_settings
from billingo_assets.sync.identity import identify, tax_code_of
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.acceptances import accept_rejected, accept_unreconciled
from billingo_assets.warehouse.database import connecting, open_database
from billingo_assets.warehouse.locks import company_lock
from billingo_assets.warehouse.number_gaps import accept_gaps
from billingo_assets.warehouse.raw_invoices import count_documents
from billingo_assets.warehouse.sync_state import last_synced_at

from_standard_input = click.option(
    "--api-key-stdin", "from_stdin", is_flag=True, help="Read the API key from standard input instead of asking."
)

same_tax_code_option = click.option(
    "--same-tax-code",
    is_flag=True,
    help="Allow a tax code that another company has: other books of the same taxpayer or VAT group.",
)

accept_tax_code_option = click.option(
    "--accept-tax-code",
    "accepted",
    metavar="TAX_CODE",
    help="The company's new tax code, if it changed to another taxpayer's.",
)

MAX_NAME = 200
MAX_IDS_RECORDED = 100
"""Of documents that were accepted; accepted_faults has them all."""
NO_LONGER = "The next sync no longer warns of them, and still warns of new ones."


def _visible(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """A name that can stand on a line of a terminal."""
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise click.BadParameter(f"a name is one line of 1 to {MAX_NAME} visible characters.")
    return name


@click.group(short_help="Add, list, check, change and remove companies.")
def company() -> None:
    """The companies whose documents are synced."""


for _command in (grant, revoke, readers, export, erase):
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
    with _registry(settings) as connection:
        registry.require_new(connection, key=key, company_id=company_id)
        keyring = registry.keyring_for(connection, settings)
        registry.require_readable(connection, keyring)
        connection.rollback()  # not to hold a transaction open while a person types
        api_key = _read_api_key(from_stdin)
        tax_code = _tax_code_of(settings.api_url, api_key, settings)
        is_confirmed = accepted is not None and tax_code is not None and _same(accepted, tax_code)
        if accepted is not None and not is_confirmed:
            raise ConfigurationError(
                f"Billingo says that this API key is of {tax_code or 'a company without a tax code'}, not of"
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
    with _registry(load_settings()) as connection:
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
    with _registry(settings) as connection:
        entry = registry.get_company(connection, key)
        documents = count_documents(connection, entry.id)
        synced_at = last_synced_at(connection, entry.id)
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
    """Change the rhythm in which the schedules sync a company. It applies from the next tick."""
    with _registry(load_settings()) as connection, connection.begin():
        registry.change_company(connection, key, schedule=rhythm)
    say(f"{key} is synced {'when asked' if rhythm == 'manual' else rhythm}.")


@company.command("set-key", short_help="Store a new API key.")
@click.argument("key")
@from_standard_input
@click.option(
    "--encryption-key-is-lost", "is_lost", is_flag=True, help="Continue although the stored API keys cannot be read."
)
@accept_tax_code_option
@same_tax_code_option
def set_key(key: str, from_stdin: bool, is_lost: bool, accepted: str | None, same_tax_code: bool) -> None:
    """Store a new API key for a company. A key of another company is refused.

    A company that got another tax number, for example by joining or leaving a VAT group, counts as another one, unless
    --accept-tax-code names that number.

    While stored API keys cannot be read, no new one is accepted: the encryption key in use is the wrong one. If the
    right one is lost for good, pass --encryption-key-is-lost, and store the API key of each company again.
    """
    settings = load_settings()
    with _registry(settings) as connection:
        entry = registry.get_company(connection, key)
        keyring = registry.keyring_for(connection, settings)
        if not is_lost:
            registry.require_readable(connection, keyring)
        connection.rollback()
        api_key = _read_api_key(from_stdin)
        with serving_demo_companies([entry], settings) as served:
            tax_code = _tax_code_of(entry.api_url(served), api_key, served)
        is_confirmed = tax_code is not None and accepted is not None and _same(accepted, tax_code)
        is_own = entry.tax_code is None or _same(tax_code, entry.tax_code)
        if not is_own and not is_confirmed:
            raise ConfigurationError(
                f"This API key is another company's: it opens the books of {tax_code or 'one without a tax code'}, and"
                f" {key} is {entry.tax_code}. The stored key was not changed."
                + (
                    f" If the tax code of {key} has changed, add --accept-tax-code with the new one."
                    if tax_code and not accepted
                    else ""
                )
            )
        with connection.begin():
            registry.lock_registry(connection)  # somebody may have rotated the encryption while the key was typed
            if not is_lost:
                registry.require_readable(connection, keyring)
            if not is_own or entry.tax_code is None:
                registry.require_sole(connection, key=key, tax_code=tax_code, same_tax_code=same_tax_code)
            if tax_code is not None:
                if is_own:
                    registry.note_tax_code(connection, entry, tax_code)
                else:
                    registry.set_tax_code(connection, entry, tax_code, confirmed=True)
            registry.change_company(connection, key, api_key_encrypted=keyring.encrypt(api_key))
    say(f"Stored the new API key of {key}.")
    if not is_own:
        say(f"Its tax code is now {tax_code} (it was {entry.tax_code}).")


@company.command("confirm-identity", short_help="Confirm that a company has another tax number.")
@click.argument("key")
@click.option("--tax-code", "accepted", required=True, metavar="TAX_CODE", help="The company's present tax code.")
@same_tax_code_option
def confirm_identity(key: str, accepted: str, same_tax_code: bool) -> None:
    """Confirm that the stored API key is the company's own although Billingo returns another taxpayer's tax code.

    This happens when a company joins or leaves a VAT group. The command asks Billingo for the tax code, which has to be
    the one in --tax-code, stores it, and writes an entry to the audit log. A change of only the last three digits of a
    Hungarian tax number needs no confirmation.
    """
    settings = load_settings()
    with _registry(settings) as connection:
        entry = registry.get_company(connection, key)
        api_key = entry.api_key(registry.keyring_for(connection, settings))
        connection.rollback()
        with serving_demo_companies([entry], settings) as served:
            tax_code = _tax_code_of(entry.api_url(served), api_key, served)
        if tax_code is None or not _same(tax_code, accepted):
            raise ConfigurationError(
                f"Billingo says that the API key of {key} is of {tax_code or 'a company without a tax code'}, not of"
                f" {accepted}. {key} stays {entry.tax_code or 'without a tax code'}."
            )
        with connection.begin():
            registry.lock_registry(connection)
            if entry.tax_code is None or not _same(tax_code, entry.tax_code):
                registry.require_sole(connection, key=key, tax_code=tax_code, same_tax_code=same_tax_code)
            changed = tax_code != entry.tax_code and registry.set_tax_code(connection, entry, tax_code, confirmed=True)
    if changed:
        say(f"{key} is {tax_code} from now on (it was {entry.tax_code or 'unknown'}).")
    else:
        say(f"{key} is {tax_code} already.")


@company.command(short_help="Try a company's API key.")
@click.argument("key")
def check(key: str) -> None:
    """Try a company's API key, and show whose books it opens and how many documents are in them."""
    settings = load_settings()
    with _registry(settings) as connection:
        entry = registry.get_company(connection, key)
        api_key = entry.api_key(registry.keyring_for(connection, settings))
    with (
        serving_demo_companies([entry], settings) as served,
        connect(entry.api_url(served), api_key, served) as client,
    ):
        identity = identify(client, entry)
        total = client.count_documents()
    say(f"The API key of {key} works: tax code {identity.tax_code or 'unknown'}, {total:,} documents.")


@company.command("accept-gaps", short_help="Accept the invoice numbers that are missing.")
@click.argument("key")
def accept_missing_numbers(key: str) -> None:
    """Accept the invoice numbers that are missing now. Look them up in Billingo first.

    From the next sync on, no_number_gaps warns of other numbers only. The audit log records who accepted how many.
    """
    with _registry(load_settings()) as connection, connection.begin():
        entry = registry.get_company(connection, key)
        accepted = accept_gaps(connection, entry.id)
        if accepted:
            audit.record(connection, "number gaps accepted", entry, details={"numbers": accepted})
    if not accepted:
        say(f"No invoice number of {key} is missing that was not accepted before.")
    else:
        numbers = "1 missing invoice number" if accepted == 1 else f"{accepted:,} missing invoice numbers"
        say(f"Accepted {numbers} of {key}. The next sync no longer warns of them, and still warns of new ones.")


@company.command("accept-rejected", short_help="Accept the documents that are in quarantine.")
@click.argument("key")
def accept_documents_in_quarantine(key: str) -> None:
    """Accept the documents that are in quarantine now. Look them up in Billingo first.

    They stay in quarantine. From the next sync on, no_rejected_documents warns of other documents only, and of these
    again when their content changes. The audit log records who accepted which.
    """
    accepted = _accept(key, accept_rejected, "rejected documents accepted")
    if not accepted:
        say(f"No document of {key} is in quarantine that was not accepted before.")
    else:
        documents = "1 document" if accepted == 1 else f"{accepted:,} documents"
        say(f"Accepted {documents} of {key} in quarantine. {NO_LONGER}")


@company.command("accept-totals", short_help="Accept the totals that do not reconcile.")
@click.argument("key")
def accept_totals(key: str) -> None:
    """Accept the totals that do not reconcile now. Look the invoices up in Billingo first.

    From the next sync on, totals_reconcile warns of other invoices only, and of these again when their content changes.
    The audit log records who accepted which.
    """
    accepted = _accept(key, accept_unreconciled, "totals accepted")
    if not accepted:
        say(f"No totals of {key} fail to reconcile that were not accepted before.")
    else:
        invoices = "1 invoice" if accepted == 1 else f"{accepted:,} invoices"
        say(f"Accepted the totals of {invoices} of {key}. {NO_LONGER}")


@company.command("rotate-encryption", short_help="Re-encrypt the stored API keys.")
def rotate_encryption() -> None:
    """Re-encrypt every stored API key with the first of BILLINGO_ENCRYPTION_KEYS.

    All of them or, if one cannot be read with any of those keys, none. Afterwards the first key is enough.
    """
    settings = load_settings()
    with _registry(settings) as connection, connection.begin():
        rotated = registry.rotate_encryption(connection, registry.keyring_for(connection, settings))
    what = "API key is" if len(rotated) == 1 else "API keys are"
    say(f"{len(rotated):,} {what} encrypted under the first encryption key, which alone will do from now on.")


@company.command(short_help="Take a company out of the registry.")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
def remove(key: str, yes: bool) -> None:
    """Remove a company from the registry, and delete its API key. Its documents stay, except the demo's."""
    from billingo_assets.dagster_support.instance import open_instance, remove_partition

    settings = load_settings()
    with _registry(settings) as connection, open_instance(settings) as instance:
        entry = registry.get_company(connection, key)
        documents = count_documents(connection, entry.id)
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
        # Under its lock: a run that is under way would fail without its partition.
        with (
            company_lock(
                connection, entry.id, company=key, run_id="company remove", wait_seconds=settings.lock_wait_seconds
            ),
            connection.begin(),
        ):
            registry.remove_company(connection, key)
            remove_partition(instance, key)
    say(f"Removed {key}. Its {documents:,} documents {fate}.")


def _accept(key: str, accept: Callable[..., list[int | None]], action: str) -> int:
    """Accept what a check warns of, and record it. Returns of how many documents."""
    with _registry(load_settings()) as connection, connection.begin():
        entry = registry.get_company(connection, key)
        accepted = accept(connection, entry.id, actor=audit.machine_user())
        if accepted:
            ids = sorted(id_ for id_ in accepted if id_ is not None)[:MAX_IDS_RECORDED]
            audit.record(connection, action, entry, details={"documents": len(accepted), "ids": ids})
    return len(accepted)


@contextmanager
def _registry(settings: Settings) -> Iterator[Connection]:
    with connecting(open_database(settings)) as connection:
        yield connection


def _set_enabled(key: str, enabled: bool) -> None:
    with _registry(load_settings()) as connection, connection.begin():
        registry.change_company(connection, key, enabled=enabled)
    say(f"{key} is {'enabled' if enabled else 'disabled'}.")


def _read_api_key(from_stdin: bool) -> SecretStr:
    """One line from standard input, or the answer to a prompt that shows nothing."""
    if from_stdin:
        text = sys.stdin.readline(1000) if sys.stdin else ""
    elif sys.stdin and sys.stdin.isatty():
        text = click.prompt("API key (not shown)", hide_input=True)
    else:
        raise ConfigurationError("No terminal to ask for the API key on. Pipe it in with --api-key-stdin.")
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError("That is no API key: one line of visible characters without spaces is expected.")
    return SecretStr(key)


def _same(one: str | None, other: str) -> bool:
    return one is not None and taxpayer(one) == taxpayer(other)


def _tax_code_of(api_url: str, api_key: SecretStr, settings: Settings) -> str | None:
    with connect(api_url, api_key, settings) as client:
        return tax_code_of(client)
