"""`billingo-assets audit`: who did what to which company, recorded together with the deed."""

from __future__ import annotations

import json
import os
import pwd
from typing import Any

import pytest
from sqlalchemy import Engine, text

from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.sandbox.world import World
from billingo_assets.warehouse import audit
from billingo_assets_tests.cli.conftest import Command

USER = pwd.getpwuid(os.geteuid()).pw_name


def _records(command: Command, *words: str) -> list[dict[str, Any]]:
    answer = command("audit", "--json", *words)
    assert answer.code == 0, answer.err
    records: list[dict[str, Any]] = json.loads(answer.out)["records"]
    return records


def _deeds(command: Command, key: str) -> list[str]:
    return [record["action"] for record in _records(command, "--company", key)]


def test_what_is_done_to_a_company_is_on_record_with_who_did_it(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    command("company", "disable", "ozon-bt")
    command("company", "enable", "ozon-bt")
    command("company", "set-schedule", "ozon-bt", "weekly")
    command("company", "set-key", "ozon-bt", "--api-key-stdin", stdin=world.company("ozon-bt").api_key)
    command("company", "remove", "ozon-bt", "--yes")
    records = _records(command, "--company", "ozon-bt")
    assert [record["action"] for record in records] == [
        "company added",
        "company disabled",
        "company enabled",
        "schedule set",
        "API key changed",
        "company removed",
    ]
    assert {record["actor"] for record in records} == {USER}
    assert {record["company_id"] for record in records} == {companies["ozon-bt"].id}
    assert records[3]["details"] == {"from": "daily", "to": "weekly"}
    assert records[5]["details"] == {"documents": "kept"}


def test_a_rotation_of_the_encryption_is_on_record_for_every_company_and_makes_none_look_changed(
    command: Command, companies: dict[str, Company], engine: Engine
) -> None:
    untouched = text("SELECT count(*) FROM billingo.companies WHERE updated_at = created_at")
    with engine.connect() as connection:
        before = connection.scalar(untouched)
        command("company", "rotate-encryption")
        assert connection.scalar(untouched) == before
    records = [record for record in _records(command) if record["action"] == "API key re-encrypted"]
    assert sorted(record["company_key"] for record in records) == sorted(companies)


def test_who_became_another_by_sudo_is_named_and_whoever_says_so_is_not(
    command: Command, companies: dict[str, Company], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    for name in ("SUDO_USER", "LOGNAME", "USER"):
        monkeypatch.setenv(name, "somebody else")
    command("company", "disable", "ozon-bt")
    assert _records(command)[-1]["actor"] == ("nobody (by sudo as root)" if os.geteuid() == 0 else USER)


def test_a_record_is_one_line_whatever_is_in_it(
    command: Command, engine: Engine, companies: dict[str, Company]
) -> None:
    before = command("audit").out.count("\n")
    with engine.begin() as connection:
        audit.record(connection, "deed", actor="evil\n2020-01-01 nobody: all fine", details={"a\rb": "c\x1b[2J\nd"})
    told = command("audit").out
    assert told.count("\n") == before + 1
    assert "evil 2020-01-01 nobody: all fine: deed (a b: c [2J d)" in told


def test_an_api_key_is_not_on_record_not_even_encrypted(
    command: Command, companies: dict[str, Company], engine: Engine, world: World
) -> None:
    command("company", "set-key", "ozon-bt", "--api-key-stdin", stdin=world.company("ozon-bt").api_key)
    with engine.connect() as connection:
        stored = connection.scalar(text("SELECT api_key_encrypted FROM billingo.companies WHERE key = 'ozon-bt'"))
        log = str(list(audit.records(connection)))
    assert stored
    assert stored not in log
    assert world.company("ozon-bt").api_key not in log


def test_a_full_sync_is_on_record_with_its_run_and_what_triggered_it(
    command: Command, companies: dict[str, Company]
) -> None:
    assert command("sync", "ozon-bt").code == 0
    assert _deeds(command, "ozon-bt") == ["company added"]
    run_id = json.loads(command("sync", "ozon-bt", "--full", "--json").out)["companies"][0]["run_id"]
    forced = _records(command, "--company", "ozon-bt")[-1]
    assert (forced["action"], forced["actor"]) == ("full sync forced", f"run {run_id} (CLI)")


def test_what_is_accepted_as_gone_is_on_record_with_how_many_it_was(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    assert command("sync", "ozon-bt").code == 0
    company = world.company("ozon-bt")
    for document in list(company.documents()):
        company.delete(document["id"], even_if_issued=True)
    assert command("sync", "ozon-bt", "--full").code == 1
    assert "documents accepted as gone" not in _deeds(command, "ozon-bt")
    assert command("sync", "ozon-bt", "--accept-empty").code == 0
    record = _records(command, "--company", "ozon-bt")[-1]
    assert (record["action"], record["details"]) == ("documents accepted as gone", {"documents": 61})


def test_a_deed_that_is_rolled_back_is_not_on_record(
    command: Command, companies: dict[str, Company], engine: Engine
) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        registry.change_company(connection, "ozon-bt", enabled=False)
        transaction.rollback()
    assert _deeds(command, "ozon-bt") == ["company added"]


def test_people_are_told_in_lines(command: Command, companies: dict[str, Company]) -> None:
    command("company", "set-schedule", "ozon-bt", "weekly")
    last = command("audit", "--company", "ozon-bt", "--days", "1").out.splitlines()[-1]
    assert last.endswith(f"{USER}: schedule set ozon-bt (to: weekly, from: daily)")
    assert command("audit", "--company", "nobody").out == "No matching records.\n"


def test_days_leave_out_what_is_older(command: Command, companies: dict[str, Company], engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO billingo.audit_log (at, actor, action) VALUES (now() - interval '3 days', 'x', 'old')")
        )
    assert "old" in [record["action"] for record in _records(command, "--days", "4")]
    assert "old" not in [record["action"] for record in _records(command, "--days", "2")]


def test_any_other_deed_can_be_recorded_without_a_company(
    command: Command, companies: dict[str, Company], engine: Engine
) -> None:
    with engine.begin() as connection:
        audit.record(connection, "encryption rotated", details={"companies": 3})
    record = _records(command)[-1]
    assert (record["action"], record["company_key"], record["details"]) == (
        "encryption rotated",
        None,
        {"companies": 3},
    )
