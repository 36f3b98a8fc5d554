"""One sync a company at a time: who waits, for how long, for whom, and when the lock is free again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from billingo_assets.warehouse.database import APPLICATION_NAME
from billingo_assets.warehouse.locks import CompanyBusyError, company_lock, run_is_alive, showing_run_alive
from billingo_assets_tests.support.patience import PATIENCE_SECONDS, until


def lock(
    connection: Connection, company_id: int = 1, *, by: str = "run other", wait_seconds: float = 0
) -> AbstractContextManager[None]:
    return company_lock(connection, company_id, company="proba", by=by, wait_seconds=wait_seconds)


@pytest.fixture
def holder(engine: Engine) -> Iterator[Connection]:
    """A session; the tests let it hold the lock as run 1f0c."""
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def other(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def await_a_waiting_session(engine: Engine) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        until(lambda: connection.scalar(waiting) or None, what="a session that waits")


def test_a_second_session_is_told_which_run_holds_the_company(holder: Connection, other: Connection) -> None:
    with (
        lock(holder, by="run 1f0c"),
        pytest.raises(CompanyBusyError, match=r"^proba is in use by run 1f0c\. Wait"),
        lock(other),
    ):
        pass


def test_it_gives_up_after_the_seconds_it_was_to_wait(holder: Connection, other: Connection) -> None:
    started = time.monotonic()
    with lock(holder), pytest.raises(CompanyBusyError), lock(other, wait_seconds=0.3):
        pass
    assert 0.3 <= time.monotonic() - started < 15


def test_who_waits_gets_the_lock_when_it_is_released(engine: Engine, holder: Connection, other: Connection) -> None:
    def wait() -> str:
        with lock(other, wait_seconds=PATIENCE_SECONDS):
            return "held"

    with ThreadPoolExecutor(1) as threads:
        with lock(holder):
            waiting = threads.submit(wait)
            await_a_waiting_session(engine)
            assert not waiting.done()
        assert waiting.result(timeout=PATIENCE_SECONDS) == "held"


def test_two_companies_do_not_block_one_another(holder: Connection, other: Connection) -> None:
    with lock(holder, 1), lock(other, 2):
        assert other.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 2


def test_an_error_inside_releases_the_lock(holder: Connection, other: Connection) -> None:
    with pytest.raises(ZeroDivisionError), lock(holder):
        _ = 1 / 0
    with lock(other):
        pass


def test_an_open_transaction_inside_does_not_keep_the_lock(holder: Connection, other: Connection) -> None:
    with lock(holder):
        holder.execute(text("SELECT 1"))
    with lock(other):
        pass


def end_session(connection: Connection, *, by: Connection) -> None:
    backend = connection.scalar(text("SELECT pg_backend_pid()"))
    connection.rollback()
    by.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
    by.rollback()


def test_a_session_that_dies_lets_the_next_one_in(holder: Connection, other: Connection) -> None:
    let_in = False
    with suppress(OperationalError), lock(holder):
        end_session(holder, by=other)
        with lock(other, wait_seconds=10):
            let_in = True
    assert let_in


def test_a_session_that_dies_unnoticed_fails_when_it_gives_the_lock_back(holder: Connection, other: Connection) -> None:
    with pytest.raises(OperationalError, match="terminating connection"), lock(holder):
        end_session(holder, by=other)


def test_a_session_gives_its_run_back_with_the_lock(holder: Connection) -> None:
    shown = text("SHOW application_name")
    with lock(holder, by="run 1f0c"):
        assert holder.scalar(shown) == "run 1f0c"
    assert holder.scalar(shown) == APPLICATION_NAME


def test_the_wait_for_the_lock_does_not_shorten_later_waits(holder: Connection) -> None:
    with lock(holder, wait_seconds=1):
        assert holder.scalar(text("SHOW lock_timeout")) == "0"


def test_a_limit_on_statements_does_not_end_the_wait_without_a_word(holder: Connection, other: Connection) -> None:
    with other.begin():
        other.execute(text("SET statement_timeout = '100ms'"))
    with lock(holder, by="run 1f0c"), pytest.raises(CompanyBusyError, match="run 1f0c"), lock(other, wait_seconds=0.4):
        pass
    with other.begin():
        assert other.scalar(text("SHOW statement_timeout")) == "100ms"


def test_a_run_is_alive_for_as_long_as_a_session_shows_it(holder: Connection, other: Connection) -> None:
    assert not run_is_alive(other, "run-1")
    with showing_run_alive(holder, "run-1"):
        assert (run_is_alive(other, "run-1"), run_is_alive(other, "run-2")) == (True, False)
    assert not run_is_alive(other, "run-1")


def test_a_run_that_two_sessions_show_is_alive_until_both_have_ended(
    holder: Connection, other: Connection, engine: Engine
) -> None:
    with engine.connect() as asking, showing_run_alive(holder, "run-1"):
        with showing_run_alive(other, "run-1"):
            assert run_is_alive(asking, "run-1")
        assert run_is_alive(asking, "run-1")


def test_to_ask_whether_a_run_is_alive_does_not_make_it_so(other: Connection, engine: Engine) -> None:
    with engine.connect() as asking:
        assert [run_is_alive(asking, "run-1"), run_is_alive(other, "run-1")] == [False, False]


def test_a_run_dies_with_the_session_that_shows_it(engine: Engine, other: Connection) -> None:
    with engine.connect() as dying, showing_run_alive(dying, "run-1"):
        pid = dying.scalar(text("SELECT pg_backend_pid()"))
        dying.rollback()
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        other.rollback()
        assert not run_is_alive(other, "run-1")


def test_the_lock_of_a_company_is_no_sign_of_life_of_a_run(holder: Connection, other: Connection) -> None:
    with lock(holder, by="run run-1"):
        assert not run_is_alive(other, "run-1")
