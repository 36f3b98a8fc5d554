"""`billingo-assets company set-key|check|confirm-identity|rotate-encryption`: API keys, and the companies they are for.

A key is read from a prompt without echo or from standard input, never from an argument: every user of the machine can
see arguments, and they stay in the shell's history.
"""

from __future__ import annotations

import sys

import click
from pydantic import SecretStr

from billingo_assets.billingo.connecting import connect
from billingo_assets.cli.demo_sandbox import serving_demo_companies
from billingo_assets.cli.output import say
from billingo_assets.companies import registry
from billingo_assets.companies.session import connected
from billingo_assets.companies.tax_codes import taxpayer
from billingo_assets.errors import ConfigurationError
from billingo_assets.settings import Settings, load_settings
from billingo_assets.streams import DOCUMENTS
from billingo_assets.sync.identity import identify, tax_code_of

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


@click.command("set-key", short_help="Store a new API key.")
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
    with connected(settings) as connection:
        entry = registry.get_company(connection, key)
        keyring = registry.keyring_for(connection, settings)
        if not is_lost:
            registry.require_readable(connection, keyring)
        connection.rollback()
        api_key = read_api_key(from_stdin)
        with serving_demo_companies([entry], settings) as served:
            tax_code = tax_code_of_key(entry.api_url(served), api_key, served)
        is_confirmed = tax_code is not None and accepted is not None and is_same_taxpayer(accepted, tax_code)
        is_own = entry.tax_code is None or is_same_taxpayer(tax_code, entry.tax_code)
        if not is_own and not is_confirmed:
            raise ConfigurationError(
                "This API key belongs to another company: it opens the books of"
                f" {tax_code or 'a company without a tax code'}, but the tax code of {key} is {entry.tax_code}."
                " The stored key was not changed."
                + (
                    f" If the tax code of {key} has changed, add --accept-tax-code with the new one."
                    if tax_code and not accepted
                    else ""
                )
            )
        with connection.begin():
            registry.lock_registry(connection)  # the encryption may have been rotated while the key was typed
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


@click.command("confirm-identity", short_help="Confirm that a company has another tax number.")
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
    with connected(settings) as connection:
        entry = registry.get_company(connection, key)
        api_key = entry.api_key(registry.keyring_for(connection, settings))
        connection.rollback()
        with serving_demo_companies([entry], settings) as served:
            tax_code = tax_code_of_key(entry.api_url(served), api_key, served)
        if tax_code is None or not is_same_taxpayer(tax_code, accepted):
            raise ConfigurationError(
                f"Billingo says that the API key of {key} belongs to {tax_code or 'a company without a tax code'},"
                f" not to {accepted}. {key} stays {entry.tax_code or 'without a tax code'}."
            )
        with connection.begin():
            registry.lock_registry(connection)
            if entry.tax_code is None or not is_same_taxpayer(tax_code, entry.tax_code):
                registry.require_sole(connection, key=key, tax_code=tax_code, same_tax_code=same_tax_code)
            changed = tax_code != entry.tax_code and registry.set_tax_code(connection, entry, tax_code, confirmed=True)
    if changed:
        say(f"{key} is {tax_code} from now on (it was {entry.tax_code or 'unknown'}).")
    else:
        say(f"{key} is {tax_code} already.")


@click.command(short_help="Try a company's API key.")
@click.argument("key")
def check(key: str) -> None:
    """Try a company's API key, and show whose books it opens and how many documents are in them."""
    settings = load_settings()
    with connected(settings) as connection:
        entry = registry.get_company(connection, key)
        api_key = entry.api_key(registry.keyring_for(connection, settings))
    with (
        serving_demo_companies([entry], settings) as served,
        connect(entry.api_url(served), api_key, served) as client,
    ):
        identity = identify(client, entry)
        total = client.count(DOCUMENTS.path)
    say(f"The API key of {key} works: tax code {identity.tax_code or 'unknown'}, {total:,} documents.")


@click.command("rotate-encryption", short_help="Re-encrypt the stored API keys.")
def rotate_encryption() -> None:
    """Re-encrypt every stored API key with the first of BILLINGO_ENCRYPTION_KEYS.

    All of them or, if one cannot be read with any of those keys, none. Afterwards the first key is enough.
    """
    settings = load_settings()
    with connected(settings) as connection, connection.begin():
        rotated = registry.rotate_encryption(connection, registry.keyring_for(connection, settings))
    what = "API key is" if len(rotated) == 1 else "API keys are"
    say(f"{len(rotated):,} {what} encrypted under the first encryption key, which is enough from now on.")


def read_api_key(from_stdin: bool) -> SecretStr:
    """Read one line from standard input, or the answer to a prompt without echo."""
    if from_stdin:
        text = sys.stdin.readline(1000) if sys.stdin else ""
    elif sys.stdin and sys.stdin.isatty():
        text = click.prompt("API key (not shown)", hide_input=True)
    else:
        raise ConfigurationError("No terminal to ask for the API key on. Pipe it in with --api-key-stdin.")
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError("This is not an API key: an API key is one line of visible characters without spaces.")
    return SecretStr(key)


def is_same_taxpayer(one: str | None, other: str) -> bool:
    """Whether two tax codes belong to one taxpayer; False if the first is missing."""
    return one is not None and taxpayer(one) == taxpayer(other)


def tax_code_of_key(api_url: str, api_key: SecretStr, settings: Settings) -> str | None:
    """Ask for the tax code of the company that an API key belongs to."""
    with connect(api_url, api_key, settings) as client:
        return tax_code_of(client)
