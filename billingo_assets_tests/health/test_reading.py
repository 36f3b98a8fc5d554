"""How each company is, read from real runs: what a run leaves behind, and what it does not hide."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from sqlalchemy import Connection, Engine, text

from billingo_assets.companies import registry
from billingo_assets.companies.registry import Company
from billingo_assets.defs.partitions import companies_partitions
from billingo_assets.errors import NotToBeSyncedError
from billingo_assets.health.plotting import read_days
from billingo_assets.health.reading import read_health
from billingo_assets.health.rules import CompanyHealth
from billingo_assets.names import INVOICE_ITEMS, INVOICES, PARTITION_TAG, RAW_INVOICES, SYNC_COMPANY
from billingo_assets.run_history.crashes import KILLED, NEVER_BEGAN
from billingo_assets.run_history.history import past_outcomes
from billingo_assets.run_history.runs import busy_companies
from billingo_assets.run_history.verdicts import RUNS_OF_ONE
from billingo_assets.sandbox import Fault, SandboxServer, World
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.locks import showing_run_alive
from billingo_assets_tests.support.dagster_runs import LARGE, SMALL, Sync, execute_checks, told
from billingo_assets_tests.support.past_runs import Age, leave_run, let_daemon_run

BUDAPEST = ZoneInfo("Europe/Budapest")

Health = Callable[..., CompanyHealth]


@pytest.fixture
def health(engine: Engine, instance: dg.DagsterInstance) -> Health:
    """`health(key)`: how a company is now, or so much later."""

    def read(key: str = SMALL, later: timedelta = timedelta(0)) -> CompanyHealth:
        with engine.connect() as connection:
            found = read_health(connection, instance, load_settings(), datetime.now(UTC) + later)
        return next(one for one in found if one.company.key == key)

    return read


@pytest.fixture
def job(live_defs: dg.Definitions) -> dg.JobDefinition:
    return live_defs.resolve_job_def(SYNC_COMPANY)


CheckAlone = Callable[[str], object]


@pytest.fixture
def check_alone(live_defs: dg.Definitions, instance: dg.DagsterInstance) -> CheckAlone:
    """Run one check by itself for the small company."""
    return lambda name: execute_checks(live_defs, instance, [name], **{PARTITION_TAG: SMALL})


def kinds(health: CompanyHealth) -> list[str]:
    return [problem.kind for problem in health.problems]


REVOKED = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def revoke(world: World) -> Callable[[bool], None]:
    """Have the API refuse the small company's key, or know it again."""
    known = world.company(SMALL).api_key
    return lambda refused: world.company(SMALL).replace_api_key(REVOKED if refused else known)


def test_after_a_sync_a_company_is_green_and_its_next_one_is_known(sync: Sync, health: Health) -> None:
    sync(SMALL)
    found = health()
    assert (found.color, found.problems, found.is_being_synced) == ("green", (), False)
    assert found.synced_at is not None
    assert found.next_sync_at is not None
    assert found.next_sync_at > found.synced_at


def test_a_company_without_a_run_waits_for_its_first_sync(companies: dict[str, Company], health: Health) -> None:
    assert (health().color, health().synced_at, kinds(health())) == ("yellow", None, [])


def test_a_run_that_failed_is_told_in_its_own_words(sync: Sync, health: Health, revoke: Callable[[bool], None]) -> None:
    revoke(True)
    outcome = sync(SMALL)
    (problem,) = health().problems
    assert (problem.reason, problem.run_id) == ("run_failed:CredentialsError", outcome.run_id)
    assert problem.summary == outcome.errors[0].error


def test_the_failure_of_one_company_is_not_anothers(sync: Sync, health: Health, revoke: Callable[[bool], None]) -> None:
    revoke(True)
    sync(SMALL)
    sync(LARGE)
    assert (health(SMALL).color, health(LARGE).color) == ("red", "green")


def test_a_sync_that_went_well_ends_a_failure(sync: Sync, health: Health, revoke: Callable[[bool], None]) -> None:
    revoke(True)
    sync(SMALL)
    revoke(False)
    sync(SMALL)
    assert health().color == "green"


def test_a_check_that_was_run_alone_hides_no_failed_sync(
    sync: Sync,
    health: Health,
    revoke: Callable[[bool], None],
    check_alone: CheckAlone,
) -> None:
    revoke(True)
    sync(SMALL)
    for _ in range(2):
        check_alone("no_number_gaps")
    assert kinds(health()) == ["run_failed"]


def test_a_check_that_could_not_be_run_alone_is_no_failed_sync(
    sync: Sync, health: Health, revoke: Callable[[bool], None], check_alone: CheckAlone
) -> None:
    sync(SMALL)
    revoke(True)
    check_alone("api_total_matches")
    assert (health().color, kinds(health())) == ("green", [])


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=30)], ids=["now", "a month later"])
def test_runs_that_were_canceled_hide_no_failure(
    sync: Sync,
    health: Health,
    revoke: Callable[[bool], None],
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    later: timedelta,
) -> None:
    revoke(True)
    sync(SMALL)
    leave_run(instance, job, dg.DagsterRunStatus.CANCELED, company=SMALL)
    assert kinds(health(later=later)) == ["run_failed"]


def test_a_run_that_was_canceled_is_no_failure(
    sync: Sync, health: Health, instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    sync(SMALL)
    leave_run(instance, job, dg.DagsterRunStatus.CANCELED, company=SMALL)
    assert health().color == "green"


def test_a_run_that_the_daemon_is_about_to_try_again_has_not_failed_for_good(
    sync: Sync, health: Health, instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    sync(SMALL)
    let_daemon_run(instance)
    leave_run(instance, job, dg.DagsterRunStatus.FAILURE, company=SMALL)
    assert kinds(health()) == []
    let_daemon_run(instance)
    assert kinds(health()) == ["run_failed"]


def test_a_run_that_no_daemon_is_there_to_try_again_has_failed_for_good(
    sync: Sync, health: Health, instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    sync(SMALL)
    leave_run(instance, job, dg.DagsterRunStatus.FAILURE, company=SMALL)
    assert kinds(health()) == ["run_failed"]


RETRIED = {
    "queued, and no daemon runs": (dg.DagsterRunStatus.QUEUED, False, ["run_failed"]),
    "queued": (dg.DagsterRunStatus.QUEUED, True, []),
    "going": (dg.DagsterRunStatus.STARTED, True, []),
    "begun on a machine that died, and no daemon runs": (dg.DagsterRunStatus.STARTED, False, ["run_failed"]),
    "canceled": (dg.DagsterRunStatus.CANCELED, True, ["run_failed"]),
}


@pytest.mark.parametrize(("status", "daemon_runs", "expected"), RETRIED.values(), ids=RETRIED)
def test_a_failure_stands_until_its_retry_speaks_for_the_company(
    sync: Sync,
    health: Health,
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    status: dg.DagsterRunStatus,
    daemon_runs: bool,
    expected: list[str],
) -> None:
    sync(SMALL)
    failed = leave_run(instance, job, dg.DagsterRunStatus.FAILURE, company=SMALL)
    retry = leave_run(instance, job, status, company=SMALL, tags={"dagster/retry_number": "1"})
    instance.add_run_tags(failed.run_id, {"dagster/auto_retry_run_id": retry.run_id})
    if daemon_runs:
        let_daemon_run(instance)
    assert kinds(health()) == expected


def test_a_failure_whose_retry_was_deleted_stands(
    sync: Sync, health: Health, instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    sync(SMALL)
    failed = leave_run(instance, job, dg.DagsterRunStatus.FAILURE, company=SMALL)
    retry = leave_run(instance, job, dg.DagsterRunStatus.STARTED, company=SMALL)
    instance.add_run_tags(failed.run_id, {"dagster/auto_retry_run_id": retry.run_id})
    let_daemon_run(instance)
    instance.delete_run(retry.run_id)
    assert kinds(health()) == ["run_failed"]


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=50)], ids=["now", "two days later"])
@pytest.mark.parametrize("fails", [False, True], ids=["well", "wrong"])
def test_a_run_that_was_refused_says_nothing_of_a_company_and_the_one_before_it_does(
    sync: Sync, refuse: Sync, health: Health, revoke: Callable[[bool], None], fails: bool, later: timedelta
) -> None:
    revoke(fails)
    sync(SMALL)
    assert refuse(SMALL).status == "failed"
    assert ("run_failed" in kinds(health(later=later))) is fails


def test_a_run_that_was_killed_is_told_by_the_words_of_whoever_noticed(
    health: Health, instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    leave_run(
        instance,
        job,
        dg.DagsterRunStatus.FAILURE,
        company=SMALL,
        words="Its process is gone.",
        tags={"dagster/max_retries": "0"},
    )
    assert [problem.summary for problem in health().problems] == ["Its process is gone."]


def test_a_run_of_which_dagster_does_not_say_why_it_ended_is_told_in_ours(
    health: Health, instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    leave_run(instance, job, dg.DagsterRunStatus.FAILURE, company=SMALL, words=None)
    assert [problem.summary for problem in health().problems] == [NEVER_BEGAN]
    run = leave_run(instance, job, dg.DagsterRunStatus.STARTED, company=SMALL)
    instance.report_run_failed(run)
    assert [problem.summary for problem in health().problems] == [KILLED]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED])
def test_a_company_whose_run_waits_or_goes_is_being_synced_and_as_it_was(
    sync: Sync,
    health: Health,
    revoke: Callable[[bool], None],
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    status: dg.DagsterRunStatus,
) -> None:
    revoke(True)
    sync(SMALL)
    let_daemon_run(instance)
    leave_run(instance, job, status, company=SMALL)
    assert (health().is_being_synced, kinds(health())) == (True, ["run_failed"])
    assert busy_companies(instance) == {SMALL}


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED])
def test_a_run_that_waits_or_whose_process_is_gone_goes_on_once_a_daemon_runs(
    companies: dict[str, Company],
    health: Health,
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    status: dg.DagsterRunStatus,
) -> None:
    leave_run(instance, job, status, company=SMALL)
    assert (health().is_being_synced, health().waits_for_daemon) == (False, True)
    let_daemon_run(instance)
    assert (health().is_being_synced, health().waits_for_daemon) == (True, False)


def test_a_run_whose_process_lives_goes_on_without_a_daemon(
    health: Health, instance: dg.DagsterInstance, job: dg.JobDefinition, engine: Engine
) -> None:
    run = leave_run(instance, job, dg.DagsterRunStatus.STARTED, company=SMALL)
    with engine.connect() as connection, showing_run_alive(connection, run.run_id):
        assert (health().is_being_synced, health().waits_for_daemon) == (True, False)


def disable(connection: Connection) -> None:
    registry.change_company(connection, SMALL, enabled=False)


def remove(connection: Connection) -> None:
    registry.remove_company(connection, SMALL)


def forget(connection: Connection) -> None:
    registry.delete_company(connection, registry.get_company(connection, SMALL))


@pytest.mark.parametrize(
    ("leave", "reason", "advice"),
    [
        (disable, "the company is disabled", f"billingo-assets company enable {SMALL}"),
        (remove, "the company was removed", f"billingo-assets company add {SMALL}"),
        (forget, "no company has this key", f"billingo-assets company add {SMALL}"),
    ],
)
@pytest.mark.parametrize("assets", [None, {INVOICES, INVOICE_ITEMS}], ids=["all", "tables alone"])
def test_a_run_of_a_company_that_is_not_to_be_synced_does_nothing_says_why_and_leaves_no_asset_red(
    sync: Sync,
    instance: dg.DagsterInstance,
    live_defs: dg.Definitions,
    engine: Engine,
    companies: dict[str, Company],
    sandbox: SandboxServer,
    leave: Callable[[Connection], None],
    reason: str,
    advice: str,
    assets: set[dg.AssetKey] | None,
) -> None:
    sync(SMALL)
    asked, failures = len(sandbox.requests), read_days(instance, datetime.now(UTC), BUDAPEST)[-1]
    job = live_defs.resolve_job_def(SYNC_COMPANY).get_subset(asset_selection=assets)
    queued = instance.create_run_for_job(job_def=job, tags={PARTITION_TAG: SMALL})
    with engine.begin() as connection:
        leave(connection)
    assert execute_run(InMemoryJob(job), queued, instance).success
    run = instance.get_run_by_id(queued.run_id)
    assert run is not None
    assert (run.status, run.tags["refused"]) == (dg.DagsterRunStatus.SUCCESS, reason)
    assert any("was not synced" in line or "nothing was synced" in line for line in told(instance, run.run_id))
    assert any(advice in line for line in told(instance, run.run_id))
    for asset in (RAW_INVOICES, INVOICES, INVOICE_ITEMS):
        seen = instance.get_status_by_partition(asset, [SMALL], companies_partitions)
        assert seen == {SMALL: AssetPartitionStatus.MATERIALIZED}
    assert len(sandbox.requests) == asked
    assert read_days(instance, datetime.now(UTC), BUDAPEST)[-1] == failures
    past = next(past_outcomes(instance, companies, company=SMALL)).outcome
    if assets is None:
        assert (past.status, past.warnings) == ("canceled", (f"Nothing was synced: {reason}.",))


def test_a_key_that_nobody_registered_is_refused_with_the_nearest_or_the_rules(
    engine: Engine, companies: dict[str, Company]
) -> None:
    near = f"Did you mean {SMALL}? To register a company under it: billingo-assets company add {SMALL}x --name NAME"
    for key, words in {f"{SMALL}x": near, "Á b": "It cannot be one either: a key is 1 to 63"}.items():
        with engine.connect() as connection, pytest.raises(NotToBeSyncedError, match=re.escape(words)):
            registry.require_enabled(connection, key)


def test_a_company_that_is_enabled_again_is_as_it_was_before_a_run_was_refused_until_that_is_run_again(
    sync: Sync,
    health: Health,
    revoke: Callable[[bool], None],
    instance: dg.DagsterInstance,
    live_defs: dg.Definitions,
    engine: Engine,
) -> None:
    revoke(True)
    sync(SMALL)
    job = live_defs.resolve_job_def(SYNC_COMPANY)

    def execute(tags: dict[str, str]) -> dg.DagsterRun:
        queued = instance.create_run_for_job(job_def=job, tags=tags)
        execute_run(InMemoryJob(job), queued, instance, raise_on_error=False)
        run = instance.get_run_by_id(queued.run_id)
        assert run is not None
        return run

    with engine.begin() as connection:
        disable(connection)
    refused = execute({PARTITION_TAG: SMALL})
    with engine.begin() as connection:
        registry.change_company(connection, SMALL, enabled=True)
    assert kinds(health()) == ["run_failed"]
    revoke(False)
    assert execute(refused.tags).tags["refused"] == "no"  # run again by hand, it has the tags of the run before
    assert kinds(health()) == []


def test_a_failure_whose_retry_was_refused_is_one_for_good(
    sync: Sync, health: Health, revoke: Callable[[bool], None], instance: dg.DagsterInstance, job: dg.JobDefinition
) -> None:
    revoke(True)
    failed = sync(SMALL).run_id
    retry = leave_run(instance, job, dg.DagsterRunStatus.SUCCESS, company=SMALL, tags={"refused": "disabled"})
    instance.add_run_tags(failed, {"dagster/will_retry": "true", "dagster/auto_retry_run_id": retry.run_id})
    let_daemon_run(instance)
    assert kinds(health()) == ["run_failed"]


@pytest.fixture
def broken(world: World) -> int:
    """A document of the small company that cannot be understood; its id."""
    document = world.company(SMALL).documents()[0]
    world.company(SMALL).change(document["id"], gross_total="abc")
    document_id: int = document["id"]
    return document_id


def test_a_check_that_warns_is_told_although_the_run_went_well(broken: int, sync: Sync, health: Health) -> None:
    outcome = sync(SMALL)
    (problem,) = health().problems
    assert (health().color, problem.kind, problem.severity) == ("yellow", "no_rejected_documents", "warning")
    assert (problem.run_id, problem.summary.count("billingo.rejected_documents")) == (outcome.run_id, 1)


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.CANCELED], ids=["waits", "broke off"]
)
def test_a_check_that_failed_is_not_forgotten_by_a_run_that_only_means_to_ask_again(
    broken: int,
    sync: Sync,
    health: Health,
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    status: dg.DagsterRunStatus,
) -> None:
    sync(SMALL)
    leave_run(instance, job, status, company=SMALL)
    assert kinds(health()) == ["no_rejected_documents"]


def test_a_check_that_failed_in_a_run_that_is_about_to_be_tried_again_has_not_failed_for_good(
    broken: int, sync: Sync, health: Health, instance: dg.DagsterInstance, world: World
) -> None:
    let_daemon_run(instance)
    run_id = sync(SMALL).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run, "Its process is gone.")
    instance.add_run_tags(run_id, {"dagster/will_retry": "true"})
    assert kinds(health()) == []
    let_daemon_run(instance)
    assert kinds(health()) == ["run_failed", "no_rejected_documents"]


def test_a_check_that_passes_again_is_over(broken: int, sync: Sync, health: Health, world: World) -> None:
    sync(SMALL)
    world.company(SMALL).change(broken, gross_total="1")
    sync(SMALL)
    assert "no_rejected_documents" not in kinds(health())


def test_a_company_that_was_not_synced_for_long_is_missed(sync: Sync, health: Health, age: Age) -> None:
    sync(SMALL)
    age(SMALL, timedelta(hours=30))
    assert (health().color, kinds(health())) == ("yellow", ["stale"])
    age(SMALL, timedelta(hours=30))
    assert (health().color, kinds(health())) == ("red", ["stale"])


def test_a_company_was_synced_when_its_documents_were(sync: Sync, health: Health, engine: Engine) -> None:
    sync(SMALL)
    before = health()
    with engine.begin() as connection:
        connection.execute(text("CREATE TEMP TABLE other ON COMMIT DROP AS TABLE billingo.sync_state"))
        connection.execute(text("UPDATE other SET stream = 'others', synced_at = synced_at - interval '9 days'"))
        connection.execute(text("INSERT INTO billingo.sync_state TABLE other"))
    assert (health().synced_at, health().color) == (before.synced_at, "green")


def test_a_company_that_is_enabled_after_long_is_awaited(sync: Sync, health: Health, age: Age, engine: Engine) -> None:
    sync(SMALL)
    age(SMALL, timedelta(days=30))
    for enabled in (False, True):
        with engine.begin() as connection:
            registry.change_company(connection, SMALL, enabled=enabled)
    assert (health().color, kinds(health())) == ("yellow", [])


def test_an_api_that_is_down_is_the_same_reason_for_every_company(
    sync: Sync, health: Health, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLINGO_REQUEST_ATTEMPTS", "1")
    load_settings.cache_clear()
    sandbox.faults.add(Fault(kind="status", status=503, times=None))
    sync(SMALL)
    sync(LARGE)
    problems = [*health(SMALL).problems, *health(LARGE).problems]
    assert {(problem.reason, problem.is_shared) for problem in problems} == {("run_failed:UnavailableError", True)}


def test_the_last_sync_is_found_behind_as_many_checks_as_anybody_ran_since(
    sync: Sync,
    health: Health,
    revoke: Callable[[bool], None],
    instance: dg.DagsterInstance,
    live_defs: dg.Definitions,
) -> None:
    revoke(True)
    sync(SMALL)
    other = live_defs.resolve_job_def("refresh_health")
    for _ in range(RUNS_OF_ONE + 1):
        leave_run(instance, other, dg.DagsterRunStatus.SUCCESS, company=SMALL)
    assert kinds(health(later=timedelta(days=3))) == ["run_failed"]
