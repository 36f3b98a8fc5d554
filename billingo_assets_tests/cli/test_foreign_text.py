"""What an API writes with a terminal, a browser or a spreadsheet in mind is harmless in what a person reads."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import click
import pytest
from sqlalchemy import Engine, text

import billingo_assets
from billingo_assets.alerts.wording import Affected, Recovered, describe_outage, describe_recovery
from billingo_assets.companies.registry import Company
from billingo_assets.health.rules import Problem
from billingo_assets.sandbox import World
from billingo_assets_tests.cli.conftest import Command

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e<img src=x>"


@pytest.fixture
def renamed(engine: Engine, companies: dict[str, Company]) -> Company:
    """A company whose name came into the database by another way than the command line, which refuses it."""
    company = companies["ozon-bt"]
    with engine.begin() as connection:
        change = text("UPDATE billingo.companies SET name = :name WHERE id = :id")
        connection.execute(change, {"name": HOSTILE, "id": company.id})
    return company


@pytest.mark.parametrize("words", [["company", "list"], ["company", "show", "ozon-bt"], ["sync", "ozon-bt"]])
def test_no_name_commands_the_terminal(command: Command, renamed: Company, words: list[str]) -> None:
    answer = command(*words)
    assert answer.code == 0
    assert "<img src=x>" in answer.out
    assert all(line.isprintable() for line in click.unstyle(answer.out).split("\n"))
    assert "owned\x07" not in answer.err


def test_json_has_what_a_terminal_would_obey_as_escapes(command: Command, renamed: Company) -> None:
    answer = command("sync", "ozon-bt", "--json")
    assert answer.out.removesuffix("\n").isprintable()
    (synced,) = json.loads(answer.out)["companies"]
    assert synced["name"] == HOSTILE


def test_a_reason_of_quarantine_commands_no_terminal(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    world.company("ozon-bt").add_raw(json.dumps({"id": 777, "gross_total": HOSTILE}).encode())
    answer = command("sync", "ozon-bt")
    assert "gross_total is" in answer.out
    assert all(line.isprintable() for line in click.unstyle(answer.out).split("\n"))


def test_an_alert_has_its_own_lines_alone(companies: dict[str, Company]) -> None:
    problem = Problem("run_failed", "error", "why", f"It failed: {HOSTILE}", None)
    affected = Affected(companies["ozon-bt"], [problem])
    recovered = Recovered(companies["ozon-bt"], timedelta(hours=1), [problem])
    for message in (describe_outage([affected], "http://ui"), describe_recovery([recovered])):
        assert "<img src=x>" in message.body
        assert all(line.isprintable() for line in [message.title, *message.body.split("\n")])


def test_the_command_line_prints_through_one_place_alone() -> None:
    rooms = Path(billingo_assets.__file__).parent / "cli"
    printing = {path.name for path in rooms.glob("*.py") if re.search(r"click\.echo\(|\bprint\(", path.read_text())}
    assert printing == {"output.py"}
