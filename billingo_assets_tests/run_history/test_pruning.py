"""Forgetting: old runs go, but for those that show how a company is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from billingo_assets.alerts.outages import prune_outages
from billingo_assets.companies import registry
from billingo_assets.health.reading import read_health
from billingo_assets.names import PRUNE_HISTORY, SYNC_COMPANY
from billingo_assets.run_history import pruning
from billingo_assets.run_history.pruning import Pruned, prune_runs
from billingo_assets.sandbox import World
from billingo_assets.settings import load_settings
from billingo_assets_tests.support.dagster_runs import LARGE, SMALL, Sync, materializations, statuses
from billingo_assets_tests.support.past_runs import leave_run

OLD = timedelta(days=91)
LIMIT = datetime.now(UTC) - timedelta(days=90)


@pytest.fixture
def make_old(engine: Engine) -> Callable[[Iterable[str]], None]:
    """Let these runs have been made 91 days ago."""

    def change(run_ids: Iterable[str]) -> None:
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE dagster.runs SET create_timestamp = create_timestamp - :by WHERE run_id = ANY(:ids)"),
                {"by": OLD, "ids": list(run_ids)},
            )

    return change


MakeOld = Callable[[Iterable[str]], None]


@pytest.fixture
def job(live_defs: dg.Definitions) -> dg.JobDefinition:
    return live_defs.resolve_job_def(SYNC_COMPANY)


def left(instance: dg.DagsterInstance) -> set[str]:
    return {record.dagster_run.run_id for record in instance.get_run_records()}


def test_old_runs_go_and_what_shows_the_present_stays(
    sync: Sync, instance: dg.DagsterInstance, make_old: MakeOld
) -> None:
    first, last, other = sync(SMALL).run_id, sync(SMALL).run_id, sync(LARGE).run_id
    make_old([first, last, other])
    recent = sync(LARGE).run_id
    assert prune_runs(instance, LIMIT) == Pruned(2, 1)
    assert left(instance) == {last, recent}
    assert len(materializations(instance, dg.AssetKey(["billingo", "raw_invoices"]), SMALL)) == 1
    assert statuses(instance, "api_total_matches").keys() == {SMALL, LARGE}


def test_the_results_of_checks_go_with_their_run(
    sync: Sync, instance: dg.DagsterInstance, make_old: MakeOld, engine: Engine
) -> None:
    first, last = sync(SMALL).run_id, sync(SMALL).run_id
    make_old([first, last])
    prune_runs(instance, LIMIT)
    with engine.connect() as connection:
        assert set(connection.scalars(text("SELECT run_id FROM dagster.asset_check_executions"))) == {last}


def test_runs_that_are_younger_than_the_setting_stay(
    sync: Sync,
    instance: dg.DagsterInstance,
    make_old: MakeOld,
    live_defs: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = {sync(SMALL).run_id, sync(SMALL).run_id}
    make_old(old)
    monkeypatch.setenv("BILLINGO_RETENTION_DAYS", "92")
    load_settings.cache_clear()
    assert live_defs.resolve_job_def(PRUNE_HISTORY).execute_in_process(instance=instance).success
    assert old < left(instance)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_a_run_that_waits_or_goes_is_never_deleted(
    instance: dg.DagsterInstance, make_old: MakeOld, job: dg.JobDefinition, status: dg.DagsterRunStatus
) -> None:
    leave_run(instance, job, dg.DagsterRunStatus.SUCCESS, company=SMALL)
    run = leave_run(instance, job, status, company=SMALL)
    make_old(left(instance))
    prune_runs(instance, LIMIT)
    assert run.run_id in left(instance)


def test_the_newest_result_of_a_check_is_kept_although_a_later_run_meant_to_ask_again(
    sync: Sync, instance: dg.DagsterInstance, make_old: MakeOld, job: dg.JobDefinition, world: World
) -> None:
    world.company(SMALL).add_raw({"id": "seven"})
    checked = sync(SMALL).run_id
    broke_off = leave_run(instance, job, dg.DagsterRunStatus.CANCELED, company=SMALL).run_id
    make_old([checked, broke_off])
    prune_runs(instance, LIMIT)
    assert left(instance) == {checked}


def test_the_last_failure_of_a_company_that_is_synced_by_hand_is_not_forgotten(
    sync: Sync, instance: dg.DagsterInstance, make_old: MakeOld, world: World, engine: Engine
) -> None:
    with engine.begin() as connection:
        registry.change_company(connection, SMALL, schedule="manual")
    world.company(SMALL).replace_api_key("00000000-0000-4000-8000-000000000000")
    failed, last = sync(SMALL).run_id, sync(SMALL).run_id
    make_old([failed, last])
    prune_runs(instance, LIMIT)
    assert left(instance) == {last}
    with engine.connect() as connection:
        healths = read_health(connection, instance, load_settings(), datetime.now(UTC))
    assert {health.company.key: health.color for health in healths}[SMALL] == "red"


def test_more_runs_than_a_page_are_all_looked_at(
    instance: dg.DagsterInstance,
    make_old: MakeOld,
    job: dg.JobDefinition,
    live_defs: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pruning, "PAGE", 2)
    other = live_defs.resolve_job_def(PRUNE_HISTORY)
    kept = []
    for company in (SMALL, LARGE, "it-cardigan"):
        leave_run(instance, other, dg.DagsterRunStatus.SUCCESS)
        kept.append(leave_run(instance, job, dg.DagsterRunStatus.SUCCESS, company=company).run_id)
        leave_run(instance, other, dg.DagsterRunStatus.SUCCESS)
    make_old(left(instance))
    assert prune_runs(instance, LIMIT) == Pruned(6, 3)
    assert left(instance) == set(kept)


def test_messages_and_outages_that_are_long_over_are_forgotten(instance: dg.DagsterInstance, engine: Engine) -> None:
    outage = (
        "INSERT INTO billingo.outages (kind, severity, reason, summary, since, ended_at)"
        " VALUES (:kind, 'error', '', '', now() - interval '100 days', now() - :ended * interval '1 day')"
    )
    with engine.begin() as connection:
        for kind, ended in (("long over", 91), ("over", 89), ("going on", None)):
            connection.execute(text(outage), {"kind": kind, "ended": ended})
        connection.execute(
            text(
                "WITH messages AS (INSERT INTO billingo.alert_messages (created_at, severity, title, body)"
                " SELECT now() - age * interval '1 day', 'error', age::text, '' FROM unnest('{91, 89}'::int[]) AS age"
                " RETURNING id) INSERT INTO billingo.alert_deliveries (message_id, channel) SELECT id, '' FROM messages"
            )
        )
    with engine.begin() as connection:
        assert prune_outages(connection, LIMIT) == 1
        assert set(connection.scalars(text("SELECT kind FROM billingo.outages"))) == {"over", "going on"}
        assert list(connection.scalars(text("SELECT title FROM billingo.alert_messages"))) == ["89"]
        assert connection.scalar(text("SELECT count(*) FROM billingo.alert_deliveries")) == 1


def test_the_job_of_the_maintenance_schedule_prunes(
    sync: Sync, instance: dg.DagsterInstance, make_old: MakeOld, live_defs: dg.Definitions
) -> None:
    make_old([sync(SMALL).run_id, sync(SMALL).run_id])
    result = live_defs.resolve_job_def(PRUNE_HISTORY).execute_in_process(instance=instance)
    (output,) = [event for event in result.all_events if event.is_successful_output]
    assert {name: value.value for name, value in output.step_output_data.metadata.items()} == {
        "runs": 1,
        "kept": 1,
        "messages": 0,
    }
