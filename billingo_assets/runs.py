"""Runs `sync_company` in this process, one company after another, and reads from Dagster what came of each run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id
from sqlalchemy.exc import DBAPIError

from billingo_assets.assets.describing import RAW_INVOICES
from billingo_assets.companies.registry import Company
from billingo_assets.errors import BillingoAssetsError
from billingo_assets.instance import pool_connections
from billingo_assets.resources import WarehouseResource
from billingo_assets.warehouse.rejections import open_rejections

Status = Literal["success", "partial", "failed"]

TRIGGER_TAG = "billingo/trigger"

CODE_LOCATION = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("billingo_assets"), SINGLETON_REPOSITORY_NAME)
"""The code location by the name that `workspace.yaml` gives it. A run without one cannot be run again from the UI."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, of one document or (None) of the whole run."""

    error: str
    document_id: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Without `document_id` where it concerns no single document."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run did for one company: `partial` when it went through, but something is to be looked at."""

    key: str
    id: int
    name: str
    status: Status
    run_id: str
    duration_seconds: float
    mode: Literal["full", "incremental"] = "full"
    reason: str = ""
    processed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    items: int = 0
    api_calls: int = 0
    errors: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()


COUNTS = ("processed", "created", "updated", "unchanged", "deleted", "items", "api_calls")
"""What `raw_invoices` tells in its metadata, and an outcome repeats."""

INTERRUPTED = "DagsterExecutionInterruptedError"
REJECTIONS = "no_rejected_documents"


def sync(
    company: Company,
    *,
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    log_level: str = "CRITICAL",
    full: bool = False,
    accept_empty: bool = False,
) -> Outcome:
    """Run the job for one company. A failure is an outcome, not an exception.

    `full` and `accept_empty` are the asset's configuration of these names.

    Raises:
        KeyboardInterrupt: the run was interrupted, and is marked so.
    """
    started = time.monotonic()
    if missing := _missing_database():
        # Dagster would try for twenty seconds to record that. The connections it has may have died with the server.
        pool_connections(instance)
        return _outcome(company, "failed", "", started, errors=[Fault(missing)])
    run_id = make_new_run_id()
    options = {name: True for name, wanted in (("full", full), ("accept_empty", accept_empty)) if wanted}
    run_config = {
        "loggers": {"console": {"config": {"log_level": log_level}}},
        "ops": {RAW_INVOICES.to_python_identifier(): {"config": options}},
    }
    try:
        result = _execute(company, run_id, job, instance, run_config)
    except Exception as error:  # Dagster itself failed: its database is gone, say. The next company may fare better.
        fault = Fault(_missing_database() or _why_it_broke_off(error))
        pool_connections(instance)
        _report_failed(instance, run_id, fault.error)
        return _outcome(company, "failed", run_id, started, errors=[fault])
    _pass_on_interrupt(result)
    failed_checks = [check for check in result.get_asset_check_evaluations() if not check.passed]
    failures = [] if result.success else _failures(result, failed_checks)
    counts = _raw_counts(result)
    rejected = _quarantine(company) if counts else []
    return _outcome(
        company,
        "failed" if not result.success else "partial" if failed_checks else "success",
        run_id,
        started,
        counts={**counts, "skipped": len(rejected)},
        errors=[*failures, *rejected],
        warnings=[
            f"{check.check_name}: {check.description}"
            for check in failed_checks
            if not _stops(check) and check.check_name != REJECTIONS
        ],
    )


def _missing_database() -> str | None:
    """Why the database cannot be used, if it cannot; an embedded server that died is brought back."""
    try:
        with WarehouseResource().connect():
            return None
    except BillingoAssetsError as error:
        return str(error)


def _pass_on_interrupt(result: dg.JobExecutionResult) -> None:
    """Dagster takes Ctrl-C for the failure of a step; whoever pressed it meant the whole command."""
    for event in result.all_events:
        error = event.step_failure_data.error if event.is_step_failure else None
        if error is not None and error.cls_name == INTERRUPTED:
            raise KeyboardInterrupt


def _quarantine(company: Company) -> list[Fault]:
    """The company's documents in quarantine, every one of them; a check's result names but the first few."""
    with suppress(BillingoAssetsError), WarehouseResource().connect() as connection:
        return [Fault(reason, document_id) for document_id, reason in open_rejections(connection, company.id)]
    return []


def _execute(
    company: Company,
    run_id: str,
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run_config: Mapping[str, Any],
) -> dg.JobExecutionResult:
    """Do what `execute_in_process` does, with a run that names its code location."""
    run = instance.create_run_for_job(
        job_def=job,
        run_id=run_id,
        run_config=run_config,
        tags={**job.get_tags_for_partition_key(company.key, selected_asset_keys=None), TRIGGER_TAG: "cli"},
        remote_job_origin=CODE_LOCATION.get_job_origin(job.name),
    )
    return execute_run(InMemoryJob(job), run, instance)


def _report_failed(instance: dg.DagsterInstance, run_id: str, message: str) -> None:
    """Close a run that broke off, or the UI shows it as going on for ever. Without a database it stays open."""
    with suppress(Exception):
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, message)


def _why_it_broke_off(error: Exception) -> str:
    """In words, or in the first line of another's: the statement and its values follow there."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return "The connection to the database was lost during the run. What was stored is kept; sync again."
    return f"The run broke off: {next(iter(str(error).strip().splitlines()), type(error).__name__)}"


def _stops(check: dg.AssetCheckEvaluation) -> bool:
    """Whether this failure keeps the assets downstream from being made."""
    return bool(check.blocking) and check.severity == dg.AssetCheckSeverity.ERROR


def _outcome(
    company: Company,
    status: Status,
    run_id: str,
    started: float,
    *,
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
        duration_seconds=round(time.monotonic() - started, 3),
        errors=tuple(errors),
        warnings=tuple(warnings),
        **(counts or {}),
    )


def _raw_counts(result: dg.JobExecutionResult) -> dict[str, Any]:
    """What `raw_invoices` did, told with its materialization or, when it failed, with its failure."""
    for event in result.all_events:
        metadata: Mapping[str, dg.MetadataValue[Any]] = {}
        if event.is_step_materialization and event.asset_key == RAW_INVOICES:
            metadata = event.step_materialization_data.materialization.metadata
        elif event.is_step_failure and event.step_failure_data.user_failure_data is not None:
            metadata = event.step_failure_data.user_failure_data.metadata
        if "mode" in metadata:
            told = {"mode": metadata["mode"].value, "reason": metadata["reason"].value}
            return {**told, **{name: _whole(metadata[name]) for name in COUNTS}}
    return {}


def _whole(value: dg.MetadataValue[Any]) -> int:
    return value.value or 0 if isinstance(value, dg.IntMetadataValue) else 0


def _failures(result: dg.JobExecutionResult, failed_checks: list[dg.AssetCheckEvaluation]) -> list[Fault]:
    """Why the run failed: the steps' own words, or those of the checks that blocked it."""
    blocking = [Fault(f"{check.check_name}: {check.description}") for check in failed_checks if _stops(check)]
    told = []
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data is not None and failure.user_failure_data.description:
                told.append(Fault(failure.user_failure_data.description))
            elif failure.error is not None and not blocking:
                told.append(Fault((failure.error.cause or failure.error).message.strip()))
    return told or blocking or [Fault("The run failed; its log in Dagster says why.")]
