"""Deletes an erased company from Dagster: its runs, their events, the results of its checks."""

from __future__ import annotations

import dagster as dg

from billingo_assets.names import PARTITION_TAG
from billingo_assets.run_history.results import delete_events_of_partition, delete_results_of_runs

PAGE = 200


def delete_run_history(instance: dg.DagsterInstance, key: str) -> int:
    """Delete the company's whole history of runs. Returns the number of runs.

    A backfill of several companies still lists all of them.
    """
    runs = 0
    while records := instance.get_run_records(dg.RunsFilter(tags={PARTITION_TAG: key}), limit=PAGE):
        run_ids = [record.dagster_run.run_id for record in records]
        # The run last: if this breaks off, the run leads to the rest.
        delete_results_of_runs(instance, run_ids)
        for run_id in run_ids:
            instance.event_log_storage.delete_events(run_id)
            instance.delete_run(run_id)
        runs += len(run_ids)
    delete_events_of_partition(instance, key)
    return runs
