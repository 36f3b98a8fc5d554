"""`billingo-assets database`, and what every command says of a database that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, make_url, text

from billingo_assets.companies.registry import Company
from billingo_assets.embedded_postgres.cluster import programs
from billingo_assets_tests.cli.conftest import Command

COMMAND = str(Path(sys.executable).with_name("billingo-assets"))


def test_upgrade_makes_the_tables_once(command: Command, empty_database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", empty_database.render_as_string(hide_password=False))
    assert command("company", "list").code == 2
    assert "The tables were created" in command("database", "upgrade").out
    assert "is up to date" in command("database", "upgrade").out
    assert command("company", "list").code == 0


@pytest.mark.parametrize("call", ["sync", "database dump"])
def test_a_database_without_tables_is_told_in_one_sentence(
    command: Command, empty_database: URL, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", empty_database.render_as_string(hide_password=False))
    answer = command(*call.split())
    assert answer.code == 2
    assert "Create them with `billingo-assets database upgrade`" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("call", ["sync", "database dump"])
def test_a_database_that_is_ahead_is_told_in_one_sentence(command: Command, engine: Engine, call: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.alembic_version SET version_num = '9999'"))
    answer = command(*call.split())
    assert answer.code == 2
    assert "version 9999, which is newer than this program knows" in answer.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://someone:hunter2@127.0.0.1:1/books", "127.0.0.1:1 (books) cannot be used"),
        ("mysql://someone:hunter2@127.0.0.1/books", "must be a postgresql:// URL"),
        ("postgresql://someone:hunter2@127.0.0.1:notaport/books", "BILLINGO_DATABASE_URL"),
    ],
)
@pytest.mark.parametrize("call", ["sync", "database dump", "database psql"])
def test_a_database_that_cannot_be_used_is_told_without_its_password(
    command: Command, monkeypatch: pytest.MonkeyPatch, url: str, words: str, call: str
) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", url)
    answer = command(*call.split())
    assert answer.code == 2
    assert words in answer.err
    assert "hunter2" not in answer.err
    assert "Traceback" not in answer.err


def test_url_is_one_that_ordinary_clients_understand(command: Command, database: URL) -> None:
    url = command("database", "url").out.strip()
    assert make_url(url) == database
    shown = subprocess.run([programs().bin / "psql", url, "-Atc", "SELECT 42"], capture_output=True, check=True)
    assert shown.stdout == b"42\n"


@pytest.mark.parametrize(
    "with_password",
    [
        "postgresql://someone:{}@127.0.0.1:1/books",
        "postgresql://someone@127.0.0.1:1/books?password={}",
        "postgresql://someone@127.0.0.1:1/books?sslpassword={}",
    ],
)
def test_url_tells_the_password_only_when_asked(
    command: Command, monkeypatch: pytest.MonkeyPatch, with_password: str
) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", with_password.format("hunter2"))
    assert command("database", "url").out == "postgresql://someone@127.0.0.1:1/books\n"
    assert command("database", "url", "--with-password").out == with_password.format("hunter2") + "\n"


def test_psql_runs_a_statement(database: URL, companies: dict[str, Company]) -> None:
    words = [COMMAND, "database", "psql", "-Atc", "SELECT count(*) FROM billingo.companies"]
    assert subprocess.run(words, capture_output=True, check=True).stdout == b"3\n"


def test_a_dump_loads_into_another_database_with_all_there_is(
    command: Command, companies: dict[str, Company], empty_database: URL
) -> None:
    assert command("sync", "ozon-bt").code == 0
    dumped = subprocess.run([COMMAND, "database", "dump"], capture_output=True, check=True).stdout
    target = empty_database.render_as_string(hide_password=False)
    subprocess.run(
        [programs().bin / "psql", target, "-qv", "ON_ERROR_STOP=1"], input=dumped, check=True, stdout=subprocess.DEVNULL
    )
    moved = create_engine(empty_database.set(drivername="postgresql+psycopg"))
    with moved.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM billingo.invoices")) == 61
        assert connection.scalar(text("SELECT count(*) FROM dagster.runs")) == 1
    moved.dispose()


def test_a_database_that_is_not_in_utf8_is_told(
    command: Command, server_url: URL, admin: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with admin.connect() as connection:
        options = "ENCODING 'LATIN2' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        connection.execute(text(f"CREATE DATABASE latin {options}"))
    monkeypatch.setenv("BILLINGO_DATABASE_URL", server_url.set(database="latin").render_as_string(hide_password=False))
    answer = command("database", "upgrade")
    assert answer.code == 2
    assert "The database's encoding is LATIN2" in answer.err


def test_a_dump_sets_nothing_that_an_older_server_does_not_know(database: URL) -> None:
    dumped = subprocess.run([COMMAND, "database", "dump"], capture_output=True, check=True).stdout
    assert b"CREATE TABLE billingo.invoices" in dumped
    assert b"transaction_timeout" not in dumped
