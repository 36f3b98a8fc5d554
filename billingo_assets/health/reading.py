"""Reads what is known of the companies: from the registry and the tables, and from Dagster's runs and checks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from sqlalchemy import Connection

from billingo_assets.defs.assets.describing import RAW_INVOICES
from billingo_assets.defs.checks.names import CHECKS, only_executes_checks
from billingo_assets.companies.registry import list_companies
from billingo_assets.defs.jobs import SYNC_COMPANY
from billingo_assets.run_history.daemon import Daemon
from billingo_assets.health.freshness import read_moments
from billingo_assets.health.rules import CompanyHealth, Facts, FailedCheck, FailedRun, Severity, assess
from billingo_assets.run_history.outcomes import read_events
from billingo_assets.run_history.retries import UNFINISHED, Retries
from billingo_assets.partitions import PARTITION_TAG, was_refused
from billingo_assets.settings import Settings
from billingo_assets.warehouse.locks import CompanyBusyError, run_is_alive

RECENT = timedelta(hours=49)
"""How far back all runs are read at once; of companies without one since, each is asked for."""
RUNS_OF_ONE = 10
RESULTS_OF_ONE = 10
"""How many results of a check are read at most to find the last that no retry may replace."""

ANSWERED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
"""What a check that came to its end is recorded with."""

OUTCOME_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.ENGINE_EVENT,
    dg.DagsterEventType.RUN_START,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}


def is_sync(run: dg.DagsterRun) -> bool:
    """Whether a run reads a company's documents from the API."""
    if only_executes_checks(run):
        return False
    return run.job_name == SYNC_COMPANY or RAW_INVOICES in (run.asset_selection or ())


def busy_companies(instance: dg.DagsterInstance) -> set[str]:
    """The keys of the companies that have a run waiting or going."""
    records = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
    return {record.dagster_run.tags[PARTITION_TAG] for record in records if PARTITION_TAG in record.dagster_run.tags}


def last_finished_sync(instance: dg.DagsterInstance) -> dg.RunRecord | None:
    """The newest run that synced a company and has ended."""
    ended = [status for status in dg.DagsterRunStatus if status not in UNFINISHED]
    records = instance.get_run_records(dg.RunsFilter(statuses=ended), limit=RUNS_OF_ONE)
    return next((record for record in records if is_sync(record.dagster_run)), None)


def syncs_to_retry(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Whether a sync failed of late and may yet be tried again."""
    retries = Retries(instance, now)
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], created_after=now - RECENT)
    runs = [record.dagster_run for record in instance.get_run_records(failed)]
    return any(is_sync(run) and retries.is_undecided(run) for run in runs)


def events_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.DagsterEvent]:
    """The events of a run that tell what came of it, in order."""
    for entry in instance.all_logs(run_id, of_type=OUTCOME_EVENTS):
        if entry.dagster_event is not None:
            yield entry.dagster_event


def found_company_busy(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run failed since another one had its company. That one speaks for it."""
    return read_events(events_of(instance, run.run_id)).error_type == CompanyBusyError.__name__


def read_health(
    connection: Connection, instance: dg.DagsterInstance, settings: Settings, now: datetime
) -> list[CompanyHealth]:
    """How each registered company is, by key."""
    registered = list_companies(connection)
    keys = [company.key for company in registered]
    moments = read_moments(connection)
    retries = Retries(instance, now)
    past = _past_by_company(instance, keys, retries, now)
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
    """Whether an unfinished run is worked on, or will be: a daemon closes those whose process is gone."""
    return daemon.runs or (run.status is not dg.DagsterRunStatus.QUEUED and run_is_alive(connection, run.run_id))


class Past(NamedTuple):
    """The newest runs of a company, the newest first, and its failure, if that is what the last word of them is."""

    runs: list[dg.DagsterRun]
    failed_run: FailedRun | None


class Verdict(NamedTuple):
    """What a run says of its company: that it failed, or (None) that all went well."""

    failed_run: FailedRun | None


def _past_by_company(
    instance: dg.DagsterInstance, keys: Sequence[str], retries: Retries, now: datetime
) -> Mapping[str, Past]:
    """The past of each company, at least to the last run that says how it is, if there is one."""
    by_key: dict[str, list[dg.DagsterRun]] = defaultdict(list)
    recent = dg.RunsFilter(tags={PARTITION_TAG: list(keys)}, created_after=now - RECENT)
    for record in instance.get_run_records(recent) if keys else ():
        by_key[record.dagster_run.tags[PARTITION_TAG]].append(record.dagster_run)
    past = {}
    for key in keys:
        verdict = next(_verdicts(instance, by_key[key], retries), None)
        past[key] = Past(by_key[key], verdict.failed_run) if verdict else past_until_decided(instance, key, retries)
    return past


def past_until_decided(instance: dg.DagsterInstance, key: str, retries: Retries) -> Past:
    """The past of a company up to the last run that says how it is, if there is one."""
    runs: list[dg.DagsterRun] = []

    def read() -> Iterator[dg.DagsterRun]:
        of_one = dg.RunsFilter(tags={PARTITION_TAG: key})
        while True:
            records = instance.get_run_records(of_one, limit=RUNS_OF_ONE, cursor=runs[-1].run_id if runs else None)
            for record in records:
                runs.append(record.dagster_run)
                yield record.dagster_run
            if len(records) < RUNS_OF_ONE:
                return

    verdict = next(_verdicts(instance, read(), retries), None)
    return Past(runs, verdict.failed_run if verdict else None)


def _verdicts(instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun], retries: Retries) -> Iterator[Verdict]:
    """What a company's runs, the newest first, say of it; nothing of one that goes on, was canceled, or is retried.

    One that did nothing says nothing either: the company is not to be synced, or another run had it.
    """
    silent: set[str] = set()
    for run in runs:
        if was_refused(run) or only_executes_checks(run):
            continue  # of checks, the results speak
        if run.is_success and is_sync(run):
            yield Verdict(None)
        elif run.is_failure and retries.failed_for_good(run, silent=silent):
            told = read_events(events_of(instance, run.run_id))
            if told.error_type == CompanyBusyError.__name__:
                silent.add(run.run_id)
            else:
                yield Verdict(FailedRun(run.run_id, " ".join(told.errors), told.error_type))


def _failed_checks(instance: dg.DagsterInstance, keys: set[str], retries: Retries) -> Mapping[str, list[FailedCheck]]:
    """The checks whose last result was a failure, by company; that of a run that may yet be retried is left out."""
    failed: dict[str, list[FailedCheck]] = defaultdict(list)
    storage = instance.event_log_storage
    for check in CHECKS:
        for info in storage.get_asset_check_partition_info([check]):
            key = info.partition_key
            if key not in keys or info.latest_execution_status is AssetCheckExecutionRecordStatus.SUCCEEDED:
                continue
            # Within a run that is going, or broke off, the last thing known is that the check was planned.
            results = storage.get_asset_check_execution_history(
                check, limit=RESULTS_OF_ONE, status=ANSWERED, partition_filter=PartitionKeyFilter(key=key)
            )
            last = next((result for result in results if not _is_undecided(instance, result.run_id, retries)), None)
            if last is not None and (evaluation := last.evaluation) is not None and not evaluation.passed:
                severity: Severity = "error" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "warning"
                failed[key].append(FailedCheck(check.name, severity, evaluation.description or "", last.run_id))
    return failed


def _is_undecided(instance: dg.DagsterInstance, run_id: str, retries: Retries) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and retries.is_undecided(run)
