"""Makes the three roles that give rights to people and the pipeline.

    billingo_sync     the pipeline: reads and writes; owns nothing, deletes no document, only adds to the audit log
    billingo_reader   people: reads the documents of granted companies, through row-level security
    billingo_masked   people who need no personal data: reads the views of the schema `billingo_masked`

None of them can log in; login roles are members of them. Roles belong to the whole server, so they may exist already.
The policies of the migrations and the views of `masking` decide which rows a role sees; the declaration of a table
states its rights. Each `database upgrade` grants them: a dump has no grants.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from billingo_assets.errors import DatabaseError
from billingo_assets.streams import STREAMS
from billingo_assets.warehouse.masking import MASKED_SCHEMA, MASKED_VIEWS, update_masked_views
from billingo_assets.warehouse.schema import READS, WRITES, access_to
from billingo_assets.warehouse.tables import metadata

SYNC = "billingo_sync"
READER = "billingo_reader"
MASKED = "billingo_masked"

HISTORIES = tuple(stream.history for stream in STREAMS)
"""The views of all contents that records have had, one for each stream."""

NEEDS_ADMINISTRATOR = "BGR01"
"""The SQLSTATE of the error in `MAKE_ROLES` that lists the statements for an administrator."""

MAKE_ROLES = f"""
DO $make_roles$
DECLARE
    is_new CONSTANT boolean := current_setting('server_version_num')::integer >= 160000;
    wanted text;
    member name;
    left_to_do text[] := '{{}}';
BEGIN
    -- Other databases of the server have the same roles, and one of them may be making them at this moment.
    FOREACH wanted IN ARRAY ARRAY['{SYNC}', '{READER}', '{MASKED}'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    left_to_do := left_to_do || format('CREATE ROLE %I NOLOGIN;', wanted);
            END;
        END IF;
    END LOOP;
    -- Row-level security is forced upon the owner too, who sees everything as a member of {SYNC}.
    FOR member IN
        SELECT current_user
        UNION SELECT pg_get_userbyid(relowner) FROM pg_catalog.pg_class
        WHERE relnamespace = to_regnamespace('billingo') AND relkind = 'r'
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_roles WHERE rolname = '{SYNC}' AND pg_has_role(member, oid, 'USAGE')
        ) THEN
            BEGIN
                EXECUTE format('GRANT {SYNC} TO %I', member) || CASE WHEN is_new THEN ' WITH INHERIT TRUE' ELSE '' END;
            EXCEPTION
                WHEN unique_violation OR internal_error THEN NULL;  -- another database's migration just did
                WHEN insufficient_privilege OR undefined_object THEN NULL;  -- reported below
            END;
            IF NOT EXISTS (
                SELECT FROM pg_catalog.pg_roles WHERE rolname = '{SYNC}' AND pg_has_role(member, oid, 'USAGE')
            ) THEN
                left_to_do := left_to_do || (format('GRANT {SYNC} TO %I', member)
                    || CASE WHEN is_new THEN ' WITH INHERIT TRUE;' ELSE format('; ALTER ROLE %I INHERIT;', member) END);
            END IF;
        END IF;
    END LOOP;
    IF left_to_do <> '{{}}' THEN
        RAISE EXCEPTION 'The role % may not make the roles that this database needs. Have an administrator of the'
            ' server run first: %', current_user, array_to_string(left_to_do, ' ')
            USING ERRCODE = '{NEEDS_ADMINISTRATOR}';
    END IF;
END
$make_roles$;
"""  # noqa: S608 - our own names
"""Makes missing roles, and makes owners members of `billingo_sync`. Changes nothing if that is done."""


def _grants() -> str:
    everybody = f"{SYNC}, {READER}, {MASKED}"
    tables = {table.name: access_to(table) for table in metadata.sorted_tables}
    pipeline = {
        "alembic_version": READS,
        **{name: access.pipeline for name, access in tables.items()},
        **dict.fromkeys(HISTORIES, READS),
    }
    readers = {
        **{name: access.readers for name, access in tables.items() if access.readers},
        **dict.fromkeys(HISTORIES, READS),
    }
    lines = [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA billingo, {MASKED_SCHEMA} FROM PUBLIC, {everybody};",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA billingo FROM PUBLIC, {everybody};",
        f"REVOKE ALL ON SCHEMA billingo, {MASKED_SCHEMA} FROM PUBLIC, {everybody};",
        f"GRANT USAGE ON SCHEMA billingo TO {SYNC}, {READER};",
        f"GRANT USAGE ON SCHEMA {MASKED_SCHEMA} TO {MASKED};",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA billingo TO {SYNC};",
        f"GRANT UPDATE ON SEQUENCE billingo.companies_id_seq TO {SYNC};",  # an id may be given by hand
        *(f"GRANT {rights} ON billingo.{name} TO {SYNC};" for name, rights in pipeline.items()),
        *(f"GRANT {rights} ON billingo.{name} TO {READER};" for name, rights in readers.items()),
        *(f"GRANT SELECT ON {MASKED_SCHEMA}.{view.name} TO {MASKED};" for view in MASKED_VIEWS),
    ]
    return "\n".join(lines) + "\n"


GRANTS = (
    _grants()
    + f"""
DO $grant_dagster$
BEGIN
    -- Dagster's own tables, once there are any; those that a later Dagster adds as well.
    IF to_regnamespace('dagster') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA dagster TO {SYNC};
        GRANT {WRITES} ON ALL TABLES IN SCHEMA dagster TO {SYNC};
        GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA dagster TO {SYNC};
        ALTER DEFAULT PRIVILEGES IN SCHEMA dagster GRANT {WRITES} ON TABLES TO {SYNC};
        ALTER DEFAULT PRIVILEGES IN SCHEMA dagster GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO {SYNC};
    END IF;
END
$grant_dagster$;
"""
)
"""Grants each role its rights in this database, and revokes all others."""

_OWNS_ALL = """
SELECT bool_and(pg_has_role(current_user, relowner, 'USAGE')) FROM pg_catalog.pg_class
WHERE relnamespace IN (to_regnamespace('billingo'), to_regnamespace('dagster'))
"""


def make_roles(connection: Connection) -> None:
    """Make missing roles, and make the owner of the tables a member of `billingo_sync`.

    Raises:
        DatabaseError: the connection's role may not do so; lists the statements for an administrator.
    """
    try:
        connection.execute(text(MAKE_ROLES))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != NEEDS_ADMINISTRATOR:
            raise
        said = getattr(getattr(error.orig, "diag", None), "message_primary", None)
        raise DatabaseError(str(said)) from None


def update_access(connection: Connection) -> None:
    """Bring the masked views up to the declarations and grant the roles their rights again.

    Only the owner of the tables can do this; for other logins it changes nothing.
    """
    if connection.scalar(text(_OWNS_ALL)):
        update_masked_views(connection)
        connection.execute(text(GRANTS))
