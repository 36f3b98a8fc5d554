"""Takes away what Dagster (1.13) keeps of checks' results and of partitions, for which it has no call of its own."""

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
"""What a check that came to its end is recorded with."""

_results = AssetCheckExecutionsTable.c


def delete_results_of_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    """Delete the results that runs left: with a run, Dagster deletes its events, and keeps these for ever."""
    _delete(instance, _results.run_id.in_(run_ids))


def delete_results_without_run(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, partitions: Sequence[str]
) -> None:
    """Make room for what a sensor is about to record of some partitions.

    One result of a check is kept for each run and partition, and "no run" is taken for a run: the second result
    without one would be refused. What is taken away is in the event log all the same.
    """
    _delete(
        instance,
        _results.asset_key == check.asset_key.to_string(),
        _results.check_name == check.name,
        _results.run_id == "",
        _results.partition.in_(partitions),
    )


def delete_events_of_partition(instance: dg.DagsterInstance, partition: str) -> None:
    """Delete what no run left but a sensor recorded of a partition, its checks' results, and copies of events."""
    _delete(instance, _results.partition == partition)
    with _storage(instance).index_connection() as connection:
        events = SqlEventLogStorageTable
        connection.execute(events.delete().where(events.c.partition == partition))
        # Of each asset's newest event, whosever it is. Without them Dagster looks into the event log.
        connection.execute(AssetKeyTable.update().values(last_materialization=None, cached_status_data=None))


def _delete(instance: dg.DagsterInstance, *where: ColumnElement[bool]) -> None:
    with _storage(instance).index_connection() as connection:
        connection.execute(AssetCheckExecutionsTable.delete().where(*where))


def _storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)  # noqa: S101  # dagster.yaml names one
    return storage
