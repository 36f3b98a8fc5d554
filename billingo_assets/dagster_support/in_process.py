"""Runs `sync_company` in this process, one company after another, and returns the outcome of each run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from billingo_assets.companies.registry import Company
from billingo_assets.companies.session import RunSession, connected
from billingo_assets.dagster_support.instance import pool_connections
from billingo_assets.dagster_support.reconnecting import UNREACHABLE
from billingo_assets.errors import BillingoAssetsError
from billingo_assets.names import PARTITION_TAG, RAW_INVOICES, TRIGGER_TAG, raw_asset_key
from billingo_assets.redaction import redact
from billingo_assets.run_history.crashes import DISCONNECTED, KILLED, is_interrupt
from billingo_assets.run_history.outcomes import Fault, Outcome, Status, duration_of
from billingo_assets.run_history.summaries import summarize
from billingo_assets.settings import load_settings
from billingo_assets.streams import DOCUMENTS, STREAMS
from billingo_assets.warehouse.locks import run_is_alive
from billingo_assets.warehouse.rejections import OpenRejection, open_rejections

TAGS = {TRIGGER_TAG: "cli", "dagster/max_retries": "0"}
"""The tags of who started it. No daemon retries: the person or script that waits for the outcome decides that."""


CODE_LOCATION = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("billingo_assets"), SINGLETON_REPOSITORY_NAME)
"""The code location's name in `workspace.yaml`. A run without one cannot be run again from the UI."""


def sync(
    company: Company,
    *,
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    log_level: str = "CRITICAL",
    full: bool = False,
    accept_empty: bool = False,
    accept_difference: int | None = None,
) -> Outcome:
    """Run the job for one company. A failure is an outcome, not an exception.

    `full`, `accept_empty` and `accept_difference` are the asset's configuration of these names.

    Raises:
        KeyboardInterrupt: the run was interrupted, and is marked as failed.
    """
    started = time.monotonic()
    if missing := _missing_database():
        # Dagster would try for twenty seconds to record that. Its connections may have died with the server.
        pool_connections(instance)
        return _outcome(company, "failed", "", started, errors=[Fault(missing)])
    run_id = make_new_run_id()
    wanted = {"full": full, "accept_empty": accept_empty}
    options: dict[str, dict[str, dict[str, bool | int | None]]] = {
        raw_asset_key(stream).to_python_identifier(): {"config": {**wanted}} for stream in STREAMS
    }
    options[RAW_INVOICES.to_python_identifier()]["config"]["accept_difference"] = accept_difference
    run_config = {"loggers": {"console": {"config": {"log_level": log_level}}}, "ops": options}
    try:
        with RunSession(run_id) as session:
            _close_dead_runs(company, instance, session.show_alive(load_settings()))
            result = _execute(company, run_id, job, instance, run_config)
    except Exception as error:  # Dagster itself failed: its database may be gone. The next company may work.
        fault = Fault(redact(_missing_database() or _why_it_broke_off(error)))
        pool_connections(instance)
        _report_failed(instance, run_id, fault.error)
        return _outcome(company, "failed", run_id, started, errors=[fault])
    _pass_on_interrupt(result)
    summary = summarize(result.all_events)
    quarantine = _quarantine(company) if summary.counts else []
    rejected = [Fault(one.reason, one.document_id, warns=True) for one in quarantine if one.accepted_at is None]
    failures = [] if result.success else [Fault(error) for error in summary.errors]
    return _outcome(
        company,
        "failed" if not result.success else "partial" if summary.failed_checks else "success",
        run_id,
        started,
        seconds=_duration(instance, run_id),
        counts={**summary.counts, "skipped": len(quarantine)},
        errors=[*failures, *summary.check_errors, *rejected],
        warnings=summary.warnings,
    )


def _missing_database() -> str | None:
    """Why the database cannot be used, or None. An embedded server that died is started again."""
    try:
        with connected(load_settings()):
            return None
    except BillingoAssetsError as error:
        return str(error)


def _pass_on_interrupt(result: dg.JobExecutionResult) -> None:
    """Raise KeyboardInterrupt if Ctrl-C failed the run: the person who pressed it meant the whole command."""
    if any(is_interrupt(event) for event in result.all_events):
        raise KeyboardInterrupt


def _quarantine(company: Company) -> list[OpenRejection]:
    """All of the company's documents in quarantine; a check's result names only the first few."""
    with suppress(BillingoAssetsError), connected(load_settings()) as connection:
        return open_rejections(connection, DOCUMENTS, company.id)
    return []


def _execute(
    company: Company,
    run_id: str,
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run_config: Mapping[str, Any],
) -> dg.JobExecutionResult:
    """Do as `execute_in_process`, with a run that names its code location."""
    run = instance.create_run_for_job(
        job_def=job,
        run_id=run_id,
        run_config=run_config,
        tags={**job.get_tags_for_partition_key(company.key, selected_asset_keys=None), **TAGS},
        remote_job_origin=CODE_LOCATION.get_job_origin(job.name),
    )
    return execute_run(InMemoryJob(job), run, instance)


def _close_dead_runs(company: Company, instance: dg.DagsterInstance, connection: Connection) -> None:
    """Mark killed runs of this command as failed: without a daemon, nothing else does."""
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    own = dg.RunsFilter(statuses=unfinished, tags={PARTITION_TAG: company.key, TRIGGER_TAG: "cli"})
    for record in instance.get_run_records(own):
        if not run_is_alive(connection, record.dagster_run.run_id):
            instance.report_run_failed(record.dagster_run, KILLED)


def _report_failed(instance: dg.DagsterInstance, run_id: str, message: str) -> None:
    """Mark a run that broke off as failed, or the UI would show it as running for ever. Needs the database."""
    with suppress(Exception):
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, message)


def _why_it_broke_off(error: Exception) -> str:
    """Our own words, or the first line of a foreign error: the statement and its values follow in that."""
    if isinstance(error, UNREACHABLE) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return DISCONNECTED
    return f"The run broke off: {next(iter(str(error).strip().splitlines()), type(error).__name__)}"


def _duration(instance: dg.DagsterInstance, run_id: str) -> float | None:
    """The run's duration, as `history` and the UI show it."""
    record = instance.get_run_record_by_id(run_id)
    return None if record is None else duration_of(record, datetime.now(UTC))


def _outcome(
    company: Company,
    status: Status,
    run_id: str,
    started: float,
    *,
    seconds: float | None = None,
    counts: Mapping[str, Any] | None = None,
    errors: Sequence[Fault] = (),
    warnings: Sequence[str] = (),
) -> Outcome:
    return Outcome(
        key=company.key,
        id=company.id,
        name=company.name,
        status=status,
        run_id=run_id,
        duration_seconds=round(time.monotonic() - started, 3) if seconds is None else seconds,
        errors=tuple(errors),
        warnings=tuple(warnings),
        **(counts or {}),
    )
