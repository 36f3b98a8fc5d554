"""The sensors, evaluated as the daemon does: partitions, freshness, and when the table of health is made anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text, update

from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support.instance import remove_partition
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.definitions import build_defs
from billingo_assets.defs.sensors.partitions import partition_changes
from billingo_assets.names import COMPANIES
from billingo_assets.warehouse.tables import companies as companies_table
from billingo_assets_tests.defs.test_checks import FAILED, PASSED
from billingo_assets_tests.support.dagster_runs import LARGE, SMALL, Sync, statuses
from billingo_assets_tests.support.past_runs import Age, age, leave_run

__all__ = ["age"]

DAY = timedelta(days=1)

Evaluate = Callable[..., SensorExecutionData]


@pytest.fixture
def evaluate(instance: dg.DagsterInstance) -> Evaluate:
    """`evaluate("freshness", cursor=…)` evaluates a sensor once, and has the instance take what it returns."""
    repository = build_defs().get_repository_def()

    def tick(name: str, cursor: str | None = None) -> SensorExecutionData:
        with dg.build_sensor_context(
            instance=instance,
            instance_ref=instance.get_ref(),
            repository_def=repository,
            cursor=cursor,
            resources={"warehouse": WarehouseResource()},
        ) as context:
            answer = repository.get_sensor_def(name).evaluate_tick(context)
        for change in answer.dynamic_partitions_requests or ():
            if isinstance(change, dg.AddDynamicPartitionsRequest):
                instance.add_dynamic_partitions(COMPANIES, change.partition_keys)
            else:
                for key in change.partition_keys:
                    instance.delete_dynamic_partition(COMPANIES, key)
        for event in answer.asset_events:
            instance.report_runless_asset_event(event)
        return answer

    return tick


@pytest.fixture
def change(engine: Engine, companies: dict[str, Company]) -> Callable[..., None]:
    """Set columns of a company."""

    def apply(key: str, **values: Any) -> None:
        with engine.begin() as connection:
            connection.execute(update(companies_table).where(companies_table.c.key == key).values(**values))

    return apply


def first_syncs(answer: SensorExecutionData) -> dict[str | None, str | None]:
    """The companies whose first sync is asked for, with the key that keeps it from being asked for again."""
    return {request.partition_key: request.run_key for request in answer.run_requests or ()}


def partitions(instance: dg.DagsterInstance) -> list[str]:
    return sorted(instance.get_dynamic_partitions(COMPANIES))


keys = st.frozensets(st.sampled_from(["a", "b", "c", "d", "e"]))


@given(registered=keys, existing=keys, kept=keys)
def test_partitions_become_those_of_the_registry_and_of_the_runs_that_are_going(
    registered: frozenset[str], existing: frozenset[str], kept: frozenset[str]
) -> None:
    changes = partition_changes(registered, existing, kept)
    assert existing.union(changes.to_add).difference(changes.to_remove) == registered | (existing & kept)
    assert existing.isdisjoint(changes.to_add)
    assert registered.isdisjoint(changes.to_remove)
    assert [list(changes.to_add), list(changes.to_remove)] == [sorted(changes.to_add), sorted(changes.to_remove)]


def test_a_company_that_is_new_has_its_partition_and_its_first_sync_at_once(
    evaluate: Evaluate, instance: dg.DagsterInstance, companies: dict[str, Company]
) -> None:
    remove_partition(instance, SMALL)
    asked = first_syncs(evaluate("company_partitions"))
    assert partitions(instance) == sorted(companies)
    assert asked.keys() == companies.keys()
    assert all(run_key and run_key.startswith(f"first/{key}/") for key, run_key in asked.items())


def test_the_first_sync_that_is_asked_for_is_of_the_job_that_syncs_companies() -> None:
    sensor = build_defs().get_repository_def().get_sensor_def("company_partitions")
    assert sensor.job_name == "sync_company"


def test_a_first_sync_is_asked_for_once_even_if_it_fails(
    evaluate: Evaluate, instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    asked = [first_syncs(evaluate("company_partitions"))[SMALL] for _ in range(2)]
    assert asked[0] == asked[1]
    leave_run(instance, job, dg.DagsterRunStatus.FAILURE, company=SMALL, tags={"dagster/run_key": str(asked[0])})
    assert SMALL not in first_syncs(evaluate("company_partitions"))


def test_a_first_sync_is_asked_for_although_one_by_hand_has_failed_and_not_while_one_goes_on(
    evaluate: Evaluate, instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    run = leave_run(instance, job, dg.DagsterRunStatus.STARTED, company=SMALL)
    assert SMALL not in first_syncs(evaluate("company_partitions"))
    instance.report_run_failed(run)
    assert SMALL in first_syncs(evaluate("company_partitions"))


def set_key(connection: Connection) -> None:
    registry.change_company(connection, SMALL, api_key_encrypted="another")


def set_schedule(connection: Connection) -> None:
    registry.change_company(connection, SMALL, schedule="weekly")


def disable_and_enable(connection: Connection) -> None:
    registry.change_company(connection, SMALL, enabled=False)
    registry.change_company(connection, SMALL, enabled=True)


def remove_and_add(connection: Connection) -> None:
    registry.remove_company(connection, SMALL)
    registry.add_company(connection, key=SMALL, name="Back", tax_code=None, api_key_encrypted="another")


@pytest.mark.parametrize(
    ("change_it", "is_asked_for"),
    [(set_key, False), (set_schedule, True), (disable_and_enable, True), (remove_and_add, True)],
)
def test_a_company_that_was_synced_is_asked_for_again_when_it_comes_back_or_has_another_rhythm(
    evaluate: Evaluate,
    engine: Engine,
    instance: dg.DagsterInstance,
    sync: Sync,
    change_it: Callable[[Connection], None],
    is_asked_for: bool,
) -> None:
    instance.delete_run(sync(SMALL).run_id)
    assert SMALL not in first_syncs(evaluate("company_partitions"))
    with engine.begin() as connection:
        change_it(connection)
    assert (SMALL in first_syncs(evaluate("company_partitions"))) is is_asked_for


@pytest.mark.parametrize("reason", [{"schedule": "manual"}, {"enabled": False}, {"api_key_encrypted": None}])
def test_a_company_that_is_not_synced_by_itself_or_cannot_be_has_a_partition_and_no_first_sync(
    evaluate: Evaluate, change: Callable[..., None], instance: dg.DagsterInstance, reason: dict[str, Any]
) -> None:
    change(SMALL, **reason)
    assert first_syncs(evaluate("company_partitions")).keys() == {LARGE, "it-cardigan"}
    assert SMALL in partitions(instance)


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED], ids=["waiting", "going"]
)
def test_a_partition_whose_company_is_gone_stays_until_its_run_has_ended(
    evaluate: Evaluate,
    instance: dg.DagsterInstance,
    engine: Engine,
    job: dg.JobDefinition,
    status: dg.DagsterRunStatus,
) -> None:
    run = leave_run(instance, job, status, company=SMALL)
    with engine.begin() as connection:
        registry.remove_company(connection, SMALL)
    evaluate("company_partitions")
    assert SMALL in partitions(instance)
    instance.report_run_failed(run)
    evaluate("company_partitions")
    assert SMALL not in partitions(instance)


def test_no_partition_goes_while_a_backfill_goes_on(
    evaluate: Evaluate, instance: dg.DagsterInstance, companies: dict[str, Company], engine: Engine
) -> None:
    begun = PartitionBackfill("a backfill", BulkActionStatus.REQUESTED, False, {}, datetime.now(UTC).timestamp())
    instance.add_backfill(begun)
    with engine.begin() as connection:
        registry.remove_company(connection, SMALL)
    evaluate("company_partitions")
    assert SMALL in partitions(instance)
    instance.update_backfill(begun.with_status(BulkActionStatus.CANCELED))
    evaluate("company_partitions")
    assert SMALL not in partitions(instance)


def test_a_sensor_with_nothing_to_do_says_so(evaluate: Evaluate, change: Callable[..., None]) -> None:
    for key in (SMALL, LARGE, "it-cardigan"):
        change(key, schedule="manual")
    assert evaluate("company_partitions").skip_message == "3 companies, and as many partitions."


@pytest.fixture
def synced(sync: Sync) -> None:
    sync(SMALL)
    sync(LARGE)


def checked(answer: SensorExecutionData) -> dict[str | None, tuple[bool, str]]:
    """What a tick of the sensor `freshness` records of each company."""
    found = {}
    for event in answer.asset_events:
        assert isinstance(event, dg.AssetCheckEvaluation)
        assert event.check_name == "synced_recently"
        found[event.partition] = (event.passed, event.severity.value)
    return found


def test_a_company_that_goes_stale_and_is_fresh_again_is_recorded_once_each_time(
    synced: None, evaluate: Evaluate, age: Age, instance: dg.DagsterInstance, engine: Engine
) -> None:
    assert evaluate("freshness").asset_events == []
    age(SMALL, 1.5 * DAY)
    warned = evaluate("freshness")
    assert checked(warned) == {SMALL: (False, "WARN")}
    assert statuses(instance, "synced_recently") == {SMALL: FAILED, LARGE: PASSED}
    assert evaluate("freshness", warned.cursor).asset_events == []
    age(SMALL, DAY)
    worse = evaluate("freshness", warned.cursor)
    assert checked(worse) == {SMALL: (False, "ERROR")}
    with engine.begin() as connection:
        connection.execute(text("UPDATE billingo.sync_state SET synced_at = now()"))
    fresh = evaluate("freshness", worse.cursor)
    assert checked(fresh) == {SMALL: (True, "WARN")}
    assert statuses(instance, "synced_recently") == {SMALL: PASSED, LARGE: PASSED}
    assert evaluate("freshness", fresh.cursor).asset_events == []


def test_how_old_is_too_old_is_told_with_the_check(synced: None, evaluate: Evaluate, age: Age) -> None:
    age(SMALL, 2.5 * DAY)
    (event,) = evaluate("freshness").asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    told = {name: value.value for name, value in event.metadata.items()}
    assert {name: told[name] for name in ("found", "expected", "difference", "schedule")} == {
        "found": "60 hours",
        "expected": "24 hours",
        "difference": "36 hours",
        "schedule": "daily",
    }
    assert (event.description or "").endswith("which is too long ago.")


def test_a_company_that_is_disabled_is_not_said_to_be_stale(
    synced: None, evaluate: Evaluate, age: Age, change: Callable[..., None]
) -> None:
    age(SMALL, 9 * DAY)
    change(SMALL, enabled=False)
    assert evaluate("freshness").asset_events == []


def test_a_sync_records_that_its_company_is_fresh(
    sync: Sync, evaluate: Evaluate, age: Age, instance: dg.DagsterInstance
) -> None:
    sync(SMALL)
    age(SMALL, 3 * DAY)
    evaluate("freshness")
    sync(SMALL)
    assert statuses(instance, "synced_recently")[SMALL] == PASSED


def test_the_table_of_health_is_made_anew_once_after_syncs_and_not_while_runs_go(
    evaluate: Evaluate, instance: dg.DagsterInstance, job: dg.JobDefinition, sync: Sync
) -> None:
    assert evaluate("health_table").run_requests == []
    last = sync(SMALL)
    other = leave_run(instance, job, dg.DagsterRunStatus.STARTED, company=LARGE)
    assert evaluate("health_table").run_requests == []
    instance.report_run_failed(other)
    after = evaluate("health_table")
    assert [request.run_key for request in after.run_requests or ()] == [other.run_id]
    assert evaluate("health_table", after.cursor).run_requests == []
    assert last.run_id != other.run_id


def test_a_run_that_synced_nothing_is_no_reason_to_make_the_table_anew(
    evaluate: Evaluate, instance: dg.DagsterInstance, live_defs: dg.Definitions
) -> None:
    leave_run(instance, live_defs.resolve_job_def("refresh_health"), dg.DagsterRunStatus.SUCCESS)
    assert evaluate("health_table").run_requests == []


def test_the_job_that_the_sensor_asks_for_makes_the_table(
    instance: dg.DagsterInstance, live_defs: dg.Definitions
) -> None:
    sensor = live_defs.get_repository_def().get_sensor_def("health_table")
    result = live_defs.resolve_job_def(sensor.job_name or "").execute_in_process(instance=instance)
    (made,) = result.get_asset_materialization_events()
    assert made.asset_key == dg.AssetKey(["billingo", "sync_health"])


@pytest.mark.parametrize("name", ["company_partitions", "freshness", "alerts", "health_table"])
def test_a_sensor_runs_from_the_start(defs: dg.Definitions, name: str) -> None:
    assert defs.get_repository_def().get_sensor_def(name).default_status is dg.DefaultSensorStatus.RUNNING
