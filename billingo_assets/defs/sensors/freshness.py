"""The sensor `freshness`: records the check `synced_recently` when a company goes stale, which no run would do."""

import json
from datetime import UTC, datetime

import dagster as dg

from billingo_assets.dagster_support.resources import WarehouseResource
from billingo_assets.names import RAW_INVOICES


@dg.sensor(
    name="freshness",
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records the check synced_recently of a company whenever it goes stale, or is fresh again.",
)
def freshness(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SensorResult | dg.SkipReason:
    """Compare the freshness of each company with the last recorded one, and record changes."""
    from billingo_assets.health.freshness import SYNCED_RECENTLY, read_all_freshness
    from billingo_assets.run_history.results import delete_results_without_run

    with warehouse.connect() as connection:
        found = {one.company.key: one for one in read_all_freshness(connection, datetime.now(UTC))}
    recorded = json.loads(context.cursor or "{}")
    changed = [one for key, one in found.items() if recorded.get(key, "fresh") != one.state]
    stale = {key: one.state for key, one in found.items() if not one.holds}
    if not changed:
        return dg.SkipReason(f"{len(stale):,} of {len(found):,} companies are stale, as before.")
    recorded_check = dg.AssetCheckKey(RAW_INVOICES, SYNCED_RECENTLY)
    delete_results_without_run(context.instance, recorded_check, [one.company.key for one in changed])
    return dg.SensorResult(
        asset_events=[
            dg.AssetCheckEvaluation(
                asset_key=RAW_INVOICES,
                check_name=SYNCED_RECENTLY,
                partition=one.company.key,
                passed=one.holds,
                severity=one.severity,
                description=one.description,
                metadata=one.metadata,
            )
            for one in changed
        ],
        cursor=json.dumps(stale, sort_keys=True),
    )
