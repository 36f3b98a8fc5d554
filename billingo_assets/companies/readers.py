"""Manages who may read which company: the grants, and membership in the role that makes them effective.

The database's administrator creates login roles. Every function leaves the transaction to its caller.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billingo_assets.companies.registry import Company
from billingo_assets.errors import ConfigurationError
from billingo_assets.warehouse import audit
from billingo_assets.warehouse.roles import MASKED, READER, SYNC

_ROLE = text("SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = :role")

_HAS_ROLE = text("SELECT pg_has_role(CAST(:role AS name), CAST(:group AS name), 'USAGE')")

_INHERITS = text("SELECT current_setting('server_version_num')::integer >= 160000")

_QUOTED = text("SELECT quote_ident(:role)")

_GRANT = text(
    """
    INSERT INTO billingo.company_readers (role_name, role_oid, company_id, masked)
    SELECT rolname, oid, :company, :masked FROM pg_catalog.pg_roles WHERE rolname = :role
    ON CONFLICT (role_name, company_id) DO UPDATE
    SET role_oid = excluded.role_oid, masked = excluded.masked, granted_at = now()
    WHERE (company_readers.role_oid, company_readers.masked) <> (excluded.role_oid, excluded.masked)
    """
)

_REVOKE = text("DELETE FROM billingo.company_readers WHERE role_name = :role AND company_id = :company")

_LEFT = text(
    """
    SELECT count(*) FILTER (WHERE NOT masked), count(*)
    FROM billingo.company_readers JOIN pg_catalog.pg_roles ON rolname = role_name AND oid = role_oid
    WHERE role_name = :role
    """
)

_READERS = text(
    """
    SELECT granted.role_name, companies.key, granted.masked, granted.granted_at,
           reader.oid IS NOT NULL, coalesce(pg_has_role(reader.oid, entrance.oid, 'USAGE'), false)
    FROM billingo.company_readers AS granted
    JOIN billingo.companies ON companies.id = granted.company_id
    LEFT JOIN pg_catalog.pg_roles AS reader ON reader.rolname = granted.role_name AND reader.oid = granted.role_oid
    LEFT JOIN pg_catalog.pg_roles AS entrance
        ON entrance.rolname = CASE WHEN granted.masked THEN :masked ELSE :reader END
    ORDER BY granted.role_name, companies.key
    """
)

_SEE_ALL = text(
    """
    SELECT rolname, rolsuper OR rolbypassrls FROM pg_catalog.pg_roles
    WHERE rolcanlogin AND (rolsuper OR rolbypassrls OR pg_has_role(oid, CAST(:sync AS name), 'USAGE')) ORDER BY rolname
    """
)


class Grant(NamedTuple):
    """A company that a role may read. `works` unless the role is gone, or is not a member of the reader role."""

    role: str
    company: str
    masked: bool
    granted_at: object
    exists: bool
    works: bool


def grant(connection: Connection, company: Company, role: str, *, masked: bool = False) -> None:
    """Let a role read a company; `masked`: only without personal data.

    Raises:
        ConfigurationError: the role does not exist, sees everything anyway, or may not be granted; says what to do.
    """
    _require_reader(connection, role)
    connection.execute(_GRANT, {"role": role, "company": company.id, "masked": masked})
    _join(connection, MASKED if masked else READER, role)
    _leave_what_shows_nothing(connection, role)
    audit.record(connection, "reader granted", company, details={"role": role, "masked": masked})


def revoke(connection: Connection, company: Company, role: str) -> bool:
    """Stop a role from reading a company. Returns False if it could not anyway.

    A role without any company left also leaves the group, if the connection's role may do that; the group shows nothing
    without a company.
    """
    if not connection.execute(_REVOKE, {"role": role, "company": company.id}).rowcount:
        return False
    _leave_what_shows_nothing(connection, role)
    audit.record(connection, "reader revoked", company, details={"role": role})
    return True


def grants(connection: Connection) -> list[Grant]:
    """Return every grant, by role and company."""
    return [Grant(*row) for row in connection.execute(_READERS, {"masked": MASKED, "reader": READER})]


def who_see_all(connection: Connection) -> list[str]:
    """Return the login roles that see every company: the pipeline's, owners and superusers."""
    return [role for role, _ in connection.execute(_SEE_ALL, {"sync": SYNC})]


def _require_reader(connection: Connection, role: str) -> None:
    sees_all = connection.scalar(_ROLE, {"role": role})
    if sees_all is None:
        raise ConfigurationError(
            f"The database server has no role {role!r}. Have its administrator make it:"
            f" CREATE ROLE {_quoted(connection, role)} LOGIN PASSWORD '…'"
        )
    if role in (SYNC, READER, MASKED):
        raise ConfigurationError(f"{role} is a group. Grant to the role that a person logs in with, or to a team's.")
    if sees_all or connection.scalar(_HAS_ROLE, {"role": role, "group": SYNC}):
        raise ConfigurationError(
            f"{role} sees every company as it is: it is a superuser, bypasses row-level security or is a member of"
            f" {SYNC}. Grant to another role."
        )


def _join(connection: Connection, group: str, role: str) -> None:
    if connection.scalar(_HAS_ROLE, {"role": role, "group": group}):
        return
    statement = f"GRANT {group} TO {_quoted(connection, role)}"
    inherit = " WITH INHERIT TRUE" if connection.scalar(_INHERITS) else ""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"{statement}{inherit}".replace("%", "%%"))
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
    if not connection.scalar(_HAS_ROLE, {"role": role, "group": group}):
        raise ConfigurationError(
            f"The role that BILLINGO_DATABASE_URL names cannot add {role} to {group}. Have the database's administrator"
            f" run: {statement}{inherit}; then grant again." + ("" if inherit else " The role must have INHERIT.")
        )


def _leave_what_shows_nothing(connection: Connection, role: str) -> None:
    in_full, all_together = connection.execute(_LEFT, {"role": role}).one()
    if not in_full:
        _leave(connection, READER, role)
    if not all_together:
        _leave(connection, MASKED, role)


def _leave(connection: Connection, group: str, role: str) -> None:
    if connection.scalar(_ROLE, {"role": role}) is None:
        return
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"REVOKE {group} FROM {_quoted(connection, role)}".replace("%", "%%"))
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise


def _quoted(connection: Connection, role: str) -> str:
    quoted: str = connection.execute(_QUOTED, {"role": role}).scalar_one()
    return quoted
