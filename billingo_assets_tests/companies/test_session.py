"""What a run holds in the database, how long, and what becomes of it when the connection is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.companies.session import RunSession, changing_company, connected
from billingo_assets.errors import DatabaseUnavailableError, NotToBeSyncedError
from billingo_assets.settings import Settings, load_settings
from billingo_assets.warehouse.locks import CompanyBusyError, company_lock, run_is_alive

KEY = "it-cardigan"
RUN_ID = "1f0c"


@pytest.fixture
def company(engine: Engine) -> Company:
    with engine.begin() as connection:
        keyring = registry.keyring_for(connection, load_settings())
        return registry.add_company(
            connection, key=KEY, name="IT", tax_code=None, api_key_encrypted=keyring.encrypt(SecretStr("word"))
        )


@pytest.fixture
def settings(company: Company) -> Settings:
    """Those of the test's database, in which the company is registered."""
    return load_settings()


@pytest.fixture
def other(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def is_free(other: Connection, company: Company) -> bool:
    try:
        with company_lock(other, company.id, company=KEY, by="run other", wait_seconds=0):
            return True
    except CompanyBusyError:
        return False


def end_session(other: Connection, connection: Connection) -> None:
    """Let the server end a session, as when it restarts."""
    pid = connection.scalar(text("SELECT pg_backend_pid()"))
    connection.rollback()
    other.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": pid})
    other.rollback()


def fail_after(_done: object) -> None:
    raise ZeroDivisionError


def disable(other: Connection) -> None:
    with other.begin():
        registry.change_company(other, KEY, enabled=False)


def test_a_run_keeps_its_company_from_the_first_block_to_its_own_end(
    settings: Settings, other: Connection, company: Company
) -> None:
    with RunSession(RUN_ID) as session:
        assert is_free(other, company)
        with session.locked_company(KEY, settings) as first:
            assert first.company == company
        assert not is_free(other, company)
        with session.locked_company(KEY, settings) as second:
            assert second.connection is first.connection
    assert is_free(other, company)


def test_a_run_sees_what_became_of_its_company_between_two_blocks(settings: Settings, other: Connection) -> None:
    with RunSession(RUN_ID) as session:
        with session.locked_company(KEY, settings):
            pass
        with other.begin():
            registry.change_company(other, KEY, schedule="weekly")
        with session.locked_company(KEY, settings) as opened:
            assert opened.company.schedule == "weekly"


def test_a_run_is_shown_alive_until_its_session_ends(settings: Settings, other: Connection) -> None:
    with RunSession(RUN_ID) as session:
        assert not run_is_alive(other, RUN_ID)
        session.show_alive(settings)
        assert run_is_alive(other, RUN_ID)
    assert not run_is_alive(other, RUN_ID)


def test_a_run_that_fails_gives_up_all_that_it_holds(settings: Settings, other: Connection, company: Company) -> None:
    session = RunSession(RUN_ID)
    with pytest.raises(ZeroDivisionError), session, session.locked_company(KEY, settings):
        fail_after(session.show_alive(settings))
    assert (run_is_alive(other, RUN_ID), is_free(other, company)) == (False, True)


def test_a_lock_that_is_lost_between_two_blocks_is_taken_again_by_the_block_after_the_one_that_notices(
    settings: Settings, other: Connection, company: Company
) -> None:
    with RunSession(RUN_ID) as session:
        with session.locked_company(KEY, settings) as first:
            end_session(other, first.connection)
        with pytest.raises(DatabaseUnavailableError), session.locked_company(KEY, settings):
            pass  # it is noticed here
        assert is_free(other, company)
        with session.locked_company(KEY, settings) as second:
            assert second.connection is not first.connection
            assert not is_free(other, company)
    assert is_free(other, company)


def test_a_connection_that_is_lost_within_a_block_is_said_in_words(settings: Settings) -> None:
    with (
        RunSession(RUN_ID) as session,
        pytest.raises(DatabaseUnavailableError, match="cannot be used"),
        session.locked_company(KEY, settings) as opened,
    ):
        opened.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_a_company_that_is_disabled_is_refused_unless_a_person_named_it(settings: Settings, other: Connection) -> None:
    disable(other)
    with RunSession(RUN_ID) as session:
        with pytest.raises(NotToBeSyncedError), session.locked_company(KEY, settings):
            pass
        with session.locked_company(KEY, settings, disabled_too=True) as opened:
            assert not opened.company.enabled


def test_a_run_that_has_begun_goes_on_although_its_company_is_disabled(settings: Settings, other: Connection) -> None:
    with RunSession(RUN_ID) as session:
        with session.locked_company(KEY, settings):
            disable(other)
        with session.locked_company(KEY, settings) as opened:
            assert not opened.company.enabled


def test_who_changes_a_company_keeps_runs_out_and_is_named_to_them(
    settings: Settings, other: Connection, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_LOCK_WAIT_SECONDS", "0")
    load_settings.cache_clear()
    with (
        changing_company(other, company, load_settings(), by="`billingo-assets company remove`"),
        RunSession(RUN_ID) as session,
        pytest.raises(CompanyBusyError, match=f"^{KEY} is in use by `billingo-assets company remove`. Wait"),
        session.locked_company(KEY, load_settings()),
    ):
        pass


def test_what_changes_a_company_is_one_transaction(settings: Settings, other: Connection, company: Company) -> None:
    with pytest.raises(ZeroDivisionError), changing_company(other, company, settings, by="company remove"):
        fail_after(registry.change_company(other, KEY, enabled=False))
    with connected(settings) as connection:
        assert registry.get_company(connection, KEY).enabled
