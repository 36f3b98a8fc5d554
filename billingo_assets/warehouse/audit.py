"""The audit log: who did what to which company, and when. Records are only added.

A record belongs in the transaction of the action: both are stored, or neither. It names its company without a foreign
key, and so outlives it. It never contains a secret, not even an encrypted API key.
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
    """The facts about a company that a record contains."""

    @property
    def id(self) -> int:
        """Its company_id."""

    @property
    def key(self) -> str:
        """Its key."""


class AuditRecord(NamedTuple):
    """One action. `actor` is a user of the machine or a run, `database_role` the connected role."""

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
    """Add a record. `actor` defaults to the user of the machine that this process runs for."""
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
    """Return the records, oldest first: all of them, or only those of a company's key or of a recent period."""
    for row in connection.execute(_READ, {"key": company, "age": within}):
        yield AuditRecord(*row)


def machine_user() -> str:
    """Return the user of the machine, and the user behind sudo. LOGNAME and SUDO_USER are not trusted."""
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
