"""Writes a migration from what `warehouse/tables.py` and `streams/` declare and the last migration lacks.

`make migration NAME=partner_city`: upgrades an empty database to the newest migration, compares it with the declared
tables, and writes the difference as the next file of `warehouse/migrations/versions`. A new table that has a company
gets row-level security and both policies, a new stream the view of its history. Read the file before you commit it:
what happens to rows that are there already, and every change that is more than an addition, is yours to say.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import CreateTableOp, MigrateOperation, OpContainer
from sqlalchemy import create_engine, make_url

from billingo_assets.settings import Settings
from billingo_assets.streams import STREAMS
from billingo_assets.warehouse import migrations
from billingo_assets.warehouse.database import REVISIONS, database_url
from billingo_assets.warehouse.tables import SCHEMA, metadata

FOLDER = Path(migrations.__file__).parent / "versions"

SECURE = """
ALTER TABLE billingo.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY sync ON billingo.{table} TO billingo_sync USING (true) WITH CHECK (true);
CREATE POLICY readers ON billingo.{table} FOR SELECT TO billingo_reader USING (company_id = ANY (ARRAY(
    SELECT granted.company_id FROM billingo.company_readers AS granted
    JOIN pg_catalog.pg_roles AS reader ON reader.rolname = granted.role_name AND reader.oid = granted.role_oid
    WHERE pg_catalog.pg_has_role(current_user, reader.oid, 'USAGE') AND NOT granted.masked
)));
"""

HISTORY = """
CREATE VIEW billingo.{stream.history} WITH (security_invoker = true) AS
SELECT company_id, {stream.raw_key}, version, payload, valid_from, valid_to FROM billingo.{stream.versions}
UNION ALL
SELECT company_id, {stream.raw_key}, version, payload, changed_at, deleted_at FROM billingo.{stream.raw};
COMMENT ON VIEW billingo.{stream.history} IS 'All contents of each {stream.noun}, the present one too';
"""

FILE = '''"""{summary}."""

from __future__ import annotations

from alembic import op

revision = "{revision}"
down_revision = "{before}"

CHANGES = {quotes}
{sql}
{quotes}


def upgrade() -> None:
    """{summary}."""
    op.execute(CHANGES)
'''


def changes() -> str:
    """The SQL that leads from the newest migration to the declared tables; empty where nothing is missing."""
    with tempfile.TemporaryDirectory() as home:
        url = make_url(database_url(Settings(home=Path(home)))).set(drivername="postgresql+psycopg")
        # Alembic leaves out the names of schemas that are searched by default.
        engine = create_engine(url, connect_args={"options": "-c search_path=public"})
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            "version_table_schema": SCHEMA,
        }
        # The migrations alone: what else an upgrade does needs the tables as they are declared.
        with engine.begin() as connection:
            migrations.upgrade(connection)
        with engine.connect() as connection:
            found = produce_migrations(MigrationContext.configure(connection, opts=options), metadata)
        engine.dispose()
    operations = list(_each(found.upgrade_ops.ops if found.upgrade_ops else []))
    created = [one.table_name for one in operations if isinstance(one, CreateTableOp)]
    return "".join(
        [
            _as_sql(operations),
            *(
                SECURE.format(table=table)
                for table in created
                if "company_id" in metadata.tables[f"{SCHEMA}.{table}"].columns
            ),
            *(HISTORY.format(stream=stream) for stream in STREAMS if stream.raw in created),
        ]
    )


def _each(operations: Sequence[MigrateOperation]) -> Iterator[MigrateOperation]:
    for one in operations:
        if isinstance(one, OpContainer):
            yield from _each(one.ops)
        else:
            yield one


def _as_sql(operations: Sequence[MigrateOperation]) -> str:
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
    )
    for one in operations:
        Operations(context).invoke(one)
    lines = (line.rstrip() for line in written.getvalue().replace("\t", "    ").splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def write(name: str) -> Path:
    """Write the file, and return its path.

    Raises:
        ValueError: the name will not do, or there is nothing to migrate.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError("Name the migration in lower case with underscores: make migration NAME=partner_city")
    sql = changes().strip()
    if not sql:
        raise ValueError("Nothing to migrate: the newest migration makes the declared tables.")
    revision = f"{int(REVISIONS[-1]) + 1:04}"
    path = FOLDER / f"{revision}_{name}.py"
    summary = name.replace("_", " ").capitalize()
    quotes = 'r"""' if "\\" in sql else '"""'
    text = FILE.format(summary=summary, revision=revision, before=REVISIONS[-1], sql=sql, quotes=quotes)
    path.write_text(text.replace('\nr"""\n\n\ndef', '\n"""\n\n\ndef'), encoding="utf-8")
    return path


def main() -> None:
    """Write the migration that the one argument names."""
    try:
        path = write(sys.argv[1] if len(sys.argv) == 2 else "")
    except ValueError as error:
        sys.exit(str(error))
    print(f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}: read it before you commit it.")


if __name__ == "__main__":
    main()
