"""What Dagster's processes log of an outage of PostgreSQL; that services outlive one is tested with real ones."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import Engine, text

from billingo_assets.dagster_support import reconnecting
from billingo_assets.dagster_support.instance import open_instance
from billingo_assets.errors import DatabaseUnavailableError
from billingo_assets.settings import load_settings
from billingo_assets_tests.support.own_server import TEMPLATE, own_server
from billingo_assets_tests.support.patience import until

reconnecting.install()
log = logging.getLogger("dagster.daemon.SensorDaemon")


@pytest.fixture(autouse=True)
def _no_outage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end as the daemon, with a PostgreSQL that answers, and did for a while."""
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "dagster._daemon", "run"])
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
        "PostgreSQL does not answer: connection refused. The daemon keeps trying until it does.",
        "PostgreSQL answers again, after 0 seconds. The daemon continues.",
    ]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["python", "-m", "billingo_assets.dagster_support.webserver", "--port", "3000"], "The UI"),
        (["python", "/env/bin/dagster-daemon", "run"], "The daemon"),
        (["python", "-m", "dagster", "api", "grpc", "--heartbeat"], None),
        (["python", "-c", "from multiprocessing.spawn import spawn_main", "--multiprocessing-fork"], None),
        (["python", "/env/bin/billingo-assets", "sync"], None),
    ],
)
def test_only_the_ui_and_the_daemon_log_an_outage(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, words: list[str], name: str | None
) -> None:
    monkeypatch.setattr(sys, "orig_argv", words)
    reconnecting.begin_outage(DatabaseUnavailableError("The database cannot be used. Check it."))
    reconnecting.end_outage()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO] == (
        []
        if name is None
        else [
            f"PostgreSQL does not answer: The database cannot be used. Check it. {name} keeps trying until it does.",
            f"PostgreSQL answers again, after 0 seconds. {name} continues.",
        ]
    )


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


@pytest.mark.parametrize("order", [("redaction", "reconnecting"), ("reconnecting", "redaction")])
def test_records_are_quiet_in_an_outage_and_hold_no_secret_whichever_is_installed_first(
    order: tuple[str, str],
) -> None:
    program = f"""
import logging
from billingo_assets import redaction
from billingo_assets.dagster_support import reconnecting
{order[0]}.install()
{order[1]}.install()
redaction.remember("correct horse battery")
reconnecting.begin_outage(reconnecting.DatabaseUnavailableError("connection refused"))
logging.warning("OperationalError")
logging.warning("The secret is correct horse battery.")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines() == ["The secret is ***."]


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


@dg.job
def watched() -> None:
    """A run to look at."""


def test_the_page_of_a_run_shows_after_an_outage_what_comes_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    with own_server() as server, tempfile.TemporaryDirectory() as home:
        url = server.url.set(database=TEMPLATE).render_as_string(hide_password=False)
        monkeypatch.setenv("BILLINGO_DATABASE_URL", url)
        monkeypatch.setenv("BILLINGO_HOME", str(Path(home)))
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        load_settings.cache_clear()
        with open_instance(load_settings()) as instance:
            run = instance.create_run_for_job(watched)
            instance.watch_event_logs(run.run_id, None, lambda event, _: seen.append(event.message))
            server.stop()
            # dagster-postgres tries six times before it gives up: a seventh is of the next look at the run.
            until(lambda: caplog.text.count("Retrying failed database connection") > 6 or None, what="a second look")
            server.start()
            instance.report_engine_event("It goes on.", run)
            until(lambda: "It goes on." in "".join(seen) or None, what="the event")
    load_settings.cache_clear()
