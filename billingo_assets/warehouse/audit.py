"""The audit log: who did what to which company, and when. It is only ever added to.

A record belongs in the transaction of the deed: both are there, or neither. It names its company without referring to
it, and so outlives it. Secrets have no place in it: not an API key, not even encrypted.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, text

_RECORD = text(
    """
    INSERT INTO billingo.audit_log (actor, action, company_id, company_key, details)
    VALUES (:actor, :action, :company_id, :company_key, CAST(:details AS jsonb))
    """
)

_READ = text(
    """
    SELECT at, actor, action, company_id, company_key, details, database_role FROM billingo.audit_log
    WHERE (CAST(:key AS text) IS NULL OR company_key = :key)
      AND (CAST(:age AS interval) IS NULL OR at > now() - CAST(:age AS interval))
    ORDER BY id
    """
)


class OfCompany(Protocol):
    """What a record needs to know of a company."""

    @property
    def id(self) -> int:
        """Its company_id."""

    @property
    def key(self) -> str:
        """Its key."""


class AuditRecord(NamedTuple):
    """One deed. `actor` is a user of the machine or a run; `database_role` who was connected."""

    at: datetime
    actor: str
    action: str
    company_id: int | None
    company_key: str | None
    details: dict[str, Any]
    database_role: str


def record(
    connection: Connection,
    action: str,
    company: OfCompany | None = None,
    *,
    actor: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add a record. Without `actor`, it is the user of the machine that this process runs for."""
    values = {
        "actor": actor or machine_user(),
        "action": action,
        "company_id": None if company is None else company.id,
        "company_key": None if company is None else company.key,
        "details": json.dumps(dict(details or {}), ensure_ascii=False),
    }
    connection.execute(_RECORD, values)


def records(
    connection: Connection, *, company: str | None = None, within: timedelta | None = None
) -> Iterator[AuditRecord]:
    """The records, oldest first: all, or those of a company's key, or of the last time only."""
    for row in connection.execute(_READ, {"key": company, "age": within}):
        yield AuditRecord(*row)


def machine_user() -> str:
    """The user of the machine, and who became it by sudo. LOGNAME and SUDO_USER say what anybody likes."""
    user = os.geteuid()
    before = os.environ.get("SUDO_UID", "")
    if user != 0 or not before.isdecimal() or int(before) == user:
        return _name_of(user)
    return f"{_name_of(int(before))} (by sudo as {_name_of(user)})"


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"
