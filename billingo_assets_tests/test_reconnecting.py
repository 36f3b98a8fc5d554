"""What Dagster's processes log of an outage of PostgreSQL; that services outlive one is tested with real ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import Engine, text

from billingo_assets import reconnecting
from billingo_assets.errors import DatabaseUnavailableError

reconnecting.install()
log = logging.getLogger("dagster.daemon.SensorDaemon")


@pytest.fixture(autouse=True)
def _no_outage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end with a PostgreSQL that answers, and did for a while."""
    reconnecting.end_outage()
    monkeypatch.setattr(reconnecting, "AFTERMATH_SECONDS", 0)
    yield
    reconnecting.end_outage()


def fail(error: Exception) -> None:
    try:
        raise error
    except type(error):
        log.exception("Failed to add heartbeat:")


def test_an_outage_is_logged_when_it_begins_and_when_it_ends_and_not_between(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        reconnecting.begin_outage(DatabaseUnavailableError("connection refused"))
        fail(DagsterPostgresException("too many retries for DB connection"))
    for _ in range(3):
        reconnecting.end_outage()
    shown = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert shown == [
        "PostgreSQL does not answer: connection refused. This process keeps trying until it does.",
        "PostgreSQL answers again, after 0 seconds. This process goes on by itself.",
    ]


def test_another_error_during_an_outage_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    reconnecting.begin_outage(DatabaseUnavailableError("connection refused"))
    fail(ValueError("a mistake of ours"))
    (record,) = [record for record in caplog.records if record.name == log.name]
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)


def test_an_outage_that_another_process_noticed_is_logged_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    fail(DagsterPostgresException("too many retries for DB connection"))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert logging.Formatter().format(record) == (
        "Failed to add heartbeat: dagster_postgres.utils.DagsterPostgresException: too many retries for DB connection"
    )


def test_a_record_that_is_made_of_its_fields_stays_as_it_is() -> None:
    record = logging.makeLogRecord({"levelno": logging.ERROR, "msg": "DagsterPostgresException"})
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "DagsterPostgresException")


def test_a_connection_that_the_server_has_cut_is_replaced_unnoticed(
    instance: dg.DagsterInstance, engine: Engine
) -> None:
    assert instance.get_runs_count() == 0
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert instance.get_runs_count() == 0
