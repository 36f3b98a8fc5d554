"""The sensor `health_table`: updates `billingo/sync_health` once all syncs have ended."""

import dagster as dg

from billingo_assets.names import REFRESH_HEALTH


@dg.sensor(
    name="health_table",
    job_name=REFRESH_HEALTH,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Updates billingo/sync_health when syncs have ended and no run is queued or running.",
)
def health_table(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request one refresh each time that all syncs have ended."""
    from datetime import UTC, datetime

    from billingo_assets.run_history.runs import UNFINISHED, last_finished_sync
    from billingo_assets.run_history.verdicts import syncs_to_retry

    if context.instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED), limit=1):
        return dg.SkipReason("Runs are queued or running.")
    last = last_finished_sync(context.instance)
    if last is None or last.dagster_run.run_id == context.cursor:
        return dg.SkipReason("No sync has ended since the last refresh.")
    if syncs_to_retry(context.instance, datetime.now(UTC)):
        return dg.SkipReason("A failed sync is about to be retried.")
    context.update_cursor(last.dagster_run.run_id)
    return dg.RunRequest(run_key=last.dagster_run.run_id)
