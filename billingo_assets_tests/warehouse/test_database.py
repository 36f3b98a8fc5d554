"""Opening a database: ready, behind, ahead, empty, or not to be had; each in one sentence that keeps the password."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from billingo_assets.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError
from billingo_assets.settings import Settings
from billingo_assets.warehouse import database as database_module
from billingo_assets.warehouse.database import (
    connecting,
    current_revision,
    engine_for,
    open_database,
    require_tables,
    upgrade_database,
)
from billingo_assets_tests.support.embedded_users import fresh_home
from billingo_assets_tests.support.own_server import own_server, small_disk
from billingo_assets_tests.warehouse.conftest import PASSWORD

NEWEST = database_module.REVISIONS[-1]


def settings_for(url: URL) -> Settings:
    return Settings(database_url=SecretStr(url.render_as_string(hide_password=False)))


def refusal(settings: Settings) -> str:
    with pytest.raises(DatabaseError) as refused:
        open_database(settings)
    return str(refused.value)


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.alembic_version SET version_num = :revision"), {"revision": revision})


def test_a_database_at_this_version_is_opened(database: URL) -> None:
    with open_database(settings_for(database)).connect() as connection:
        assert current_revision(connection) == database_module.REVISIONS[-1]


def test_one_process_has_one_engine_for_a_database(database: URL) -> None:
    assert open_database(settings_for(database)) is open_database(settings_for(database))


def test_an_empty_database_of_ones_own_is_not_touched_but_explained(empty_database: URL) -> None:
    assert refusal(settings_for(empty_database)) == (
        "The database has no billingo tables yet. Create them with `billingo-assets database upgrade`."
    )
    with engine_for(empty_database, settings_for(empty_database)).connect() as connection:
        assert connection.scalar(text("SELECT to_regnamespace('billingo')")) is None


def test_a_database_that_is_behind_is_explained(database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "REVISIONS", (*database_module.REVISIONS, "9998"))
    assert refusal(settings_for(database)) == (
        f"The database is at version {NEWEST} and this program needs 9998."
        " Bring it up to date with `billingo-assets database upgrade`."
    )


def test_a_database_that_is_ahead_is_explained(database: URL, engine: Engine) -> None:
    set_revision(engine, "9999")
    assert refusal(settings_for(database)) == (
        f"The database is at version 9999, which is newer than this program knows ({NEWEST})."
        " Update billingo-assets on this machine."
    )


def test_a_database_that_is_ahead_is_not_upgraded(database: URL, engine: Engine) -> None:
    set_revision(engine, "9999")
    with pytest.raises(DatabaseError, match="newer than this program knows"):
        upgrade_database(settings_for(database))


def test_an_embedded_database_is_upgraded_when_it_is_opened() -> None:
    program = """if True:
        import sys
        from pathlib import Path
        from billingo_assets.settings import Settings
        from billingo_assets.warehouse.database import current_revision, open_database
        with open_database(Settings(home=Path(sys.argv[1]))).connect() as connection:
            print(current_revision(connection))
    """
    # A process of its own, since whoever opens an embedded database keeps it until it ends.
    with fresh_home() as home:
        shown = subprocess.run([sys.executable, "-c", program, home], check=True, stdout=subprocess.PIPE, text=True)
    assert shown.stdout.strip() == database_module.REVISIONS[-1]


def test_a_server_that_is_too_old_is_refused(database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "OLDEST_SERVER", 99)
    sentence = refusal(settings_for(database))
    assert sentence.startswith("The database server is PostgreSQL ")
    assert "99 or newer is needed. Upgrade the server, or unset BILLINGO_DATABASE_URL" in sentence


def test_a_server_of_ones_own_gets_every_table_and_is_then_ready(own_server: URL) -> None:
    assert upgrade_database(settings_for(own_server)) == (None, database_module.REVISIONS[-1])
    with connecting(open_database(settings_for(own_server))) as connection:
        assert connection.scalar(text("SELECT count(*) FROM billingo.invoices")) == 0


def test_a_wrong_password_is_told_without_it(own_server: URL) -> None:
    sentence = refusal(settings_for(own_server.set(password="nem ez az")))
    assert f"The database at 127.0.0.1:{own_server.port} (postgres) cannot be used" in sentence
    assert "password authentication failed" in sentence
    assert "nem ez az" not in sentence


def test_a_missing_database_is_named_without_the_password(own_server: URL) -> None:
    sentence = refusal(settings_for(own_server.set(database="nincs_ilyen")))
    assert "(nincs_ilyen) cannot be used" in sentence
    assert 'database "nincs_ilyen" does not exist. Check BILLINGO_DATABASE_URL' in sentence
    assert PASSWORD not in sentence


def test_a_server_that_does_not_run_is_told_without_the_password(own_server: URL) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        sentence = refusal(settings_for(own_server.set(port=nobody_listens.getsockname()[1])))
    assert "cannot be used: Connection refused." in sentence
    assert PASSWORD not in sentence


def test_a_url_without_a_database_is_told_without_one() -> None:
    sentence = refusal(settings_for(URL.create("postgresql", host="127.0.0.1", port=1)))
    assert sentence.startswith("The database at 127.0.0.1:1 cannot be used: ")


def test_an_option_that_does_not_exist_is_named_before_a_server_is_asked(own_server: URL) -> None:
    with pytest.raises(ConfigurationError, match=r"BILLINGO_DATABASE_URL has an option .* does not know: foo"):
        open_database(settings_for(own_server.update_query_dict({"sslmode": "disable", "foo": "1"})))


@pytest.fixture
def weak_role(admin: Engine) -> Iterator[str]:
    with admin.connect() as connection:
        connection.execute(text("CREATE ROLE weak"))
        yield "weak"
        connection.execute(text("DROP ROLE weak"))


def test_a_role_that_may_not_make_tables_is_told_which_right_it_takes(empty_database: URL, weak_role: str) -> None:
    settings = settings_for(empty_database.update_query_dict({"options": f"-c role={weak_role}"}))
    with pytest.raises(DatabaseError, match=r"permission denied .* GRANT CREATE ON DATABASE"):
        upgrade_database(settings)


def test_a_full_disk_that_lets_nobody_in_is_told_as_what_it_is() -> None:
    with own_server() as server, small_disk(server) as disk:
        server.run("CREATE DATABASE never_opened TABLESPACE small")
        disk.fill()
        try:
            with pytest.raises(DatabaseError, match=r"The database's disk is full\. Free some space") as told:
                open_database(settings_for(server.url.set(database="never_opened")))
            assert "could not write init file" in str(told.value.__cause__)
        finally:
            disk.empty()
            server.run("DROP DATABASE never_opened")


@pytest.mark.parametrize("use", [open_database, upgrade_database, require_tables])
def test_a_schema_that_is_something_elses_is_told_and_left_alone(
    empty_database: URL, use: Callable[[Settings], object]
) -> None:
    settings = settings_for(empty_database)
    with engine_for(empty_database, settings).begin() as connection:
        connection.execute(text("CREATE SCHEMA billingo CREATE TABLE companies (id INTEGER)"))
    with pytest.raises(DatabaseError, match="holds tables of another program"):
        use(settings)


def test_an_empty_schema_that_is_there_already_gets_the_tables(empty_database: URL) -> None:
    with engine_for(empty_database, settings_for(empty_database)).begin() as connection:
        connection.execute(text("CREATE SCHEMA billingo"))
    assert upgrade_database(settings_for(empty_database)) == (None, database_module.REVISIONS[-1])


def test_a_session_that_is_ended_becomes_a_sentence(engine: Engine) -> None:
    with pytest.raises(DatabaseError, match="cannot be used: terminating connection"), connecting(engine) as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("COPY (SELECT pg_terminate_backend(pg_backend_pid())) TO STDOUT", "cannot be used: terminating connection"),
        ("COPY nowhere FROM STDIN", "PostgreSQL refused: relation"),
    ],
)
def test_what_goes_wrong_in_a_copy_becomes_a_sentence_too(engine: Engine, statement: str, words: str) -> None:
    with (
        pytest.raises(DatabaseError, match=words),
        connecting(engine) as connection,
        connection.connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        list(copy)


def test_a_database_that_a_library_gave_up_to_reach_is_told_in_words(engine: Engine, tmp_path: Path) -> None:
    gone = create_engine(engine.url.set(query={"host": str(tmp_path)}))
    with (
        pytest.raises(DatabaseUnavailableError, match="cannot be used"),
        connecting(engine),
        connection_errors_wrapped(),
    ):
        gone.connect()


@contextmanager
def connection_errors_wrapped() -> Iterator[None]:
    """As dagster-postgres does after its last try."""
    try:
        yield
    except OperationalError as error:
        raise RuntimeError("too many retries for DB connection") from error


def test_the_shortest_statement_timeout_is_not_none_at_all(database: URL) -> None:
    settings = Settings(database_url=settings_for(database).database_url, statement_timeout_seconds=0.0001)
    with pytest.raises(DatabaseError, match="gave up a statement"), connecting(engine_for(database, settings)) as slow:
        slow.execute(text("SELECT pg_sleep(5)"))


def test_every_session_works_in_utc_within_the_statement_timeout(engine: Engine) -> None:
    with engine.connect() as connection:
        shown = [connection.scalar(text(f"SHOW {name}")) for name in ("timezone", "statement_timeout")]
    assert shown == ["UTC", "10min"]
