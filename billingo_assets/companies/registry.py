"""The registry of companies: their identity, whether they are synced, their encrypted API keys.

Every function works on a connection and leaves the transaction to its caller. Each change is in the audit log.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields

from pydantic import SecretStr
from sqlalchemy import Connection, delete, exists, func, insert, select, text, update

from billingo_assets.companies.encryption import Keyring, open_keyring
from billingo_assets.companies.schedule import Schedule
from billingo_assets.companies.tax_codes import says_more, taxpayer
from billingo_assets.errors import ConfigurationError, NotToBeSyncedError
from billingo_assets.settings import Settings
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.tables import audit_log, companies, metadata

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
SLUG_RULES = "1 to 63 lower-case letters a-z, digits and hyphens, with a letter or digit at both ends"

IDENTITY_CONFIRMED = "identity confirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """A registered company. Its key is a slug that never changes and names its partition."""

    id: int
    key: str
    name: str
    tax_code: str | None
    is_demo: bool
    enabled: bool
    schedule: Schedule
    api_key_encrypted: str | None = field(repr=False)

    def api_key(self, keyring: Keyring) -> SecretStr:
        """Decrypt the API key. Raises ConfigurationError if it is missing or cannot be decrypted."""
        if self.api_key_encrypted is None:
            raise ConfigurationError(
                f"{self.key} has no API key. Store one with `billingo-assets company set-key {self.key}`."
            )
        return keyring.decrypt(self.api_key_encrypted, company=self.key)

    def api_url(self, settings: Settings) -> str:
        """The address that gets the API key: the setting's, or the sandbox's for companies of the demo.

        Raises:
            ConfigurationError: it is a demo company, and no command serves its API.
        """
        if not self.is_demo:
            return settings.api_url
        if settings.sandbox_url is None:
            raise ConfigurationError(
                f"{self.key} is a demo company. Only `billingo-assets sync` and `billingo-assets dev` serve its API."
            )
        return settings.sandbox_url


_COLUMNS = [companies.c[column.name] for column in fields(Company)]
_REGISTERED = companies.c.removed_at.is_(None)


def require_slug(key: str) -> str:
    """Return `key` if it can name a company; else raise a ConfigurationError that states the rules."""
    if not SLUG.fullmatch(key):
        raise ConfigurationError(f"{key!r} cannot be a company's key: a key is {SLUG_RULES}, for example it-cardigan.")
    return key


def list_companies(connection: Connection, *, enabled_only: bool = False) -> list[Company]:
    """Return every registered company, by key."""
    query = select(*_COLUMNS).where(_REGISTERED).order_by(companies.c.key)
    if enabled_only:
        query = query.where(companies.c.enabled)
    return [Company(**row) for row in connection.execute(query).mappings()]


def get_company(connection: Connection, key: str, *, removed_too: bool = False) -> Company:
    """Return the company registered as `key`, removed ones on request.

    Raises a ConfigurationError that suggests the nearest existing key.
    """
    query = select(*_COLUMNS).where(companies.c.key == key)
    row = connection.execute(query if removed_too else query.where(_REGISTERED)).mappings().one_or_none()
    if row is not None:
        return Company(**row)
    near = _nearest(connection, key)
    hint = f"Did you mean {near}?" if near else "`billingo-assets company list` shows them all."
    raise ConfigurationError(f"There is no company {key!r}. {hint}")


def _nearest(connection: Connection, key: str) -> str | None:
    """The registered key nearest to an unknown one, if one is near."""
    return next(iter(difflib.get_close_matches(key, [one.key for one in list_companies(connection)], n=1)), None)


def require_enabled(connection: Connection, key: str) -> None:
    """Raise NotToBeSyncedError if a company is disabled, was removed, or was never registered."""
    query = select(companies.c.enabled, companies.c.removed_at).where(companies.c.key == key)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotToBeSyncedError(_describe_unknown(connection, key), reason="no company has this key")
    if row.removed_at is not None:
        raise NotToBeSyncedError(
            f"{key} was removed, so it was not synced. `billingo-assets company add {key} --name NAME` brings it back.",
            reason="the company was removed",
        )
    if not row.enabled:
        raise NotToBeSyncedError(
            f"{key} is disabled, so it was not synced. Enable it with `billingo-assets company enable {key}`.",
            reason="the company is disabled",
        )


def _describe_unknown(connection: Connection, key: str) -> str:
    """Describe in words a run for a key that nobody registered."""
    what = f"No company has the key {key!r}, so nothing was synced."
    if not SLUG.fullmatch(key):
        return f"{what} It cannot be one either: a key is {SLUG_RULES}."
    hint = f"Did you mean {near}? " if (near := _nearest(connection, key)) else ""
    return f"{what} {hint}To register a company under it: billingo-assets company add {key} --name NAME"


def why_not_any_more(connection: Connection, company: Company) -> str | None:
    """Why a company that was chosen for a sync must be skipped now, in words; None if nothing has changed."""
    query = select(companies.c.enabled).where(_REGISTERED, companies.c.id == company.id)
    enabled = connection.scalar(query)
    if enabled is None:
        return f"{company.key} was removed meanwhile, so it was not synced."
    if company.enabled and not enabled:
        return f"{company.key} was disabled meanwhile, so it was not synced."
    return None


def require_new(connection: Connection, *, key: str, company_id: int | None) -> None:
    """Raise ConfigurationError if the key is malformed or taken, or another company has the id."""
    require_slug(key)
    if connection.scalar(select(exists().where(_REGISTERED, companies.c.key == key))):
        raise ConfigurationError(
            f"There is a company {key} already. Choose another key, or change that one's API key with"
            f" `billingo-assets company set-key {key}`."
        )
    if company_id is not None:
        holder = connection.scalar(select(companies.c.key).where(companies.c.id == company_id, companies.c.key != key))
        if holder is not None:
            raise ConfigurationError(f"The id {company_id} belongs to the company {holder}. Choose another.")


def lock_registry(connection: Connection) -> None:
    """Keep others from changing the registry until the transaction ends; they can still read it."""
    connection.execute(text("LOCK TABLE billingo.companies IN SHARE ROW EXCLUSIVE MODE"))


def add_company(
    connection: Connection,
    *,
    key: str,
    name: str,
    tax_code: str | None,
    api_key_encrypted: str,
    schedule: Schedule = "daily",
    company_id: int | None = None,
    is_demo: bool = False,
    confirmed: bool = False,
) -> Company:
    """Register a company; a removed one comes back with its id and its documents.

    `confirmed`: a person confirmed that it is the removed company, although its tax code is another taxpayer's.

    Raises:
        ConfigurationError: the key is malformed or taken, the id is taken, or the key was another company's.
    """
    # One addition at a time: the second one of the same key or id gets an error, and no id is assigned twice.
    lock_registry(connection)
    require_new(connection, key=key, company_id=company_id)
    values = {
        "name": name,
        "tax_code": tax_code,
        "api_key_encrypted": api_key_encrypted,
        "schedule": schedule,
        "is_demo": is_demo,
    }
    removed = connection.execute(
        select(companies.c.id, companies.c.tax_code).where(companies.c.key == key)
    ).one_or_none()
    if removed is None:
        identity = {} if company_id is None else {"id": company_id}
        connection.execute(insert(companies).values(key=key, **values, **identity))
        # An id given by hand does not move the sequence, which would assign it again.
        connection.execute(
            text("SELECT setval(pg_get_serial_sequence('billingo.companies', 'id'), max(id)) FROM billingo.companies")
        )
        return _audited(connection, "company added", key, schedule=schedule, demo=is_demo)
    is_another = _is_another(removed.tax_code, tax_code)
    if (is_another and not confirmed) or company_id not in (None, removed.id):
        raise ConfigurationError(
            f"{key} was the key of another company (id {removed.id}, tax code {removed.tax_code or 'unknown'}), whose"
            " documents are kept. Choose another key."
            + (
                f" If it is the same company under a new tax number, as after joining or leaving a VAT group, add"
                f" --accept-tax-code {tax_code}."
                if is_another and not confirmed
                else ""
            )
        )
    connection.execute(
        update(companies)
        .where(companies.c.id == removed.id)
        .values(
            **{**values, "tax_code": tax_code or removed.tax_code},
            enabled=True,
            removed_at=None,
            updated_at=func.now(),
            expected_since=func.now(),
        )
    )
    added = _audited(connection, "company added again", key, schedule=schedule, demo=is_demo)
    if is_another:
        audit.record(connection, IDENTITY_CONFIRMED, added, details={"from": removed.tax_code, "to": tax_code})
    return added


def change_company(
    connection: Connection,
    key: str,
    *,
    enabled: bool | None = None,
    schedule: Schedule | None = None,
    api_key_encrypted: str | None = None,
) -> Company:
    """Change the given values and keep the rest. Raises ConfigurationError if there is no such company."""
    company = get_company(connection, key)
    given = {
        "enabled": enabled,
        "schedule": schedule,
        "api_key_encrypted": api_key_encrypted,
    }
    changes = {name: value for name, value in given.items() if value is not None and value != getattr(company, name)}
    if not changes:
        return company
    moments = {"updated_at": func.now()}
    if changes.keys() & {"enabled", "schedule"}:
        moments["expected_since"] = func.now()
    connection.execute(update(companies).where(companies.c.id == company.id).values(**changes, **moments))
    if "enabled" in changes:
        audit.record(connection, "company enabled" if enabled else "company disabled", company)
    if "schedule" in changes:
        audit.record(connection, "schedule set", company, details={"from": company.schedule, "to": schedule})
    if api_key_encrypted is not None:
        audit.record(connection, "API key changed", company)
    return get_company(connection, key)


def note_tax_code(connection: Connection, company: Company, tax_code: str, *, actor: str | None = None) -> bool:
    """Store the tax code that Billingo returns for the same taxpayer, if it has new digits.

    Returns whether it was stored.
    """
    if company.tax_code is not None and not says_more(tax_code, company.tax_code):
        return False
    return set_tax_code(connection, company, tax_code, actor=actor, confirmed=False)


def set_tax_code(
    connection: Connection, company: Company, tax_code: str, *, actor: str | None = None, confirmed: bool
) -> bool:
    """Replace the tax code of `company`, unless it has changed meanwhile. Returns whether it was replaced.

    `confirmed`: a person confirmed that it is the same company, although the tax code is another taxpayer's.
    """
    # Not a change of the company: how fresh it is has nothing to do with it.
    changed = connection.execute(
        update(companies)
        .where(companies.c.id == company.id, companies.c.tax_code.is_not_distinct_from(company.tax_code))
        .values(tax_code=tax_code)
    ).rowcount
    if changed:
        action = IDENTITY_CONFIRMED if confirmed else "tax code changed"
        audit.record(connection, action, company, actor=actor, details={"from": company.tax_code, "to": tax_code})
    return bool(changed)


def same_taxpayers(connection: Connection, *, key: str, tax_code: str | None) -> list[Company]:
    """Return the other registered companies with the tax code of the same taxpayer."""
    return [
        company
        for company in list_companies(connection)
        if company.key != key
        and None not in (tax_code, company.tax_code)
        and not _is_another(company.tax_code, tax_code)
    ]


def require_sole(connection: Connection, *, key: str, tax_code: str | None, same_tax_code: bool) -> None:
    """Raise ConfigurationError if another registered company is the same taxpayer, unless the caller allows it.

    The audit log records that it was allowed.
    """
    others = same_taxpayers(connection, key=key, tax_code=tax_code)
    if not others:
        return
    if not same_tax_code:
        raise ConfigurationError(
            f"{others[0].key} ({others[0].name}) has the tax code {others[0].tax_code} too. The same books under a"
            " second key would double every sum. If these are other books, as a second account of the same taxpayer or"
            " another member of its VAT group, add --same-tax-code."
        )
    details = {"tax_code": tax_code, "companies": [company.key for company in others]}
    audit.record(connection, "same tax code accepted", get_company(connection, key), details=details)


def _is_another(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and taxpayer(one) != taxpayer(other)


def remove_company(connection: Connection, key: str) -> Company:
    """Remove a company from the registry, with its API key. Its documents stay, except the demo's."""
    company = get_company(connection, key)
    if company.is_demo:
        delete_company(connection, company)
        audit.record(connection, "company removed", company, details={"documents": "deleted: the demo's"})
        return company
    connection.execute(
        update(companies)
        .where(companies.c.id == company.id)
        .values(removed_at=func.now(), updated_at=func.now(), enabled=False, api_key_encrypted=None)
    )
    audit.record(connection, "company removed", company, details={"documents": "kept"})
    return company


def delete_company(connection: Connection, company: Company) -> dict[str, int]:
    """Delete all data of a company except the audit log. Returns the deleted rows of each table."""
    rows = {}
    for table in reversed(metadata.sorted_tables):
        column = companies.c.id if table is companies else table.c.get("company_id")
        if column is not None and table is not audit_log:
            rows[table.name] = connection.execute(delete(table).where(column == company.id)).rowcount
    return rows


def keyring_for(connection: Connection, settings: Settings) -> Keyring:
    """Return the keyring for the registry's API keys. Raises ConfigurationError as `open_keyring` does."""
    return open_keyring(settings, may_create=_no_key_is_stored(connection))


def require_readable(connection: Connection, keyring: Keyring) -> None:
    """Raise a ConfigurationError that names the company if the keyring cannot read a stored API key.

    Called before one more is stored: half of them under a lost key and half under a new one would be worse than either.
    """
    for company in _with_api_key(connection):
        company.api_key(keyring)


def rotate_encryption(connection: Connection, keyring: Keyring) -> list[Company]:
    """Re-encrypt every stored API key with the keyring's first key, and return the companies.

    Raises:
        ConfigurationError: none of the keys can read one of them. Nothing was changed.
    """
    lock_registry(connection)
    api_keys = [(company, company.api_key(keyring)) for company in _with_api_key(connection)]
    for company, api_key in api_keys:
        # Not a change of the company: how fresh it is has nothing to do with it.
        encrypted = {"api_key_encrypted": keyring.encrypt(api_key)}
        connection.execute(update(companies).where(companies.c.id == company.id).values(encrypted))
        audit.record(connection, "API key re-encrypted", company)
    return [company for company, _ in api_keys]


def _with_api_key(connection: Connection) -> list[Company]:
    return [company for company in list_companies(connection) if company.api_key_encrypted is not None]


def _audited(connection: Connection, action: str, key: str, **details: object) -> Company:
    company = get_company(connection, key)
    audit.record(connection, action, company, details=details)
    return company


def _no_key_is_stored(connection: Connection) -> Callable[[], bool]:
    return lambda: not connection.scalar(select(exists().where(companies.c.api_key_encrypted.is_not(None))))
