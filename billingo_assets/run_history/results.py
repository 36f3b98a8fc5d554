"""Deletes results of checks and data of partitions, for which Dagster (1.13) has no call of its own."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import ColumnElement

ANSWERED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
"""The status of a check that has ended."""

_results = AssetCheckExecutionsTable.c


def delete_results_of_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    """Delete the results that runs left: with a run, Dagster deletes its events, but never these."""
    _delete(instance, _results.run_id.in_(run_ids))


def delete_results_without_run(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, partitions: Sequence[str]
) -> None:
    """Make room for the results of some partitions that a sensor is about to record.

    Dagster keeps one result of a check for each run and partition, and takes "no run" for a run: it would refuse the
    second result without one. The deleted results are still in the event log.
    """
    _delete(
        instance,
        _results.asset_key == check.asset_key.to_string(),
        _results.check_name == check.name,
        _results.run_id == "",
        _results.partition.in_(partitions),
    )


def delete_events_of_partition(instance: dg.DagsterInstance, partition: str) -> None:
    """Delete a partition's events that a sensor recorded without a run, its checks' results, and copies of events."""
    _delete(instance, _results.partition == partition)
    with _storage(instance).index_connection() as connection:
        events = SqlEventLogStorageTable
        connection.execute(events.delete().where(events.c.partition == partition))
        # Copies of each asset's newest event, of any partition. Without them Dagster looks into the event log.
        connection.execute(AssetKeyTable.update().values(last_materialization=None, cached_status_data=None))


def _delete(instance: dg.DagsterInstance, *where: ColumnElement[bool]) -> None:
    with _storage(instance).index_connection() as connection:
        connection.execute(AssetCheckExecutionsTable.delete().where(*where))


def _storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)  # noqa: S101  # dagster.yaml names one
    return storage
