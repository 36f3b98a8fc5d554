"""Every connection works alike, whatever the server's administrator or the environment has set for others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, text

from billingo_assets.dagster_support.storage import dagster_url
from billingo_assets.settings import Settings
from billingo_assets.warehouse.database import engine_for
from billingo_assets_tests.support.embedded_users import throwaway_server
from billingo_assets_tests.warehouse.conftest import Books, SyncedBooks, ask
from billingo_assets_tests.warehouse.test_dump import load

UNKIND = {
    "statement_timeout": ("'20ms'", "10min"),
    "transaction_timeout": ("'20ms'", "0"),
    "idle_in_transaction_session_timeout": ("'20ms'", "0"),
    "idle_session_timeout": ("'2s'", "0"),
    "lock_timeout": ("'1ms'", "0"),
    "default_transaction_isolation": ("'serializable'", "read committed"),
    "default_transaction_read_only": ("on", "off"),
    "default_transaction_deferrable": ("on", "off"),
    "exit_on_error": ("on", "off"),
    "timezone": ("'Europe/Budapest'", "UTC"),
    "datestyle": ("'SQL, DMY'", "ISO, MDY"),
    "intervalstyle": ("'sql_standard'", "postgres"),
    "bytea_output": ("'escape'", "hex"),
    "extra_float_digits": ("-15", "1"),
    "client_encoding": ("'LATIN2'", "UTF8"),
    "standard_conforming_strings": ("off", "on"),
    "array_nulls": ("off", "on"),
    "transform_null_equals": ("on", "off"),
    "row_security": ("off", "on"),
    "search_path": ("evil, pg_catalog", "pg_catalog"),
}
"""As an administrator may set it for a database, and as a session of ours has it."""

EVIL = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1970-01-01 UTC''::timestamptz';
CREATE FUNCTION evil.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT -1::bigint';
CREATE FUNCTION evil.pg_backend_pid() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE TABLE evil.runs (run_id text);
GRANT USAGE ON SCHEMA evil TO PUBLIC;
"""


def our_engine(url: URL) -> Engine:
    return engine_for(url, Settings.model_validate({"database_url": url.render_as_string(hide_password=False)}))


def dagsters_engine(url: URL) -> Engine:
    return create_engine(dagster_url(url))


def be_unkind(whom: str, administer: Callable[[str], object], *, version: int) -> None:
    """Set everything as unkindly as can be for a database or for a role in it."""
    for name, (value, _) in UNKIND.items():
        if name != "transaction_timeout" or version >= 17:
            administer(f"ALTER {whom} SET {name} = {value}")


def shown(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return {name: str(connection.scalar(text(f"SHOW {name}"))) for name in UNKIND}


OURS = {name: kind for name, (_, kind) in UNKIND.items()}
DAGSTERS = {**OURS, "statement_timeout": "0", "search_path": "dagster"}
BOTH = [pytest.param(our_engine, OURS, id="ours"), pytest.param(dagsters_engine, DAGSTERS, id="dagsters")]


@pytest.mark.parametrize("whom", ["DATABASE {0}", "ROLE billingo IN DATABASE {0}"])
@pytest.mark.parametrize(("open_engine", "expected"), BOTH)
def test_a_session_has_our_settings_whatever_its_database_or_role_has(
    empty_database: URL, admin: Engine, whom: str, open_engine: Callable[[URL], Engine], expected: dict[str, str]
) -> None:
    ask(empty_database, EVIL)
    with admin.connect() as connection:
        be_unkind(whom.format(empty_database.database), lambda sql: connection.execute(text(sql)), version=18)
    assert shown(open_engine(empty_database)) == expected


@pytest.mark.parametrize(("open_engine", "expected"), BOTH)
def test_a_session_has_our_settings_whatever_the_environment_has(
    empty_database: URL,
    monkeypatch: pytest.MonkeyPatch,
    open_engine: Callable[[URL], Engine],
    expected: dict[str, str],
) -> None:
    monkeypatch.setenv("PGDATESTYLE", "SQL, DMY")
    monkeypatch.setenv("PGTZ", "Europe/Budapest")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN2")
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    assert shown(open_engine(empty_database)) == expected


@pytest.mark.parametrize("open_engine", [our_engine, dagsters_engine])
def test_the_options_of_the_url_stay(empty_database: URL, open_engine: Callable[[URL], Engine]) -> None:
    url = empty_database.update_query_dict({"options": "-c work_mem=3MB -c datestyle=German"})
    with open_engine(url).connect() as connection:
        assert [connection.scalar(text(f"SHOW {name}")) for name in ("work_mem", "datestyle")] == ["3MB", "ISO, MDY"]


@pytest.fixture(scope="module")
def unkind(synced: SyncedBooks) -> SyncedBooks:
    """Two companies that were synced, in a database that has become unkind since."""
    ask(synced.books.owner, EVIL)
    be_unkind(f"DATABASE {synced.books.owner.database}", synced.books.administer, version=16)
    return synced


READING = [["status"], ["company", "show", "it-cardigan"], ["audit"], ["history"]]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_what_is_shown_does_not_depend_on_the_server(unkind: SyncedBooks, words: list[str]) -> None:
    books, own = unkind.books, unkind.pipeline
    shown_there = books.run(own, *words)
    books.administer(f"ALTER DATABASE {own.database} RESET ALL")
    try:
        assert (shown_there.returncode, shown_there.stdout, shown_there.stderr) == (0, books.done(own, *words), "")
    finally:
        be_unkind(f"DATABASE {own.database}", books.administer, version=16)


def test_a_sync_on_an_unkind_server_goes_well_and_its_run_is_created_now(unkind: SyncedBooks) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    (company,) = json.loads(unkind.books.done(unkind.pipeline, "sync", "ozon-bt", "--full", "--json"))["companies"]
    after = datetime.now(UTC).replace(tzinfo=None)
    assert (company["status"], company["unchanged"]) == ("success", unkind.world.company("ozon-bt").ledger().documents)
    created = "SELECT create_timestamp, update_timestamp FROM dagster.runs WHERE run_id = :run"
    with our_engine(unkind.books.owner).connect() as connection:
        moments = connection.execute(text(created), {"run": company["run_id"]}).one()
    assert all(before <= moment <= after for moment in moments)


def test_doctor_finds_no_fault_on_an_unkind_server_and_warns_that_it_is_read_only_by_default(
    unkind: SyncedBooks,
) -> None:
    answer = unkind.books.run(unkind.pipeline, "doctor")
    assert answer.returncode == 1, answer.stdout
    assert re.search(r"^warning +database: .* Its sessions are read-only by default", answer.stdout, re.MULTILINE)


def test_an_export_of_an_unkind_server_has_the_same_files(unkind: SyncedBooks, tmp_path: Path) -> None:
    unkind.books.done(unkind.books.owner, "company", "export", "it-cardigan", "--to", str(tmp_path / "there"))
    unkind.books.administer(f"ALTER DATABASE {unkind.pipeline.database} RESET ALL")
    unkind.books.done(unkind.books.owner, "company", "export", "it-cardigan", "--to", str(tmp_path / "kind"))
    be_unkind(f"DATABASE {unkind.pipeline.database}", unkind.books.administer, version=16)
    there, kind = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("there", "kind"))
    assert there["tables"] == kind["tables"]


def test_a_dump_of_an_unkind_server_is_whole(unkind: SyncedBooks) -> None:
    dumped = unkind.books.done(unkind.books.owner, "database", "dump")
    names = "SELECT array_agg(payload::text ORDER BY company_id, document_id) FROM billingo.raw_invoices"
    with throwaway_server() as target:
        load(target, dumped)
        with our_engine(unkind.books.owner).connect() as connection:
            assert ask(target, names) == [tuple(connection.execute(text(names)).one())]


def test_a_company_of_an_unkind_server_is_added_synced_and_erased(unkind: SyncedBooks) -> None:
    own, key = unkind.books.owner, "arvizturo"
    invented = unkind.world.company(key)
    unkind.books.done(own, "company", "add", key, "--name", invented.name, "--api-key-stdin", stdin=invented.api_key)
    unkind.books.done(own, "sync", key)
    assert f"Erased {key}" in unkind.books.done(own, "company", "erase", key, "--yes-erase", key)


def test_the_tables_are_made_on_an_unkind_server(books: Books) -> None:
    ask(books.owner, EVIL)
    be_unkind(f"DATABASE {books.owner.database}", books.administer, version=16)
    books.done(books.owner, "database", "upgrade")
    assert "arvizturo" not in books.done(books.owner, "company", "list")
