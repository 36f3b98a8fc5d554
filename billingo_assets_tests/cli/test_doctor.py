"""`billingo-assets doctor`: each fault in words, with what to do, and the exit code."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy import URL, Engine, text

from billingo_assets.alerts.channels import Message, open_channels
from billingo_assets.alerts.delivery import write_down
from billingo_assets.companies.registry import Company
from billingo_assets.sandbox import Fault, SandboxServer, World
from billingo_assets.sandbox.quirks import Quirks
from billingo_assets.settings import load_settings
from billingo_assets_tests.cli.conftest import Command
from billingo_assets_tests.support.sinks import MailSink, WebSink

SMALL = "ozon-bt"


@pytest.fixture
def alerted(monkeypatch: pytest.MonkeyPatch, mail: MailSink) -> MailSink:
    monkeypatch.setenv("BILLINGO_ALERT_URLS", mail.url)
    return mail


def diagnosed(command: Command) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and verdict and words of each finding by what was looked at."""
    answer = command("doctor", "--json")
    assert answer.err == ""
    findings = json.loads(answer.out)["findings"]
    return answer.code, {finding["what"]: (finding["verdict"], finding["words"]) for finding in findings}


def beat(instance: dg.DagsterInstance, **ago: int) -> None:
    """Let every part of the daemon have told that it lives just now, but for some that told so these seconds ago."""
    for name in instance.get_required_daemon_types():
        at = time.time() - ago.get(name, 0)
        instance.add_daemon_heartbeat(DaemonHeartbeat(at, name, "daemon-1", []))


@pytest.fixture
def running_daemon(instance: dg.DagsterInstance) -> None:
    beat(instance)


def test_when_all_is_well_every_finding_says_so(
    alerted: MailSink, running_daemon: None, command: Command, world: World
) -> None:
    code, found = diagnosed(command)
    assert {what: verdict for what, (verdict, _) in found.items() if verdict != "ok"} == {}
    keys = [f"API key of {company.key}" for company in world.companies]
    assert list(found) == [
        "database",
        "encryption key",
        "API",
        *sorted(keys),
        "daemon",
        "schedules and sensors",
        "alerts",
    ]
    assert code == 0


def test_each_finding_is_a_line_for_people(
    alerted: MailSink, running_daemon: None, command: Command, companies: dict[str, Company]
) -> None:
    lines = command("doctor").out.splitlines()
    assert len(lines) == 9
    assert all(line.startswith("ok       ") for line in lines)


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's `.env`, which is not there yet."""
    monkeypatch.setattr("billingo_assets.project.project_root", lambda: tmp_path)
    return tmp_path / ".env"


@pytest.mark.parametrize(
    "line",
    [
        "BILLINGO_ALERT_URLS=mailtos://user:password@smtp.example.com?to=you@example.com",
        "billingo_database_url='postgresql://user:password@host/billingo'",
        "export BILLINGO_ENCRYPTION_KEYS=one,two",
    ],
)
def test_a_dotenv_file_whose_secrets_others_can_read_is_a_warning(command: Command, dotenv: Path, line: str) -> None:
    dotenv.write_text(f"{line}\n")
    for mode in (0o644, 0o604, 0o640):
        dotenv.chmod(mode)
        verdict, words = diagnosed(command)[1][".env"]
        assert verdict == "warning"
        assert f"chmod 600 '{dotenv}'" in words
    dotenv.chmod(0o600)
    assert ".env" not in diagnosed(command)[1]


def test_a_dotenv_file_that_shows_nobody_a_secret_is_none(command: Command, dotenv: Path) -> None:
    dotenv.write_text(
        "BILLINGO_DATABASE_URL=postgresql://user@host/billingo\nBILLINGO_ALERT_URLS=\nBILLINGO_TIMEZONE=UTC\n"
    )
    dotenv.chmod(0o644)
    assert ".env" not in diagnosed(command)[1]
    if os.geteuid() == 0:  # a service's, which reads it by its group
        dotenv.write_text("BILLINGO_ENCRYPTION_KEYS=one,two\n")
        os.chown(dotenv, 65_534, 65_534)
        dotenv.chmod(0o640)
        assert ".env" not in diagnosed(command)[1]


def test_a_database_without_tables_is_a_fault_and_the_rest_is_left_out(
    command: Command, empty_database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", empty_database.render_as_string(hide_password=False))
    code, found = diagnosed(command)
    assert (code, list(found), found["database"][0]) == (2, ["database"], "fault")
    assert "billingo-assets database upgrade" in found["database"][1]


def test_a_database_that_cannot_be_reached_is_a_fault(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLINGO_DATABASE_URL", "postgresql://127.0.0.1:1/books")
    code, found = diagnosed(command)
    assert (code, found["database"][0]) == (2, "fault")


@pytest.mark.parametrize("harm", ["readable by all", "missing"])
def test_an_encryption_key_that_cannot_be_used_is_a_fault_and_the_rest_is_looked_at(
    command: Command, companies: dict[str, Company], instance: dg.DagsterInstance, harm: str
) -> None:
    path = load_settings().home / "encryption.key"
    if harm == "missing":
        path.unlink()
    else:
        path.chmod(0o644)
    code, found = diagnosed(command)
    assert (code, found["encryption key"][0], found["database"][0]) == (2, "fault", "ok")
    assert "encryption" in found["encryption key"][1]
    assert {"API", "daemon", "schedules and sensors", "alerts"} <= found.keys()
    assert not any(what.startswith("API key") for what in found)


def test_an_api_that_cannot_be_reached_is_a_fault_and_no_key_is_tried(
    command: Command, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_API_URL", "http://127.0.0.1:1/v3")
    code, found = diagnosed(command)
    assert (code, found["API"][0]) == (2, "fault")
    assert "http://127.0.0.1:1/v3 cannot be reached" in found["API"][1]
    assert not any(what.startswith("API key") for what in found)


def test_an_api_that_no_company_uses_is_not_asked(
    command: Command, instance: dg.DagsterInstance, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_API_URL", "http://127.0.0.1:1/v3")
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.companies SET is_demo = true"))
    _, found = diagnosed(command)
    assert found["API"] == ("ok", "Not asked: every company is of the demo, whose API `sync` and `dev` serve.")
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.companies SET is_demo = false WHERE key = 'ozon-bt'"))
    _, found = diagnosed(command)
    assert found["API"][0] == "fault"


def test_an_api_that_is_in_trouble_is_a_fault_and_no_key_is_tried(
    command: Command, instance: dg.DagsterInstance, sandbox: SandboxServer
) -> None:
    sandbox.faults.add(Fault(kind="status", status=503, times=None))
    _, found = diagnosed(command)
    assert found["API"] == ("fault", f"{sandbox.url} answers 503: it is down. Try again later.")
    assert not any(what.startswith("API key") for what in found)


@pytest.mark.parametrize(("seconds", "verdict"), [(-600, "warning"), (600, "warning"), (60, "ok")])
def test_clocks_that_differ_by_minutes_are_a_warning(
    command: Command, instance: dg.DagsterInstance, sandbox: SandboxServer, seconds: int, verdict: str
) -> None:
    sandbox.faults.quirks = Quirks(clock_skew_seconds=seconds)
    _, found = diagnosed(command)
    assert found["API"][0] == verdict


def test_a_key_that_was_revoked_is_a_fault_of_its_company_alone(
    command: Command, instance: dg.DagsterInstance, world: World
) -> None:
    world.company(SMALL).replace_api_key("00000000-0000-4000-8000-000000000000")
    code, found = diagnosed(command)
    verdicts = {what: verdict for what, (verdict, _) in found.items() if what.startswith("API key")}
    assert (code, [what for what, verdict in verdicts.items() if verdict == "fault"]) == (2, [f"API key of {SMALL}"])
    assert "set-key" in found[f"API key of {SMALL}"][1]


def test_a_key_that_opens_other_books_is_a_fault(
    command: Command, instance: dg.DagsterInstance, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.companies SET tax_code = '99999999-2-99' WHERE key = 'ozon-bt'"))
    _, found = diagnosed(command)
    assert found[f"API key of {SMALL}"][0] == "fault"
    assert "opens the books of" in found[f"API key of {SMALL}"][1]


def test_the_key_of_a_disabled_company_is_not_tried(
    command: Command, instance: dg.DagsterInstance, world: World
) -> None:
    command("company", "disable", SMALL)
    _, found = diagnosed(command)
    assert f"API key of {SMALL}" not in found


def test_without_a_company_the_next_step_is_told(command: Command, sandbox: SandboxServer, database: URL) -> None:
    code, found = diagnosed(command)
    assert (code, found["companies"][0], "company add" in found["companies"][1]) == (1, "warning", True)


def test_a_daemon_that_does_not_run_is_a_warning_since_cron_may_do_its_work(
    alerted: MailSink, command: Command, instance: dg.DagsterInstance
) -> None:
    code, found = diagnosed(command)
    assert (code, found["daemon"][0]) == (1, "warning")
    assert "billingo-assets dev" in found["daemon"][1]


def test_a_daemon_that_ended_minutes_ago_does_not_run(
    alerted: MailSink,
    command: Command,
    companies: dict[str, Company],
    instance: dg.DagsterInstance,
    web: WebSink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BILLINGO_HEARTBEAT_URL", web.heartbeat_url)
    beat(instance, **dict.fromkeys(instance.get_required_daemon_types(), 150))
    code, found = diagnosed(command)
    assert (code, found["daemon"][0], len(web.gets)) == (1, "warning", 0)


def test_a_part_of_the_daemon_that_is_busy_for_minutes_runs(
    alerted: MailSink, command: Command, companies: dict[str, Company], instance: dg.DagsterInstance
) -> None:
    beat(instance, SENSOR=900)
    assert diagnosed(command)[1]["daemon"] == ("ok", "It runs.")


def test_a_part_of_the_daemon_that_sleeps_is_a_fault(
    alerted: MailSink, command: Command, instance: dg.DagsterInstance
) -> None:
    beat(instance, SCHEDULER=3_600)
    code, found = diagnosed(command)
    assert (code, found["daemon"]) == (2, ("fault", "A part of it does not run: scheduler. Start it again."))


def remember(instance: dg.DagsterInstance, name: str, status: InstigatorStatus) -> InstigatorState:
    """Let the daemon have noted how a schedule is."""
    target = LoadableTargetOrigin(module_name="billingo_assets.definitions")
    repository = RemoteRepositoryOrigin(InProcessCodeLocationOrigin(target), "__repository__")
    origin = RemoteInstigatorOrigin(repository, name)
    data = ScheduleInstigatorData("0 2 * * *")
    return instance.add_instigator_state(InstigatorState(origin, InstigatorType.SCHEDULE, status, data))


def test_a_tick_that_failed_is_told_while_the_daemon_runs(
    alerted: MailSink, command: Command, instance: dg.DagsterInstance
) -> None:
    daily = remember(instance, "daily", InstigatorStatus.RUNNING)
    failure = SerializableErrorInfo("OSError: No space is left\non the disk", [], "OSError")
    instance.create_tick(
        TickData(
            daily.instigator_origin_id,
            "daily",
            InstigatorType.SCHEDULE,
            TickStatus.FAILURE,
            datetime(2026, 7, 1, tzinfo=UTC).timestamp(),
            selector_id=daily.selector_id,
            error=failure,
        )
    )
    assert "schedule daily" not in diagnosed(command)[1]
    beat(instance)
    code, found = diagnosed(command)
    words = (
        "Its last tick, at 2026-07-01 02:00, failed: OSError: No space is left. The UI has all of it, under Automation."
    )
    assert (code, found["schedule daily"]) == (2, ("fault", words))


def test_a_schedule_that_somebody_switched_off_is_a_warning_by_its_name(
    alerted: MailSink, running_daemon: None, command: Command, instance: dg.DagsterInstance
) -> None:
    for name, status in (("daily", InstigatorStatus.STOPPED), ("weekly", InstigatorStatus.RUNNING)):
        remember(instance, name, status)
    code, found = diagnosed(command)
    assert (code, found["schedules and sensors"][0]) == (1, "warning")
    assert found["schedules and sensors"][1].startswith("Switched off: daily. Switch")


def test_without_a_channel_it_is_said_that_nobody_is_told(
    running_daemon: None, command: Command, companies: dict[str, Company]
) -> None:
    code, found = diagnosed(command)
    assert (code, found["alerts"]) == (1, ("warning", "Failures are reported to nobody. Set BILLINGO_ALERT_URLS."))


def test_a_channel_that_cannot_be_used_is_a_fault(
    command: Command, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_ALERT_URLS", "carrier-pigeon://loft")
    code, found = diagnosed(command)
    assert (code, found["alerts"][0]) == (2, "fault")
    assert "BILLINGO_ALERT_URLS: URL 1 cannot be used" in found["alerts"][1]


@pytest.fixture
def waiting(alerted: MailSink, instance: dg.DagsterInstance, engine: Engine) -> Engine:
    """Two messages were written down a moment ago."""
    load_settings.cache_clear()
    with engine.begin() as connection:
        write_down(connection, [Message("error", "It broke.", "")] * 2, open_channels(load_settings()).usable)
    return engine


def test_messages_that_wait_for_their_first_try_are_no_fault(command: Command, waiting: Engine) -> None:
    assert diagnosed(command)[1]["alerts"][0] == "ok"


@pytest.mark.parametrize(
    "since",
    [
        "UPDATE billingo.alert_messages SET created_at = created_at - interval '3 minutes'",
        "UPDATE billingo.alert_deliveries SET attempts = 1",
    ],
    ids=["for minutes", "after a try"],
)
def test_messages_that_wait_for_long_or_were_refused_are_a_fault(command: Command, waiting: Engine, since: str) -> None:
    with waiting.begin() as connection:
        connection.execute(text(since))
    code, found = diagnosed(command)
    assert (code, found["alerts"][0]) == (2, "fault")
    assert found["alerts"][1].startswith("2 messages could not be delivered yet.")


def test_a_heartbeat_url_is_tried_while_the_daemon_runs(
    command: Command, instance: dg.DagsterInstance, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_HEARTBEAT_URL", web.heartbeat_url)
    assert diagnosed(command)[1]["heartbeat"][0] == "ok"
    assert web.gets == []
    beat(instance)
    assert diagnosed(command)[1]["heartbeat"] == ("ok", "The URL answers.")
    web.status = 404
    code, found = diagnosed(command)
    told = "The heartbeat URL answered 404. Check BILLINGO_HEARTBEAT_URL."
    assert (code, found["heartbeat"], len(web.gets)) == (2, ("fault", told), 2)
