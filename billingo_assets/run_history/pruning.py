"""Deletes runs that are older than BILLINGO_RETENTION_DAYS."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter

from billingo_assets.checks import checks_of_runs
from billingo_assets.names import COMPANIES, STREAM_ASSETS
from billingo_assets.run_history.results import ANSWERED, delete_results_of_runs
from billingo_assets.run_history.retries import Retries
from billingo_assets.run_history.runs import UNFINISHED
from billingo_assets.run_history.verdicts import past_until_decided

PAGE = 200


class Pruned(NamedTuple):
    """How many runs were deleted, and how many old ones were kept because they show the present state."""

    runs: int
    kept: int


def prune_runs(instance: dg.DagsterInstance, before: datetime) -> Pruned:
    """Delete finished runs that were created before a moment.

    A run is kept if it made a company's newest materialization of an asset or its newest result of a check, because it
    shows the company's state. So is the company's last sync, which may have failed and made neither.
    """
    shown: set[str] | None = None
    deleted = kept = 0
    cursor = None
    old = dg.RunsFilter(
        created_before=before, statuses=[status for status in dg.DagsterRunStatus if status not in UNFINISHED]
    )
    while records := instance.get_run_records(old, limit=PAGE, cursor=cursor):
        shown = _runs_that_show_the_present(instance) if shown is None else shown
        run_ids = [record.dagster_run.run_id for record in records]
        past = [run_id for run_id in run_ids if run_id not in shown]
        for run_id in past:
            instance.delete_run(run_id)
        delete_results_of_runs(instance, past)
        deleted, kept = deleted + len(past), kept + len(run_ids) - len(past)
        # A deleted run cannot be a cursor: the next page begins after the last run that was kept, or at the start.
        cursor = next((run_id for run_id in reversed(run_ids) if run_id in shown), cursor)
    return Pruned(deleted, kept)


def _runs_that_show_the_present(instance: dg.DagsterInstance) -> set[str]:
    """The runs of each company's newest materialization of each asset and newest result of each check, and its last."""
    storage = instance.event_log_storage
    shown: set[str] = set()
    keys = set(instance.get_dynamic_partitions(COMPANIES))
    for asset in STREAM_ASSETS:
        newest = storage.get_latest_storage_id_by_partition(asset, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if newest:
            found = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset, storage_ids=list(newest.values())), limit=len(newest)
            )
            shown |= {record.run_id for record in found.records}
            keys |= newest.keys()  # a company that was removed has no partition any more, but a history
    for check in checks_of_runs():
        for key in keys:
            last = storage.get_asset_check_execution_history(
                check.key, limit=1, status=ANSWERED, partition_filter=PartitionKeyFilter(key=key)
            )
            shown |= {record.run_id for record in last}
    retries = Retries(instance, datetime.now(UTC))
    for key in keys:
        shown |= {run.run_id for run in past_until_decided(instance, key, retries).runs[-1:]}
    return shown
