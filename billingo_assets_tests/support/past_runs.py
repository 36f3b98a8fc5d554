"""What the tests of knowing share: runs as the command starts them, and the moments that decide how old things are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from sqlalchemy import Engine, text

from billingo_assets.companies.registry import Company
from billingo_assets.dagster_support.in_process import CODE_LOCATION
from billingo_assets.names import PARTITION_TAG
from billingo_assets.run_history.daemon import RETRIER, RETRIER_CURSOR
from billingo_assets.run_history.outcomes import Outcome
from billingo_assets.settings import load_settings
from billingo_assets.warehouse.locks import company_lock
from billingo_assets_tests.support.dagster_runs import Sync

Age = Callable[[str, timedelta], None]


@pytest.fixture
def age(engine: Engine, companies: dict[str, Company]) -> Age:
    """Let a company have been registered, and synced if it was, so long ago."""

    def change(key: str, by: timedelta) -> None:
        parameters = {"company": companies[key].id, "by": by}
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE billingo.companies SET expected_since = expected_since - :by WHERE id = :company"),
                parameters,
            )
            connection.execute(
                text("UPDATE billingo.sync_state SET synced_at = synced_at - :by WHERE company_id = :company"),
                parameters,
            )

    return change


@pytest.fixture
def refuse(sync: Sync, engine: Engine, companies: dict[str, Company], monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Sync a company while another run has it, which refuses that."""
    monkeypatch.setenv("BILLINGO_LOCK_WAIT_SECONDS", "0")
    load_settings.cache_clear()

    def run(key: str) -> Outcome:
        company_id = companies[key].id
        with engine.connect() as other, company_lock(other, company_id, company=key, by="run another", wait_seconds=0):
            return sync(key)

    return run


def let_daemon_run(instance: dg.DagsterInstance) -> None:
    """Leave in the storage what a daemon does that has just dealt with every failure there is."""
    instance.add_daemon_heartbeat(DaemonHeartbeat(datetime.now(UTC).timestamp(), RETRIER, "a daemon", []))
    newest = instance.event_log_storage.get_maximum_record_id() or 0
    instance.daemon_cursor_storage.set_cursor_values({RETRIER_CURSOR: str(newest)})


def leave_run(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    status: dg.DagsterRunStatus,
    *,
    company: str | None = None,
    tags: dict[str, str] | None = None,
    words: str | None = "Its process is gone.",
) -> dg.DagsterRun:
    """Record a run of a job that nobody executes, and that has come to this status."""
    run = instance.create_run_for_job(
        job_def=job,
        tags={**({PARTITION_TAG: company} if company else {}), **(tags or {})},
        remote_job_origin=CODE_LOCATION.get_job_origin(job.name),
    )
    if status is dg.DagsterRunStatus.FAILURE:
        instance.report_run_failed(run, words)
        # As Dagster marks it at once: whether it is then retried, its daemon decides.
        instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    elif status is dg.DagsterRunStatus.CANCELED:
        instance.report_run_canceled(run)
    elif status is not dg.DagsterRunStatus.NOT_STARTED:
        event_type = {
            dg.DagsterRunStatus.QUEUED: dg.DagsterEventType.RUN_ENQUEUED,
            dg.DagsterRunStatus.STARTED: dg.DagsterEventType.RUN_START,
            dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.RUN_SUCCESS,
        }[status]
        event = dg.DagsterEvent(event_type_value=event_type.value, job_name=job.name, message="")
        instance.report_dagster_event(event, run.run_id)
    return run
