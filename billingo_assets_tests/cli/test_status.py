"""`billingo-assets status`: how every company is, in words, as JSON, and as an exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import URL, Engine, text

from billingo_assets.companies.registry import Company
from billingo_assets.sandbox.world import World
from billingo_assets_tests.cli.conftest import Answer, Command

SMALL, LARGE = "ozon-bt", "arvizturo"


@pytest.fixture
def synced(command: Command, companies: dict[str, Company]) -> None:
    command("sync")


@pytest.fixture
def alone(command: Command, companies: dict[str, Company], engine: Engine) -> None:
    """The small company was synced, and the others are disabled."""
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE billingo.companies SET enabled = key = '{SMALL}'"))
    command("sync")


def states(answer: Answer) -> dict[str, Any]:
    told = json.loads(answer.out)
    return {company["key"]: company for company in told["companies"]}


def let_time_pass(engine: Engine, hours: int) -> None:
    """Let the small company have been added and synced so much earlier."""
    earlier = {"hours": hours, "key": SMALL}
    with engine.begin() as connection:
        for change in (
            "companies SET expected_since = expected_since - :hours * interval '1 hour' WHERE key = :key",
            "sync_state SET synced_at = synced_at - :hours * interval '1 hour'"
            " WHERE company_id = (SELECT id FROM billingo.companies WHERE key = :key)",
        ):
            connection.execute(text(f"UPDATE billingo.{change}"), earlier)


def test_all_is_green_after_a_sync(synced: None, command: Command, world: World) -> None:
    answer = command("status", "--json")
    assert answer.code == 0
    told = json.loads(answer.out)
    assert told["summary"] == {"green": 3, "yellow": 0, "red": 0, "disabled": 0}
    company = states(answer)[SMALL]
    assert (company["status"], company["schedule"], company["problems"]) == ("green", "daily", [])
    assert (company["documents"], company["rejections"]) == (world.company(SMALL).ledger().documents, 0)
    assert company["last_sync"] < company["next_sync"]


def test_the_table_fits_a_terminal_and_is_in_local_time(synced: None, command: Command, world: World) -> None:
    answer = command("status")
    assert answer.out.splitlines()[0].split() == [
        "company", "state", "last", "sync", "next", "sync", "documents", "rejected",
    ]  # fmt: skip
    assert max(len(line) for line in answer.out.splitlines()) <= 80
    assert all(f"{company.key} " in answer.out for company in world.companies)
    assert answer.out.count(" 02:00 ") == 3


def test_a_long_key_has_a_line_of_its_own_and_all_else_stays_in_its_column(
    alone: None, command: Command, engine: Engine
) -> None:
    long = "a-company-whose-key-is-as-long-as-the-name-that-it-was-made-from"
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE billingo.companies SET key = '{long}' WHERE key = '{LARGE}'"))
    lines = command("status").out.splitlines()
    assert max(len(line) for line in lines) <= 80
    place = lines.index(long)
    assert lines[place + 1].index("disabled") == lines[0].index("state")


@pytest.mark.parametrize(("hours", "code", "color"), [(30, 1, "yellow"), (60, 2, "red")])
def test_a_company_that_is_not_synced_is_an_exit_code(
    alone: None, command: Command, engine: Engine, hours: int, code: int, color: str
) -> None:
    let_time_pass(engine, hours)
    answer = command("status", "--json")
    assert (answer.code, states(answer)[SMALL]["status"], states(answer)[LARGE]["status"]) == (code, color, "disabled")
    (problem,) = states(answer)[SMALL]["problems"]
    assert (problem["kind"], problem["severity"]) == ("stale", "warning" if code == 1 else "error")


def test_a_failed_sync_is_red_and_says_what_to_do(alone: None, command: Command, world: World) -> None:
    world.company(SMALL).replace_api_key("00000000-0000-4000-8000-000000000000")
    command("sync", SMALL)
    answer = command("status")
    assert answer.code == 2
    assert "  error: " in answer.out
    assert "company set-key" in answer.out


def test_documents_in_quarantine_are_yellow_and_counted(alone: None, command: Command, world: World) -> None:
    world.company(SMALL).add_raw({"id": "seven"})
    command("sync", SMALL, "--full")
    answer = command("status", "--json")
    assert (answer.code, states(answer)[SMALL]["rejections"]) == (1, 1)


def test_a_company_without_an_api_key_is_red(alone: None, command: Command, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.companies SET api_key_encrypted = NULL"))
    assert command("status").code == 2


def test_companies_that_were_never_synced_are_yellow(command: Command, companies: dict[str, Company]) -> None:
    answer = command("status")
    assert (answer.code, answer.out.count("Not synced yet.")) == (1, 3)


def test_a_disabled_company_does_no_harm_to_the_exit_code(alone: None, command: Command, engine: Engine) -> None:
    let_time_pass(engine, 60)
    command("company", "disable", SMALL)
    answer = command("status", "--json")
    assert (answer.code, states(answer)[SMALL]["status"], states(answer)[SMALL]["next_sync"]) == (0, "disabled", None)
    assert "Disabled." in command("status").out


def test_a_rhythm_that_stays_as_it_was_makes_no_company_look_less_stale(
    alone: None, command: Command, engine: Engine
) -> None:
    let_time_pass(engine, 60)
    assert command("status").code == 2
    command("company", "set-schedule", SMALL, "daily")
    assert command("status").code == 2


def test_without_companies_it_says_how_to_add_one(command: Command, database: URL) -> None:
    answer = command("status")
    assert (answer.code, "company add" in answer.err) == (2, True)


@pytest.mark.parametrize(
    ("rhythm", "words"),
    [("weekly", "ozon-bt is synced weekly."), ("manual", "ozon-bt is synced only when you start it.")],
)
def test_a_rhythm_that_is_changed_decides_the_next_sync(alone: None, command: Command, rhythm: str, words: str) -> None:
    answer = command("company", "set-schedule", SMALL, rhythm)
    assert (answer.code, answer.out) == (0, f"{words}\n")
    company = states(command("status", "--json"))[SMALL]
    assert company["schedule"] == rhythm
    assert (company["next_sync"] or "")[10:19] == ("T03:00:00" if rhythm == "weekly" else "")


@pytest.mark.parametrize("words", [("nobody", "daily"), (SMALL, "fortnightly")])
def test_a_rhythm_or_company_that_is_none_is_refused(
    command: Command, companies: dict[str, Company], words: tuple[str, str]
) -> None:
    answer = command("company", "set-schedule", *words)
    assert (answer.code, "Traceback" in answer.err) == (2, False)


def test_a_company_is_added_with_its_rhythm(command: Command, companies: dict[str, Company], world: World) -> None:
    command("company", "remove", SMALL, "--yes")
    key = world.company(SMALL).api_key
    command("company", "add", SMALL, "--name", "Ózon Bt.", "--schedule", "hourly", "--api-key-stdin", stdin=key)
    assert "hourly" in command("company", "list").out


@pytest.mark.parametrize("name", ["Two\nLines Kft.", "Kft.\r\nBcc: all@example.com", "\x1b[31mRed Kft."])
def test_a_name_that_could_break_a_line_or_a_mail_is_refused(
    command: Command, companies: dict[str, Company], name: str
) -> None:
    answer = command("company", "add", "new-kft", "--name", name, "--api-key-stdin", stdin="x")
    assert (answer.code, "a name is one line" in answer.err) == (2, True)
