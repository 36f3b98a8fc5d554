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

from billingo_assets.assets.describing import RAW_INVOICES
from billingo_assets.checks.names import CHECKS
from billingo_assets.companies.registry import list_companies
from billingo_assets.jobs import SYNC_COMPANY
from billingo_assets.monitoring.freshness import read_moments
from billingo_assets.monitoring.health import CompanyHealth, Facts, FailedCheck, FailedRun, Severity, assess
from billingo_assets.monitoring.outcomes import read_events
from billingo_assets.partitions import PARTITION_TAG
from billingo_assets.settings import Settings
from billingo_assets.warehouse.locks import CompanyBusyError

WILL_RETRY_TAG = "dagster/will_retry"

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)

RECENT = timedelta(hours=49)
"""How far back all runs are read at once; of companies without one since, each is asked for."""
RUNS_OF_ONE = 10

ANSWERED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
"""What a check that came to its end is recorded with."""

OUTCOME_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}


def is_sync(run: dg.DagsterRun) -> bool:
    """Whether a run reads a company's documents from the API."""
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


def events_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.DagsterEvent]:
    """The events of a run that tell what came of it, in order."""
    for entry in instance.all_logs(run_id, of_type=OUTCOME_EVENTS):
        if entry.dagster_event is not None:
            yield entry.dagster_event


def read_health(
    connection: Connection, instance: dg.DagsterInstance, settings: Settings, now: datetime
) -> list[CompanyHealth]:
    """How each registered company is, by key."""
    registered = list_companies(connection)
    keys = [company.key for company in registered]
    moments = read_moments(connection)
    past = _past_by_company(instance, keys, now)
    failed_checks = _failed_checks(instance, set(keys))
    healths = []
    for company in registered:
        runs, failed_run = past[company.key]
        facts = Facts(
            company=company,
            moments=moments[company.id],
            is_being_synced=any(run.status in UNFINISHED and is_sync(run) for run in runs),
            failed_run=failed_run,
            failed_checks=tuple(failed_checks[company.key]),
        )
        healths.append(assess(facts, now, settings))
    return healths


class Past(NamedTuple):
    """The newest runs of a company, the newest first, and its failure, if that is what the last word of them is."""

    runs: list[dg.DagsterRun]
    failed_run: FailedRun | None


class Verdict(NamedTuple):
    """What a run says of its company: that it failed, or (None) that all went well."""

    failed_run: FailedRun | None


def _past_by_company(instance: dg.DagsterInstance, keys: Sequence[str], now: datetime) -> Mapping[str, Past]:
    """The past of each company, at least to the last run that says how it is, if there is one."""
    by_key: dict[str, list[dg.DagsterRun]] = defaultdict(list)
    recent = dg.RunsFilter(tags={PARTITION_TAG: list(keys)}, created_after=now - RECENT)
    for record in instance.get_run_records(recent) if keys else ():
        by_key[record.dagster_run.tags[PARTITION_TAG]].append(record.dagster_run)
    past = {}
    for key in keys:
        verdict = _last_verdict(instance, by_key[key])
        past[key] = Past(by_key[key], verdict.failed_run) if verdict else past_until_decided(instance, key)
    return past


def past_until_decided(instance: dg.DagsterInstance, key: str) -> Past:
    """The past of a company up to the last run that says how it is, if there is one."""
    runs: list[dg.DagsterRun] = []
    while True:
        of_one = dg.RunsFilter(tags={PARTITION_TAG: key})
        records = instance.get_run_records(of_one, limit=RUNS_OF_ONE, cursor=runs[-1].run_id if runs else None)
        for record in records:
            runs.append(record.dagster_run)
            if verdict := _verdict(instance, record.dagster_run):
                return Past(runs, verdict.failed_run)
        if len(records) < RUNS_OF_ONE:
            return Past(runs, None)


def _last_verdict(instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun]) -> Verdict | None:
    return next((verdict for run in runs if (verdict := _verdict(instance, run))), None)


def _verdict(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Verdict | None:
    """What a run says of its company; None of one that goes on, was canceled, or is about to be tried again.

    One that was refused since another run had the company says nothing either: that other one does.
    """
    if run.status is dg.DagsterRunStatus.SUCCESS and is_sync(run):
        return Verdict(None)
    if run.status is not dg.DagsterRunStatus.FAILURE or run.tags.get(WILL_RETRY_TAG) == "true":
        return None
    told = read_events(events_of(instance, run.run_id))
    if told.error_type == CompanyBusyError.__name__:
        return None
    return Verdict(FailedRun(run.run_id, " ".join(told.errors), told.error_type))


def _failed_checks(instance: dg.DagsterInstance, keys: set[str]) -> Mapping[str, list[FailedCheck]]:
    """The checks whose last result was a failure, by company."""
    failed: dict[str, list[FailedCheck]] = defaultdict(list)
    storage = instance.event_log_storage
    for check in CHECKS:
        for info in storage.get_asset_check_partition_info([check]):
            key = info.partition_key
            if key not in keys or info.latest_execution_status is AssetCheckExecutionRecordStatus.SUCCEEDED:
                continue
            # Within a run that is going, or broke off, the last thing known is that the check was planned.
            last = storage.get_asset_check_execution_history(
                check, limit=1, status=ANSWERED, partition_filter=PartitionKeyFilter(key=key)
            )
            if last and (evaluation := last[0].evaluation) is not None and not evaluation.passed:
                severity: Severity = "error" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "warning"
                failed[key].append(FailedCheck(check.name, severity, evaluation.description or "", last[0].run_id))
    return failed
