"""Deletes the runs that are past keeping, and what was said of outages that are long over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from sqlalchemy import text

from billingo_assets.defs.assets.describing import INVOICE_ITEMS, INVOICES, RAW_INVOICES
from billingo_assets.defs.checks.names import CHECKS
from billingo_assets.health.reading import ANSWERED, past_until_decided
from billingo_assets.run_history.results import delete_results_of_runs
from billingo_assets.run_history.retries import UNFINISHED, Retries
from billingo_assets.partitions import COMPANIES
from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.settings import load_settings

ASSETS = (RAW_INVOICES, INVOICES, INVOICE_ITEMS)
PAGE = 200

_FORGET_MESSAGES = text("DELETE FROM billingo.alert_messages WHERE created_at < :before")
_FORGET_OUTAGES = text("DELETE FROM billingo.outages WHERE ended_at < :before")


class Pruned(NamedTuple):
    """How many runs were deleted, how many old ones were kept for what they show, and how many messages went."""

    runs: int
    kept: int
    messages: int


def prune(instance: dg.DagsterInstance, warehouse: WarehouseResource, now: datetime | None = None) -> Pruned:
    """Delete finished runs, ended outages and messages older than BILLINGO_RETENTION_DAYS.

    A run that made the newest materialization of an asset for a company, or the newest result of a check, is kept:
    it shows how the company is. So is its last sync, which may have made neither, and failed.
    """
    before = (now or datetime.now(UTC)) - timedelta(days=load_settings().retention_days)
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
        # What is deleted cannot be a cursor: the next page begins after the last that was kept, or anew.
        cursor = next((run_id for run_id in reversed(run_ids) if run_id in shown), cursor)
    with warehouse.connect() as connection, connection.begin():
        messages = connection.execute(_FORGET_MESSAGES, {"before": before}).rowcount
        connection.execute(_FORGET_OUTAGES, {"before": before})
    return Pruned(deleted, kept, messages)


def _runs_that_show_the_present(instance: dg.DagsterInstance) -> set[str]:
    """The run of each company's newest materialization of each asset, of its newest result of each check, its last."""
    storage = instance.event_log_storage
    shown: set[str] = set()
    keys = set(instance.get_dynamic_partitions(COMPANIES))
    for asset in ASSETS:
        newest = storage.get_latest_storage_id_by_partition(asset, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if newest:
            found = instance.fetch_materializations(
                dg.AssetRecordsFilter(asset, storage_ids=list(newest.values())), limit=len(newest)
            )
            shown |= {record.run_id for record in found.records}
            keys |= newest.keys()  # a company that was removed has no partition any more, but a history
    for check in CHECKS:
        for key in keys:
            last = storage.get_asset_check_execution_history(
                check, limit=1, status=ANSWERED, partition_filter=PartitionKeyFilter(key=key)
            )
            shown |= {record.run_id for record in last}
    retries = Retries(instance, datetime.now(UTC))
    for key in keys:
        shown |= {run.run_id for run in past_until_decided(instance, key, retries).runs[-1:]}
    return shown
