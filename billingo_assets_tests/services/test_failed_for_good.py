"""A company whose sync failed is red, and reported, as soon as no retry can come, and not before.

Dagster marks such a run with `dagster/will_retry=true` at once and may then not retry it; the real daemon decides here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from sqlalchemy import URL, Engine

from billingo_assets.companies import registry
from billingo_assets.dagster_support.instance import add_partitions, open_instance
from billingo_assets.health.reading import read_health
from billingo_assets.health.rules import Color
from billingo_assets.project import project_root
from billingo_assets.run_history.daemon import RETRIER_CURSOR, SILENCE
from billingo_assets.sandbox import Fault, SandboxServer, World
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.locks import showing_run_alive
from billingo_assets_tests.conftest import fresh_database
from billingo_assets_tests.services.test_bad_days import held_after_first_page
from billingo_assets_tests.support.dagster_runs import LARGE as COMPANY
from billingo_assets_tests.support.past_runs import leave_run
from billingo_assets_tests.support.services import (
    ASSETS,
    BACKFILL,
    PROGRAM,
    Place,
    Services,
    running_services,
    until,
)
from billingo_assets_tests.support.sinks import WebSink

SECONDS = 600
STOP_SECONDS = 120

NEVER = {"DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "86400"}
"""For a daemon that looks for runs to retry once, when it starts, and then not while a test takes."""

CANCEL_BACKFILL = """
    mutation ($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }
"""
TERMINATE = """
    mutation ($id: String!) { terminateRun(runId: $id) { __typename } }
"""


@pytest.fixture
def place(
    server_url: URL,
    admin: Engine,
    migrated_template: str,
    tmp_path: Path,
    web: WebSink,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """One company that is synced when somebody asks, alerts, and a Dagster home of its own."""
    world = World()
    with fresh_database(server_url, admin, template=migrated_template) as url, SandboxServer(world) as sandbox:
        variables = {"BILLINGO_ALERT_URLS": web.url, "BILLINGO_REQUEST_ATTEMPTS": "1"}
        here = Place(url, tmp_path / "home", world, sandbox.url, variables, sandbox)
        here = here.with_dagster_home(tmp_path / "dagster")
        here.register_companies()
        with here.engine.begin() as connection:
            registry.change_company(connection, COMPANY, schedule="manual")
            for company in world.companies:
                if company.key != COMPANY:
                    registry.remove_company(connection, company.key)
        for name, value in here.environment.items():
            if name.startswith(("BILLINGO_", "DAGSTER_")):
                monkeypatch.setenv(name, value)
        load_settings.cache_clear()
        with open_instance(load_settings()) as instance:
            add_partitions(instance, [COMPANY])
        yield here
        here.engine.dispose()


@pytest.fixture
def instance(place: Place) -> Iterator[dg.DagsterInstance]:
    with open_instance(load_settings()) as opened:
        yield opened


def break_api(place: Place, *, times: int | None = None) -> None:
    assert place.sandbox is not None
    place.sandbox.faults.add(Fault(kind="drop", path="/v3/documents", times=times))


def dagster(place: Place, *words: str) -> None:
    """One of Dagster's own commands, as docs/operations.md shows."""
    program = PROGRAM.with_name("dagster")
    done = subprocess.run(
        [program, *words, "--workspace", project_root() / "workspace.yaml"],
        env=place.environment, cwd=project_root(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def color(place: Place, instance: dg.DagsterInstance) -> Color:
    """What `status` says of the company."""
    with place.engine.connect() as connection:
        (company,) = read_health(connection, instance, load_settings(), datetime.now(UTC))
    return company.color


def await_red(place: Place, instance: dg.DagsterInstance) -> None:
    until(lambda: color(place, instance) == "red" or None, seconds=SECONDS, what="red")


def newest(instance: dg.DagsterInstance) -> dg.DagsterRun:
    (run,) = instance.get_runs(dg.RunsFilter(job_name="sync_company"), limit=1)
    return run


def failed(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    """A run, once it has failed and is marked to be retried."""

    def marked() -> dg.DagsterRun | None:
        run = instance.get_run_by_id(run_id)
        return run if run is not None and run.is_failure and "dagster/will_retry" in run.tags else None

    run = until(marked, seconds=SECONDS, what="the failure")
    assert run.tags["dagster/will_retry"] == "true"
    return run


def retry_of(instance: dg.DagsterInstance, run_id: str, *, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """The run that tries again what a run failed at, once it has come so far."""

    def found() -> dg.DagsterRun | None:
        runs = instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}, statuses=[status]))
        return runs[0] if runs else None

    return until(found, seconds=SECONDS, what=f"a retry that is {status.value}")


def first_look(instance: dg.DagsterInstance) -> None:
    """Wait until the daemon has looked for runs to retry."""
    until(
        lambda: instance.daemon_cursor_storage.get_cursor_values({RETRIER_CURSOR}) or None,
        seconds=SECONDS,
        what="the daemon's first look",
    )


def let_time_pass(instance: dg.DagsterInstance) -> None:
    """Let the daemon have been gone for longer than a daemon that runs is silent."""
    for heartbeat in instance.get_daemon_heartbeats().values():
        earlier = heartbeat.timestamp - 2 * SILENCE.total_seconds()
        instance.add_daemon_heartbeat(heartbeat._replace(timestamp=earlier))


def test_a_company_whose_backfill_failed_is_red_and_told_of_once(
    place: Place, instance: dg.DagsterInstance, web: WebSink
) -> None:
    break_api(place)
    with running_services(place):
        dagster(place, "job", "backfill", "--job", "sync_company", "--partitions", COMPANY, "--noprompt")
        await_red(place, instance)
        until(lambda: web.posts or None, seconds=SECONDS, what="the alert")
        assert len(web.posts) == 1
        last = newest(instance)
        assert last.run_id in json.dumps(web.posts)


def test_a_failure_that_a_retry_makes_good_is_told_to_nobody_and_the_last_of_three_once(
    place: Place, instance: dg.DagsterInstance, web: WebSink
) -> None:
    break_api(place, times=1)
    with running_services(place) as services:
        first = failed(instance, services.launch(COMPANY, jobName="sync_company"))
        retry_of(instance, first.run_id, status=dg.DagsterRunStatus.SUCCESS)
        assert color(place, instance) == "green"
        break_api(place)
        first = failed(instance, services.launch(COMPANY, jobName="sync_company"))
        second = retry_of(instance, first.run_id, status=dg.DagsterRunStatus.FAILURE)
        third = retry_of(instance, second.run_id, status=dg.DagsterRunStatus.FAILURE)
        until(lambda: web.posts or None, seconds=SECONDS, what="the alert")
    assert [third.run_id in json.dumps(post) for post in web.posts] == [True]


def test_a_company_whose_backfill_was_canceled_before_its_retry_is_red(
    place: Place, instance: dg.DagsterInstance
) -> None:
    break_api(place)
    with running_services(place.with_variables(**NEVER)) as services:
        first_look(instance)
        answer = services.ask(BACKFILL, params={"assetSelection": ASSETS, "partitionNames": [COMPANY]})
        tagged = dg.RunsFilter(tags={"dagster/backfill": answer["backfillId"]})
        (run,) = until(lambda: instance.get_runs(tagged) or None, seconds=SECONDS, what="the backfill's run")
        failed(instance, run.run_id)
        assert color(place, instance) == "yellow"
        services.ask(CANCEL_BACKFILL, id=answer["backfillId"])
        await_red(place, instance)


UNDONE: dict[str, Callable[[Services, dg.DagsterInstance, str], object]] = {
    "canceled": lambda services, _, run_id: services.ask(TERMINATE, id=run_id),
    "deleted": lambda _, instance, run_id: instance.delete_run(run_id),
}


@pytest.mark.parametrize("undo", UNDONE.values(), ids=UNDONE)
def test_a_company_whose_retry_was_taken_out_of_the_queue_is_red(
    place: Place,
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    undo: Callable[[Services, dg.DagsterInstance, str], object],
) -> None:
    with running_services(place) as services, place.engine.connect() as connection:
        with held_after_first_page(place, COMPANY) as waits:
            run_id = services.launch(COMPANY, jobName="sync_company")
            assert waits.wait(SECONDS)
            break_api(place)
            other = leave_run(instance, job, dg.DagsterRunStatus.STARTED, company=COMPANY)
        with showing_run_alive(connection, other.run_id):  # takes the company's place in the queue
            failed(instance, run_id)
            retry = retry_of(instance, run_id, status=dg.DagsterRunStatus.QUEUED)
            assert color(place, instance) == "yellow"
            undo(services, instance, retry.run_id)
            assert color(place, instance) == "red"


def test_a_company_whose_daemon_stopped_before_the_retry_is_red_until_the_retry_comes_and_nobody_is_alerted(
    place: Place, instance: dg.DagsterInstance, web: WebSink
) -> None:
    with running_services(place.with_variables(**NEVER)) as services:
        first_look(instance)
        break_api(place, times=1)
        run = failed(instance, services.launch(COMPANY, jobName="sync_company"))
    let_time_pass(instance)
    assert color(place, instance) == "red"
    with running_services(place):
        retry_of(instance, run.run_id, status=dg.DagsterRunStatus.SUCCESS)
        assert color(place, instance) == "green"
    assert web.titles == []


def test_a_company_whose_retries_were_switched_off_is_red(
    place: Place, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_api(place)
    with running_services(place.with_variables(**NEVER)) as services:
        first_look(instance)
        failed(instance, services.launch(COMPANY, jobName="sync_company"))
        assert color(place, instance) == "yellow"
    without_retries = place.with_dagster_home(tmp_path / "without retries", run_retries={"enabled": False})
    monkeypatch.setenv("DAGSTER_HOME", without_retries.variables["DAGSTER_HOME"])
    with running_services(without_retries), open_instance(load_settings()) as changed:
        assert color(place, changed) == "red"


def test_a_company_whose_code_location_is_gone_is_red(place: Place, instance: dg.DagsterInstance) -> None:
    break_api(place)
    with running_services(place.with_variables(**NEVER)) as services:
        first_look(instance)
        failed(instance, services.launch(COMPANY, jobName="sync_company"))
    words = [PROGRAM.with_name("dagster-daemon"), "run", "--empty-workspace"]
    daemon = subprocess.Popen(words, env=place.environment)
    try:
        await_red(place, instance)
    finally:
        daemon.terminate()
        daemon.wait(STOP_SECONDS)


def test_a_company_whose_runs_cannot_be_launched_is_red(
    place: Place, instance: dg.DagsterInstance, job: dg.JobDefinition, tmp_path: Path
) -> None:
    without_patience = place.with_dagster_home(tmp_path / "own", run_queue={"max_user_code_failure_retries": 0})
    gone = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("gone"), "__repository__")
    run = instance.create_run_for_job(
        job_def=job, tags={"dagster/partition": COMPANY}, remote_job_origin=gone.get_job_origin(job.name)
    )
    with running_services(without_patience):
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_ENQUEUED.value, job_name=job.name), run.run_id
        )
        failed(instance, run.run_id)
        await_red(place, instance)
