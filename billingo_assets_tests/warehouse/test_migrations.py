"""The migrations make exactly the tables that the program knows, however often and by however many they are run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import URL, Engine, NullPool, create_engine, make_url, text

from billingo_assets.settings import Settings
from billingo_assets.warehouse import migrations
from billingo_assets.warehouse.database import REVISIONS, engine_for, upgrade_database
from billingo_assets.warehouse.tables import SCHEMA, metadata

CATALOG = """
SELECT 'column', relname::text, attname::text,
       format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END || attidentity::text,
       pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = 'billingo'::regnamespace AND attnum > 0 AND relname <> 'alembic_version'
UNION ALL
SELECT 'constraint', relname::text, conname::text, pg_get_constraintdef(pg_constraint.oid), NULL, NULL
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE connamespace = 'billingo'::regnamespace AND relname <> 'alembic_version'
UNION ALL
SELECT 'index', tablename::text, indexname::text, indexdef, NULL, NULL FROM pg_indexes
WHERE schemaname = 'billingo' AND tablename <> 'alembic_version'
"""


@pytest.fixture
def empty(empty_database: URL) -> Settings:
    return Settings(database_url=SecretStr(empty_database.render_as_string(hide_password=False)))


def engine_of(settings: Settings) -> Engine:
    assert settings.database_url is not None
    return engine_for(make_url(settings.database_url.get_secret_value()), settings)


def catalog(engine: Engine) -> set[tuple[object, ...]]:
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(text(CATALOG))}


def test_the_revisions_the_program_names_are_those_in_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_alembic_finds_no_difference_to_the_tables_the_program_knows(database: URL) -> None:
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        "version_table_schema": SCHEMA,
    }
    # The schema bears the role's name, and Alembic leaves out the names of schemas that are searched by default.
    engine = create_engine(
        database.set(drivername="postgresql+psycopg"),
        connect_args={"options": "-c search_path=public"},
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_columns_constraints_indexes_and_comments_are_those_the_program_would_make(
    empty: Settings, engine: Engine
) -> None:
    made = engine_of(empty)
    with made.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        metadata.create_all(connection)
    assert catalog(made) == catalog(engine) != set()


def test_an_upgrade_tells_from_where_to_where(empty: Settings) -> None:
    assert upgrade_database(empty) == (None, REVISIONS[-1])


def test_a_second_upgrade_changes_nothing(empty: Settings) -> None:
    upgrade_database(empty)
    before = catalog(engine_of(empty))
    assert upgrade_database(empty) == (REVISIONS[-1], REVISIONS[-1])
    assert catalog(engine_of(empty)) == before


def test_of_upgrades_at_once_one_does_the_work(empty: Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        befores = [upgrade.result()[0] for upgrade in [threads.submit(upgrade_database, empty) for _ in range(4)]]
    assert sorted(befores, key=str) == [*[REVISIONS[-1]] * 3, None]


def test_an_upgrade_that_fails_leaves_nothing_behind(empty: Settings) -> None:
    engine = engine_of(empty)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA billingo; CREATE DOMAIN billingo.sync_state AS int"))
    with pytest.raises(Exception, match="already exists"):
        upgrade_database(empty)
    assert catalog(engine) == set()


def test_of_companies_that_are_known_syncs_are_expected_since_their_last_change(empty: Settings) -> None:
    with engine_of(empty).begin() as connection:
        migrations.upgrade(connection, to="0005")
        insert = "INSERT INTO billingo.companies (key, name, updated_at) VALUES ('ozon-bt', 'Ózon Bt.', '2026-03-01')"
        connection.execute(text(insert))
    upgrade_database(empty)
    with engine_of(empty).connect() as connection:
        assert connection.scalar(text("SELECT expected_since = '2026-03-01' FROM billingo.companies"))
