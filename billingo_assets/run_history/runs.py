"""Reads the runs in Dagster's history: their purpose, their trigger, and which are under way."""

from __future__ import annotations

import dagster as dg
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from billingo_assets.names import (
    COMPANIES,
    NOT_REFUSED,
    PARTITION_TAG,
    RAW_INVOICES,
    REFUSED_TAG,
    SYNC_COMPANY,
    TRIGGER_TAG,
)

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)

NEWEST = 10
"""How many of the newest runs are searched for a sync."""

TRIGGERS = (
    ("dagster/schedule_name", "schedule"),
    ("dagster/sensor_name", "sensor"),
    ("dagster/backfill", "backfill"),
)


def only_executes_checks(run: dg.DagsterRun) -> bool:
    """Whether a run materializes no asset. "Execute all" on a page of checks launches such a run, without a company."""
    return bool(run.asset_check_selection) and not run.asset_selection


def is_sync(run: dg.DagsterRun) -> bool:
    """Whether a run reads a company's documents from the API."""
    if only_executes_checks(run):
        return False
    return run.job_name == SYNC_COMPANY or RAW_INVOICES in (run.asset_selection or ())


def is_of_command(run: dg.DagsterRun) -> bool:
    """Whether a person or a script started the run on the command line, and waits for the outcome."""
    return run.tags.get(TRIGGER_TAG) == "cli"


def was_refused(run: dg.DagsterRun) -> bool:
    """Whether a run succeeded and did nothing, because its company is disabled or was removed."""
    return run.is_success and run.tags.get(REFUSED_TAG, NOT_REFUSED) != NOT_REFUSED


def companies_of_run(run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[str]:
    """The keys of the companies that a run names: one, a range of partitions, or none."""
    if key := run.tags.get(PARTITION_TAG):
        return [key]
    ends = run.tags.get(ASSET_PARTITION_RANGE_START_TAG), run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if ends[0] is None or ends[1] is None:
        return []
    keys = instance.get_dynamic_partitions(COMPANIES)
    return list(keys[keys.index(ends[0]) : keys.index(ends[1]) + 1]) if {*ends} <= {*keys} else []


def trigger_of(run: dg.DagsterRun) -> str:
    """Describe the trigger of a run, and whether it is a retry."""
    retry = run.tags.get("dagster/retry_number")
    if run.parent_run_id is not None and retry is None:
        return "UI"  # launched again by hand: it has the tags of the former run
    named = next((f"{what} {run.tags[tag]}" for tag, what in TRIGGERS if tag in run.tags), None)
    trigger = named or ("CLI" if is_of_command(run) else "UI")
    return f"{trigger}, retry {retry}" if retry else trigger


def busy_companies(instance: dg.DagsterInstance) -> set[str]:
    """The keys of the companies that have a waiting or running run."""
    records = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
    return {record.dagster_run.tags[PARTITION_TAG] for record in records if PARTITION_TAG in record.dagster_run.tags}


def kept_partitions(instance: dg.DagsterInstance) -> set[str]:
    """The partitions that must not be removed yet: they have unfinished runs, or a backfill goes on.

    A backfill fails if one of its partitions is gone, and Dagster cancels the runs of all its other companies.
    """
    going = [status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES]
    if instance.get_backfills(BulkActionsFilter(statuses=going), limit=1):
        return set(instance.get_dynamic_partitions(COMPANIES))
    return busy_companies(instance)


def has_runs(instance: dg.DagsterInstance, company: str) -> bool:
    """Whether the history has any run of a company, even if the company is not in the registry any more."""
    return bool(instance.get_run_records(dg.RunsFilter(tags={PARTITION_TAG: company}), limit=1))


def last_finished_sync(instance: dg.DagsterInstance) -> dg.RunRecord | None:
    """The newest run that synced a company and has ended."""
    ended = [status for status in dg.DagsterRunStatus if status not in UNFINISHED]
    records = instance.get_run_records(dg.RunsFilter(statuses=ended), limit=NEWEST)
    return next((record for record in records if is_sync(record.dagster_run)), None)
