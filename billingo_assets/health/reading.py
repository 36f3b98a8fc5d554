"""Reads the facts about every company, from the registry, the tables, and Dagster's runs and checks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from sqlalchemy import Connection

from billingo_assets.checks import checks_of_runs
from billingo_assets.companies.registry import list_companies
from billingo_assets.health.freshness import read_moments
from billingo_assets.health.rules import CompanyHealth, Facts, FailedCheck, Severity, assess
from billingo_assets.run_history.daemon import Daemon
from billingo_assets.run_history.results import ANSWERED
from billingo_assets.run_history.retries import Retries
from billingo_assets.run_history.runs import UNFINISHED, is_sync
from billingo_assets.run_history.verdicts import past_by_company
from billingo_assets.settings import Settings
from billingo_assets.warehouse.locks import run_is_alive

RESULTS_OF_ONE = 10
"""The most results of a check that are read to find the last one that no retry can replace."""


def read_health(
    connection: Connection, instance: dg.DagsterInstance, settings: Settings, now: datetime
) -> list[CompanyHealth]:
    """Read the state of each registered company, in the order of their keys."""
    registered = list_companies(connection)
    keys = [company.key for company in registered]
    moments = read_moments(connection)
    retries = Retries(instance, now)
    past = past_by_company(instance, keys, retries, now)
    failed_checks = _failed_checks(instance, set(keys), retries)
    healths = []
    for company in registered:
        runs, failed_run = past[company.key]
        unfinished = [run for run in runs if run.status in UNFINISHED and is_sync(run)]
        is_being_synced = any(_goes_on(connection, run, retries.daemon) for run in unfinished)
        facts = Facts(
            company=company,
            moments=moments[company.id],
            is_being_synced=is_being_synced,
            waits_for_daemon=bool(unfinished) and not is_being_synced,
            failed_run=failed_run,
            failed_checks=tuple(failed_checks[company.key]),
        )
        healths.append(assess(facts, now, settings))
    return healths


def _goes_on(connection: Connection, run: dg.DagsterRun, daemon: Daemon) -> bool:
    """Whether a process works on an unfinished run, or will: a daemon closes runs whose process is gone."""
    return daemon.runs or (run.status is not dg.DagsterRunStatus.QUEUED and run_is_alive(connection, run.run_id))


def _failed_checks(instance: dg.DagsterInstance, keys: set[str], retries: Retries) -> Mapping[str, list[FailedCheck]]:
    """The checks with a failure as last result, by company, without results of runs that may still be retried."""
    failed: dict[str, list[FailedCheck]] = defaultdict(list)
    storage = instance.event_log_storage
    for check in checks_of_runs():
        for info in storage.get_asset_check_partition_info([check.key]):
            key = info.partition_key
            if key not in keys or info.latest_execution_status is AssetCheckExecutionRecordStatus.SUCCEEDED:
                continue
            # During a run, or after one that broke off, the last event only says that the check was planned.
            results = storage.get_asset_check_execution_history(
                check.key, limit=RESULTS_OF_ONE, status=ANSWERED, partition_filter=PartitionKeyFilter(key=key)
            )
            last = next((result for result in results if not _is_undecided(instance, result.run_id, retries)), None)
            if last is not None and (evaluation := last.evaluation) is not None and not evaluation.passed:
                severity: Severity = "error" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "warning"
                failed[key].append(FailedCheck(check.name, severity, evaluation.description or "", last.run_id))
    return failed


def _is_undecided(instance: dg.DagsterInstance, run_id: str, retries: Retries) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and retries.is_undecided(run)
