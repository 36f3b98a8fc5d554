"""`billingo-assets history`: the last syncs, with what each did and who asked for it."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.definitions import build_defs
from billingo_assets.names import SYNC_COMPANY
from billingo_assets.sandbox.world import World
from billingo_assets_tests.cli.conftest import Command
from billingo_assets_tests.support.past_runs import leave_run

SMALL, LARGE = "ozon-bt", "arvizturo"
COUNTS = ("processed", "created", "updated", "unchanged", "deleted", "skipped", "items", "api_calls")


def syncs(command: Command, *words: str) -> list[dict[str, Any]]:
    answer = command("history", "--json", *words)
    assert (answer.code, answer.err) == (0, "")
    told: list[dict[str, Any]] = json.loads(answer.out)["syncs"]
    return told


def test_history_repeats_what_the_command_said_of_each_sync_the_newest_first(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    world.company(SMALL).add_raw({"id": "seven"})
    told = [json.loads(command("sync", key, "--json").out)["companies"][0] for key in (SMALL, LARGE, SMALL)]
    found = syncs(command)
    fields = ("key", "id", "name", "status", "mode", "run_id", *COUNTS)
    assert [[past[name] for name in fields] for past in found] == [[one[name] for name in fields] for one in told[::-1]]
    assert [past["status"] for past in found] == ["partial", "success", "partial"]
    assert {past["trigger"] for past in found} == {"CLI"}
    assert [past["url"] for past in found] == [f"http://127.0.0.1:3000/runs/{one['run_id']}" for one in told[::-1]]


def test_why_a_sync_with_a_document_in_quarantine_was_partial_is_told(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    world.company(SMALL).change(world.company(SMALL).documents()[0]["id"], gross_total="sok")
    command("sync", SMALL)
    assert "  warning: no_rejected_documents: 1 document is in quarantine" in command("history").out
    (past,) = syncs(command)
    assert ("1 document is in quarantine" in past["warnings"][0], past["errors"]) == (True, [])


def test_a_sync_that_failed_is_told_with_its_error(
    command: Command, companies: dict[str, Company], world: World
) -> None:
    world.company(SMALL).access = "no_subscription"
    command("sync", SMALL)
    answer = command("history")
    assert f"{SMALL}: failed" in answer.out
    assert "error: " in answer.out
    assert "subscription does not include the API" in answer.out
    assert ", 1 API call\n" in answer.out


@pytest.fixture
def past(command: Command, companies: dict[str, Company], world: World, engine: Engine) -> None:
    """A success of the large company 9 days ago, then one, a failure and a partial sync of the small one."""
    command("sync", LARGE)
    with engine.begin() as connection:
        connection.execute(text("UPDATE dagster.runs SET create_timestamp = create_timestamp - interval '9 days'"))
    command("sync", SMALL)
    known = world.company(SMALL).api_key
    world.company(SMALL).replace_api_key("00000000-0000-4000-8000-000000000000")
    command("sync", SMALL)
    world.company(SMALL).replace_api_key(known)
    world.company(SMALL).add_raw({"id": "seven"})
    command("sync", SMALL)


def test_history_is_narrowed_down_by_company_days_failure_and_number(command: Command, past: None) -> None:
    def found(*words: str) -> list[tuple[str, str]]:
        return [(one["key"], one["status"]) for one in syncs(command, *words)]

    everything = [(SMALL, "partial"), (SMALL, "failed"), (SMALL, "success"), (LARGE, "success")]
    assert found() == everything
    assert found("--company", LARGE) == everything[3:]
    assert found("--days", "8") == everything[:3]
    assert found("--days", "10") == everything
    assert found("--failed") == everything[:2]
    assert found("--limit", "1") == everything[:1]
    assert found("--failed", "--company", LARGE) == []


def test_history_for_people_fits_a_terminal_and_names_everything(command: Command, past: None) -> None:
    answer = command("history", "--company", SMALL)
    lines = answer.out.splitlines()
    words = [line for line in lines if not line.startswith(("  error:", "  warning:"))]
    assert max(len(line) for line in words) <= 80
    assert [line.split(": ")[1].split(",")[0] for line in lines if f" {SMALL}: " in line] == [
        "partial",
        "failed",
        "success",
    ]
    assert sum("/runs/" in line for line in lines) == 3


def test_what_never_happened_is_said_so(command: Command, companies: dict[str, Company]) -> None:
    assert command("history").out == "No matching syncs.\n"


def test_a_company_that_is_unknown_is_told_with_the_one_that_comes_near(
    command: Command, companies: dict[str, Company]
) -> None:
    answer = command("history", "--company", "ozon-b")
    assert (answer.code, "Did you mean ozon-bt?" in answer.err) == (2, True)


def test_the_past_of_a_company_that_was_removed_is_still_there(
    command: Command, companies: dict[str, Company], engine: Engine
) -> None:
    command("sync", SMALL)
    with engine.begin() as connection:
        registry.remove_company(connection, SMALL)
    for words in ([], ["--company", SMALL]):
        assert [(one["key"], one["id"], one["status"]) for one in syncs(command, *words)] == [(SMALL, 0, "success")]


def test_a_company_that_was_removed_is_known_without_a_run_and_a_run_without_its_company(
    command: Command, companies: dict[str, Company], instance: dg.DagsterInstance, engine: Engine
) -> None:
    leave_run(instance, build_defs().resolve_job_def(SYNC_COMPANY), dg.DagsterRunStatus.SUCCESS, company=LARGE)
    with engine.begin() as connection:
        registry.remove_company(connection, SMALL)
        registry.delete_company(connection, companies[LARGE])
    assert [len(syncs(command, "--company", key)) for key in (SMALL, LARGE)] == [0, 1]


def test_a_run_that_goes_on_or_was_canceled_is_shown_as_such_and_is_no_failure(
    command: Command, companies: dict[str, Company], instance: dg.DagsterInstance
) -> None:
    job = build_defs().resolve_job_def(SYNC_COMPANY)
    leave_run(instance, job, dg.DagsterRunStatus.CANCELED, company=SMALL)
    leave_run(instance, job, dg.DagsterRunStatus.STARTED, company=SMALL, tags={"dagster/schedule_name": "daily"})
    found = syncs(command)
    assert [(one["status"], one["trigger"], one["errors"]) for one in found] == [
        ("running", "schedule daily", []),
        ("canceled", "UI", []),
    ]
    assert syncs(command, "--failed") == []


def test_a_check_that_was_run_by_itself_is_no_sync(
    command: Command, companies: dict[str, Company], instance: dg.DagsterInstance
) -> None:
    defs = build_defs()
    alone = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(),
        asset_check_selection={dg.AssetCheckKey(dg.AssetKey(["billingo", "raw_invoices"]), "no_number_gaps")},
    )
    alone.execute_in_process(instance=instance, partition_key=SMALL)
    assert syncs(command) == []
