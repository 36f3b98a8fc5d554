"""`billingo-assets alert history`: which alerts were sent, and why each was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from billingo_assets.alerts.channels import open_channels
from billingo_assets.alerts.decisions import Audience, Subject
from billingo_assets.alerts.delivery import deliver, write_down
from billingo_assets.alerts.outages import prune_outages, update_outages
from billingo_assets.companies.registry import Company
from billingo_assets.health.rules import RUN_FAILED, Problem
from billingo_assets.settings import load_settings
from billingo_assets_tests.cli.conftest import Command
from billingo_assets_tests.support.sinks import WebSink

SMALL, OTHER = "ozon-bt", "arvizturo"
REVOKED = Problem(RUN_FAILED, "error", f"{RUN_FAILED}:CredentialsError", "401: store a new key.", "run-1")
LAST_NIGHT = datetime.now(UTC) - timedelta(hours=8)


@pytest.fixture
def sent(engine: Engine, companies: dict[str, Company], web: WebSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """One company failed last night and works again; another one fails since; the channel is down by now."""
    monkeypatch.setenv("BILLINGO_ALERT_URLS", web.url)
    load_settings.cache_clear()
    channels = open_channels(load_settings()).usable
    small, other = companies[SMALL], companies[OTHER]
    wanted = {company.id: company for company in (small, other)}
    for minute, problems in enumerate(({SMALL: [REVOKED]}, {}, {OTHER: [REVOKED]})):
        now = LAST_NIGHT + timedelta(minutes=minute)
        web.status = 503 if OTHER in problems else 200
        with engine.connect() as connection:
            with connection.begin():
                subjects = [Subject(one, problems.get(one.key, [])) for one in (small, other)]
                messages = update_outages(connection, subjects, now, audience=Audience(wanted, False, ""))
                write_down(connection, messages, channels)
            deliver(connection, channels)


def test_each_alert_says_which_company_what_since_when_and_who_received_it(command: Command, sent: None) -> None:
    shown = command("alert", "history").out
    lines = shown.splitlines()
    heads = [line[18:] for line in lines if not line.startswith(" ")]
    assert heads == [
        f"error: {OTHER}: the sync failed",
        f"recovery: {SMALL} works again",
        f"error: {SMALL}: the sync failed",
    ]
    assert [line for line in lines if "received" in line] == [
        "  0 channels received it, 1 not yet",
        "  1 channel received it",
        "  1 channel received it",
    ]
    assert f"  {OTHER}: run_failed, from " in shown
    assert shown.count("401: store a new key.") == 3


def test_the_alerts_of_one_company_are_shown_alone(command: Command, sent: None) -> None:
    alerts = json.loads(command("alert", "history", "--company", SMALL, "--json").out)["alerts"]
    assert [alert["severity"] for alert in alerts] == ["recovery", "error"]
    (reason,) = alerts[0]["reasons"]
    assert (reason["company"], reason["run_id"]) == (SMALL, "run-1")
    assert datetime.fromisoformat(reason["ended_at"]) - datetime.fromisoformat(reason["since"]) == timedelta(minutes=1)


def test_the_newest_alerts_come_first_and_older_ones_can_be_left_out(command: Command, sent: None) -> None:
    assert command("alert", "history", "--limit", "1").out.startswith(f"{datetime.now(UTC):%Y-%m-}")
    assert len(json.loads(command("alert", "history", "--limit", "1", "--json").out)["alerts"]) == 1


def test_an_alert_about_no_company_names_the_pipeline_as_its_message_does(
    command: Command, engine: Engine, companies: dict[str, Company], web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_ALERT_URLS", web.url)
    load_settings.cache_clear()
    job = Problem("job:prune_history", "warning", "job:prune_history", "prune_history: It broke off.", "run-1")
    with engine.begin() as connection:
        audience = Audience({}, False, "")
        (message,) = update_outages(connection, [Subject(None, [job])], LAST_NIGHT, audience=audience)
        write_down(connection, [message], open_channels(load_settings()).usable)
    assert message.body.startswith("billingo_assets itself\n")
    assert "  billingo_assets itself: job:prune_history, from " in command("alert", "history").out


def test_where_there_is_none_it_says_so(command: Command, companies: dict[str, Company]) -> None:
    assert command("alert", "history").out == "No matching alerts.\n"
    answer = command("alert", "history", "--company", "ozon")
    assert (answer.code, f"Did you mean {SMALL}?" in answer.err) == (2, True)


def test_an_alert_whose_outage_was_pruned_is_shown_without_a_reason(
    command: Command, engine: Engine, sent: None
) -> None:
    with engine.begin() as connection:
        prune_outages(connection, LAST_NIGHT + timedelta(hours=1))
    alerts = json.loads(command("alert", "history", "--json").out)["alerts"]
    assert [len(alert["reasons"]) for alert in alerts] == [1, 0, 0]
